//! The storm guard, and size.

use outboard_core::*;

use crate::world::*;

fn storm_of(plugins: usize) -> (World, Vec<Key>) {
    let policy_of_fleet = FleetPolicy {
        start_concurrency: 1000,
        storm: Budget { restarts: 50, within: secs(10) },
        ..fleet_policy()
    };
    let mut world = World::with(policy_of_fleet);
    let keys: Vec<Key> =
        (0..plugins).map(|n| world.add(&format!("p{n}"), policy(), Script::good())).collect();
    world.start();
    world.run_for(secs(1));
    (world, keys)
}

#[test]
fn past_its_bound_the_storm_guard_lets_one_restart_a_second_through() {
    let (mut world, keys) = storm_of(100);
    world.forget_the_past();
    for key in &keys {
        world.dies(*key, Exit::Code(1));
    }
    world.run_for(ms(900));
    let spawned = |world: &World| keys.iter().map(|key| world.spawns(*key).len()).sum::<usize>();
    assert_eq!(spawned(&world), 50);
    assert_eq!(world.count(|note| *note == Note::StormBegan), 1);
    world.run_for(secs(10));
    assert_eq!(spawned(&world), 60);
    let waiting =
        keys.iter().filter(|key| world.snapshot(**key).phase == Some(Phase::Queued)).count();
    assert_eq!(waiting, 40, "it costs them no budget");
    world.run_for(secs(60));
    assert!(keys.iter().all(|key| world.state(*key) == StateName::Active));
    assert_eq!(world.count(|note| *note == Note::StormBegan), 1, "one storm");
}

#[test]
fn a_storm_holds_back_neither_first_starts_nor_commands() {
    let (mut world, keys) = storm_of(60);
    for key in &keys {
        world.dies(*key, Exit::Code(1));
    }
    world.run_for(ms(500));
    let held =
        *keys.iter().find(|key| world.snapshot(**key).phase == Some(Phase::Queued)).expect("held");
    let new = world.add("new", policy(), Script::good());
    let effects = world.fleet.start_if_enabled(world.now, new);
    world.carry_out(effects);
    world.command(held, Event::Start);
    world.run_for(ms(100));
    assert_eq!(world.state(new), StateName::Active);
    assert_eq!(world.state(held), StateName::Active);
}

#[test]
fn fewer_restarts_than_the_bound_are_no_storm() {
    let (mut world, keys) = storm_of(49);
    for key in &keys {
        world.dies(*key, Exit::Code(1));
    }
    world.run_for(secs(1));
    assert_eq!(world.count(|note| *note == Note::StormBegan), 0);
    assert!(keys.iter().all(|key| world.state(*key) == StateName::Active));
}

#[test]
fn a_thousand_plugins_for_an_hour_take_moments() {
    let (mut world, keys) = storm_of(1000);
    assert!(keys.iter().all(|key| world.state(*key) == StateName::Active));
    world.journal.clear();
    // Without the model's own checks, which look at everything: only the core is at work.
    let mut fleet = world.fleet.clone();
    let mut steps = 0_u32;
    let end = world.now + secs(600);
    while let Some(now) = fleet.next_deadline().filter(|due| *due < end) {
        for (key, _, _) in fleet.due(now) {
            let effects = fleet.step(now, key, 0, Event::Deadline(Look::default()));
            for (key, _, effect) in effects {
                if let Effect::Probe { .. } = effect {
                    let generation = fleet.generation(key);
                    assert!(fleet.step(now, key, generation, Event::ProbeAnswered).is_empty());
                }
            }
            steps += 2;
        }
    }
    assert!(steps > 100_000, "{steps}");
}
