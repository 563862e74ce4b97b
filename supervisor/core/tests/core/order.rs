//! Start and stop order: `after`, `requires`, lazy start, turns.

use outboard_core::*;

use crate::world::*;

fn after(ids: &[&str]) -> Policy {
    Policy { after: ids.iter().map(|id| (*id).into()).collect(), ..policy() }
}

fn requires(ids: &[&str]) -> Policy {
    Policy { requires: ids.iter().map(|id| (*id).into()).collect(), ..policy() }
}

fn lazy() -> Policy {
    Policy { lazy: true, ..policy() }
}

#[test]
fn after_waits_for_the_first_verdict_and_says_on_whom() {
    let mut world = World::new();
    let late = world.add("late", after(&["slow"]), Script::good());
    let slow = world.add("slow", policy(), Script { opens_after: secs(5), ..Script::good() });
    world.start();
    world.run_for(secs(1));
    let snapshot = world.snapshot(late);
    assert_eq!(snapshot.state, StateName::Registered);
    assert_eq!(snapshot.waiting_for, ["slow".into()]);
    assert_eq!(world.route(late), Route::Hold(Unavailable::Waiting));
    world.run_for(secs(5));
    assert_eq!(world.state(slow), StateName::Active);
    assert_eq!(world.state(late), StateName::Active);
    assert!(world.spawns(late)[0] >= at(secs(5)));
}

#[test]
fn after_goes_on_when_the_other_fails_rests_is_disabled_or_is_not_there() {
    let mut world = World::new();
    let late = world.add("late", after(&["broken", "lazy", "disabled", "absent"]), Script::good());
    world.add("broken", policy(), Script::launches(Launch::Missing));
    world.add("lazy", lazy(), Script::good());
    world.add("disabled", Policy { enabled: false, ..policy() }, Script::good());
    world.start();
    world.run_for(secs(1));
    assert_eq!(world.state(late), StateName::Active);
}

#[test]
fn after_is_order_only() {
    let mut world = World::new();
    let late = world.add("late", after(&["first"]), Script::good());
    let first = world.add("first", policy(), Script::good());
    world.start();
    world.run_for(secs(1));
    world.dies(first, Exit::Code(1));
    world.stop(first);
    world.run_for(secs(10));
    assert_eq!(world.spawns(late).len(), 1);
    assert_eq!(world.state(late), StateName::Active);
}

#[test]
fn after_waits_for_a_new_verdict_when_the_other_is_started_again() {
    let mut world = World::new();
    let late = world.add("late", after(&["first"]), Script::good());
    let first = world.add("first", policy(), Script::good());
    world.start();
    world.run_for(secs(1));
    world.stop(late);
    world.stop(first);
    world.run_for(secs(1));
    world.script(first).opens_after = secs(5);
    world.command(first, Event::Start);
    world.command(late, Event::Start);
    world.run_for(secs(4));
    assert_eq!(world.snapshot(late).waiting_for, ["first".into()]);
    world.run_for(secs(2));
    assert_eq!(world.state(late), StateName::Active);
}

#[test]
fn crash_13_requires_stops_with_the_other_and_starts_again_after_it_without_charge() {
    let mut world = World::new();
    let top = world.add("top", requires(&["middle"]), Script::good());
    let middle = world.add("middle", requires(&["base"]), Script::good());
    let base = world.add("base", policy(), Script::good());
    world.start();
    world.run_for(secs(1));
    assert!([top, middle, base].iter().all(|key| world.state(*key) == StateName::Active));
    world.forget_the_past();
    world.dies(base, Exit::Signal { name: "SIGSEGV", core: false });
    assert_eq!(world.state(middle), StateName::Stopping);
    assert_eq!(world.route(middle), Route::Hold(Unavailable::Waiting));
    world.run_for(ms(50));
    assert_eq!(world.snapshot(middle).waiting_for, ["base".into()]);
    world.run_for(secs(2));
    assert!([top, middle, base].iter().all(|key| world.state(*key) == StateName::Active));
    let order = [world.spawns(base)[0], world.spawns(middle)[0], world.spawns(top)[0]];
    assert!(order.is_sorted() && order[0] < order[1] && order[1] < order[2], "{order:?}");
    assert_eq!((world.snapshot(middle).restarts, world.snapshot(top).restarts), (0, 0));
    assert!(world.failures(middle).is_empty() && world.failures(top).is_empty());
}

