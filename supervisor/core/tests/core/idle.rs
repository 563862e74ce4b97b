//! Rest for a plugin that nobody calls.

use outboard_core::*;

use crate::world::*;

fn rests_after(span: std::time::Duration) -> Policy {
    Policy { lazy: true, idle_after: Some(span), ..policy() }
}

/// Called once, and active since.
fn called() -> (World, Key) {
    let (mut world, key) = World::of_one(rests_after(secs(60)), Script::good());
    world.command(key, Event::Called);
    world.run_for(secs(1));
    assert_eq!(world.state(key), StateName::Active);
    (world, key)
}

#[test]
fn it_is_stopped_when_nobody_has_called_for_long_enough_and_the_next_call_starts_it() {
    let (mut world, key) = called();
    world.seeming(key).idle_since = Some(Time::ZERO);
    world.run_until(at(secs(60)));
    assert_eq!(world.state(key), StateName::Active, "not before its time");
    world.run_until(at(secs(63)));
    assert_eq!(world.state(key), StateName::Registered);
    assert!(!world.snapshot(key).wanted_up);
    assert!(world.failures(key).is_empty(), "that is no failure");
    assert_eq!(world.route(key), Route::Hold(Unavailable::Starting), "a call is waited with");
    let drained = world.rungs(key).first().map(|rung| rung.0);
    assert_eq!(drained, Some(Rung::Drain), "it leaves step by step, as for any stop");
    world.run_for(secs(3600));
    assert_eq!(world.spawns(key).len(), 1, "nobody calls");
    world.command(key, Event::Called);
    world.run_for(secs(1));
    assert_eq!(world.state(key), StateName::Active);
    assert_eq!(world.snapshot(key).restarts, 0);
}

#[test]
fn what_is_open_keeps_it_up_and_the_time_counts_from_its_end() {
    let (mut world, key) = called();
    world.run_until(at(secs(500)));
    assert_eq!(world.state(key), StateName::Active, "something is open all the time");
    world.seeming(key).idle_since = Some(at(secs(490)));
    world.run_until(at(secs(549)));
    assert_eq!(world.state(key), StateName::Active);
    world.run_until(at(secs(600)));
    assert_eq!(world.state(key), StateName::Registered);
    let stopped = world.notes(key).find(|(_, note)| matches!(note, Note::Stopped(_)));
    let stopped = stopped.expect("it was stopped").0;
    assert!(stopped >= at(secs(550)), "{stopped:?}");
    assert!(stopped <= at(secs(551)) + secs(60), "{stopped:?}: looked at in time");
}

#[test]
fn a_call_while_it_leaves_brings_it_back() {
    let (mut world, key) = called();
    world.script(key).drains_in = Some(secs(3));
    world.seeming(key).idle_since = Some(Time::ZERO);
    world.run_until(at(secs(62)));
    assert_eq!(world.state(key), StateName::Stopping);
    assert_eq!(world.route(key), Route::Hold(Unavailable::Starting));
    world.command(key, Event::Called);
    world.seeming(key).idle_since = None;
    world.run_for(secs(10));
    assert_eq!(world.state(key), StateName::Active);
    assert_eq!(world.spawns(key).len(), 2);
}

#[test]
fn one_that_somebody_requires_is_in_use() {
    let mut world = World::new();
    let base = world.add("base", rests_after(secs(60)), Script::good());
    let top = Policy { requires: vec!["base".into()], ..policy() };
    let top = world.add("top", top, Script::good());
    world.start();
    world.run_for(secs(1));
    world.seeming(base).idle_since = Some(Time::ZERO);
    world.run_for(secs(3600));
    assert_eq!((world.state(base), world.state(top)), (StateName::Active, StateName::Active));
    world.stop(top);
    world.run_for(secs(200));
    assert_eq!(world.state(base), StateName::Registered);
    assert_eq!(world.spawns(base).len(), 1);
}

#[test]
fn without_a_span_it_never_rests_and_a_changed_manifest_counts_from_then_on() {
    let (mut world, key) = World::of_one(policy(), Script::good());
    world.seeming(key).idle_since = Some(Time::ZERO);
    world.run_until(at(secs(7200)));
    assert_eq!(world.state(key), StateName::Active);
    world.reconfigure(key, Policy { idle_after: Some(secs(60)), ..policy() });
    world.run_until(at(secs(7259)));
    assert_eq!(world.state(key), StateName::Active);
    world.run_until(at(secs(7400)));
    assert_eq!(world.state(key), StateName::Registered);
}
