//! The brain dies, the keeper dies, one of them is stopped.

use std::time::Duration;

use outboard_keeper::{ContainmentChoice, SweepPlan, reap_adopted, sweep_after_keeper};

use crate::brain::Brain;
use crate::rig::{Rig, keeper, order};
use crate::world;

super::cases![
    Both:
        nothing_outlives_a_brain_killed_at_any_moment,
        nothing_outlives_a_brain_that_was_up,
        a_stopped_keeper_still_does_its_work,
        a_fork_of_the_brain_that_holds_its_socket_does_not_hide_its_death,
        nothing_outlives_a_dropped_keeper,
        nothing_is_left_of_a_keeper_killed_at_any_moment,
        a_new_keeper_serves_after_the_sweep;
    Session:
        a_sweep_spares_the_applications_own_children,
        adopted_zombies_are_reaped_and_the_keeper_is_left,
        the_keeper_is_named_and_deaf;
];

const PLUGINS: &[&str] = &[
    "sleep:1",
    "stubborn:3",
    "daemon:3",
    "scrubbed:2",
    "closed:2",
    "session:2",
    "leaver:3",
    "deserter:3",
];

fn nothing_outlives_a_brain_killed_at_any_moment(choice: ContainmentChoice) {
    let mut longest = Duration::ZERO;
    for round in 0..world::rounds() {
        let bomb = if round % 4 == 0 { "bomb:60" } else { "hop:2" };
        let brain = Brain::start(choice, &[PLUGINS, &[bomb]].concat());
        world::some_moment(round, Duration::from_millis(60));
        world::kill(brain.pid);
        longest = longest.max(world::wait_for_nobody());
        assert!(brain.fleet.is_empty() || !std::path::Path::new(&brain.fleet).exists());
    }
    println!("    nobody left after at most {longest:?}");
}

fn nothing_outlives_a_brain_that_was_up(choice: ContainmentChoice) {
    let mut brain = Brain::start(choice, PLUGINS);
    brain.wait_until_up(PLUGINS.len());
    world::kill(brain.pid);
    println!("    nobody left after {:?}", world::wait_for_nobody());
}

fn a_stopped_keeper_still_does_its_work(choice: ContainmentChoice) {
    for _ in 0..world::rounds() {
        let mut brain = Brain::start(choice, PLUGINS);
        brain.wait_until_up(PLUGINS.len());
        world::signal(brain.keeper, libc::SIGSTOP);
        world::until(|| world::stat(brain.keeper).is_some_and(|stat| stat.state == b'T'));
        world::kill(brain.pid);
        world::wait_for_nobody();
    }
}

fn a_fork_of_the_brain_that_holds_its_socket_does_not_hide_its_death(choice: ContainmentChoice) {
    let mut brain = Brain::start(choice, &["leak", "daemon:2"]);
    brain.wait_until_up(1);
    let mut holders = world::living_below(brain.pid);
    let keepers = world::living_below(brain.keeper);
    holders.retain(|pid| *pid != brain.keeper && !keepers.contains(pid));
    assert_eq!(holders.len(), 1);
    world::kill(brain.pid);
    // Everything but the holder, which is the application's own.
    world::until(|| {
        world::reap();
        world::living_below(world::me()) == holders
    });
    world::kill(holders[0]);
    world::wait_for_nobody();
}

fn start_all(rig: &mut Rig, round: u32) {
    let bomb = if round.is_multiple_of(4) { "bomb:60" } else { "hop:2" };
    for plugin in [PLUGINS, &[bomb]].concat() {
        let (kind, count) = plugin.split_once(':').unwrap();
        let key = rig.key();
        let (order, _out) = order(key, &[kind, count]);
        rig.send(outboard_keeper::Order::Spawn(Box::new(order)));
    }
}

fn nothing_outlives_a_dropped_keeper(choice: ContainmentChoice) {
    for round in 0..world::rounds() {
        let mut rig = Rig::new(choice);
        start_all(&mut rig, round);
        world::some_moment(round, Duration::from_millis(60));
        drop(rig);
        world::wait_for_nobody();
    }
}

