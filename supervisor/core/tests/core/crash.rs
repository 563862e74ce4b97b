//! Restarts: backoff, budget, giving up, careful tries.

use outboard_core::*;

use crate::world::*;

fn gaps(times: &[Time]) -> Vec<u128> {
    times.windows(2).map(|pair| pair[1].since(pair[0]).as_millis()).collect()
}

#[test]
fn crash_06_a_crash_loop_spawns_budget_plus_one_times_and_then_tries_carefully() {
    let mut policy = policy();
    policy.restart.budget = Budget { restarts: 4, within: secs(300) };
    let (mut world, key) = World::of_one(policy, Script::crashes(1));
    world.run_until(at(secs(10)));
    assert_eq!(world.spawns(key).len(), 5, "budget + 1");
    assert_eq!(world.state(key), StateName::Failed);
    assert_eq!(world.route(key), Route::Refuse(Unavailable::Failed));
    assert_eq!(world.failures(key).len(), 5, "each try is told");
    let gave_up = Note::GaveUp { restarts: 4, within: secs(300), retry_after: Some(secs(15)) };
    assert_eq!(world.count(|note| *note == gave_up), 1);
    // Careful tries at growing gaps, each failing at once.
    world.run_until(at(secs(120)));
    let careful = &world.spawns(key)[4..];
    let seconds: Vec<u128> = gaps(careful).iter().map(|gap| gap / 1000).collect();
    assert_eq!(seconds, [15, 30, 60]);
}

#[test]
fn the_gaps_of_a_crash_loop_grow_by_the_factor() {
    let (mut world, key) = World::of_one(policy(), Script::crashes(1));
    world.run_until(at(secs(2)));
    // Three milliseconds from the order to spawn to the end.
    assert_eq!(gaps(&world.spawns(key)), [103, 203, 403, 803]);
}

#[test]
fn while_half_open_calls_wait_and_a_probe_lets_them_through() {
    let mut policy = policy();
    policy.restart.budget = Budget { restarts: 0, within: secs(300) };
    let (mut world, key) = World::of_one(policy, Script::crashes(1));
    assert_eq!(world.state(key), StateName::Failed);
    *world.script(key) = Script { opens_after: secs(2), ..Script::good() };
    world.run_until(at(secs(16)));
    assert_eq!(world.state(key), StateName::Starting);
    assert!(world.snapshot(key).half_open);
    assert_eq!(world.route(key), Route::Hold(Unavailable::HalfOpen));
    world.run_until(at(secs(18)));
    assert_eq!(world.state(key), StateName::Active);
    assert!(!world.snapshot(key).half_open);
    assert_eq!(world.route(key), Route::Open);
}

#[test]
fn a_careful_try_that_fails_is_the_only_one_however_short_the_period_is() {
    let mut policy = policy();
    policy.restart.budget = Budget { restarts: 2, within: secs(5) };
    let (mut world, key) = World::of_one(policy, Script::crashes(1));
    assert_eq!(world.spawns(key).len(), 3);
    // The period has long passed when the try fails: that does not make it the first of three.
    world.run_until(at(secs(40)));
    assert_eq!(world.spawns(key).len(), 4);
    assert_eq!(world.state(key), StateName::Failed);
}

#[test]
fn retry_after_never_is_the_only_giving_up_for_ever() {
    let mut policy = policy();
    policy.restart.budget = Budget { restarts: 1, within: secs(300) };
    policy.restart.retry_after = RetryAfter::Never;
    let (mut world, key) = World::of_one(policy, Script::crashes(1));
    world.run_until(at(secs(100_000)));
    assert_eq!(world.spawns(key).len(), 2);
    assert_eq!(world.fleet.next_deadline(), None);
}

#[test]
fn crash_07_a_good_handshake_does_not_refill_the_budget() {
    let mut policy = policy();
    policy.restart.budget = Budget { restarts: 3, within: secs(3600) };
    let (mut world, key) = World::of_one(policy, Script::crashes_after(secs(3), Exit::Code(0)));
    world.run_until(at(secs(25)));
    assert_eq!(world.states(key).iter().filter(|state| **state == StateName::Active).count(), 4);
    assert_eq!(world.spawns(key).len(), 4);
    assert_eq!(world.state(key), StateName::Failed);
}

#[test]
fn a_stable_time_refills_the_budget_and_makes_the_next_restart_immediate() {
    let mut policy = policy();
    policy.restart.budget = Budget { restarts: 2, within: secs(100_000) };
    let (mut world, key) = World::of_one(policy, Script::crashes_after(secs(61), Exit::Code(1)));
    world.run_until(at(secs(10_000)));
    assert!(world.spawns(key).len() > 100, "never given up: each run was a long good one");
    assert!(gaps(&world.spawns(key)).iter().all(|gap| *gap < 61_050), "and none had to wait");
}

