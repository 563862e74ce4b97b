//! Up, called, killed, up again: what a plugin's callers and operators see.

use std::time::Duration;

use outboard_tests::clock::{Stopwatch, wait_until};
use outboard_tests::pipes::unread_input;
use outboard_tests::runtimes::repository;
use outboard_tests::world::{Launch, toml_list};
use outboard_tests::{Running, World, require, say};
use serde_json::{Value, json};

/// A supervisor of the repository's own manifests.
fn bundled(world: &World) -> Running<'_> {
    let sources = Some(vec![repository().join("manifests")]);
    world.launch(&Launch { sources, ..Launch::default() })
}

#[test]
fn the_bundled_plugins_come_up_and_answer() {
    require!("python3");
    let world = World::new();
    let run = bundled(&world);
    for id in ["echo", "python", "shell"] {
        run.active(id);
        let answer = run.cli(&["call", id, "echo", r#"{"a":[1,"z"]}"#]).code(0);
        assert_eq!(answer.stdout, "{\"a\":[1,\"z\"]}\n", "{id}: one line in a pipe");
        assert_eq!(answer.stderr, "", "{id}");
    }
    let sum = run.cli(&["call", "python", "add", r#"{"a":2,"b":40}"#]).code(0);
    assert_eq!(sum.json(), json!({"sum": 42}));
    assert_eq!(run.cli(&["list"]).code(0).stdout, "echo\npython\nshell\n");
    assert_eq!(run.stop().code, Some(0));
}

/// What the plugin reads at once after it has answered the opening. Two writes would be two trips for its scheduler, and
/// the second would have waited for the supervisor's own bookkeeping.
#[test]
fn the_word_that_ends_the_opening_and_the_first_probe_are_one_write() {
    require!("python3");
    let world = World::new();
    let heard = world.folder().join("heard");
    let program = r#"
import json, os, sys
def answer(line):
    os.write(1, json.dumps({"jsonrpc": "2.0", "id": json.loads(line)["id"], "result": {"protocolVersion": 1}}).encode() + b"\n")
answer(os.read(0, 65536))
after = os.read(0, 65536)
open(sys.argv[1], "wb").write(after)
while after:
    for line in after.splitlines():
        if b'"id"' in line:
            answer(line)
    after = os.read(0, 65536)
"#;
    let file = world.folder().join("reader.py");
    std::fs::write(&file, program).unwrap();
    let path = |path: &std::path::Path| path.display().to_string();
    let command = toml_list(&["python3", &path(&file), &path(&heard)]);
    world.manifest("reader", &format!("[process]\ncommand = {command}\n"));
    let run = world.run();
    run.active("reader");
    let heard = std::fs::read_to_string(heard).unwrap();
    let methods: Vec<Value> = heard
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["method"].take())
        .collect();
    assert_eq!(methods, ["initialized", "ping"], "{heard}");
    assert_eq!(run.stop().code, Some(0));
}

#[test]
fn status_has_the_members_of_its_contract() {
    let world = World::new();
    world.chaos("well", "serve");
    world.chaos("ill", "exit 7");
    let run = world.run();
    run.active("well");
    run.failure("ill");
    let status = run.cli(&["status", "--json"]).code(0).json();
    assert_eq!(status["schema"], 1);
    let supervisor = &status["supervisor"];
    assert_eq!(supervisor["pid"], run.pid);
    assert_eq!(supervisor["revision"], 1);
    assert!(supervisor["version"].is_string() && supervisor["uptime_ms"].is_u64(), "{supervisor}");
    let rows = status["plugins"].as_array().unwrap();
    let ids: Vec<&str> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["ill", "well"], "trouble first");
    let members = [
        "id",
        "dialect",
        "wanted",
        "state",
        "pid",
        "generation",
        "restarts",
        "since_ms",
        "health",
        "in_flight",
        "last_failure",
        "next_try_ms",
        "waiting_for",
        "next",
    ];
    for row in rows {
        for member in members {
            assert!(row.get(member).is_some(), "{member} in {row}");
        }
        for member in ["status", "last_ok_ms_ago", "message"] {
            assert!(row["health"].get(member).is_some(), "health.{member} in {row}");
        }
    }
    let well = &rows[1];
    assert_eq!(
        json!([
            well["dialect"],
            well["wanted"],
            well["state"],
            well["generation"],
            well["in_flight"]
        ]),
        json!(["native", "up", "active", 1, 0])
    );
    assert_eq!(well["last_failure"], Value::Null);
    let failure = &rows[0]["last_failure"];
    assert_eq!(json!([failure["class"], failure["detail"]]), json!(["exit", "before-handshake"]));
    assert!(failure["message"].is_string() && failure["at"].is_string(), "{failure}");
}

/// Kills a bundled plugin from outside while a call is in flight.
fn killed_and_active_again(id: &str) {
    let world = World::new();
    let run = bundled(&world);
    let first = run.active(id).generation;
    let pid = run.plugin_pid(id);
    // Stopped, it can read nothing: the call stays in flight whatever language answers it.
    world.freeze(pid);
    let mut client = run.attach(id);
    let call = client.send("echo", &json!({"n": 1}));
    wait_until("the call is written", || unread_input(pid) > 0);
    let killed = Stopwatch::new();
    world.witness().signal(pid, libc::SIGKILL);
    // The bundled plugins say that `echo` may be repeated: the next process answers it.
    assert_eq!(client.answer(call).unwrap().get(), r#"{"n":1}"#);
    let told = killed.elapsed();

    let second = run.active_above(id, first).generation;
    say(format_args!(
        "{id}: killed; its caller was answered after {told:?}, active again before {:?}",
        killed.elapsed()
    ));
    let failure = run.event(|event| event.is("plugin.failure", id));
    assert_eq!((failure.generation, failure.text("class")), (first, "signal"));
    assert_eq!(failure.member("exit")["signal"], "SIGKILL");
    assert_eq!(run.call(id, "echo", &json!({"n": 2})).unwrap(), json!({"n": 2}));

    let why = run.cli(&["why", id]).code(0).stdout;
    assert!(why.contains("SIGKILL") && why.contains("class signal"), "{why}");
    let row = run.plugin(id);
    assert_eq!(json!([row["generation"], row["restarts"]]), json!([second, 1]), "{row}");
    assert_ne!(row["pid"], pid);
}

#[test]
fn a_killed_rust_plugin_is_active_again() {
    killed_and_active_again("echo");
}

#[test]
fn a_killed_python_plugin_is_active_again() {
    require!("python3");
    killed_and_active_again("python");
}

#[test]
fn a_killed_shell_plugin_is_active_again() {
    killed_and_active_again("shell");
}

#[test]
fn a_crash_fails_the_call_in_flight_and_the_next_generation_answers_those_that_wait() {
    let world = World::new();
    let script = "generation 2- { gate start }\non take { at took }\nserve";
    world.chaos_with("geo", script, "[calls]\nconcurrency = 1");
    let run = world.run();
    run.active("geo");
    let mut early = run.attach("geo");
    let taken = early.send("take", &json!({}));
    let plugin = world.gates().report("took").pid;
    let above = early.send("echo", &json!({"sent": "above concurrency"}));
    wait_until("both calls are accepted", || run.plugin("geo")["in_flight"] == 2);
    world.witness().signal(plugin, libc::SIGKILL);
    let crashed = early.answer(taken).unwrap_err();
    assert_eq!((crashed.code, crashed.class()), (-31003, "signal"), "{crashed:?}");
    assert_eq!(crashed.data["sent"], true, "{crashed:?}");
    run.failure("geo");
    let mut late = run.attach("geo");
    let down = late.send("echo", &json!({"sent": "while it was down"}));
    wait_until("the call is held", || run.plugin("geo")["in_flight"] == 2);
    world.gates().open("start");
    let text = |result: Result<Box<_>, _>| -> String {
        let raw: Box<serde_json::value::RawValue> = result.unwrap();
        raw.get().to_owned()
    };
    assert_eq!(text(early.answer(above)), r#"{"sent":"above concurrency"}"#);
    assert_eq!(text(late.answer(down)), r#"{"sent":"while it was down"}"#);
    assert_eq!(run.plugin("geo")["generation"], 2);
}

#[test]
fn a_method_that_does_not_exist_names_the_one_that_may_have_been_meant() {
    let world = World::new();
    let run = bundled(&world);
    run.active("echo");
    let slip = run.cli(&["call", "echo", "ehco"]).code(1);
    assert!(slip.stderr.contains("plugin echo has no method ehco"), "{slip:?}");
    assert!(slip.stderr.contains("help: did you mean `echo`?"), "{slip:?}");
    let error = run.call("echo", "ehco", &json!({})).unwrap_err();
    assert_eq!((error.code, &error.data["nearest"]), (-32601, &json!("echo")));
}

#[test]
fn a_call_is_refused_at_once_where_the_manifest_says_fail() {
    let world = World::new();
    let script = "generation 2- { gate start }\nserve";
    world.chaos_with("geo", script, "[calls]\nwhile_restarting = \"fail\"");
    let run = world.run();
    run.active("geo");
    let crashed = run.call("geo", "quit", &json!({"code": 9})).unwrap_err();
    assert_eq!((crashed.code, crashed.class()), (-31003, "exit"), "{crashed:?}");
    assert_eq!(crashed.data["exit"]["code"], 9, "{crashed:?}");
    let refused = run.call("geo", "echo", &json!({})).unwrap_err();
    assert_eq!(refused.code, -31001, "{refused:?}");
    assert!(["backoff", "starting"].contains(&refused.class()), "{refused:?}");
    assert_eq!(refused.data["retryable"], true, "{refused:?}");
    world.gates().open("start");
    run.active_above("geo", 1);
}

#[test]
fn stop_start_and_restart_say_what_became_of_it() {
    let world = World::new();
    world.chaos("geo", "serve");
    world.chaos("other", "serve");
    let run = world.run();
    run.active("geo");
    run.active("other");
    let first = run.plugin_pid("geo");
    run.cli(&["restart", "geo"]).code(0);
    let row = run.plugin("geo");
    assert_eq!(json!([row["state"], row["generation"]]), json!(["active", 2]), "{row}");
    assert_ne!(row["pid"], first);
    run.cli(&["stop", "geo"]).code(0);
    let row = run.plugin("geo");
    assert_eq!(
        json!([row["state"], row["wanted"], row["pid"]]),
        json!(["registered", "down", null])
    );
    assert_eq!(run.cli(&["call", "geo", "echo"]).code(6).stdout, "", "answers alone go there");
    run.cli(&["start", "g*"]).code(0);
    assert_eq!(run.plugin("geo")["state"], "active");
    assert_eq!(run.plugin("other")["generation"], 1, "nobody asked for it");
}

#[test]
fn generations_and_events_go_on_over_runs() {
    let world = World::new();
    world.chaos("geo", "serve");
    let first = world.run();
    first.active("geo");
    first.cli(&["restart", "geo"]).code(0);
    first.stop();
    let last = first.events().last().unwrap().seq;
    let second = world.run();
    assert_eq!(second.active("geo").generation, 3);
    assert_eq!(second.events()[0].seq, last + 1);
}

#[test]
fn health_shows_the_answer_to_its_own_probe() {
    let world = World::new();
    // No probe of its own comes in between.
    world.chaos_with("geo", "serve", "[health]\ninterval = \"1h\"");
    let run = world.run();
    run.active("geo");
    let age =
        |row: &Value| Duration::from_millis(row["health"]["last_ok_ms_ago"].as_u64().unwrap());
    for _ in 0..3 {
        wait_until("its answer is of a while ago", || {
            age(&run.plugin("geo")) > Duration::from_millis(500)
        });
        let asked = Stopwatch::new();
        let shown = run.cli(&["health", "geo", "--json"]).code(0).json();
        let since = asked.elapsed();
        assert!(age(&shown["plugins"][0]) <= since, "{shown}: asked {since:?} ago");
    }
}

#[test]
fn exit_codes_tell_scripts_what_happened() {
    let world = World::new();
    world.chaos_with("geo", "on take { at took }\nserve", "[calls]\nconcurrency = 4");
    let run = world.run();
    run.active("geo");
    for (code, args) in [
        (0, &["call", "geo", "echo", "{}"][..]),
        (1, &["call", "geo", "fail", r#"{"code": 7, "message": "out of ink"}"#]),
        (1, &["call", "geo", "no/such"]),
        (2, &["call", "geo", "echo", "{"]),
        (2, &["call", "geo"]),
        (2, &["frobnicate"]),
        (2, &["stop"]),
        (4, &["call", "gpo", "echo"]),
        (4, &["status", "gpo"]),
        (4, &["why", "gpo"]),
        (4, &["stop", "gpo"]),
        (4, &["logs", "gpo"]),
        (5, &["call", "geo", "take", "--deadline", "50ms"]),
        (7, &["call", "geo", "initialize"]),
    ] {
        let output = run.cli(args);
        assert_eq!(output.ended.code, Some(code), "{args:?}: {output:#?}");
        assert_eq!(output.stderr.is_empty(), code == 0, "{args:?}: {output:#?}");
    }
    let unknown = run.cli(&["call", "gpo", "echo"]).code(4).stderr;
    assert!(unknown.contains("`geo`"), "the nearest is named: {unknown}");
    let refused = run.cli(&["call", "geo", "fail", r#"{"message": "out of ink"}"#]).code(1);
    assert!(refused.stderr.contains("out of ink") && refused.stdout.is_empty(), "{refused:?}");
    run.cli(&["shutdown"]).code(0);
    assert_eq!(run.ended().code, Some(0));
}

#[test]
fn logs_and_events_tell_what_was_said_and_done() {
    let world = World::new();
    world.chaos("geo", "err starting up\nserve");
    let run = world.run();
    run.active("geo");
    run.call("geo", "complain", &json!({"text": "the index is cold"})).unwrap();
    wait_until("the line is stored", || {
        run.cli(&["logs", "geo"]).stdout.contains("the index is cold")
    });
    let logs = run.cli(&["logs", "geo", "--json"]).code(0).stdout;
    let lines: Vec<Value> = logs.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said = |text: &str| lines.iter().find(|line| line["text"] == text);
    assert_eq!(said("the index is cold").unwrap()["source"], "err", "{logs}");
    assert_eq!(said("starting up").unwrap()["generation"], 1, "{logs}");
    assert!(lines.iter().any(|line| line["source"] == "host"), "{logs}");
    let events = run.cli(&["events", "--json"]).code(0).stdout;
    for line in events.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        for member in ["seq", "at", "plugin", "generation", "event"] {
            assert!(event.get(member).is_some(), "{member} in {line}");
        }
    }
    assert!(events.contains(r#""event":"plugin.spawned""#), "{events}");
}
