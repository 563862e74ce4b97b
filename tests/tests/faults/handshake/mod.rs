//! HAND: what can go wrong between the first byte and `active`.

mod answer;
mod early;
mod time;

use outboard_tests::Running;

/// Waits until a plugin comes up for the first time, or fails, which it must not.
#[track_caller]
fn comes_up(run: &Running<'_>, id: &str) {
    let first = run.event(|event| event.is_state(id, "active") || event.is("plugin.failure", id));
    assert!(first.is_state(id, "active"), "{first}");
}

/// Waits until a plugin rests for the first time, which has to be in this state.
#[track_caller]
fn rests(run: &Running<'_>, id: &str, state: &str) {
    let down = ["registered", "backoff", "failed"];
    let first = run.event(|event| event.is("plugin.state", id) && down.contains(&event.text("to")));
    assert_eq!(first.text("to"), state, "{first}");
}