#[test]
fn the_restart_after_an_immediate_one_waits_the_initial_backoff() {
    let (mut world, key) = World::of_one(policy(), Script::crashes_after(secs(61), Exit::Code(1)));
    world.run_until(at(secs(61)));
    *world.script(key) = Script::crashes(1);
    world.run_until(at(secs(64)));
    let gaps = gaps(&world.spawns(key));
    assert!(gaps[0] < 61_050, "at once after the good run: {gaps:?}");
    assert_eq!(gaps[1..4], [103, 203, 403]);
}

#[test]
fn crash_08_start_in_backoff_spawns_once_and_now() {
    let mut policy = policy();
    policy.restart.backoff.initial = secs(20);
    let (mut world, key) = World::of_one(policy, Script::crashes(1));
    assert_eq!(world.state(key), StateName::Backoff);
    *world.script(key) = Script::good();
    world.command(key, Event::Start);
    assert_eq!(world.spawns(key).last(), Some(&at(secs(1))));
    world.run_until(at(secs(100)));
    assert_eq!(world.spawns(key).len(), 2, "the pending try is gone");
    assert_eq!(world.state(key), StateName::Active);
}

#[test]
fn crash_08_stop_in_backoff_spawns_never() {
    let mut policy = policy();
    policy.restart.backoff.initial = secs(20);
    let (mut world, key) = World::of_one(policy, Script::crashes(1));
    world.stop(key);
    assert_eq!(world.state(key), StateName::Registered);
    assert_eq!(world.route(key), Route::Refuse(Unavailable::Down));
    world.run_until(at(secs(1000)));
    assert_eq!(world.spawns(key).len(), 1);
}

#[test]
fn crash_08_reload_in_backoff_replaces_the_pending_try() {
    let mut slow = policy();
    slow.restart.backoff.initial = secs(20);
    let (mut world, key) = World::of_one(slow, Script::crashes(1));
    *world.script(key) = Script::good();
    world.reconfigure(key, policy());
    world.run_until(at(secs(100)));
    assert_eq!(world.spawns(key).len(), 2);
    assert_eq!(world.state(key), StateName::Active);
}

#[test]
fn crash_10_a_restart_counts_for_exactly_the_period() {
    let crash_at = |third: std::time::Duration| {
        let mut policy = policy();
        policy.restart.budget = Budget { restarts: 2, within: secs(300) };
        policy.restart.reset_after = secs(100_000);
        let (mut world, key) = World::of_one(policy, Script::good());
        for time in [secs(10), secs(100), third] {
            world.run_until(at(time));
            world.dies(key, Exit::Code(1));
        }
        world.run_for(secs(1));
        world.state(key)
    };
    assert_eq!(crash_at(secs(310) - ms(1)), StateName::Failed, "the third within 300 s");
    assert_eq!(crash_at(secs(310)), StateName::Active, "at exactly 300 s the first is forgotten");
}

#[test]
fn start_by_hand_refills_the_budget_and_resets_the_count() {
    let mut policy = policy();
    policy.restart.budget = Budget { restarts: 2, within: secs(3600) };
    let (mut world, key) = World::of_one(policy, Script::crashes(1));
    assert_eq!(world.state(key), StateName::Failed);
    assert_eq!(world.snapshot(key).restarts, 2);
    world.command(key, Event::Start);
    assert_eq!(world.snapshot(key).restarts, 0);
    world.run_for(secs(1));
    assert_eq!(world.spawns(key).len(), 6);
}

#[test]
fn a_call_does_not_wake_a_failed_plugin() {
    let mut policy = policy();
    policy.restart.budget = Budget { restarts: 0, within: secs(300) };
    let (mut world, key) = World::of_one(policy, Script::crashes(1));
    world.command(key, Event::Called);
    assert_eq!(world.state(key), StateName::Failed);
    assert_eq!(world.spawns(key).len(), 1);
}

#[test]
fn an_exit_0_after_active_under_on_failure_rests_as_finished() {
    let mut policy = policy();
    policy.restart.policy = RestartWhen::OnFailure;
    let (mut world, key) = World::of_one(policy, Script::crashes_after(secs(2), Exit::Code(0)));
    world.run_until(at(secs(100)));
    assert_eq!(world.state(key), StateName::Registered);
    assert!(world.snapshot(key).finished);
    assert!(world.failures(key).is_empty(), "no failure");
    assert_eq!(world.spawns(key).len(), 1);
    world.command(key, Event::Start);
    assert!(!world.snapshot(key).finished);
}

#[test]
fn an_exit_1_under_on_failure_is_restarted_and_an_exit_0_under_always_too() {
    for (when, code) in [(RestartWhen::OnFailure, 1), (RestartWhen::Always, 0)] {
        let mut policy = policy();
        policy.restart.policy = when;
        let (mut world, key) =
            World::of_one(policy, Script::crashes_after(secs(2), Exit::Code(code)));
        world.run_until(at(secs(10)));
        assert!(world.spawns(key).len() > 1, "{when:?} {code}");
        assert_eq!(world.failures(key)[0], (Class::Exit, "unasked"));
    }
}

