//! The first answer that a client gets, whatever state its plugin is in; and a sentence when there is none.

use outboard_tests::{Bridge, World};
use serde_json::json;

use super::{MCP, SERVER};

/// Asserts that the opening of a bridge is refused in these words, and that it ends with this code.
#[track_caller]
fn cannot(mut bridge: Bridge<'_>, code: i32, class: &str, words: &[&str]) {
    bridge.send("0", "initialize", "{}");
    let answer = bridge.answer("0");
    assert_eq!(answer["error"]["data"]["class"], class, "{answer}");
    let message = answer["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("outboard: "), "{message}");
    assert_eq!(bridge.ended().code, Some(code), "{}", bridge.stderr());
    let stderr = bridge.stderr();
    for word in words {
        assert!(message.contains(word), "{word}: {message}");
        assert!(stderr.contains(word), "{word}: {stderr}");
    }
    assert!(stderr.starts_with("outboard: ") && stderr.contains("\nhelp: "), "{stderr}");
}

#[test]
fn who_cannot_be_attached_is_told_why() {
    let world = World::new();
    cannot(
        Bridge::start(&world, "none", &["github"]),
        3,
        "no_supervisor",
        &["no supervisor is running"],
    );
    world.chaos_with("slow", "gate never", MCP);
    world.chaos_with("ill", "exit 3", "dialect = \"mcp\"\n[restart]\npolicy = \"never\"\n");
    world.chaos_with("rests", "serve mcp", "enabled = false\ndialect = \"mcp\"\n");
    let run = world.run();
    run.state("ill", "failed");
    cannot(Bridge::start(&world, "", &["sloow"]), 4, "not_found", &["sloow"]);
    cannot(Bridge::start(&world, "", &["ill"]), 6, "failed", &["ill failed", "exit 3"]);
    cannot(Bridge::start(&world, "", &["rests"]), 6, "down", &["rests is stopped"]);
    let wait = ["slow", "--wait", "100ms"];
    cannot(
        Bridge::start(&world, "", &wait),
        6,
        "starting",
        &["slow is starting", "0.10s were waited"],
    );
    run.kill_and_wait_until_nothing_is_left();
}

#[test]
fn a_first_start_is_waited_for() {
    let world = World::new();
    world.chaos_with(
        "files",
        &format!("at begun\ngate go\n{SERVER}\nserve mcp"),
        &format!("lazy = true\n{MCP}"),
    );
    let run = world.run();
    run.socket("attach.sock");
    let mut client = Bridge::start(&world, "", &["files"]);
    client.send("0", "initialize", "{}");
    // Nobody has called: that a client has come is what starts it.
    world.gates().report("begun");
    world.gates().open("go");
    assert_eq!(client.answer("0")["result"]["protocolVersion"], "2025-11-25");
}

#[test]
fn an_opening_is_remembered_over_runs_and_forgotten_with_its_file() {
    let world = World::new();
    let script = format!("generation 2- {{\n  at waits\n  gate go\n}}\n{SERVER}\nserve mcp");
    world.chaos_with("files", &script, MCP);
    let run = world.run();
    run.active("files");
    run.stop();
    let run = world.run();
    world.gates().report("waits");
    let mut client = Bridge::start(&world, "", &["files"]);
    let opened = client.open_mcp("{}");
    assert_eq!(
        opened["result"]["serverInfo"]["name"], "chaos",
        "the plugin has said nothing: {opened}"
    );
    client.send("9", "ping", "{}");
    client.answer("9");
    // Now the supervisor knows that the client is ready for notices.
    client.send("1", "work", r#"{"a":1}"#);
    world.gates().open("go");
    let mut heard = Vec::new();
    let answer = client.answer_hearing("1", &mut heard);
    assert_eq!(answer["result"]["got"], json!({"a": 1}));
    if !heard.iter().any(|one| one["method"] == "notifications/tools/list_changed") {
        client.hears("notifications/tools/list_changed");
    }
    drop(client);
    run.stop();

    std::fs::write(world.state_dir("").join("openings.json"), "{\"half").unwrap();
    let run = world.run();
    world.gates().report("waits");
    let mut client = Bridge::start(&world, "", &["files", "--wait", "100ms"]);
    client.send("0", "initialize", "{}");
    assert_eq!(client.answer("0")["error"]["data"]["class"], "starting");
    client.ended();
    world.gates().open("go");
    run.active_above("files", 2);
}

#[test]
fn two_clients_at_once_start_one_supervisor_which_ends_after_the_last_of_them() {
    let world = World::new();
    world.chaos_with("files", &format!("{SERVER}\nserve mcp"), MCP);
    let folder = world.manifests().display().to_string();
    let args = ["files", "--autostart", &folder, "--linger", "200ms"];
    let mut clients = [(); 2].map(|()| Bridge::start(&world, "", &args));
    for client in &mut clients {
        let opened = client.open_mcp("{}");
        assert_eq!(opened["result"]["serverInfo"]["name"], "chaos", "{opened}");
    }
    let status = world.cli(&["status", "--json"]).code(0).json();
    assert_eq!(status["plugins"][0]["clients"], 2, "one supervisor has both: {status}");
    drop(clients);
    // That nothing is left of it is what the end of the world asserts.
    world.assert_nothing_runs();
}