fn nothing_is_left_of_a_keeper_killed_at_any_moment(choice: ContainmentChoice) {
    let mut longest = Duration::ZERO;
    for round in 0..world::rounds() {
        let mut rig = Rig::new(choice);
        start_all(&mut rig, round);
        world::some_moment(round, Duration::from_millis(60));
        rig.keeper.kill().unwrap();
        let swept = sweep_after_keeper(SweepPlan::new(rig.run, rig.keeper.containment()));
        assert_eq!(swept.left, []);
        assert!(swept.reaped >= 1);
        longest = longest.max(swept.took);
        // The kernel's word: there is no child, and this process is a subreaper.
        assert!(!world::reap());
        let fleet = rig.keeper.containment().fleet.clone();
        assert!(fleet.is_none_or(|fleet| !fleet.exists()));
    }
    println!("    swept in at most {longest:?}");
}

fn a_new_keeper_serves_after_the_sweep(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    rig.spawn(&["daemon", "2"]);
    for _ in 0..3 {
        rig.keeper.kill().unwrap();
        sweep_after_keeper(SweepPlan::new(rig.run, rig.keeper.containment()));
        rig.keeper = keeper(rig.run, choice);
        let plugin = rig.spawn(&["daemon", "2"]);
        assert_eq!(rig.kill(plugin.key).swept, 2);
        rig.spawn(&["daemon", "2"]);
    }
}

fn a_sweep_spares_the_applications_own_children(choice: ContainmentChoice) {
    let mut own = std::process::Command::new("/proc/self/exe")
        .args(["--plugin", "tree", "2"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = std::io::BufReader::new(own.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut String::new()).unwrap();
    let mut rig = Rig::new(choice);
    rig.spawn(&["daemon", "3"]);
    rig.spawn(&["scrubbed", "3"]);
    rig.keeper.kill().unwrap();
    let plan =
        SweepPlan { spare: vec![own.id()], ..SweepPlan::new(rig.run, rig.keeper.containment()) };
    assert_eq!(sweep_after_keeper(plan).left, []);
    assert_eq!(world::below(world::me()).len(), 3);
    assert_eq!(world::living_below(own.id()).len(), 2);
    // Without being a subreaper the sweep goes by mark; nothing of this run is left for it.
    let plan = SweepPlan { adopts: false, ..SweepPlan::new(rig.run, rig.keeper.containment()) };
    assert_eq!(sweep_after_keeper(plan).killed, 0);
    for pid in world::living_below(world::me()) {
        world::kill(pid);
    }
    own.wait().unwrap();
    world::wait_for_nobody();
}

fn adopted_zombies_are_reaped_and_the_keeper_is_left(choice: ContainmentChoice) {
    let rig = Rig::new(choice);
    let mut adopted = std::process::Command::new("/proc/self/exe")
        .args(["--plugin", "orphans", "100"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let below = || world::below(world::me());
    world::until(|| below().len() > 60);
    rig.keeper.kill().unwrap();
    world::until(|| !world::is_alive(rig.keeper.pid()));
    world::until(|| {
        reap_adopted(rig.keeper.pid());
        let mut left = below();
        left.sort_unstable();
        let mut expected = [rig.keeper.pid(), adopted.id()];
        expected.sort_unstable();
        left == expected
    });
    adopted.kill().unwrap();
    adopted.wait().unwrap();
}

fn the_keeper_is_named_and_deaf(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    let pid = rig.keeper.pid();
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
    assert_eq!(name, "obkeeper\n");
    assert_eq!(world::stat(pid).unwrap().session, pid);
    for signal in (1..=64).filter(|n| !matches!(*n, libc::SIGKILL | libc::SIGSTOP)) {
        world::signal(pid, signal);
    }
    rig.ping();
    rig.spawn(&["sleep"]);
}
