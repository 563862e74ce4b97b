//! Two generations: who serves, who is on trial, and that every swap has one verdict.

use outboard_core::*;

use crate::world::{Answers, Opens, Script, World, ms, policy, secs};

fn how(mode: SwapMode) -> SwapPolicy {
    SwapPolicy { mode, probes: 3, within: secs(10) }
}

/// The old version drains for a while, so that two are there to be seen.
fn old() -> Script {
    Script { drains_in: Some(ms(100)), ..Script::good() }
}

fn begun(mode: SwapMode, script: Script) -> (World, Key) {
    let (mut world, key) = World::of_one(policy(), old());
    assert_eq!(world.swap(key, policy(), how(mode), script), Ok(Swapping::Begun));
    (world, key)
}

fn verdicts(world: &World, key: Key) -> Vec<Verdict> {
    let trail = world.swap_trail(key);
    trail
        .into_iter()
        .filter_map(|(_, note)| match note {
            Note::SwapJudged(verdict) => Some(verdict),
            _ => None,
        })
        .collect()
}

fn done(world: &World, key: Key) -> usize {
    let trail = world.swap_trail(key);
    trail.iter().filter(|(_, note)| matches!(note, Note::SwapDone { .. })).count()
}

fn rolled_back(world: &World, key: Key) -> String {
    match verdicts(world, key).as_slice() {
        [Verdict::RolledBack { why }] => why.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_new_version_takes_over_between_two_frames_and_the_old_one_drains() {
    let (mut world, key) = begun(SwapMode::Overlap, Script::good());
    assert_eq!(world.snapshot(key).next.map(|next| next.state), Some(StateName::Starting));
    world.run_for(ms(50));
    let seen = world.snapshot(key);
    assert_eq!((seen.generation, seen.state), (2, StateName::Active));
    assert_eq!(seen.next.map(|next| (next.generation, next.state)), Some((1, StateName::Stopping)));
    assert_eq!(seen.swap, Some(SwapStage::Leaving));
    world.run_for(secs(1));
    let seen = world.snapshot(key);
    assert_eq!((seen.generation, seen.next, seen.swap), (2, None, None));
    let told: Vec<(u64, String)> = world
        .swap_trail(key)
        .into_iter()
        .map(|(generation, note)| {
            let name = format!("{note:?}");
            (generation, name.split([' ', '(']).next().unwrap_or_default().to_owned())
        })
        .collect();
    let names: Vec<(u64, &str)> = told.iter().map(|(g, name)| (*g, &**name)).collect();
    assert_eq!(
        names,
        [
            (1, "SwapStarted"),
            (2, "SwapActive"),
            (2, "SwapCanary"),
            (2, "SwapCanary"),
            (2, "SwapCanary"),
            (2, "SwapJudged"),
            (2, "SwapDone"),
        ]
    );
    assert_eq!(verdicts(&world, key), [Verdict::Switched { from: 1, to: 2 }]);
    assert_eq!(world.states(key).last(), Some(&StateName::Active), "it never left active");
}

#[test]
fn swap_01_a_new_version_that_fails_its_start_changes_nothing() {
    for script in [
        Script::crashes(1),
        Script { opens: Opens::Refuses, ..Script::good() },
        Script { opens: Opens::NoCommonVersion, ..Script::good() },
        Script::launches(crate::world::Launch::Missing),
        Script::launches(crate::world::Launch::Refused),
    ] {
        let (mut world, key) = begun(SwapMode::Overlap, script);
        world.run_for(secs(30));
        let seen = world.snapshot(key);
        assert_eq!((seen.generation, seen.state, seen.restarts), (1, StateName::Active, 0));
        assert_eq!((seen.next, seen.swap), (None, None));
        assert!(!rolled_back(&world, key).is_empty());
        assert_eq!(done(&world, key), 1);
        assert_eq!(world.failures(key).len(), 1, "its dossier is kept");
        assert_eq!(world.spawns(key).len(), 2, "and it is not tried again");
    }
}

#[test]
fn swap_02_a_canary_that_is_not_answered_in_time_rolls_back() {
    let script = Script { answers: Answers::Both, answers_in: secs(4), ..Script::good() };
    let (mut world, key) = World::of_one(policy(), old());
    let mut rarely = policy();
    rarely.health.interval = secs(600);
    let swapped = world.swap(key, rarely, how(SwapMode::Overlap), script);
    assert_eq!(swapped, Ok(Swapping::Begun));
    // Three probes of four seconds do not fit into ten.
    world.run_for(secs(60));
    let why = rolled_back(&world, key);
    assert!(why.contains("canary probe 3 of 3"), "{why}");
    let seen = world.snapshot(key);
    assert_eq!((seen.generation, seen.state, seen.restarts), (1, StateName::Active, 0));
}

#[test]
fn swap_02_a_version_that_says_it_is_unhealthy_is_rolled_back() {
    let script = Script { answers_in: ms(100), ..Script::good() };
    let (mut world, key) = begun(SwapMode::Overlap, script);
    world.run_for(ms(150));
    let report =
        Report { state: Saying::Unhealthy, message: Some("no luck".into()), expected: None };
    let effects = world.fleet.step(world.now, key, 2, Event::Said(report));
    world.carry_out(effects);
    world.run_for(secs(5));
    assert!(rolled_back(&world, key).contains("no luck"));
    assert_eq!(world.snapshot(key).generation, 1);
}

#[test]
fn swap_05_where_nothing_serves_the_new_version_is_simply_started() {
    // In backoff.
    let (mut world, key) = World::of_one(policy(), Script::crashes(1));
    assert_eq!(world.state(key), StateName::Backoff);
    let swapped = world.swap(key, policy(), how(SwapMode::Overlap), Script::good());
    assert_eq!(swapped, Ok(Swapping::InForce));
    world.run_for(secs(1));
    assert_eq!((world.state(key), world.snapshot(key).restarts), (StateName::Active, 0));
    // Still starting, and stopping for a restart.
    for settle in [ms(3), secs(1)] {
        let mut world = World::new();
        let key = world.add("a", policy(), Script::good());
        world.start();
        world.run_for(settle);
        if settle == secs(1) {
            world.command(key, Event::Restart { now: false });
        }
        let swapped = world.swap(key, policy(), how(SwapMode::Overlap), Script::good());
        assert_eq!(swapped, Ok(Swapping::InForce));
        world.run_for(secs(1));
        assert_eq!((world.state(key), world.snapshot(key).generation), (StateName::Active, 2));
    }
    // Stopped by hand: it stays so.
    let (mut world, key) = World::of_one(policy(), Script::good());
    world.stop(key);
    let swapped = world.swap(key, policy(), how(SwapMode::Overlap), Script::good());
    assert_eq!(swapped, Err(NoSwap::Stopping));
    world.run_for(secs(20));
    let swapped = world.swap(key, policy(), how(SwapMode::Overlap), Script::good());
    assert_eq!(swapped, Ok(Swapping::InForce));
    world.run_for(secs(20));
    assert_eq!(world.state(key), StateName::Registered);
}

#[test]
fn swap_06_a_second_swap_is_a_conflict_until_the_first_is_done() {
    for mode in [SwapMode::Overlap, SwapMode::Exclusive] {
        let (mut world, key) = begun(mode, Script::good());
        for _ in 0..10 {
            if world.snapshot(key).swap.is_some() {
                let second = world.swap(key, policy(), how(mode), Script::good());
                assert_eq!(second, Err(NoSwap::UnderWay));
            }
            world.run_for(ms(2));
        }
        world.run_for(secs(1));
        assert_eq!(verdicts(&world, key), [Verdict::Switched { from: 1, to: 2 }]);
        assert_eq!(world.snapshot(key).generation, 2);
    }
}

#[test]
fn swap_06_a_stop_ends_a_swap_and_both_generations() {
    for mode in [SwapMode::Overlap, SwapMode::Exclusive] {
        for after in [0, 1, 3, 5, 110] {
            let (mut world, key) = begun(mode, Script { answers_in: ms(20), ..Script::good() });
            world.run_for(ms(after));
            world.stop(key);
            world.run_for(secs(20));
            assert_eq!(world.state(key), StateName::Registered);
            assert!(!world.lives(key));
            let verdicts = verdicts(&world, key);
            let switched = after == 110 && mode == SwapMode::Overlap;
            let expected = if switched { "Switched" } else { "Abandoned" };
            assert!(format!("{verdicts:?}").starts_with(&format!("[{expected}")), "{verdicts:?}");
            assert_eq!(verdicts.len(), 1);
            assert_eq!(done(&world, key), 1);
        }
    }
}

#[test]
fn swap_07_exclusive_ones_follow_each_other_and_the_old_one_comes_back() {
    let (mut world, key) = begun(SwapMode::Exclusive, Script::good());
    assert!(matches!(world.route(key), Route::Hold(_)));
    world.run_for(secs(1));
    assert_eq!((world.snapshot(key).generation, world.route(key)), (2, Route::Open));
    let (mut world, key) = begun(SwapMode::Exclusive, Script::crashes(1));
    for _ in 0..200 {
        world.run_for(ms(1));
        assert!(!matches!(world.route(key), Route::Refuse(_)), "calls wait for one of the two");
    }
    let seen = world.snapshot(key);
    assert_eq!((seen.generation, seen.state, seen.swap), (3, StateName::Active, None));
    rolled_back(&world, key);
    assert_eq!(done(&world, key), 1);
}

#[test]
fn swap_08_an_old_version_that_dies_meanwhile_is_restarted_beside_the_trial() {
    let slow = Script { opens_after: secs(2), ..Script::good() };
    let (mut world, key) = begun(SwapMode::Overlap, slow.clone());
    world.run_for(ms(100));
    world.dies(key, Exit::Code(1));
    world.run_for(secs(1));
    let seen = world.snapshot(key);
    assert_eq!((seen.generation, seen.state, seen.restarts), (3, StateName::Active, 1));
    world.run_for(secs(2));
    assert_eq!(verdicts(&world, key), [Verdict::Switched { from: 3, to: 2 }]);
    assert_eq!(world.snapshot(key).generation, 2);
    // And the next one is a new number again.
    world.dies(key, Exit::Code(1));
    world.run_for(secs(1));
    assert_eq!(world.snapshot(key).generation, 4);
}

#[test]
fn swap_08_when_neither_can_run_both_reasons_are_kept() {
    let (mut world, key) =
        begun(SwapMode::Overlap, Script { opens: Opens::Never, ..Script::good() });
    world.run_for(ms(100));
    world.script(key).launch = crate::world::Launch::Missing;
    world.dies(key, Exit::Code(1));
    world.run_for(secs(60));
    let seen = world.snapshot(key);
    assert_eq!((seen.state, seen.swap), (StateName::Failed, None));
    let words = seen.last_failure.expect("it failed").detail.message;
    assert!(words.contains("exe-missing") && words.contains("opening was not answered"), "{words}");
}

#[test]
fn swap_09_everything_that_ends_ends_both() {
    for mode in [SwapMode::Overlap, SwapMode::Exclusive] {
        for after in [0, 1, 3, 5, 110] {
            let (mut world, key) = begun(mode, Script { answers_in: ms(20), ..Script::good() });
            world.run_for(ms(after));
            let mut other = world.clone();
            world.shut_down(false);
            world.run_for(secs(30));
            assert!(world.fleet.is_down() && !world.lives(key));
            assert_eq!((verdicts(&world, key).len(), done(&world, key)), (1, 1));
            other.keeper_dies();
            assert!(!other.lives(key));
            other.keeper_comes_back();
            other.run_for(secs(5));
            assert_eq!((other.state(key), other.snapshot(key).swap), (StateName::Active, None));
            assert_eq!((verdicts(&other, key).len(), done(&other, key)), (1, 1));
        }
    }
}

#[test]
fn a_survivor_of_the_kill_keeps_the_swap_from_being_forgotten() {
    let (mut world, key) =
        World::of_one(policy(), Script { drains_in: None, ..Script::obeys(&[]) });
    let swapped = world.swap(key, policy(), how(SwapMode::Overlap), Script::good());
    assert_eq!(swapped, Ok(Swapping::Begun));
    world.run_for(secs(60));
    let seen = world.snapshot(key);
    assert_eq!((seen.generation, seen.state), (2, StateName::Active));
    assert_eq!(seen.next.map(|next| next.state), Some(StateName::Unkillable));
    assert_eq!(done(&world, key), 1);
    let second = world.swap(key, policy(), how(SwapMode::Overlap), Script::good());
    assert_eq!(second, Err(NoSwap::UnderWay), "never three");
}
