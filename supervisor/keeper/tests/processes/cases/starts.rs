//! How starts fail, and what comes of many at once.

use std::collections::HashSet;
use std::ffi::CString;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use outboard_keeper::pidfd::Pidfd;
use outboard_keeper::{
    ContainmentChoice, Credentials, ExitStatus, Keeper, KeeperError, KeeperProgram, Order, Report,
    Rlimit, RunMark, Settings, SpawnOrder, Step,
};

use crate::rig::{Rig, null, order};
use crate::runner::skip;
use crate::world;

super::cases![
    Both:
        each_failing_step_is_named,
        a_failed_start_leaves_nobody,
        an_environment_arrives_whole_however_long_it_is,
        what_may_not_be_switched_to_is_refused,
        four_hundred_orders_before_the_first_report_is_read,
        a_stalled_exec_holds_up_nobody;
    Session:
        a_program_that_is_no_keeper_is_an_error,
        a_keeper_that_is_not_there_is_an_error,
        an_order_that_cannot_be_sent_is_refused_and_the_next_one_works;
];

fn text(path: &std::path::Path) -> CString {
    CString::new(path.as_os_str().as_encoded_bytes()).unwrap()
}

fn each_failing_step_is_named(choice: ContainmentChoice) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, mode: u32, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        text(&path)
    };
    let mut rig = Rig::new(choice);
    let mut exec = |program: CString| {
        let (step, errno) = rig.fail(|order| order.program = program);
        assert_eq!(step, Step::Exec);
        errno
    };
    assert_eq!(exec(c"/nonexistent/program".to_owned()), libc::ENOENT);
    assert_eq!(exec(file("plain", 0o644, "#!/bin/sh\n")), libc::EACCES);
    assert_eq!(exec(text(folder.path())), libc::EACCES);
    // Nothing is ever handed to a shell.
    let canary = folder.path().join("canary");
    let script = format!("echo ran > {}\n", canary.display());
    assert_eq!(exec(file("script", 0o755, &script)), libc::ENOEXEC);
    assert_eq!(exec(file("empty", 0o755, "")), libc::ENOEXEC);
    assert!(!canary.exists());
    assert_eq!(exec(file("crlf", 0o755, "#!/bin/sh\r\n")), libc::ENOENT);
    let busy = file("busy", 0o755, "#!/bin/sh\n");
    let writer = fs::OpenOptions::new().write(true).open(folder.path().join("busy")).unwrap();
    assert_eq!(exec(busy), libc::ETXTBSY);
    drop(writer);
    let long = CString::new(format!("A={}", "x".repeat(131_072))).unwrap();
    assert_eq!(rig.fail(|order| order.env.push(long)), (Step::Exec, libc::E2BIG));

    let cwd = rig.fail(|order| order.cwd = Some(c"/nonexistent".to_owned()));
    assert_eq!(cwd, (Step::Cwd, libc::ENOENT));
    let limit = Rlimit { resource: libc::RLIMIT_NOFILE, soft: 10, hard: 9 };
    assert_eq!(rig.fail(|order| order.rlimits.push(limit)), (Step::Rlimits, libc::EINVAL));
    let (step, errno) = rig.fail(|order| order.extra_fds.push((null(), i32::MAX - 1)));
    assert_eq!((step, errno), (Step::Stdio, libc::EINVAL));
    // All these failures have cost nothing: a plugin still starts.
    rig.spawn(&["sleep"]);
}

/// Short ones follow the order in its message, long ones come as a file.
fn an_environment_arrives_whole_however_long_it_is(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    for length in [10, 3_000, 4_000, 5_000, 100_000] {
        let value = format!("LENGTH{length}={}", "x".repeat(length));
        let variable = CString::new(value.clone()).unwrap();
        let plugin = rig.spawn_with(&["daemon", "1"], |order| order.env.push(variable));
        let environ = fs::read(format!("/proc/{}/environ", plugin.pid)).unwrap();
        assert!(
            environ.split(|&byte| byte == 0).any(|entry| entry == value.as_bytes()),
            "{length}"
        );
        rig.kill(plugin.key);
    }
}

fn a_failed_start_leaves_nobody(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    for _ in 0..20 {
        rig.fail(|order| order.program = c"/nonexistent".to_owned());
    }
    let keeper = rig.keeper.pid();
    world::until(|| world::below(keeper).is_empty());
    if let Some(fleet) = &rig.keeper.containment().fleet {
        // Those that are kept ready.
        world::until(|| {
            fs::read_dir(fleet).unwrap().flatten().filter(|e| e.path().is_dir()).count() == 2
        });
    }
    let fds = || fs::read_dir(format!("/proc/{keeper}/fd")).map(|fds| fds.count());
    if let Ok(before) = fds() {
        for _ in 0..20 {
            rig.fail(|order| order.program = c"/nonexistent".to_owned());
        }
        world::until(|| world::below(keeper).is_empty());
        // A leaf that is kept ready is open, and may be on its way.
        world::until(|| fds().unwrap() == before);
    }
    if let Some(fleet) = &rig.keeper.containment().fleet {
        let leaves = || fs::read_dir(fleet).unwrap().flatten().filter(|e| e.path().is_dir());
        world::until(|| {
            leaves().all(|leaf| leaf.file_name().to_string_lossy().starts_with("leaf-"))
        });
        world::until(|| leaves().count() == 2);
    }
}