#[test]
fn never_means_never() {
    let mut policy = policy();
    policy.restart.policy = RestartWhen::Never;
    let (mut world, key) = World::of_one(policy, Script::crashes_after(secs(2), Exit::Code(1)));
    world.run_until(at(secs(1000)));
    assert_eq!(world.spawns(key).len(), 1);
    assert_eq!(world.state(key), StateName::Failed);
}

#[test]
fn exit_125_asks_not_to_be_restarted() {
    let (mut world, key) = World::of_one(policy(), Script::crashes_after(secs(2), Exit::Code(125)));
    world.run_until(at(secs(1000)));
    assert_eq!(world.spawns(key).len(), 1);
    assert_eq!(world.state(key), StateName::Failed);
    assert_eq!(world.failures(key), [(Class::Exit, "do-not-restart")]);
}

#[test]
fn a_crash_settles_calls_at_once_and_then_waits_for_the_tree() {
    let script = Script { leaves_behind: 3, ..Script::good() };
    let (mut world, key) = World::of_one(policy(), script);
    let exit = Exit::Signal { name: "SIGSEGV", core: true };
    world.dies(key, exit.clone());
    assert_eq!(world.settles(key), [&Settle::Crashed { class: Class::Signal, exit: Some(exit) }]);
    assert_eq!(world.route(key), Route::Hold(Unavailable::Backoff));
    assert_eq!(world.state(key), StateName::Stopping, "its children live on for half a second");
    world.run_for(ms(499));
    assert_eq!(world.spawns(key).len(), 1);
    world.run_for(ms(50));
    assert_eq!(world.spawns(key).len(), 2, "the backoff ran meanwhile");
}

#[test]
fn crash_12_late_news_of_an_old_generation_changes_nothing() {
    let (mut world, key) = World::of_one(policy(), Script::good());
    world.dies(key, Exit::Code(1));
    world.run_for(secs(1));
    let before = format!("{:?}", world.fleet);
    assert_eq!(world.fleet.generation(key), 2);
    for event in [
        Event::Died(Exit::Code(3)),
        Event::Gone { swept: 2 },
        Event::ProbeAnswered,
        Event::Said(Report { state: Saying::Unhealthy, message: None, expected: None }),
        Event::LinkBroken(Detail { detail: "stdout-closed", message: String::new() }),
        Event::Spawned { pid: 9 },
        Event::Deadline(Look::default()),
    ] {
        let effects = world.fleet.step(world.now, key, 1, event);
        assert!(effects.is_empty(), "{effects:?}");
    }
    assert_eq!(format!("{:?}", world.fleet), before);
}

#[test]
fn a_broken_link_begins_at_the_signal() {
    let script = Script::obeys(&[Rung::Term, Rung::Kill]);
    let (mut world, key) = World::of_one(policy(), script);
    let detail =
        Detail { detail: "stdout-closed", message: "it closed its stdout and lives on".into() };
    world.say(key, Event::LinkBroken(detail));
    assert_eq!(world.settles(key), [&Settle::Crashed { class: Class::Protocol, exit: None }]);
    world.run_for(secs(1));
    assert_eq!(world.rungs(key), [(Rung::Term, 5000)]);
    assert_eq!(world.failures(key), [(Class::Protocol, "stdout-closed")]);
    assert_eq!(world.state(key), StateName::Active, "restarted");
}

#[test]
fn a_lost_keeper_is_never_charged_and_nothing_is_spawned_without_one() {
    let mut policy = policy();
    policy.restart.budget = Budget { restarts: 0, within: secs(300) };
    let (mut world, key) = World::of_one(policy, Script::good());
    for _ in 0..3 {
        world.keeper_dies();
        assert_eq!(world.route(key), Route::Hold(Unavailable::Starting));
        assert_eq!(world.snapshot(key).phase, Some(Phase::Queued));
        world.run_for(secs(5));
        world.keeper_comes_back();
        world.run_for(secs(1));
        assert_eq!(world.state(key), StateName::Active);
    }
    assert!(world.failures(key).iter().all(|failure| *failure == (Class::Keeper, "keeper-lost")));
    assert_eq!(world.snapshot(key).restarts, 0);
}

#[test]
fn jitter_follows_from_the_seed() {
    let spawns = |seed| {
        let mut jittery = policy();
        jittery.restart.backoff.jitter = 0.5;
        let mut world = World::new();
        world.fleet = Fleet::new(fleet_policy(), seed);
        let key = world.add("a", jittery, Script::crashes(1));
        world.start();
        world.run_for(secs(5));
        world.spawns(key)
    };
    assert_eq!(spawns(1), spawns(1));
    assert_ne!(spawns(1), spawns(2));
}
