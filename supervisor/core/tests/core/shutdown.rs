//! The stop of everything.

use outboard_core::*;

use crate::world::*;

fn stubborn() -> Script {
    Script { drains_in: None, asked_in: None, ..Script::obeys(&[Rung::Kill]) }
}

fn requires(id: &str) -> Policy {
    Policy { requires: vec![id.into()], ..policy() }
}

#[test]
fn everything_stops_level_by_level_dependents_first() {
    let mut world = World::new();
    let base = world.add("base", policy(), Script::good());
    let middle = world.add("middle", requires("base"), Script::good());
    let top = world.add("top", Policy { after: vec!["middle".into()], ..policy() }, Script::good());
    let beside = world.add("beside", policy(), Script::good());
    world.start();
    world.run_for(secs(1));
    world.forget_the_past();
    world.shut_down(false);
    assert_eq!(world.state(top), StateName::Stopping);
    assert_eq!(world.state(beside), StateName::Stopping, "in parallel");
    assert_eq!(world.state(middle), StateName::Active, "its dependents may still need it");
    assert_eq!(world.route(middle), Route::Open);
    assert!(!world.fleet.is_down());
    world.run_for(secs(2));
    assert!(world.fleet.is_down());
    let stopped = |key| {
        world.notes(key).find(|(_, note)| matches!(note, Note::Stopped(_))).expect("stopped").0
    };
    assert!(stopped(top) < stopped(middle) && stopped(middle) < stopped(base));
    assert_eq!(world.route(top), Route::Refuse(Unavailable::Stopping(StopReason::HostExit)));
}

#[test]
fn what_ignores_everything_is_killed_within_the_cap() {
    let mut world = World::with(FleetPolicy { shutdown_cap: secs(10), ..fleet_policy() });
    let base = world.add("base", policy(), stubborn());
    let top = world.add("top", requires("base"), stubborn());
    world.start();
    world.run_for(secs(1));
    world.shut_down(false);
    world.run_for(secs(10));
    assert!(world.fleet.is_down(), "{:?} {:?}", world.snapshot(base), world.snapshot(top));
    assert!(
        world.rungs(top).len() == 5 && world.rungs(base).len() == 5,
        "every rung had its share"
    );
    assert!(world.rungs(top).iter().all(|(rung, within)| *rung != Rung::Kill || *within >= 450));
}

#[test]
fn even_what_cannot_be_killed_ends_the_shutdown_within_the_cap() {
    let mut world = World::new();
    let base = world.add("base", policy(), Script { leaves_behind: 1, ..stubborn() });
    let top = world.add("top", requires("base"), Script::obeys(&[]));
    world.start();
    world.run_for(secs(1));
    world.shut_down(false);
    world.run_for(secs(25));
    assert!(world.fleet.is_down(), "{:?} {:?}", world.snapshot(base), world.snapshot(top));
    assert_eq!(world.state(top), StateName::Unkillable);
    assert_eq!(world.state(base), StateName::Registered);
}

#[test]
fn a_second_signal_goes_to_the_kill_on_every_level() {
    let mut world = World::new();
    let base = world.add("base", policy(), stubborn());
    let top = world.add("top", requires("base"), stubborn());
    world.start();
    world.run_for(secs(1));
    world.shut_down(false);
    world.run_for(secs(1));
    world.shut_down(true);
    assert_eq!(world.snapshot(top).rung, Some(Rung::Kill));
    assert_eq!(world.snapshot(base).rung, Some(Rung::Kill));
    world.run_for(secs(1));
    assert!(world.fleet.is_down());
}

#[test]
fn nothing_starts_any_more() {
    let mut world = World::with(FleetPolicy { start_concurrency: 1, ..fleet_policy() });
    let mut slow = policy();
    slow.restart.backoff.initial = secs(2);
    let crashing = world.add("crashing", slow, Script::crashes(1));
    let queued = world.add("queued", policy(), Script { opens_after: secs(60), ..Script::good() });
    let behind = world.add("behind", policy(), Script::good());
    let lazy = world.add("lazy", Policy { lazy: true, ..policy() }, Script::good());
    world.start();
    world.run_for(secs(1));
    assert_eq!(world.state(crashing), StateName::Backoff);
    world.shut_down(false);
    for key in [crashing, queued, behind, lazy] {
        world.command(key, Event::Start);
        world.command(key, Event::Restart { now: true });
        world.command(key, Event::Called);
    }
    world.run_for(secs(100));
    assert!(world.fleet.is_down());
    assert_eq!(world.spawns(crashing).len(), 1);
    assert!(world.spawns(behind).is_empty() && world.spawns(lazy).is_empty());
    assert_eq!(world.fleet.next_deadline(), None);
}

#[test]
fn a_plugin_that_crashes_before_its_level_comes_stays_down() {
    let mut world = World::new();
    let base = world.add("base", policy(), Script::good());
    world.add("top", requires("base"), Script { drains_in: Some(secs(3)), ..Script::good() });
    world.start();
    world.run_for(secs(1));
    world.shut_down(false);
    world.dies(base, Exit::Code(1));
    world.run_for(secs(10));
    assert!(world.fleet.is_down());
    assert_eq!(world.spawns(base).len(), 1);
}

#[test]
fn a_stop_under_way_is_hurried_into_the_cap() {
    let mut world = World::with(FleetPolicy { shutdown_cap: secs(5), ..fleet_policy() });
    let key = world.add("a", policy(), stubborn());
    world.start();
    world.run_for(secs(1));
    world.stop(key);
    world.run_for(secs(1));
    world.shut_down(false);
    world.run_for(secs(5));
    assert!(world.fleet.is_down(), "{:?}", world.snapshot(key));
}

#[test]
fn a_stop_under_way_is_hurried_though_its_policy_has_become_a_short_one() {
    let mut world = World::with(FleetPolicy { shutdown_cap: secs(5), ..fleet_policy() });
    let key = world.add("a", policy(), stubborn());
    world.start();
    world.run_for(secs(1));
    world.stop(key);
    let short = StopPolicy { total: Some(ms(100)), ..policy().stop };
    world.reconfigure(key, Policy { stop: short, ..policy() });
    world.shut_down(false);
    world.run_for(secs(5));
    assert!(world.fleet.is_down(), "{:?}", world.snapshot(key));
}

#[test]
fn an_empty_fleet_is_down_at_once_but_only_when_asked() {
    let mut world = World::new();
    assert!(!world.fleet.is_down());
    world.shut_down(false);
    assert!(world.fleet.is_down());
}

#[test]
fn a_lost_keeper_ends_a_shutdown() {
    let mut world = World::new();
    world.add("a", policy(), stubborn());
    world.start();
    world.run_for(secs(1));
    world.shut_down(false);
    world.keeper_dies();
    assert!(world.fleet.is_down());
    world.keeper_comes_back();
    world.run_for(secs(10));
    assert!(world.fleet.is_down());
}