fn what_may_not_be_switched_to_is_refused(choice: ContainmentChoice) {
    if world::is_root() {
        skip("needs an ordinary user");
    }
    let mut rig = Rig::new(choice);
    let root = Credentials { uid: 0, gid: 0, groups: vec![0] };
    assert_eq!(rig.fail(|order| order.user = Some(root)), (Step::Groups, libc::EPERM));
}

fn four_hundred_orders_before_the_first_report_is_read(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    let mut keys = HashSet::new();
    for _ in 0..400 {
        let key = rig.key();
        let mut order = SpawnOrder::new(key, c"/bin/true".to_owned(), [null(), null(), null()]);
        order.argv = vec![c"true".to_owned()];
        rig.send(Order::Spawn(Box::new(order)));
        keys.insert(key);
    }
    rig.ping();
    for key in keys {
        let gone = rig.gone(key);
        assert_eq!(gone.exit, Some(ExitStatus::Code(0)));
        assert_eq!(gone.swept, 0);
    }
    assert_eq!(rig.started.len(), 400);
    assert!(!rig.seen(|report| matches!(report, Report::SpawnFailed { .. })));
}

/// A fanotify permission mark that answers nothing holds every `exec` of one file.
fn a_stalled_exec_holds_up_nobody(choice: ContainmentChoice) {
    let folder = tempfile::tempdir().unwrap();
    let slow = folder.path().join("slow");
    fs::copy("/bin/true", &slow).unwrap();
    let Some(gate) = exec_gate(&slow) else {
        skip("needs fanotify permission events (CAP_SYS_ADMIN)");
    };
    let mut rig = Rig::new(choice);
    let stall = |rig: &mut Rig| {
        let key = rig.key();
        let (mut order, _) = order(key, &["sleep"]);
        order.program = text(&slow);
        rig.send(Order::Spawn(Box::new(order)));
        let pid = rig.pid_of(key);
        // It is at the gate when its system call is `execve`.
        world::until(|| {
            let call = fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
            call.starts_with(&format!("{} ", libc::SYS_execve))
        });
        key
    };
    let (killed, terminated) = (stall(&mut rig), stall(&mut rig));
    let neighbour = rig.spawn(&["sleep"]);
    // Neither stop waits for the gate.
    rig.send(Order::Terminate { key: terminated });
    for key in [killed, terminated] {
        let gone = if key == killed { rig.kill(key) } else { rig.gone(key) };
        let by_kill = ExitStatus::Signal { signal: libc::SIGKILL, core: false, oom: false };
        assert_eq!(gone.exit, Some(by_kill));
        assert!(!rig.execed.contains(&key));
    }
    assert!(world::is_alive(neighbour.pid));
    drop(gate);
}

fn exec_gate(path: &std::path::Path) -> Option<std::os::fd::OwnedFd> {
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
    let path = text(path);
    // SAFETY: plain system calls; the descriptor is ours once it is one.
    unsafe {
        let flags = libc::FAN_CLASS_CONTENT | libc::FAN_CLOEXEC | libc::FAN_NONBLOCK;
        let fd = libc::fanotify_init(flags, libc::O_RDONLY as u32);
        if fd < 0 {
            return None;
        }
        let gate = OwnedFd::from_raw_fd(fd);
        let mask = libc::FAN_OPEN_EXEC_PERM;
        let r = libc::fanotify_mark(
            gate.as_raw_fd(),
            libc::FAN_MARK_ADD,
            mask,
            libc::AT_FDCWD,
            path.as_ptr(),
        );
        (r == 0).then_some(gate)
    }
}

fn settings(containment: ContainmentChoice) -> Settings {
    Settings { run: RunMark::random().unwrap(), containment }
}

fn a_program_that_is_no_keeper_is_an_error(choice: ContainmentChoice) {
    let program = KeeperProgram::Path("/bin/true".into());
    let error = Keeper::spawn(program, settings(choice)).expect_err("no keeper");
    assert!(matches!(error, KeeperError::EndedEarly), "{error}");
    assert!(!world::reap(), "a child is left");
}

fn a_keeper_that_is_not_there_is_an_error(choice: ContainmentChoice) {
    let program = KeeperProgram::Path("/nonexistent/keeper".into());
    let error = Keeper::spawn(program, settings(choice)).expect_err("no keeper");
    assert!(matches!(error, KeeperError::Start { what: "exec", .. }), "{error}");
    assert!(!world::reap(), "a child is left");
}

fn an_order_that_cannot_be_sent_is_refused_and_the_next_one_works(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    let (mut low, _out) = order(1, &["sleep"]);
    low.extra_fds.push((null(), 2));
    let refused = rig.keeper.order(Order::Spawn(Box::new(low)));
    assert!(matches!(refused, Err(KeeperError::Order { .. })));
    let (mut many, _out) = order(1, &["sleep"]);
    many.extra_fds = (0..250).map(|i| (null(), 3 + i)).collect();
    let refused = rig.keeper.order(Order::Spawn(Box::new(many)));
    assert!(matches!(refused, Err(KeeperError::Order { .. })));
    let plugin = rig.spawn(&["sleep"]);
    assert!(Pidfd::open(plugin.pid).is_ok());
}
