//! Which containment is in force, and that it is.

use std::fs;
use std::path::{Path, PathBuf};

use outboard_keeper::probe::{Shortfall, site};
use outboard_keeper::{CgroupLimits, ContainmentChoice, ExitStatus, Level, RunMark};

use crate::rig::Rig;
use crate::runner::skip;
use crate::world;

super::cases![
    Session:
        what_was_not_asked_for_is_not_in_force,
        auto_takes_the_best;
    Cgroup:
        each_plugin_has_a_leaf_until_it_is_gone,
        a_later_start_takes_a_leaf_that_was_ready,
        the_fleet_goes_with_its_keeper,
        a_forgotten_fleet_goes_at_a_start_and_one_in_use_stays,
        memory_is_limited_where_it_can_be;
];

fn what_was_not_asked_for_is_not_in_force(choice: ContainmentChoice) {
    let rig = Rig::new(choice);
    let containment = rig.keeper.containment();
    assert_eq!(containment.level, Level::Session);
    assert_eq!(containment.shortfall, Some(Shortfall::NotAskedFor));
    assert_eq!(containment.fleet, None);
}

fn auto_takes_the_best(_: ContainmentChoice) {
    let mut rig = Rig::new(ContainmentChoice::Auto);
    let containment = rig.keeper.containment().clone();
    println!("    {containment:?}");
    match site() {
        Ok(_) => assert_eq!(containment.level, Level::Cgroup),
        Err(why) => assert_eq!(containment.shortfall, Some(why)),
    }
    let plugin = rig.spawn(&["daemon", "1"]);
    assert_eq!(rig.kill(plugin.key).swept, 1);
}

fn each_plugin_has_a_leaf_until_it_is_gone(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    let fleet = rig.keeper.containment().fleet.clone().unwrap();
    assert_eq!(leaves(&fleet).len(), 0);
    let plugin = rig.spawn(&["daemon", "2"]);
    let (leaf, members) = leaf_of(&fleet, plugin.pid);
    // Nothing was ready for the first one.
    assert_eq!(leaf.file_name().unwrap().to_str(), Some(&*format!("daemon.{:x}", plugin.key)));
    assert_eq!(members, 3);
    // A plugin may have made cgroups of its own.
    fs::create_dir_all(leaf.join("a/b")).unwrap();
    rig.kill(plugin.key);
    assert!(!leaf.exists());
}

fn a_later_start_takes_a_leaf_that_was_ready(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    let fleet = rig.keeper.containment().fleet.clone().unwrap();
    let first = rig.spawn(&["daemon", "1"]);
    let (own, _) = leaf_of(&fleet, first.pid);
    let ready =
        || -> Vec<PathBuf> { leaves(&fleet).into_iter().filter(|dir| *dir != own).collect() };
    world::until(|| ready().len() == 2);
    let before = ready();
    let second = rig.spawn(&["daemon", "1"]);
    let (leaf, members) = leaf_of(&fleet, second.pid);
    assert!(before.contains(&leaf), "{leaf:?} is none of {before:?}");
    assert_eq!(members, 2);
    assert_eq!(rig.kill(second.key).swept, 1);
    assert!(!leaf.exists(), "nobody moves in where somebody has lived");
    world::until(|| ready().len() == 2);
    assert!(world::is_alive(first.pid));
    drop(rig);
    world::wait_for_nobody();
    assert!(!fleet.exists());
}

fn leaves(fleet: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(fleet).unwrap().flatten().map(|entry| entry.path());
    entries.filter(|path| path.is_dir()).collect()
}

/// The leaf that a process is in, and how many are in there.
fn leaf_of(fleet: &Path, pid: u32) -> (PathBuf, usize) {
    let members = |leaf: &PathBuf| {
        let text = fs::read_to_string(leaf.join("cgroup.procs")).unwrap_or_default();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let leaf = leaves(fleet).into_iter().find(|leaf| members(leaf).contains(&pid.to_string()));
    let leaf = leaf.expect("every plugin is in a leaf");
    let count = members(&leaf).len();
    (leaf, count)
}

fn the_fleet_goes_with_its_keeper(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    let fleet = rig.keeper.containment().fleet.clone().unwrap();
    rig.spawn(&["daemon", "2"]);
    assert!(fleet.exists());
    drop(rig);
    world::wait_for_nobody();
    assert!(!fleet.exists());
}

fn a_forgotten_fleet_goes_at_a_start_and_one_in_use_stays(choice: ContainmentChoice) {
    let site = site().unwrap().dir;
    let make = |run: RunMark| {
        let path = site.join(format!("outboard-{run}"));
        fs::create_dir_all(path.join("leaf.1")).unwrap();
        path
    };
    let forgotten = make(RunMark::random().unwrap());
    // Without a plugin in it, only its keeper holds it.
    let first = Rig::new(choice);
    let in_use = first.keeper.containment().fleet.clone().unwrap();
    let second = Rig::new(choice);
    assert!(!forgotten.exists());
    assert!(in_use.exists());
    drop((first, second));
}

fn memory_is_limited_where_it_can_be(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    let limits = CgroupLimits { memory: Some(64 << 20), pids: Some(10), cpu_millis: Some(500) };
    if !rig.keeper.containment().controllers.memory {
        // Said, and the plugin starts all the same.
        rig.spawn_with(&["sleep"], |order| order.limits = limits);
        assert_eq!(rig.keeper.containment().shortfall, Some(Shortfall::NoControllers));
        skip("no memory controller");
    }
    let plugin = rig.spawn_with(&["sleep"], |order| order.limits = limits);
    let fleet = rig.keeper.containment().fleet.clone().unwrap();
    let leaf = fleet.join(format!("sleep.{:x}", plugin.key));
    assert_eq!(fs::read_to_string(leaf.join("memory.max")).unwrap().trim(), "67108864");
    // By hand, under the same limit: no evidence, so no "for memory".
    rig.started[&plugin.key].1.send_signal(libc::SIGKILL).unwrap();
    let exit = rig.gone(plugin.key).exit;
    let by_hand = ExitStatus::Signal { signal: libc::SIGKILL, core: false, oom: false };
    assert_eq!(exit, Some(by_hand));
}