#[test]
fn crash_13_dependents_of_what_failed_wait_and_say_on_whom() {
    let mut world = World::new();
    let top = world.add("top", requires(&["base"]), Script::good());
    let mut fragile = policy();
    fragile.restart.budget = Budget { restarts: 1, within: secs(300) };
    let base = world.add("base", fragile, Script::crashes(1));
    world.start();
    world.run_for(secs(10));
    assert_eq!(world.state(base), StateName::Failed);
    assert_eq!(world.state(top), StateName::Registered, "never failed for that");
    assert_eq!(world.snapshot(top).waiting_for, ["base".into()]);
    *world.script(base) = Script::good();
    world.run_for(secs(10));
    assert_eq!(world.state(top), StateName::Active, "started by itself with the careful try");
}

#[test]
fn a_degraded_plugin_still_serves_those_who_require_it() {
    let mut world = World::new();
    let top = world.add("top", requires(&["base"]), Script::good());
    let base = world.add("base", policy(), Script::good());
    world.start();
    world.run_for(secs(1));
    world.reports(base, Saying::Degraded, "cache cold");
    world.run_for(secs(5));
    assert_eq!(world.spawns(top).len(), 1);
}

#[test]
fn what_is_required_and_not_registered_is_waited_for() {
    let mut world = World::new();
    let top = world.add("top", requires(&["base"]), Script::good());
    world.start();
    world.run_for(secs(100));
    assert_eq!(world.snapshot(top).waiting_for, ["base".into()]);
    let base = world.add("base", policy(), Script::good());
    let effects = world.fleet.start_if_enabled(world.now, base);
    world.carry_out(effects);
    world.run_for(secs(1));
    assert_eq!(world.state(top), StateName::Active);
}

#[test]
fn a_dependency_lost_while_starting_stops_the_start() {
    let mut world = World::new();
    let top =
        world.add("top", requires(&["base"]), Script { opens_after: secs(5), ..Script::good() });
    let base = world.add("base", policy(), Script::good());
    world.start();
    world.run_for(secs(1));
    assert_eq!(world.state(top), StateName::Starting);
    world.stop(base);
    world.run_for(secs(1));
    assert_eq!(world.snapshot(top).waiting_for, ["base".into()]);
    assert!(!world.lives(top));
}

#[test]
fn a_lazy_plugin_rests_until_it_is_called() {
    let (mut world, key) = World::of_one(lazy(), Script::good());
    assert_eq!(world.state(key), StateName::Registered);
    assert!(!world.snapshot(key).wanted_up);
    assert_eq!(world.route(key), Route::Hold(Unavailable::Starting));
    world.command(key, Event::Called);
    world.run_for(secs(1));
    assert_eq!(world.state(key), StateName::Active);
    world.stop(key);
    world.run_for(secs(1));
    world.command(key, Event::Called);
    world.run_for(secs(1));
    assert_eq!(
        world.state(key),
        StateName::Registered,
        "stopped by hand: a call does not start it"
    );
}

#[test]
fn a_lazy_plugin_that_has_finished_rests_until_the_next_call() {
    let mut policy = lazy();
    policy.restart.policy = RestartWhen::OnFailure;
    let (mut world, key) = World::of_one(policy, Script::crashes_after(secs(2), Exit::Code(0)));
    world.command(key, Event::Called);
    world.run_for(secs(5));
    assert!(world.snapshot(key).finished);
    world.command(key, Event::Called);
    world.run_for(secs(1));
    assert_eq!(world.state(key), StateName::Active);
}

#[test]
fn who_waits_for_a_lazy_plugin_that_it_requires_is_its_first_caller() {
    let mut world = World::new();
    let top = world.add("top", requires(&["base"]), Script::good());
    world.add("base", lazy(), Script::good());
    world.start();
    world.run_for(secs(1));
    assert_eq!(world.state(top), StateName::Active);
}

#[test]
fn a_disabled_plugin_rests_and_starts_by_hand() {
    let (mut world, key) = World::of_one(Policy { enabled: false, ..policy() }, Script::good());
    assert_eq!(world.state(key), StateName::Registered);
    world.command(key, Event::Called);
    assert!(world.spawns(key).is_empty());
    world.command(key, Event::Start);
    world.run_for(secs(1));
    assert_eq!(world.state(key), StateName::Active);
}

#[test]
fn enabling_and_disabling_by_reload_starts_and_stops() {
    let (mut world, key) = World::of_one(Policy { enabled: false, ..policy() }, Script::good());
    world.reconfigure(key, policy());
    world.run_for(secs(1));
    assert_eq!(world.state(key), StateName::Active);
    world.reconfigure(key, Policy { enabled: false, ..policy() });
    world.run_for(secs(1));
    assert_eq!(world.state(key), StateName::Registered);
}

