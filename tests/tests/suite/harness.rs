//! The harness itself: what it says about others has to be true.

use outboard_tests::World;

#[test]
fn what_escapes_is_below_the_witness_and_gone_with_the_world() {
    let world = World::new();
    let mut spawn = world.spawn(world.chaos_command(
        "tree",
        "daemon {\n scrub\n ignore TERM\n at hidden\n pause\n}\nfork {\n at child\n pause\n}\nexit 3",
    ));
    spawn.env.insert("CHAOS_DIR".into(), world.gates().folder().display().to_string());
    let pid = world.witness().spawn(spawn);
    let hidden = world.gates().report("hidden").pid;
    let child = world.gates().report("child").pid;
    assert_eq!(world.witness().exit(pid).get().code, Some(3));
    let below: Vec<u32> = world.witness().below().iter().map(|process| process.pid).collect();
    assert!(below.contains(&hidden) && below.contains(&child), "{below:?}");
    assert!(!below.contains(&pid), "it has ended");
    world.witness().signal(child, libc::SIGTERM);
    world.witness().signal(hidden, libc::SIGTERM);
    let left: Vec<u32> = world.witness().below().iter().map(|process| process.pid).collect();
    assert!(left.contains(&hidden), "it ignores SIGTERM");
    world.witness().signal(hidden, libc::SIGKILL);
    world.assert_nothing_runs();
}

#[test]
fn a_witness_that_loses_its_test_ends_everything_first() {
    let world = World::new();
    let mut spawn = world.spawn(world.chaos_command("stubborn", "ignore TERM\nat up\nspin"));
    spawn.env.insert("CHAOS_DIR".into(), world.gates().folder().display().to_string());
    // A witness below the witness, so that its end can be seen: it starts one that does not want to end.
    let inner = world.folder().join("orders");
    let order = serde_json::json!({"id": 1, "order": {"spawn": spawn}});
    std::fs::write(&inner, format!("{order}\n")).unwrap();
    let mut witness =
        world.spawn(vec![outboard_tests::runtimes::bin("outboard-witness").display().to_string()]);
    witness.stdin = Some(inner);
    let ended = world.finish(witness);
    // Its input ended right behind the order.
    assert_eq!(ended.ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains(r#""id":1"#), "{ended:?}");
    world.assert_nothing_runs();
}

#[test]
fn only_what_is_below_the_witness_can_be_signalled() {
    let world = World::new();
    let own = std::process::id();
    let refused = world.witness().signal_after(own, 0, std::time::Duration::ZERO).try_get();
    assert!(refused.unwrap_err().contains("not below"));
}
