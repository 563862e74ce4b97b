//! `run --once-active`: for scripts and CI.

use outboard_tests::World;
use outboard_tests::world::Launch;

const ONCE: Launch<'_> = Launch {
    sources: None,
    args: &["--once-active"],
    state: "",
    program: None,
    env: &[],
    block: &[],
    ignore: &[],
    shell: None,
    terminal: false,
};

#[test]
fn it_ends_well_once_all_are_active_and_leaves_out_what_rests() {
    let world = World::new();
    world.chaos("a", "serve");
    world.chaos("b", "serve");
    world.chaos_with("lazy", "exit 9", "lazy = true");
    world.chaos_with("off", "exit 9", "enabled = false");
    let run = world.launch(&ONCE);
    assert_eq!(run.ended().code, Some(0), "{}", run.stderr());
    for id in ["a", "b"] {
        run.active(id);
        run.event(|event| event.is("stop.finished", id));
    }
    assert_eq!(run.count(|event| event.is("plugin.spawned", "lazy")), 0);
    assert_eq!(run.count(|event| event.is("plugin.spawned", "off")), 0);
}

#[test]
fn it_ends_at_the_first_that_fails_and_says_why() {
    let world = World::new();
    world.chaos("well", "serve");
    world.manifest("ill", "[process]\ncommand = [\"./no-such-program\"]");
    let run = world.launch(&ONCE);
    assert_eq!(run.ended().code, Some(6), "{}", run.stderr());
    assert!(
        run.stderr().contains("ill") && run.stderr().contains("no-such-program"),
        "{}",
        run.stderr()
    );
}

#[test]
fn it_starts_nothing_when_a_manifest_is_broken() {
    let world = World::new();
    world.chaos("well", "at up\nserve");
    world.manifest("broken", "[process]\ncommand = 7");
    let run = world.launch(&ONCE);
    assert_eq!(run.ended().code, Some(2), "{}", run.stderr());
    assert_eq!(run.count(|event| event.event == "plugin.spawned"), 0);
}

#[test]
fn it_gives_up_in_the_time_that_it_is_given() {
    let world = World::new();
    world.chaos("well", "serve");
    world.chaos("slow", "gate never\nserve");
    let launch = Launch { args: &["--once-active", "--timeout", "300ms"], ..ONCE };
    let run = world.launch(&launch);
    assert_eq!(run.ended().code, Some(5), "{}", run.stderr());
    assert!(run.stderr().contains("slow"), "{}", run.stderr());
}

#[test]
fn what_one_plugin_lacks_here_refuses_all_with_exit_6() {
    let world = World::new();
    world.chaos("well", "serve");
    world.manifest(
        "poor",
        "[process]\ncommand = [\"true\"]\nenv = { T = { from_env = \"NOT_SET_ANYWHERE\" } }\n",
    );
    let run = world.launch(&ONCE);
    assert_eq!(run.ended().code, Some(6));
    let told = run.stderr();
    for part in ["NOT_SET_ANYWHERE is not set", "poor.toml:3", "nothing was started"] {
        assert!(told.contains(part), "`{part}` in {told}");
    }
}