#[test]
fn a_stop_by_hand_outlives_a_reload() {
    let (mut world, key) = World::of_one(policy(), Script::good());
    world.stop(key);
    world.run_for(secs(1));
    let mut changed = policy();
    changed.health.interval = secs(20);
    world.reconfigure(key, changed);
    world.run_for(secs(10));
    assert_eq!(world.state(key), StateName::Registered);
}

#[test]
fn a_reload_that_changes_nothing_else_restarts_nothing() {
    let (mut world, key) = World::of_one(policy(), Script::good());
    world.forget_the_past();
    let mut changed = policy();
    changed.stop.drain = secs(1);
    world.reconfigure(key, changed);
    world.run_for(secs(1));
    assert!(
        world
            .lines(key)
            .all(|(_, what)| !matches!(what, Effect::Spawn { .. } | Effect::Rung { .. }))
    );
}

#[test]
fn turns_are_held_until_a_first_verdict_and_queueing_costs_no_budget() {
    let mut world = World::with(FleetPolicy { start_concurrency: 2, ..fleet_policy() });
    let keys: Vec<Key> = (0..7)
        .map(|n| {
            world.add(
                &format!("p{n}"),
                policy(),
                Script { opens_after: secs(20), ..Script::good() },
            )
        })
        .collect();
    world.start();
    world.run_for(secs(1));
    let phases: Vec<Phase> = keys.iter().filter_map(|key| world.snapshot(*key).phase).collect();
    assert_eq!(phases[..2], [Phase::Handshake; 2]);
    assert_eq!(phases[2..], [Phase::Queued; 5]);
    world.run_for(secs(90));
    assert!(keys.iter().all(|key| world.state(*key) == StateName::Active));
    assert!(keys.iter().all(|key| world.failures(*key).is_empty()));
}

#[test]
fn a_stop_in_the_queue_gives_the_turn_away() {
    let mut world = World::with(FleetPolicy { start_concurrency: 1, ..fleet_policy() });
    let slow = Script { opens_after: secs(5), ..Script::good() };
    world.add("a", policy(), slow);
    let b = world.add("b", policy(), Script::good());
    let c = world.add("c", policy(), Script::good());
    world.start();
    world.stop(b);
    world.run_for(secs(10));
    assert_eq!(world.state(b), StateName::Registered);
    assert_eq!(world.state(c), StateName::Active);
    assert!(world.spawns(b).is_empty());
}

#[test]
fn a_failed_start_gives_its_turn_back() {
    let mut world = World::with(FleetPolicy { start_concurrency: 1, ..fleet_policy() });
    world.add("a", policy(), Script::launches(Launch::Missing));
    world.add("b", policy(), Script::launches(Launch::Refused));
    world.add("c", policy(), Script::crashes(1));
    let d = world.add("d", policy(), Script::good());
    world.start();
    world.run_for(secs(1));
    assert_eq!(world.state(d), StateName::Active);
}

#[test]
fn a_removed_plugin_is_forgotten_and_its_id_can_come_back() {
    let (mut world, key) = World::of_one(policy(), Script::good());
    assert!(!world.fleet.remove(key), "not while it runs");
    world.stop(key);
    world.run_for(secs(1));
    assert!(world.fleet.remove(key));
    assert_eq!(world.fleet.by_id("a"), None);
    assert_eq!(world.fleet.keys().count(), 0);
    assert!(world.fleet.step(world.now, key, 1, Event::Start).is_empty());
    let again = world.add("a", policy(), Script::good());
    assert_eq!(again, key);
    world.command(again, Event::Start);
    world.run_for(secs(1));
    assert_eq!(world.fleet.generation(again), 2, "generations go on");
}

#[test]
fn whoever_came_after_a_plugin_that_is_removed_starts() {
    let mut world = World::new();
    let late = world.add("late", after(&["slow"]), Script::good());
    let mut slow = policy();
    slow.restart.backoff.initial = secs(30);
    let slow = world.add("slow", slow, Script::crashes(1));
    world.start();
    world.run_for(secs(1));
    assert_eq!(world.state(slow), StateName::Backoff);
    assert_eq!(world.state(late), StateName::Registered);
    assert!(world.fleet.remove(slow));
    let effects = world.fleet.fleet_due(world.now);
    world.carry_out(effects);
    world.run_for(secs(1));
    assert_eq!(world.state(late), StateName::Active);
}

#[test]
fn generations_go_on_from_the_last_run() {
    let mut fleet = Fleet::new(fleet_policy(), 1);
    let key = fleet.register(Time::ZERO, "a".into(), policy(), 41);
    let effects = fleet.start_enabled(Time::ZERO);
    assert!(effects.contains(&(
        key,
        42,
        Effect::Spawn { generation: 42, version: Version::InForce }
    )));
}
