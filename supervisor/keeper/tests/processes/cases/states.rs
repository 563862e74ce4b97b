//! What a plugin finds around itself, and how its end is told.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs::File;
use std::io::Write;

use outboard_keeper::{ContainmentChoice, Credentials, ExitStatus, Orphans, Rlimit};

use crate::rig::{Rig, order};
use crate::runner::skip;
use crate::world;

super::cases![
    Both:
        a_plugin_starts_from_a_clean_state,
        an_order_changes_what_it_says_and_nothing_else,
        a_plugin_runs_as_another_user,
        five_thousand_variables_arrive_byte_for_byte,
        a_quarter_megabyte_of_arguments_arrives_byte_for_byte,
        extra_descriptors_get_their_numbers_whatever_they_were,
        every_kind_of_exit_is_told,
        what_was_used_is_told;
    Session:
        a_supervisor_with_signals_blocked_and_ignored_changes_nothing,
        a_core_is_told_from_no_core;
];

fn said(
    rig: &mut Rig,
    change: impl FnOnce(&mut outboard_keeper::SpawnOrder),
) -> HashMap<String, String> {
    let mut plugin = rig.spawn_silent(&["say"], change);
    let mut lines = HashMap::new();
    loop {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut plugin.out, &mut line).unwrap();
        if line == "ready\n" {
            rig.kill(plugin.key);
            return lines;
        }
        let (name, value) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
        lines.insert(name.trim_end_matches(':').to_owned(), value.to_owned());
    }
}

fn check_clean(found: &HashMap<String, String>) {
    assert_eq!(found["SigBlk"], "0000000000000000");
    // The standard library of this very program ignores SIGPIPE once it runs.
    assert_eq!(found["SigIgn"], "0000000000001000");
    assert_eq!(found["leads"], "true");
    assert_eq!(found["pdeathsig"], "Some(SIGKILL)");
    assert_eq!(found["fds"], "[0, 1, 2]");
    assert_eq!(found["NoNewPrivs"], "1");
    let nofile = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE);
    assert_eq!(found["nofile"], format!("{nofile:?}"), "the keeper's own limit leaked");
}

