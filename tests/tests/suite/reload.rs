//! SIGHUP reads the manifests again; what it leaves alone and refuses is in the fault table (SUP-03, SUP-04).

use outboard_tests::World;
use serde_json::json;

const SIGHUP: i32 = 1;

#[test]
fn man_01_what_was_refused_at_run_comes_alive_when_it_is_mended_and_reloaded() {
    let world = World::new();
    world.chaos("well", "serve");
    world.manifest("bad", "id = \n");
    let run = world.run();
    run.active("well");
    run.state("bad", "failed");
    world.chaos("bad", "serve");
    run.signal(SIGHUP);
    run.active("bad");
    assert_eq!(run.call("bad", "echo", &json!({"alive": 1})).unwrap(), json!({"alive": 1}));
    assert_eq!(run.plugin("well")["generation"], 1);
}
