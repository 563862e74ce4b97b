//! Terminate, kill, and what outlives its leader.

use std::time::Duration;

use outboard_keeper::{ContainmentChoice, ExitStatus, Order};

use crate::rig::Rig;
use crate::world;

super::cases![
    Both:
        terminate_reaches_the_whole_group_and_nobody_else,
        a_stopped_plugin_takes_terminate,
        deaf_plugins_end_by_kill,
        what_outlives_its_leader_is_killed_when_its_time_is_up,
        what_ends_in_its_time_is_not_killed,
        kill_ends_a_linger_at_once,
        a_leader_is_not_reaped_before_its_tree_is_gone,
        an_order_for_somebody_who_is_gone_is_harmless;
];

const TERM: ExitStatus = ExitStatus::Signal { signal: libc::SIGTERM, core: false, oom: false };
const KILL: ExitStatus = ExitStatus::Signal { signal: libc::SIGKILL, core: false, oom: false };
/// Longer than any test: who relies on its end would hang.
const LONG: Duration = Duration::from_secs(3_600);

fn terminate_reaches_the_whole_group_and_nobody_else(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    let neighbour = rig.spawn(&["tree", "2"]);
    let plugin = rig.spawn_with(&["tree", "3"], |order| order.linger = LONG);
    rig.send(Order::Terminate { key: plugin.key });
    let gone = rig.gone(plugin.key);
    assert_eq!((gone.exit, gone.swept), (Some(TERM), 0));
    assert_eq!(world::living_below(neighbour.pid).len(), 2);
}

fn a_stopped_plugin_takes_terminate(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    let plugin = rig.spawn(&["stopped"]);
    world::until(|| world::stat(plugin.pid).is_some_and(|stat| stat.state == b'T'));
    rig.send(Order::Terminate { key: plugin.key });
    assert_eq!(rig.gone(plugin.key).exit, Some(TERM));
}

fn deaf_plugins_end_by_kill(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    let plugin = rig.spawn(&["stubborn", "3"]);
    rig.send(Order::Terminate { key: plugin.key });
    rig.ping();
    assert_eq!(world::living_below(plugin.pid).len(), 3);
    let gone = rig.kill(plugin.key);
    assert_eq!((gone.exit, gone.swept), (Some(KILL), 3));
}

fn what_outlives_its_leader_is_killed_when_its_time_is_up(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    let linger = Duration::from_millis(300);
    let plugin = rig.spawn_with(&["obedient", "3"], |order| order.linger = linger);
    rig.send(Order::Terminate { key: plugin.key });
    let gone = rig.gone(plugin.key);
    assert_eq!((gone.exit, gone.swept), (Some(TERM), 3));
    assert!(gone.took >= linger, "{gone:?}");
    assert_eq!(rig.left(), []);
}

fn what_ends_in_its_time_is_not_killed(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    let plugin = rig.spawn_with(&["leaver", "2"], |order| order.linger = LONG);
    assert_eq!(rig.died(plugin.key), ExitStatus::Code(0));
    let left = world::living_below(rig.keeper.pid());
    assert_eq!(left.len(), 2);
    for pid in left {
        rig.ping();
        world::kill(pid);
    }
    assert_eq!(rig.gone(plugin.key).swept, 0);
}

fn kill_ends_a_linger_at_once(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    for kind in ["leaver", "deserter", "scrubbed-leaver"] {
        let plugin = rig.spawn_with(&[kind, "4"], |order| order.linger = LONG);
        rig.died(plugin.key);
        assert_eq!(rig.kill(plugin.key).swept, 4, "{kind}");
        assert_eq!(rig.left(), [], "{kind}");
    }
}

fn a_leader_is_not_reaped_before_its_tree_is_gone(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    let plugin = rig.spawn_with(&["deserter", "2"], |order| order.linger = LONG);
    assert_eq!(rig.died(plugin.key), ExitStatus::Code(3));
    rig.ping();
    assert_eq!(world::stat(plugin.pid).map(|stat| stat.state), Some(b'Z'));
    let group = world::living_below(rig.keeper.pid());
    assert_eq!(group.len(), 2);
    assert!(group.iter().all(|&pid| world::stat(pid).unwrap().session == plugin.pid));
    rig.kill(plugin.key);
    assert_eq!(world::stat(plugin.pid), None);
}

fn an_order_for_somebody_who_is_gone_is_harmless(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    let plugin = rig.spawn_silent(&["exit", "0"], |_| {});
    rig.gone(plugin.key);
    for key in [plugin.key, 999_999] {
        rig.send(Order::Terminate { key });
        rig.send(Order::Kill { key });
    }
    rig.ping();
    rig.spawn(&["sleep"]);
}
