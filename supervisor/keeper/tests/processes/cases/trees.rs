//! Trees that try to get away.

use std::time::Duration;

use outboard_keeper::{ContainmentChoice, ExitStatus, Order, Orphans, Report};

use crate::rig::Rig;
use crate::world;

super::cases![
    Both:
        whoever_tries_to_get_away_is_gone_by_kill,
        whoever_tries_to_get_away_is_gone_after_a_crash,
        a_fork_bomb_is_emptied,
        who_forks_and_exits_all_the_time_is_caught,
        many_plugins_end_at_once,
        orphans_of_the_keeper_are_reaped;
    Session:
        orphans_of_the_keeper_go_with_their_plugin_by_mark,
        an_orphan_that_nobody_can_place_is_a_stray_and_ends_with_the_keeper,
        two_dead_plugins_do_not_keep_each_others_scrubbed_orphans;
];

/// Kind, count, and how many processes that makes beside the leader.
const ESCAPES: &[(&str, &str, usize)] = &[
    ("tree", "4", 4),
    ("stubborn", "4", 4),
    ("session", "3", 6),
    ("daemon", "4", 4),
    ("scrubbed", "4", 4),
    ("closed", "4", 4),
];

fn check(choice: ContainmentChoice, end: impl Fn(&mut Rig, u64)) {
    let mut rig = Rig::new(choice);
    let keeper = rig.keeper.pid();
    // Not ended with the others, though it looks just like them.
    let neighbour = rig.spawn(&["daemon", "2"]);
    let before = world::living_below(keeper).len();
    for &(kind, count, processes) in ESCAPES {
        let plugin = rig.spawn_with(&[kind, count], |order| order.linger = Duration::ZERO);
        assert_eq!(world::living_below(keeper).len(), before + 1 + processes, "{kind}");
        end(&mut rig, plugin.key);
        let gone = rig.gone(plugin.key);
        assert!(
            matches!(gone.exit, Some(ExitStatus::Signal { signal: libc::SIGKILL, .. })),
            "{kind}"
        );
        assert_eq!(gone.swept as usize, processes, "{kind}");
        assert_eq!(world::living_below(keeper).len(), before, "{kind}");
        assert!(world::is_alive(neighbour.pid));
    }
    assert!(!rig.seen(|report| matches!(report, Report::Stray { .. })));
}

fn whoever_tries_to_get_away_is_gone_by_kill(choice: ContainmentChoice) {
    check(choice, |rig, key| rig.send(Order::Kill { key }));
}

fn whoever_tries_to_get_away_is_gone_after_a_crash(choice: ContainmentChoice) {
    check(choice, |rig, key| rig.started[&key].1.send_signal(libc::SIGKILL).unwrap());
}

fn a_fork_bomb_is_emptied(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    let neighbour = rig.spawn(&["tree", "1"]);
    for by_crash in [false, true] {
        let plugin = rig.spawn_with(&["bomb", "60"], |order| order.linger = Duration::ZERO);
        if by_crash {
            rig.started[&plugin.key].1.send_signal(libc::SIGKILL).unwrap();
        } else {
            rig.send(Order::Kill { key: plugin.key });
        }
        let gone = rig.gone(plugin.key);
        println!("    bomb: {} swept in {:?}", gone.swept, gone.took);
        assert!(gone.swept >= 30, "{gone:?}");
        assert_eq!(world::living_below(rig.keeper.pid()).len(), 2);
        assert!(world::is_alive(neighbour.pid));
    }
}

fn who_forks_and_exits_all_the_time_is_caught(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    for round in 0..world::rounds() {
        let plugin = rig.spawn_with(&["hop", "4"], |order| order.linger = Duration::ZERO);
        world::some_moment(round, Duration::from_millis(5));
        rig.kill(plugin.key);
        assert_eq!(rig.left(), []);
    }
}

fn many_plugins_end_at_once(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    let plugins: Vec<_> = (0..60).map(|_| rig.spawn(&["daemon", "1"])).collect();
    for plugin in &plugins {
        rig.send(Order::Kill { key: plugin.key });
    }
    for plugin in &plugins {
        assert_eq!(rig.gone(plugin.key).swept, 1);
    }
    assert_eq!(rig.left(), []);
}

fn orphans_of_the_keeper_are_reaped(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    let plugin = rig.spawn_with(&["orphans", "200"], |order| order.orphans = Orphans::Keeper);
    let keeper = rig.keeper.pid();
    world::until(|| world::below(keeper) == [plugin.pid]);
    // A leader that is held as a zombie does not hide the next ones.
    let held =
        rig.spawn_with(&["deserter", "1"], |order| order.linger = Duration::from_secs(3_600));
    rig.died(held.key);
    let second = rig.spawn_with(&["orphans", "200"], |order| order.orphans = Orphans::Keeper);
    world::until(|| world::below(keeper).len() == 4);
    assert!(world::is_alive(second.pid));
    assert_eq!(rig.kill(held.key).swept, 1);
}

fn orphans_of_the_keeper_go_with_their_plugin_by_mark(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    let with_keeper = |order: &mut outboard_keeper::SpawnOrder| {
        order.orphans = Orphans::Keeper;
        order.linger = Duration::ZERO;
    };
    let first = rig.spawn_with(&["daemon", "3"], with_keeper);
    let second = rig.spawn_with(&["daemon", "3"], with_keeper);
    let keeper = rig.keeper.pid();
    assert_eq!(rig.kill(first.key).swept, 3);
    assert_eq!(world::living_below(keeper).len(), 4);
    rig.started[&second.key].1.send_signal(libc::SIGKILL).unwrap();
    assert_eq!(rig.gone(second.key).swept, 3);
    assert_eq!(rig.left(), []);
}

fn an_orphan_that_nobody_can_place_is_a_stray_and_ends_with_the_keeper(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    let plugin = rig.spawn_with(&["scrubbed", "1"], |order| order.orphans = Orphans::Keeper);
    let neighbour = rig.spawn_with(&["daemon", "1"], |order| order.orphans = Orphans::Keeper);
    assert_eq!(rig.kill(plugin.key).swept, 0);
    let stray = rig.take(|report| match report {
        Report::Stray { pid } => Some(*pid),
        _ => None,
    });
    assert!(world::is_alive(stray));
    // Said once.
    assert_eq!(rig.kill(neighbour.key).swept, 1);
    assert!(!rig.seen(|report| matches!(report, Report::Stray { .. })));
    assert_eq!(world::living_below(rig.keeper.pid()), [stray]);
    drop(rig);
    world::wait_for_nobody();
}

fn two_dead_plugins_do_not_keep_each_others_scrubbed_orphans(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    let held =
        rig.spawn_with(&["deserter", "1"], |order| order.linger = Duration::from_secs(3_600));
    rig.died(held.key);
    let scrubbed = rig.spawn_with(&["scrubbed", "3"], |order| order.linger = Duration::ZERO);
    rig.started[&scrubbed.key].1.send_signal(libc::SIGKILL).unwrap();
    rig.gone(scrubbed.key);
    assert_eq!(world::living_below(rig.keeper.pid()).len(), 1);
    assert_eq!(rig.kill(held.key).swept, 1);
}
