//! MCP servers that nobody here wrote, of several years and SDKs, from npm and PyPI: each is started, listed, called, killed,
//! back, and stopped cleanly. What each needed is in its manifest, in `manifests/mcp-breadth`.
//!
//! The servers for Python, and `uvx`, take minutes to install and are rows of the long form (`OUTBOARD_LONG=1`).

use std::path::PathBuf;

use outboard_tests::runtimes::repository;
use outboard_tests::world::Launch;
use outboard_tests::{Running, World, long, require};
use serde_json::{Value, json};

struct Server {
    /// The manifest's name, and the plugin's.
    id: &'static str,
    /// Its SDK, for the table.
    sdk: &'static str,
    /// What `cargo xtask setup` installed for it, from the folder of its manifest.
    installed: &'static str,
    tool: &'static str,
    arguments: fn() -> Value,
    /// In the text of the tool's answer, whether that is a result or the tool's own error.
    says: &'static str,
}

const fn npm(
    id: &'static str,
    sdk: &'static str,
    tool: &'static str,
    says: &'static str,
) -> Server {
    Server { id, sdk, installed: "node_modules/.installed", tool, arguments: || json!({}), says }
}

const fn python(
    id: &'static str,
    sdk: &'static str,
    tool: &'static str,
    says: &'static str,
) -> Server {
    Server { installed: ".venv/.installed", ..npm(id, sdk, tool, says) }
}

const fn given(arguments: fn() -> Value, server: Server) -> Server {
    Server { arguments, ..server }
}

fn here() -> Value {
    json!({ "path": folder().display().to_string() })
}

fn thought() -> Value {
    json!({ "thought": "one", "nextThoughtNeeded": false, "thoughtNumber": 1, "totalThoughts": 1 })
}

const SHORT: [Server; 10] = [
    given(here, npm("filesystem", "TypeScript 1.32", "list_directory", "filesystem.toml")),
    given(here, npm("filesystem-2025", "TypeScript 1.17", "list_directory", "filesystem.toml")),
    given(here, npm("filesystem-2024", "TypeScript 1.0", "list_directory", "filesystem.toml")),
    npm("memory", "TypeScript 1.32", "read_graph", "entities"),
    npm("memory-2024", "TypeScript 1.0", "read_graph", "entities"),
    given(
        thought,
        npm("sequential-thinking", "TypeScript 1.32", "sequentialthinking", "thoughtNumber"),
    ),
    given(|| json!({"a": 2, "b": 40}), npm("everything-2024", "TypeScript 1.0", "add", "42")),
    given(|| json!({"message": "hi"}), npm("hello-world", "TypeScript 1.7", "echo", "hi")),
    npm("npx", "TypeScript 1.32, npx", "read_graph", "entities"),
    given(|| json!({"message": "hi"}), npm("shell", "TypeScript 1.7, sh -c", "echo", "hi")),
];

const LONG: [Server; 5] = [
    given(
        || json!({"repo_path": repository().display().to_string()}),
        python("git", "Python 2.3", "git_status", "branch"),
    ),
    // Nobody listens there: the tool's own error is an answer too.
    given(
        || json!({"url": "http://127.0.0.1:9/"}),
        python("fetch", "Python 2.3", "fetch", "127.0.0.1"),
    ),
    Server {
        installed: ".venv-2025/.installed",
        ..python("sqlite", "Python 1.9", "list_tables", "[")
    },
    Server {
        installed: ".venv-2025/.installed",
        ..given(
            || json!({"string_a": "one\n", "string_b": "two\n"}),
            python("diff", "Python 1.9", "get-unified-diff", "+two"),
        )
    },
    given(
        || json!({"timezone": "Asia/Tokyo"}),
        Server {
            installed: ".venv/uv-cache/.warm",
            ..python("uvx", "Python 2.3, uvx", "get_current_time", "Asia/Tokyo")
        },
    ),
];

fn folder() -> PathBuf {
    repository().join("manifests/mcp-breadth")
}

fn serves(run: &Running<'_>, server: &Server) {
    let id = server.id;
    let list = run.call(id, "tools/list", &json!({})).unwrap();
    let tools = list["tools"].as_array().unwrap();
    assert!(tools.iter().any(|tool| tool["name"] == server.tool), "{id}: {list}");
    let params = json!({ "name": server.tool, "arguments": (server.arguments)() });
    let answer =
        run.call(id, "tools/call", &params).unwrap_or_else(|error| panic!("{id}: {error:?}"));
    assert!(answer["content"].to_string().contains(server.says), "{id}: {answer}");
}

fn table(servers: &[Server]) {
    let world = World::new();
    let sources = servers.iter().map(|server| folder().join(format!("{}.toml", server.id)));
    let run = world.launch(&Launch { sources: Some(sources.collect()), ..Launch::default() });
    for server in servers {
        run.active(server.id);
        serves(&run, server);
    }
    // All at once: each comes back by itself.
    for server in servers {
        world.witness().signal(run.plugin_pid(server.id), libc::SIGKILL);
    }
    for server in servers {
        run.active_above(server.id, 1);
        let failure = run.failure(server.id);
        assert_eq!((failure.generation, failure.text("class")), (1, "signal"), "{failure}");
        serves(&run, server);
        let row = run.plugin(server.id);
        outboard_tests::say(format_args!(
            "{:<20} {:<22} {:<11} listed, called, killed, back",
            server.id,
            server.sdk,
            row["protocol"].as_str().unwrap_or_default()
        ));
    }
    let stopped = run.cli(&["stop", "--all", "--json"]).code(0).stdout;
    assert!(!stopped.contains("unkillable"), "{stopped}");
    assert_eq!(run.stop().code, Some(0), "{}", run.stderr());
    world.assert_nothing_runs();
}

#[test]
fn servers_of_three_years_from_npm_live_through_everything() {
    require!(
        folder().join(SHORT[0].installed).exists(),
        "manifests/mcp-breadth (cargo xtask setup)"
    );
    table(&SHORT);
}

#[test]
fn servers_of_two_sdks_from_pypi_live_through_everything() {
    if !long() {
        return;
    }
    for server in &LONG {
        require!(
            folder().join(server.installed).exists(),
            "manifests/mcp-breadth for Python (OUTBOARD_LONG=1 cargo xtask setup)"
        );
    }
    table(&LONG);
}
