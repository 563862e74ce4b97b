//! The keeper executes another image of itself, and its plugins go on.

use std::fs::File;
use std::io::BufRead;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use outboard_keeper::{ContainmentChoice, ExitStatus, Order, Orphans, Report, SpawnOrder};

use crate::brain::Brain;
use crate::rig::{Rig, order};
use crate::world;

super::cases![
    Both:
        its_plugins_go_on_below_the_same_keeper,
        an_order_that_comes_meanwhile_is_carried_out,
        it_waits_until_nobody_is_being_ended,
        what_cannot_be_executed_leaves_it_as_it_was,
        nothing_outlives_a_brain_whose_keeper_has_done_it;
    Session:
        a_stray_is_said_once_whichever_image_looks;
];

fn image(path: &str) -> OwnedFd {
    File::options().read(true).custom_flags(libc::O_PATH).open(path).expect("open").into()
}

/// Not the file that the keeper runs from, so that it shows which one runs.
fn another_image() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("another");
    std::fs::copy("/proc/self/exe", &path).expect("copy");
    let path = path.to_str().expect("text").to_owned();
    (folder, path)
}

fn order_again(rig: &mut Rig, path: &str) {
    rig.send(Order::Reexec { image: image(path) });
}

fn again(rig: &mut Rig, path: &str) {
    order_again(rig, path);
    wait(rig);
}

fn wait(rig: &mut Rig) {
    rig.take(|report| match report {
        Report::Reexecuted { .. } => Some(()),
        Report::Kept { errno } => panic!("kept: {errno:?}"),
        _ => None,
    });
}

fn its_image(rig: &Rig) -> Option<std::path::PathBuf> {
    std::fs::read_link(format!("/proc/{}/exe", rig.keeper.pid())).ok()
}

fn its_plugins_go_on_below_the_same_keeper(choice: ContainmentChoice) {
    let (_folder, path) = another_image();
    let mut rig = Rig::new(choice);
    let (early, tree) = (rig.spawn(&["sleep"]), rig.spawn(&["tree", "2"]));
    let before = world::below(rig.keeper.pid()).len();
    again(&mut rig, &path);
    if world::is_root() {
        assert_eq!(its_image(&rig).as_deref(), Some(std::path::Path::new(&path)));
    }
    assert_eq!(world::below(rig.keeper.pid()).len(), before);
    for plugin in [&early, &tree] {
        assert_eq!(world::stat(plugin.pid).expect("alive").ppid, rig.keeper.pid());
    }
    world::kill(early.pid);
    let exit = rig.gone(early.key).exit;
    assert_eq!(exit, Some(ExitStatus::Signal { signal: 9, core: false, oom: false }));
    assert_eq!(rig.kill(tree.key).swept, 2);
    // Another start, another image; and the child has none of the descriptors that went over.
    let late = rig.spawn(&["sleep"]);
    again(&mut rig, "/proc/self/exe");
    let said = rig.spawn_silent(&["say"], |_| {});
    let mut lines = said.out.lines().map(|line| line.expect("text"));
    assert_eq!(lines.find(|line| line.starts_with("fds ")).as_deref(), Some("fds [0, 1, 2]"));
    rig.kill(said.key);
    rig.kill(late.key);
    rig.ping();
    assert_eq!(rig.left(), []);
}

fn an_order_that_comes_meanwhile_is_carried_out(choice: ContainmentChoice) {
    let (_folder, path) = another_image();
    for _ in 0..world::rounds() {
        let mut rig = Rig::new(choice);
        let (first, second) = (rig.spawn(&["sleep"]), rig.spawn(&["tree", "1"]));
        order_again(&mut rig, &path);
        // Nobody waits: they lie in the socket, or meet one image or the other.
        world::kill(first.pid);
        let key = rig.key();
        let (born, _out) = order(key, &["sleep"]);
        rig.send(Order::Spawn(Box::new(born)));
        rig.send(Order::Kill { key: second.key });
        assert!(rig.gone(first.key).exit.is_some());
        rig.gone(second.key);
        rig.pid_of(key);
        wait(&mut rig);
        rig.kill(key);
        rig.ping();
        assert_eq!(rig.left(), []);
    }
}

fn it_waits_until_nobody_is_being_ended(choice: ContainmentChoice) {
    let (_folder, path) = another_image();
    let mut rig = Rig::new(choice);
    let linger = |order: &mut SpawnOrder| order.linger = Duration::from_secs(3600);
    let plugin = rig.spawn_with(&["daemon", "2"], linger);
    world::kill(plugin.pid);
    rig.died(plugin.key);
    order_again(&mut rig, &path);
    rig.ping();
    assert!(!rig.seen(|report| matches!(report, Report::Reexecuted { .. })), "it lingers");
    rig.kill(plugin.key);
    wait(&mut rig);
    assert_eq!(rig.left(), []);
}

fn what_cannot_be_executed_leaves_it_as_it_was(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    let plugin = rig.spawn(&["tree", "2"]);
    let before = its_image(&rig);
    for (path, errno) in [("/dev/null", libc::EACCES), ("/", libc::EACCES)] {
        order_again(&mut rig, path);
        let kept = rig.take(|report| match report {
            Report::Kept { errno } => Some(*errno),
            Report::Reexecuted { .. } => panic!("{path} runs"),
            _ => None,
        });
        assert_eq!(kept, Some(errno), "{path}");
    }
    assert_eq!(its_image(&rig), before);
    assert_eq!(rig.kill(plugin.key).swept, 2);
}

fn nothing_outlives_a_brain_whose_keeper_has_done_it(choice: ContainmentChoice) {
    for round in 0..world::rounds() {
        let plugins = ["tree:2", "daemon:2", "again"];
        let mut brain = Brain::start(choice, &plugins);
        if round % 2 == 0 {
            brain.wait_until_up(2);
        } else {
            world::some_moment(round, Duration::from_millis(60));
        }
        world::kill(brain.pid);
        world::wait_for_nobody();
        assert!(brain.fleet.is_empty() || !std::path::Path::new(&brain.fleet).exists());
    }
}

fn a_stray_is_said_once_whichever_image_looks(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    let keepers = |order: &mut SpawnOrder| order.orphans = Orphans::Keeper;
    let plugin = rig.spawn_with(&["scrubbed", "1"], keepers);
    let first = rig.spawn_with(&["daemon", "1"], keepers);
    let second = rig.spawn_with(&["daemon", "1"], keepers);
    rig.kill(plugin.key);
    let is_stray = |report: &Report| matches!(report, Report::Stray { .. }).then_some(());
    rig.take(is_stray);
    assert_eq!(rig.kill(first.key).swept, 1);
    again(&mut rig, "/proc/self/exe");
    assert_eq!(rig.kill(second.key).swept, 1);
    rig.ping();
    assert!(!rig.seen(|report| is_stray(report).is_some()));
}
