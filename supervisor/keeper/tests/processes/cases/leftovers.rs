//! Brain and keeper killed in the same instant, and the next start.

use std::path::PathBuf;
use std::time::Duration;

use outboard_keeper::ContainmentChoice;
use outboard_keeper::reaper::{Leader, Record, SkipReason, reap_leftovers};

use crate::brain::Brain;
use crate::world;

super::cases![
    Both:
        the_next_start_removes_what_a_double_kill_left,
        another_runs_plugins_are_not_touched;
    Cgroup:
        a_scrubbed_leftover_is_found_by_its_leaf;
    Session:
        a_recorded_number_that_is_somebody_elses_is_skipped,
        a_record_of_another_boot_kills_nobody;
];

const LIMIT: Duration = Duration::from_secs(20);

/// Stops both, so that neither sees the other's end, and kills them.
fn kill_both(brain: &Brain) -> Record {
    for pid in [brain.pid, brain.keeper] {
        world::signal(pid, libc::SIGSTOP);
        world::until(|| world::stat(pid).is_some_and(|stat| stat.state == b'T'));
    }
    let mut record = Record::new(brain.run);
    record.leaders = brain.plugins.iter().filter_map(|&pid| Leader::of(pid)).collect();
    record.fleet = (!brain.fleet.is_empty()).then(|| PathBuf::from(&brain.fleet));
    for pid in [brain.keeper, brain.pid] {
        world::kill(pid);
    }
    // Direct children die by their death signal.
    world::until(|| {
        world::reap();
        !brain.plugins.iter().any(|&pid| world::is_alive(pid))
    });
    record
}

fn the_next_start_removes_what_a_double_kill_left(choice: ContainmentChoice) {
    for _ in 0..world::rounds() {
        let mut brain = Brain::start(choice, &["daemon:3", "stubborn:3", "session:2", "closed:1"]);
        brain.wait_until_up(4);
        let closed = world::living_below(brain.plugins[3]);
        let record = kill_both(&brain);
        // The leaders go with the keeper, each in its time.
        world::until(|| world::living_below(world::me()).len() == 3 + 3 + 4 + 1);
        let left = world::living_below(world::me());
        let report = reap_leftovers(&record, LIMIT);
        world::reap();
        if choice == ContainmentChoice::Cgroup || world::is_root() {
            let living = world::living_below(world::me());
            let who = living.iter().map(|pid| {
                let read = |what| {
                    std::fs::read_to_string(format!("/proc/{pid}/{what}")).unwrap_or_default()
                };
                (read("stat"), read("cmdline"), read("environ"))
            });
            assert_eq!(living, [], "{:?}; {report:?} of {left:?}", who.collect::<Vec<_>>());
            assert_eq!(report.left, []);
        } else {
            // Not dumpable, in a session of its own: closed to its own user, and found by a leaf alone.
            assert_eq!(world::living_below(world::me()), closed);
        }
        assert_eq!(report.fleet_removed, choice == ContainmentChoice::Cgroup);
        for pid in closed {
            world::kill(pid);
        }
        world::wait_for_nobody();
    }
}

fn a_scrubbed_leftover_is_found_by_its_leaf(choice: ContainmentChoice) {
    let mut brain = Brain::start(choice, &["scrubbed:3"]);
    brain.wait_until_up(1);
    let record = kill_both(&brain);
    assert_eq!(world::living_below(world::me()).len(), 3);
    let without = Record { fleet: None, ..record.clone() };
    assert_eq!(reap_leftovers(&without, LIMIT).killed, []);
    let report = reap_leftovers(&record, LIMIT);
    assert!(report.fleet_removed);
    assert_eq!(report.killed.len(), 3, "whoever the kernel killed with the leaf counts too");
    world::wait_for_nobody();
}

fn another_runs_plugins_are_not_touched(choice: ContainmentChoice) {
    let mut other = Brain::start(choice, &["daemon:3", "stubborn:2"]);
    other.wait_until_up(2);
    let mut brain = Brain::start(choice, &["daemon:2", "tree:2"]);
    brain.wait_until_up(2);
    let untouched = world::below(other.pid);
    let record = kill_both(&brain);
    reap_leftovers(&record, LIMIT);
    world::reap();
    assert_eq!(world::below(other.pid), untouched);
    let states: Vec<_> = untouched.iter().map(|&pid| world::stat(pid).unwrap().state).collect();
    assert!(!states.contains(&b'T'), "stopped in passing");
    world::kill(other.pid);
    world::wait_for_nobody();
}

fn a_recorded_number_that_is_somebody_elses_is_skipped(choice: ContainmentChoice) {
    let mut other = Brain::start(choice, &["tree:2"]);
    other.wait_until_up(1);
    let plugin = other.plugins[0];
    let mut record = Record::new(outboard_keeper::RunMark::random().unwrap());
    let real = Leader::of(plugin).unwrap();
    record.leaders = vec![Leader { start: real.start - 1, ..real }];
    let report = reap_leftovers(&record, LIMIT);
    assert_eq!((report.killed, report.left), (vec![], vec![]));
    // The leader and the two in its session.
    assert_eq!(report.skipped.len(), 3);
    assert!(report.skipped.iter().all(|skipped| skipped.reason == SkipReason::NumberReused));
    assert_eq!(world::living_below(plugin).len(), 2);
    // The same with the right time: the members have another run's mark, and only the leader is ended.
    record.leaders = vec![real];
    let report = reap_leftovers(&record, LIMIT);
    assert_eq!(report.killed, [plugin]);
    assert!(report.skipped.iter().all(|skipped| skipped.reason == SkipReason::OtherMark));
    world::kill(other.pid);
    world::wait_for_nobody();
}

fn a_record_of_another_boot_kills_nobody(choice: ContainmentChoice) {
    let mut brain = Brain::start(choice, &["daemon:2"]);
    brain.wait_until_up(1);
    let record = kill_both(&brain);
    let left = world::living_below(world::me());
    let other = Record { boot_id: "another".into(), ..record.clone() };
    assert_eq!(reap_leftovers(&other, LIMIT).killed, []);
    assert_eq!(world::living_below(world::me()), left);
    assert_eq!(reap_leftovers(&record, LIMIT).killed.len(), 2);
    world::wait_for_nobody();
}
