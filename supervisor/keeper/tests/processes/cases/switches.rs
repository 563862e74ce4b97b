//! Paths that only the test build can force (feature `test-switches`).

#[cfg(not(feature = "test-switches"))]
super::cases![];

#[cfg(feature = "test-switches")]
super::cases![
    Both:
        a_stop_before_the_child_has_a_session_reaches_it_alone,
        a_stop_before_exec_ends_the_child;
    Session:
        without_the_group_flag_the_keeper_signals_the_group,
        a_keeper_with_two_threads_refuses_to_serve,
        the_environment_can_force_the_containment;
];

#[cfg(feature = "test-switches")]
use forced::*;

#[cfg(feature = "test-switches")]
mod forced {
    use nix::errno::Errno;
    use outboard_keeper::{
        ContainmentChoice, ExitStatus, Keeper, KeeperError, KeeperProgram, Level, Order, RunMark,
        Settings,
    };

    use crate::rig::{Rig, order};
    use crate::world;

    const KILL: ExitStatus = ExitStatus::Signal { signal: libc::SIGKILL, core: false, oom: false };

    fn set(name: &str, value: &str) {
        // SAFETY: a case has one thread.
        unsafe { std::env::set_var(name, value) };
    }

    fn stop_held(choice: ContainmentChoice, step: &str) {
        let mut rig = Rig::new(choice);
        let neighbour = rig.spawn(&["sleep"]);
        for by_kill in [false, true] {
            let key = rig.key();
            let (mut order, _out) = order(key, &["sleep"]);
            order.env.push(std::ffi::CString::new(format!("OUTBOARD_TEST_HOLD={step}")).unwrap());
            rig.send(Order::Spawn(Box::new(order)));
            let pid = rig.pid_of(key);
            // It sleeps: it has no other reason to, and not everybody may look at its system call.
            let session = if step == "session" { rig.keeper.pid() } else { pid };
            world::until(|| {
                world::stat(pid).is_some_and(|s| s.state == b'S' && s.session == session)
            });
            let own = rig.started[&key].1.send_signal_group(libc::SIGKILL);
            if step == "session" {
                // It leads no group: nothing was hit, least of all the keeper's.
                assert_eq!(own, Err(Errno::ESRCH));
                assert_eq!(world::stat(pid).unwrap().session, rig.keeper.pid());
            }
            rig.send(if by_kill { Order::Kill { key } } else { Order::Terminate { key } });
            let gone = rig.gone(key);
            assert_eq!((gone.exit, gone.swept), (Some(KILL), 0));
            assert!(!rig.execed.contains(&key));
        }
        rig.ping();
        assert!(world::is_alive(neighbour.pid));
    }

    pub fn a_stop_before_the_child_has_a_session_reaches_it_alone(choice: ContainmentChoice) {
        stop_held(choice, "session");
    }

    pub fn a_stop_before_exec_ends_the_child(choice: ContainmentChoice) {
        stop_held(choice, "exec");
    }

    pub fn without_the_group_flag_the_keeper_signals_the_group(choice: ContainmentChoice) {
        set("OUTBOARD_TEST_GROUP_SIGNAL", "keeper");
        let mut rig = Rig::new(choice);
        let plugin = rig.spawn(&["tree", "3"]);
        let sent = rig.started[&plugin.key].1.send_signal_group(libc::SIGTERM);
        assert_eq!(sent, Err(Errno::ENOSYS));
        assert_eq!(world::living_below(plugin.pid).len(), 3);
        rig.send(Order::Terminate { key: plugin.key });
        assert_eq!(rig.gone(plugin.key).swept, 0);
    }

    pub fn a_keeper_with_two_threads_refuses_to_serve(containment: ContainmentChoice) {
        set("OUTBOARD_TEST_THREAD", "1");
        let settings = Settings { run: RunMark::random().unwrap(), containment };
        let error = Keeper::spawn(KeeperProgram::SelfExe, settings).expect_err("no keeper");
        assert!(matches!(error, KeeperError::Threads { count: 2 }), "{error}");
        assert!(!world::reap());
    }

    pub fn the_environment_can_force_the_containment(_: ContainmentChoice) {
        set("OUTBOARD_TEST_CONTAINMENT", "session");
        let rig = Rig::new(ContainmentChoice::Auto);
        assert_eq!(rig.keeper.containment().level, Level::Session);
    }
}
