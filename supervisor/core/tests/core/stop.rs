//! The stop ladder.

use outboard_core::*;

use crate::world::*;

fn record(world: &World, key: Key) -> StopRecord {
    world.snapshot(key).last_stop.expect("it was stopped")
}

fn reached(record: &StopRecord) -> Vec<Rung> {
    record.rungs.iter().map(|(rung, _)| *rung).collect()
}

#[test]
fn an_obedient_plugin_is_drained_asked_and_leaves() {
    let (mut world, key) = World::of_one(policy(), Script::good());
    world.stop(key);
    assert_eq!(world.route(key), Route::Refuse(Unavailable::Stopping(StopReason::Stop)));
    world.run_for(secs(1));
    assert_eq!(world.state(key), StateName::Registered);
    assert_eq!(world.route(key), Route::Refuse(Unavailable::Down));
    let record = record(&world, key);
    assert_eq!(reached(&record), [Rung::Drain, Rung::Ask, Rung::Leave]);
    assert_eq!(record.exit, Some(Exit::Code(0)));
    assert!(!record.by_itself);
    assert!(record.took < ms(20), "each rung ended early: {:?}", record.took);
    assert!(world.failures(key).is_empty(), "a stop is no failure");
}

#[test]
fn a_drain_that_waited_for_calls_is_on_record() {
    let script = Script { drains_in: Some(ms(40)), ..Script::good() };
    let (mut world, key) = World::of_one(policy(), script);
    world.stop(key);
    world.run_for(secs(1));
    assert_eq!(record(&world, key).rungs[0], (Rung::Drain, ms(40)));
}

#[test]
fn a_drain_with_nothing_to_wait_for_is_no_step() {
    let mut fleet = Fleet::new(
        FleetPolicy {
            start_concurrency: 8,
            shutdown_cap: secs(25),
            storm: Budget { restarts: 50, within: secs(10) },
        },
        1,
    );
    let key = fleet.register(Time::ZERO, "geo".into(), policy(), 0);
    let mut told = Vec::new();
    for (generation, event) in [
        (0, Event::Start),
        (1, Event::Spawned { pid: 7 }),
        (1, Event::Execed),
        (1, Event::FirstByte),
        (1, Event::Opened(Opening { ready: true })),
        (1, Event::ProbeAnswered),
        (0, Event::Stop { now: false, reason: StopReason::Stop }),
        (1, Event::NothingToDrain),
        (1, Event::Asked),
        (1, Event::Died(Exit::Code(0))),
        (1, Event::Gone { swept: 0 }),
    ] {
        told.extend(fleet.step(Time::ZERO, key, generation, event));
    }
    let record = fleet.snapshot(key).last_stop.expect("it was stopped");
    assert_eq!(reached(&record), [Rung::Ask, Rung::Leave]);
}

#[test]
fn a_stubborn_plugin_climbs_every_rung_in_its_budget() {
    let script = Script { drains_in: None, asked_in: None, ..Script::obeys(&[Rung::Kill]) };
    let (mut world, key) = World::of_one(policy(), script);
    world.stop(key);
    world.run_for(secs(30));
    let rungs: Vec<(Rung, u64)> =
        record(&world, key).rungs.iter().map(|(rung, took)| (*rung, took.as_secs())).collect();
    assert_eq!(
        rungs,
        [(Rung::Drain, 5), (Rung::Ask, 5), (Rung::Leave, 2), (Rung::Term, 5), (Rung::Kill, 0)]
    );
    assert_eq!(
        world.settles(key),
        [&Settle::Stopped(StopReason::Stop)],
        "once, when the drain ran out"
    );
    assert_eq!(world.state(key), StateName::Registered);
}

#[test]
fn a_smaller_total_shrinks_the_rungs() {
    let mut policy = policy();
    policy.stop.total = Some(secs(5));
    let script = Script { drains_in: None, asked_in: None, ..Script::obeys(&[Rung::Kill]) };
    let (mut world, key) = World::of_one(policy, script);
    world.stop(key);
    world.run_for(secs(30));
    assert_eq!(world.rungs(key).last(), Some(&(Rung::Kill, 526)));
    assert!(record(&world, key).took <= secs(5));
}

