//! The whole table of state and event, committed, so that a change of policy shows as a diff to read aloud.

#[test]
fn every_pair_of_state_and_event_is_as_committed() {
    insta::assert_snapshot!(outboard_core::state_table());
}