fn a_plugin_starts_from_a_clean_state(choice: ContainmentChoice) {
    // Something that the supervisor left open for any child to have.
    let open = File::open("/dev/null").unwrap();
    nix::fcntl::fcntl(&open, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
    // The keeper raises its own limit of open files to the hard one.
    let open_files = nix::sys::resource::Resource::RLIMIT_NOFILE;
    let (_, hard) = nix::sys::resource::getrlimit(open_files).unwrap();
    nix::sys::resource::setrlimit(open_files, hard.min(512), hard).unwrap();
    let mut rig = Rig::new(choice);
    let found = said(&mut rig, |_| {});
    check_clean(&found);
    assert_eq!(found["subreaper"], (choice == ContainmentChoice::Session).to_string());
    let found = said(&mut rig, |order| order.orphans = Orphans::Keeper);
    assert_eq!(found["subreaper"], "false");
}

fn an_order_changes_what_it_says_and_nothing_else(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    let found = said(&mut rig, |order| {
        order.cwd = Some(c"/usr".to_owned());
        order.umask = Some(0o137);
        order.rlimits.push(Rlimit { resource: libc::RLIMIT_NOFILE, soft: 50, hard: 60 });
        order.no_new_privs = false;
    });
    assert_eq!(found["cwd"], "/usr");
    assert_eq!(found["Umask"], "0137");
    assert_eq!(found["nofile"], "Ok((50, 60))");
    assert_eq!(found["NoNewPrivs"], "0");
    check_clean(&said(&mut rig, |_| {}));
}

fn a_plugin_runs_as_another_user(choice: ContainmentChoice) {
    if !world::is_root() {
        skip("needs root");
    }
    // The program must be reachable for that user, wherever it was built.
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let copy = folder.path().join("plugin");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let mut rig = Rig::new(choice);
    let found = said(&mut rig, |order| {
        order.program = CString::new(copy.as_os_str().as_encoded_bytes()).unwrap();
        order.user = Some(Credentials { uid: 65_534, gid: 65_533, groups: vec![65_532, 65_531] });
    });
    assert_eq!(found["Uid"], "65534 65534 65534 65534");
    assert_eq!(found["Gid"], "65533 65533 65533 65533");
    let mut groups: Vec<&str> = found["Groups"].split(' ').collect();
    groups.sort_unstable();
    assert_eq!(groups, ["65531", "65532"]);
    check_clean(&found);
}

fn echoed(rig: &mut Rig, argv: &[CString], env: Vec<CString>) -> (Vec<u8>, Vec<u8>) {
    let mut plugin = rig.spawn_silent(&["echo"], |order| {
        order.argv.extend_from_slice(argv);
        order.env = env;
    });
    let all = plugin.rest();
    let middle = all.windows(3).position(|w| w == b"\0\0\0").expect("a gap");
    (all[..=middle].to_vec(), all[middle + 3..].to_vec())
}

fn five_thousand_variables_arrive_byte_for_byte(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    let value = "é\u{1b}".repeat(14);
    let env: Vec<CString> =
        (0..5_000).map(|i| CString::new(format!("NAME_{i}={value}")).unwrap()).collect();
    let mut expected: Vec<u8> = env.iter().flat_map(|e| e.as_bytes_with_nul().to_vec()).collect();
    assert!(expected.len() > 250_000);
    let (_, environ) = echoed(&mut rig, &[], env);
    let key = rig.started.keys().max().unwrap();
    expected.extend(format!("OUTBOARD_RUN={}\0OUTBOARD_KEY={key:x}\0", rig.run).bytes());
    assert!(environ == expected, "{} bytes, not {}", environ.len(), expected.len());
}

fn a_quarter_megabyte_of_arguments_arrives_byte_for_byte(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    let argv: Vec<CString> =
        (0..250).map(|i| CString::new(format!("{i}{}", "y".repeat(1_000))).unwrap()).collect();
    let (cmdline, _) = echoed(&mut rig, &argv, Vec::new());
    let expected: Vec<u8> = argv.iter().flat_map(|a| a.as_bytes_with_nul().to_vec()).collect();
    assert!(cmdline.ends_with(&expected));
}

fn extra_descriptors_get_their_numbers_whatever_they_were(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    // More than there are standard ones, so that sources and targets overlap in the keeper.
    let targets: Vec<i32> = (3..40).rev().collect();
    let holders: Vec<File> = targets
        .iter()
        .map(|target| {
            let mut file = tempfile::tempfile().unwrap();
            write!(file, "{target}").unwrap();
            file
        })
        .collect();
    let plugin = rig.spawn_with(&["sleep"], |order| {
        order.extra_fds = holders
            .iter()
            .zip(&targets)
            .map(|(f, &t)| (f.try_clone().unwrap().into(), t))
            .collect();
    });
    for target in targets {
        let found = std::fs::read_to_string(format!("/proc/{}/fd/{target}", plugin.pid)).unwrap();
        assert_eq!(found, target.to_string());
    }
    let count = std::fs::read_dir(format!("/proc/{}/fd", plugin.pid)).unwrap().count();
    assert_eq!(count, 40);
}

fn signal(number: i32) -> ExitStatus {
    ExitStatus::Signal { signal: number, core: false, oom: false }
}

/// Without a limit for cores some machines hand them to a program.
fn no_core(order: &mut outboard_keeper::SpawnOrder) {
    order.rlimits.push(Rlimit { resource: libc::RLIMIT_CORE, soft: 0, hard: 0 });
}

fn every_kind_of_exit_is_told(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    for code in [0, 1, 3, 125, 126, 127, 255] {
        let plugin = rig.spawn_silent(&["exit", &code.to_string()], |_| {});
        assert_eq!(rig.gone(plugin.key).exit, Some(ExitStatus::Code(code)));
    }
    for number in [libc::SIGTERM, libc::SIGSEGV, libc::SIGKILL, 34, 64] {
        let plugin = rig.spawn_silent(&["raise", &number.to_string()], no_core);
        // SIGSEGV has a handler in the standard library that raises it again.
        assert_eq!(rig.gone(plugin.key).exit, Some(signal(number)), "signal {number}");
    }
    assert_eq!(signal(libc::SIGSEGV).signal_name(), Some("SIGSEGV"));
    assert_eq!(signal(34).signal_name(), None);
}

fn a_core_is_told_from_no_core(choice: ContainmentChoice) {
    let folder = tempfile::tempdir().unwrap();
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    if pattern.starts_with(['|', '/', '@']) || pattern.trim().is_empty() {
        skip("cores do not go into the working directory here");
    }
    let hard = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_CORE).unwrap().1;
    if hard == 0 {
        skip("the hard limit of core files is 0");
    }
    let mut rig = Rig::new(choice);
    let plugin = rig.spawn_silent(&["raise", "6"], |order| {
        order.cwd = Some(CString::new(folder.path().as_os_str().as_encoded_bytes()).unwrap());
        order.rlimits.push(Rlimit { resource: libc::RLIMIT_CORE, soft: hard, hard });
    });
    let dumped = ExitStatus::Signal { signal: libc::SIGABRT, core: true, oom: false };
    assert_eq!(rig.gone(plugin.key).exit, Some(dumped));
    let plugin = rig.spawn_silent(&["raise", "6"], no_core);
    assert_eq!(rig.gone(plugin.key).exit, Some(signal(libc::SIGABRT)));
}

fn what_was_used_is_told(choice: ContainmentChoice) {
    let mut rig = Rig::new(choice);
    let plugin = rig.spawn(&["tree", "3"]);
    let gone = rig.kill(plugin.key);
    assert_eq!(gone.swept, 3);
    assert!(gone.rusage.max_rss_kib > 100, "{gone:?}");
    assert!(!(gone.rusage.user + gone.rusage.system).is_zero(), "{gone:?}");
}

fn a_supervisor_with_signals_blocked_and_ignored_changes_nothing(choice: ContainmentChoice) {
    // As under nohup, cron, or a shell pipeline.
    // SAFETY: dispositions and mask of this process.
    unsafe {
        for number in [libc::SIGHUP, libc::SIGPIPE, libc::SIGCHLD, libc::SIGTERM, 40] {
            libc::signal(number, libc::SIG_IGN);
        }
        let mut mask: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut mask);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const mask, std::ptr::null_mut());
    }
    let mut rig = Rig::new(choice);
    check_clean(&said(&mut rig, |_| {}));
    let plugin = rig.spawn_silent(&["exit", "5"], |_| {});
    assert_eq!(rig.gone(plugin.key).exit, Some(ExitStatus::Code(5)));
    let plugin = rig.spawn(&["sleep"]);
    rig.send(outboard_keeper::Order::Terminate { key: plugin.key });
    assert_eq!(rig.gone(plugin.key).exit, Some(signal(libc::SIGTERM)));
    drop(order(0, &["sleep"]));
    // SAFETY: as above; the runner's alarm must be able to end this case.
    unsafe {
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        let mut mask: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut mask);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const mask, std::ptr::null_mut());
    }
}