#[test]
fn stop_now_goes_to_the_kill() {
    let (mut world, key) = World::of_one(policy(), Script::good());
    world.command(key, Event::Stop { now: true, reason: StopReason::Stop });
    assert_eq!(world.rungs(key), [(Rung::Kill, 2000)]);
    assert_eq!(world.settles(key), [&Settle::Stopped(StopReason::Stop)]);
    world.run_for(secs(1));
    assert_eq!(world.state(key), StateName::Registered);
}

#[test]
fn a_second_stop_now_skips_to_the_kill() {
    let script = Script { drains_in: None, ..Script::good() };
    let (mut world, key) = World::of_one(policy(), script);
    world.stop(key);
    world.run_for(secs(1));
    world.command(key, Event::Stop { now: true, reason: StopReason::Stop });
    assert_eq!(world.rungs(key), [(Rung::Drain, 5000), (Rung::Kill, 2000)]);
    world.run_for(secs(1));
    assert_eq!(world.state(key), StateName::Registered);
}

#[test]
fn crash_09_an_exit_while_it_drains_is_by_itself_and_is_not_restarted() {
    let script = Script { drains_in: None, ..Script::good() };
    let (mut world, key) = World::of_one(policy(), script);
    world.stop(key);
    world.dies(key, Exit::Code(3));
    world.run_for(secs(100));
    let record = record(&world, key);
    assert!(record.by_itself);
    let crashed = Settle::Crashed { class: Class::Exit, exit: Some(Exit::Code(3)) };
    assert_eq!(world.settles(key), [&crashed], "its calls did not end by the stop");
    assert_eq!(record.exit, Some(Exit::Code(3)));
    assert_eq!(
        world.rungs(key),
        [(Rung::Drain, 5000)],
        "nothing is sent to a number that may be another's"
    );
    assert_eq!(world.state(key), StateName::Registered);
    assert_eq!(world.spawns(key).len(), 1);
    assert!(world.failures(key).is_empty());
}

#[test]
fn any_exit_after_it_was_asked_is_a_clean_stop() {
    let script = Script { asked_in: None, obeys: vec![Rung::Kill], ..Script::good() };
    let (mut world, key) = World::of_one(policy(), script);
    world.stop(key);
    world.run_for(secs(1));
    assert_eq!(world.snapshot(key).rung, Some(Rung::Ask));
    world.dies(key, Exit::Code(2));
    let record = record(&world, key);
    assert!(!record.by_itself);
    assert!(world.failures(key).is_empty());
    assert_eq!(world.state(key), StateName::Registered);
}

#[test]
fn what_outlives_the_leader_is_counted_and_waited_for() {
    let script = Script { leaves_behind: 3, ..Script::good() };
    let (mut world, key) = World::of_one(policy(), script);
    world.stop(key);
    world.run_for(ms(100));
    assert_eq!(world.state(key), StateName::Stopping, "a stop is complete when the tree is empty");
    world.run_for(secs(1));
    assert_eq!(world.state(key), StateName::Registered);
    assert_eq!(record(&world, key).swept, 3);
}

#[test]
fn tree_08_what_survives_the_kill_is_unkillable_until_it_is_gone() {
    let (mut world, key) = World::of_one(policy(), Script::obeys(&[]));
    world.stop(key);
    world.run_for(secs(30));
    assert_eq!(world.state(key), StateName::Unkillable);
    assert_eq!(world.count(|note| matches!(note, Note::BecameUnkillable { pid: Some(100) })), 1);
    assert_eq!(world.route(key), Route::Refuse(Unavailable::Down));
    // No second one beside it.
    world.command(key, Event::Start);
    world.run_for(secs(100));
    assert_eq!(world.spawns(key).len(), 1);
    world.dies(key, Exit::Signal { name: "SIGKILL", core: false });
    world.run_for(secs(1));
    assert_eq!(world.state(key), StateName::Active, "wanted up again meanwhile");
    let record = record(&world, key);
    assert_eq!(reached(&record).last(), Some(&Rung::Kill));
}

