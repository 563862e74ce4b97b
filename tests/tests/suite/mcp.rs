//! Two MCP servers that nobody here wrote, as their registries ship them.

use outboard_tests::runtimes::repository;
use outboard_tests::world::{Launch, toml_list, toml_text};
use outboard_tests::{Running, World, require};
use serde_json::{Value, json};

/// Whether `cargo xtask setup` has installed a server.
fn installed(program: &str) -> bool {
    repository().join("manifests/mcp").join(program).exists()
}

const EVERYTHING: &str = "node_modules/.bin/mcp-server-everything";
const TIME: &str = ".venv/bin/mcp-server-time";

/// A supervisor of one of the two manifests.
fn server<'w>(world: &'w World, id: &str) -> Running<'w> {
    let manifest = repository().join(format!("manifests/mcp/{id}.toml"));
    let run = world.launch(&Launch { sources: Some(vec![manifest]), ..Launch::default() });
    run.active(id);
    run
}

fn tool_names(list: &Value) -> Vec<&str> {
    list["tools"].as_array().unwrap().iter().filter_map(|tool| tool["name"].as_str()).collect()
}

#[test]
fn the_everything_server_lists_its_tools_and_is_called() {
    require!(installed(EVERYTHING), "mcp-server-everything (cargo xtask setup)");
    let world = World::new();
    let run = server(&world, "everything");
    let list = run.cli(&["call", "everything", "tools/list"]).code(0).json();
    assert!(tool_names(&list).contains(&"echo"), "{list}");
    let params = r#"{"name":"echo","arguments":{"message":"hi"}}"#;
    let answer = run.cli(&["call", "everything", "tools/call", params]).code(0).json();
    assert_eq!(answer["content"][0]["text"], "Echo: hi", "{answer}");
    let short = run.cli(&["call", "everything", "tool:echo", r#"{"message":"hi"}"#]).code(0).json();
    assert_eq!(short, answer);
    let wrong = run.cli(&["call", "everything", "tool:no-such-tool"]);
    assert_eq!(wrong.ended.code, Some(1), "an error of a tool is one of the command: {wrong:?}");
    assert!(wrong.stderr.contains("has no tool no-such-tool"), "{wrong:?}");
    assert!(wrong.stderr.contains("help: it has: "), "{wrong:?}");
    let slip = run.cli(&["call", "everything", "tool:ehco"]).code(1);
    assert!(slip.stderr.contains("help: did you mean `tool:echo`?"), "{slip:?}");
    let row = run.plugin("everything");
    assert_eq!(json!([row["dialect"], row["protocol"]]), json!(["mcp", "2025-11-25"]), "{row}");
}

#[test]
fn the_time_server_lists_its_tools_and_is_called() {
    require!(installed(TIME), "mcp-server-time (cargo xtask setup)");
    let world = World::new();
    let run = server(&world, "time");
    let list = run.cli(&["call", "time", "tools/list"]).code(0).json();
    assert!(tool_names(&list).contains(&"get_current_time"), "{list}");
    let params = r#"{"name":"get_current_time","arguments":{"timezone":"Asia/Tokyo"}}"#;
    let answer = run.cli(&["call", "time", "tools/call", params]).code(0).json();
    let text = answer["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("Asia/Tokyo"), "{answer}");
}

/// Kills one process of a server and waits until it is active and answers again.
fn killed_and_active_again(world: &World, run: &Running<'_>, id: &str, pid: u32, class: &str) {
    world.witness().signal(pid, libc::SIGKILL);
    run.active_above(id, 1);
    let failure = run.failure(id);
    assert_eq!((failure.generation, failure.text("class")), (1, class), "{failure}");
    let list = run.call(id, "tools/list", &json!({})).unwrap();
    assert!(!tool_names(&list).is_empty(), "{list}");
    let why = run.cli(&["why", id]).code(0).stdout;
    assert!(why.contains(&format!("class {class}")), "{why}");
    let left: Vec<_> = world.witness().below().into_iter().filter(|one| one.pid == pid).collect();
    assert!(left.iter().all(|one| one.state == 'Z'), "{left:?}");
}

#[test]
fn a_killed_everything_server_is_active_again() {
    require!(installed(EVERYTHING), "mcp-server-everything (cargo xtask setup)");
    let world = World::new();
    let run = server(&world, "everything");
    killed_and_active_again(&world, &run, "everything", run.plugin_pid("everything"), "signal");
}

#[test]
fn a_killed_time_server_is_active_again() {
    require!(installed(TIME), "mcp-server-time (cargo xtask setup)");
    let world = World::new();
    let run = server(&world, "time");
    killed_and_active_again(&world, &run, "time", run.plugin_pid("time"), "signal");
}

/// Under `sh -c` the server is the shell's child. Killed, the shell goes on and ends with its status.
fn a_wrappers_child_is_killed(program: &str, args: &str) {
    let world = World::new();
    let folder = repository().join("manifests/mcp");
    // The second command keeps the shell from becoming the server.
    let line = format!("{program} {args}; exit $?").replace('$', "$$");
    let command = toml_list(&["sh", "-c", &line]);
    let cwd = toml_text(&folder.display().to_string());
    world.manifest(
        "wrapped",
        &format!("dialect = \"mcp\"\n[process]\ncommand = {command}\ncwd = {cwd}\n"),
    );
    let run = world.run();
    run.active("wrapped");
    let wrapper = run.plugin_pid("wrapped");
    let below = world.witness().below();
    let child = below.iter().find(|one| one.ppid == wrapper).expect("the shell has a child").pid;
    killed_and_active_again(&world, &run, "wrapped", child, "exit");
    let exit = run.failure("wrapped");
    assert_eq!(exit.member("exit")["code"], 128 + libc::SIGKILL, "the shell says what it saw");
    assert!(world.witness().below().iter().all(|one| one.ppid != wrapper || one.state == 'Z'));
}

#[test]
fn the_child_of_a_wrapped_everything_server_is_killed() {
    require!(installed(EVERYTHING), "mcp-server-everything (cargo xtask setup)");
    a_wrappers_child_is_killed(EVERYTHING, "stdio");
}

#[test]
fn the_child_of_a_wrapped_time_server_is_killed() {
    require!(installed(TIME), "mcp-server-time (cargo xtask setup)");
    a_wrappers_child_is_killed(TIME, "--local-timezone UTC");
}
