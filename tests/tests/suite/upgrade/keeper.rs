//! The keeper follows its supervisor into the new build, and keeps its plugins.

use outboard_tests::World;

#[test]
fn the_keeper_is_the_new_build_too_and_still_holds_its_plugins() {
    let world = World::new();
    world.chaos("geo", "serve");
    let run = world.run();
    run.active("geo");
    let keeper = run.event(|event| event.event == "keeper.started").number("pid");
    run.cli(&["upgrade"]).code(0);
    let again = run.event(|event| event.event == "keeper.reexecuted");
    assert_eq!(again.number("pid"), keeper);

    let generation = run.plugin("geo")["generation"].as_u64().unwrap();
    world.witness().signal(run.plugin_pid("geo"), libc::SIGKILL);
    let failure = run.event_after(again.seq, |event| event.event == "plugin.failure");
    assert_eq!(failure.text("class"), "signal");
    run.active_above("geo", generation);
    assert_eq!(run.count(|event| event.event == "keeper.died"), 0);
    run.kill_and_wait_until_nothing_is_left();
}