#[test]
fn an_unkillable_one_that_is_wanted_down_rests_when_it_is_gone() {
    let (mut world, key) = World::of_one(policy(), Script::obeys(&[]));
    world.stop(key);
    world.run_for(secs(30));
    world.dies(key, Exit::Signal { name: "SIGKILL", core: false });
    assert_eq!(world.state(key), StateName::Registered);
}

#[test]
fn stop_while_starting_never_becomes_active() {
    let script = Script { opens_after: secs(10), ..Script::good() };
    let (mut world, key) = World::of_one(policy(), script);
    world.stop(key);
    world.run_for(secs(20));
    assert_eq!(
        world.rungs(key)[0],
        (Rung::Leave, 2000),
        "nobody there yet who would take a shutdown"
    );
    assert_eq!(
        world.states(key),
        [StateName::Starting, StateName::Stopping, StateName::Registered]
    );
}

#[test]
fn spawn_13_a_stop_between_fork_and_exec_kills_and_nothing_comes_of_it() {
    let (mut world, key) = World::of_one(policy(), Script::launches(Launch::Stalls));
    world.stop(key);
    assert_eq!(world.rungs(key), [(Rung::Kill, 2000)]);
    // The exec goes through just then.
    world.say(key, Event::Execed);
    world.run_for(secs(5));
    assert_eq!(
        world.states(key),
        [StateName::Starting, StateName::Stopping, StateName::Registered]
    );
    assert!(!world.lives(key));
}

#[test]
fn a_stop_that_meets_a_failing_spawn_ends() {
    let (mut world, key) = World::of_one(policy(), Script::launches(Launch::Stalls));
    world.stop(key);
    let detail = Detail { detail: "exec-stalled", message: "killed before it executed".into() };
    world.say(key, Event::SpawnFailed { permanent: false, detail });
    assert_eq!(world.state(key), StateName::Registered);
}

#[test]
fn start_while_stopping_starts_again_afterwards() {
    let script = Script { drains_in: Some(secs(2)), ..Script::good() };
    let (mut world, key) = World::of_one(policy(), script);
    world.stop(key);
    world.command(key, Event::Start);
    world.run_for(secs(1));
    assert_eq!(world.state(key), StateName::Stopping);
    assert_eq!(world.route(key), Route::Hold(Unavailable::Stopping(StopReason::Restart)));
    world.run_for(secs(2));
    assert_eq!(world.state(key), StateName::Active);
    assert_eq!(world.fleet.generation(key), 2);
}

#[test]
fn stop_while_it_stops_for_a_failure_wins() {
    let (mut world, key) = World::of_one(policy(), Script::good());
    world.hang(key);
    while world.state(key) != StateName::Stopping {
        world.run_for(ms(500));
    }
    world.stop(key);
    world.run_for(secs(100));
    assert_eq!(world.state(key), StateName::Registered);
    assert_eq!(world.spawns(key).len(), 1);
}

#[test]
fn a_restart_by_hand_holds_calls_and_is_no_failure() {
    let (mut world, key) = World::of_one(policy(), Script::good());
    world.command(key, Event::Restart { now: false });
    assert_eq!(world.route(key), Route::Hold(Unavailable::Stopping(StopReason::Restart)));
    world.run_for(secs(1));
    assert_eq!(world.state(key), StateName::Active);
    assert_eq!(world.fleet.generation(key), 2);
    assert!(world.failures(key).is_empty());
}

#[test]
fn a_link_that_breaks_while_it_is_asked_ends_the_asking() {
    let script = Script { asked_in: None, ..Script::good() };
    let (mut world, key) = World::of_one(policy(), script);
    world.stop(key);
    world.run_for(ms(10));
    world.say(key, Event::LinkBroken(Detail { detail: "stdout-closed", message: String::new() }));
    world.run_for(ms(100));
    assert_eq!(world.state(key), StateName::Registered);
}

#[test]
fn a_stalled_host_does_not_hurry_the_ladder() {
    let script = Script { drains_in: None, asked_in: Some(ms(1)), ..Script::good() };
    let (mut world, key) = World::of_one(policy(), script);
    world.stop(key);
    world.run_for(secs(1));
    world.stall(secs(7));
    world.run_for(ms(100));
    assert_eq!(
        world.snapshot(key).rung,
        Some(Rung::Drain),
        "its five seconds were the host's to lose"
    );
}
