//! `status --watch`: drawn again when something changes, ended by Ctrl-C.

use outboard_tests::World;
use outboard_tests::clock::wait_until;
use outboard_tests::runtimes::bin;
use outboard_tests::witness::Spawn;

fn watch(world: &World, args: &[&str]) -> Spawn {
    let state = world.state_dir("").display().to_string();
    let outboard = bin("outboard").display().to_string();
    let mut argv = vec![outboard, "status".to_owned(), "--watch".to_owned()];
    argv.extend(args.iter().map(|&arg| arg.to_owned()));
    argv.extend(["--state-dir".to_owned(), state]);
    world.spawn(argv)
}

#[test]
fn off_a_terminal_a_table_comes_when_something_changed_and_ctrl_c_is_no_failure() {
    let world = World::new();
    world.chaos("geo", "serve");
    let run = world.run();
    run.active("geo");
    run.socket("control.sock");
    let spawns = [watch(&world, &[]), watch(&world, &["--json"])];
    let outputs: Vec<_> = spawns.iter().map(|spawn| spawn.stdout.clone().unwrap()).collect();
    let pids: Vec<_> = spawns.into_iter().map(|spawn| world.witness().spawn(spawn)).collect();
    let read = |n: usize| std::fs::read_to_string(&outputs[n]).unwrap_or_default();
    wait_until("the first look is printed", || {
        read(0).contains("1 plugin: 1 active") && !read(1).is_empty()
    });
    run.cli(&["stop", "geo"]).code(0);
    wait_until("the stop is printed", || {
        read(0).contains("1 plugin: 1 registered") && read(1).contains("\"state\":\"registered\"")
    });
    for pid in pids {
        world.witness().signal(pid, libc::SIGINT);
        assert_eq!(world.witness().exit(pid).get().code, Some(0));
    }
    assert!(!read(0).contains('\x1b'), "{}", read(0));
    for line in read(1).lines() {
        let status: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(status["schema"], 1);
    }
}

#[test]
fn on_a_terminal_it_is_drawn_in_place_and_ends_with_the_supervisor() {
    let world = World::new();
    world.chaos("geo", "serve");
    let run = world.run();
    run.active("geo");
    run.socket("control.sock");
    let mut spawn = watch(&world, &[]);
    spawn.terminal = true;
    spawn.env.insert("TERM".to_owned(), "xterm".to_owned());
    let output = spawn.stdout.clone().unwrap();
    let pid = world.witness().spawn(spawn);
    let read = || std::fs::read_to_string(&output).unwrap_or_default();
    wait_until("the first page is drawn", || read().contains("1 plugin: 1 active"));
    assert!(read().starts_with("\x1b[H\x1b[2J"), "{:?}", read());
    run.stop();
    assert_eq!(world.witness().exit(pid).get().code, Some(0));
}
