//! `outboard upgrade`: another build goes on, with every plugin, every call and every attached client.

use outboard_tests::{Running, World};
use serde_json::json;

/// Upgrades, and gives what the screen says.
fn upgraded(run: &Running<'_>) -> String {
    run.cli(&["upgrade"]).code(0).stdout
}

#[test]
fn a_plugin_its_call_and_its_client_go_on() {
    let world = World::new();
    world.chaos("geo", "serve");
    let run = world.run();
    let generation = run.active("geo").generation;
    let pid = run.plugin_pid("geo");
    let mut client = run.attach("geo");
    let open = client.send("hold", &json!({"gate": "later"}));
    assert_eq!(client.call("echo", &json!({"n": 1})).unwrap(), json!({"n": 1}));

    let said = upgraded(&run);
    assert!(said.contains("kept: 1 running plugin, 1 attached client; pid"), "{said}");

    world.gates().open("later");
    client.answer(open).unwrap();
    assert_eq!(client.call("echo", &json!({"n": 2})).unwrap(), json!({"n": 2}));
    let plugin = run.plugin("geo");
    assert_eq!(
        json!([plugin["pid"], plugin["generation"], plugin["state"], plugin["restarts"]]),
        json!([pid, generation, "active", 0])
    );
    assert_eq!(run.supervisor_pid(), run.pid);
    let events = run.events();
    let numbers: Vec<u64> = events.iter().map(|event| event.seq).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "the journal has no gap");
    assert_eq!(run.stop().code, Some(0));
}
