//! What a client keeps when its plugin, or the supervisor, goes away and comes back.

use outboard_tests::{Bridge, World};
use serde_json::json;

use super::{MCP, SERVER};

#[test]
fn a_session_outlives_the_plugins_process() {
    let world = World::new();
    world.chaos_with("files", &format!("{SERVER}\nserve mcp"), MCP);
    let run = world.run();
    run.active("files");
    let mut client = Bridge::start(&world, "", &["files"]);
    client.open_mcp("{}");
    client.send("1", "logging/setLevel", r#"{"level":"warning"}"#);
    client.answer("1");
    client.send("2", "resources/subscribe", r#"{"uri":"file:///a"}"#);
    client.answer("2");
    assert_eq!(world.gates().report("level").text, "warning");
    world.gates().report("subscribed");

    client.send("3", "tools/call", r#"{"name":"mute"}"#);
    client.send("4", "work", "{}");
    client.answer("4");
    world.witness().signal(run.plugin_pid("files"), libc::SIGKILL);
    let mut heard = Vec::new();
    let lost = client.answer_hearing("3", &mut heard);
    assert_eq!(lost["error"]["code"], -31003, "{lost}");
    client.send("5", "work", r#"{"again":true}"#);
    let answer = client.answer_hearing("5", &mut heard);
    assert_eq!(answer["result"]["got"], json!({"again": true}));
    for method in ["notifications/tools/list_changed", "notifications/resources/updated"] {
        if !heard.iter().any(|one| one["method"] == method) {
            client.hears(method);
        }
    }
    // Said again to the process that was told nothing.
    assert_eq!(world.gates().report("level").generation, 2);
    let again = world.gates().report("subscribed");
    assert_eq!((again.generation, &*again.text), (2, "file:///a"));
}

#[test]
fn what_no_notice_can_tell_ends_the_session_with_a_sentence() {
    let world = World::new();
    let less = r#"on initialize { reply {"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"chaos","version":"2"}} }"#;
    let script = format!("{SERVER}\ngeneration 2- {{\n{less}\n}}\nserve mcp");
    world.chaos_with("files", &script, MCP);
    let run = world.run();
    run.active("files");
    let mut client = Bridge::start(&world, "", &["files"]);
    client.open_mcp("{}");
    client.send("1", "work", "{}");
    client.answer("1");
    world.witness().signal(run.plugin_pid("files"), libc::SIGKILL);
    assert_eq!(client.ended().code, Some(6), "{}", client.stderr());
    let stderr = client.stderr();
    assert!(
        stderr.contains("it offered `logging`") && stderr.contains("no longer does"),
        "{stderr}"
    );
    run.active_above("files", 1);
    let mut next = Bridge::start(&world, "", &["files"]);
    assert_eq!(next.open_mcp("{}")["result"]["serverInfo"]["version"], "2");
}

#[test]
fn a_session_outlives_the_supervisor() {
    let world = World::new();
    world.chaos_with("files", &format!("{SERVER}\nserve mcp"), MCP);
    let run = world.run();
    run.active("files");
    let mut client = Bridge::start(&world, "", &["files"]);
    client.open_mcp("{}");
    client.send("1", "logging/setLevel", r#"{"level":"warning"}"#);
    client.answer("1");
    world.gates().report("level");
    client.send("2", "tools/call", r#"{"name":"mute"}"#);
    client.send("3", "work", "{}");
    client.answer("3");
    // Whatever is below the witness ends with it, save the bridge.
    run.signal(libc::SIGKILL);
    run.ended();
    let lost = client.answer("2");
    let error = &lost["error"];
    assert_eq!(json!([error["code"], error["data"]["class"]]), json!([-31008, "host_exit"]));
    let next = world.run();
    client.send("4", "work", r#"{"again":true}"#);
    let mut heard = Vec::new();
    let answer = client.answer_hearing("4", &mut heard);
    assert_eq!(answer["result"]["got"], json!({"again": true}));
    assert!(
        heard.iter().any(|one| one["method"] == "notifications/tools/list_changed"),
        "{heard:?}"
    );
    assert_eq!(world.gates().report("level").text, "warning");
    assert_eq!(next.plugin("files")["clients"], 1);
}

#[test]
fn without_a_supervisor_the_bridge_ends_with_a_sentence() {
    let world = World::new();
    world.chaos("geo", "serve");
    let run = world.run();
    run.active("geo");
    let mut client = Bridge::start(&world, "", &["geo", "--wait", "200ms"]);
    client.send("1", "mute", "{}");
    client.send("2", "echo", "{}");
    client.answer("2");
    run.signal(libc::SIGKILL);
    run.ended();
    assert_eq!(client.answer("1")["error"]["data"]["class"], "host_exit");
    assert_eq!(client.ended().code, Some(3), "{}", client.stderr());
    assert!(client.stderr().contains("no supervisor is running"), "{}", client.stderr());
}

#[test]
fn clients_of_a_plugin_that_is_removed_are_told() {
    let world = World::new();
    world.chaos("geo", "serve");
    world.chaos("stays", "serve");
    let run = world.run();
    run.active("geo");
    let mut client = Bridge::start(&world, "", &["geo"]);
    client.send("1", "echo", "{}");
    client.answer("1");
    std::fs::remove_file(world.manifests().join("geo.toml")).unwrap();
    run.signal(libc::SIGHUP);
    assert_eq!(client.ended().code, Some(6), "{}", client.stderr());
    assert!(client.stderr().contains("its manifest is gone"), "{}", client.stderr());
}
