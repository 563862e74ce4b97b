//! The answer to the opening: none, another's, two, or one that cannot be used.

use std::time::Duration;

use outboard_tests::clock::{Deadline, Stopwatch, wait_until};
use outboard_tests::fault::Row;
use outboard_tests::witness::Process;
use outboard_tests::{Event, Running};
use serde_json::json;

use super::{comes_up, rests};

/// One try, and what follows is far away.
const ONCE: &str = "[restart]\nbackoff = { initial = \"5m\", max = \"5m\", jitter = 0.0 }";

/// A failure of the handshake with this detail, after which the process is gone.
#[track_caller]
fn fails(run: &Running<'_>, id: &str, detail: &str) -> Event {
    let failure = run.failure(id);
    assert_eq!((failure.text("class"), failure.text("detail")), ("handshake", detail), "{failure}");
    assert_eq!(run.count(|event| event.is_state(id, "active")), 0);
    failure
}

/// It is down and waits for its next try, and nothing of it lives.
#[track_caller]
fn is_down_in_backoff(run: &Running<'_>, id: &str, pid: u32) {
    run.state(id, "backoff");
    assert!(Process::of(pid).is_none_or(|process| !process.lives()), "{id}: {pid} lives");
    let shown = run.plugin(id);
    assert_eq!(json!([shown["state"], shown["pid"]]), json!(["backoff", null]), "{shown}");
}

#[test]
fn hand_01_it_never_answers() {
    let row = Row::new("HAND-01");
    let soon = "[start]\nfirst_byte_timeout = \"200ms\"\nhandshake_timeout = \"200ms\"";
    row.chaos_with("silent", "read initialize\nat asked\npause", &format!("{soon}\n{ONCE}"));
    let half = "read initialize\nsay-raw {\"jsonrpc\"\nat asked\npause";
    row.chaos_with("half", half, &format!("{soon}\n{ONCE}"));
    let run = row.run();
    let mut client = run.attach("silent");
    let call = client.send("echo", &json!({}));
    let began = Stopwatch::new();
    let asked = [row.gates().report("asked"), row.gates().report("asked")];
    row.witness("both read the opening and say so");
    for (id, phase, read) in
        [("silent", "first byte: ", "(0 bytes read, "), ("half", "handshake: ", "(10 bytes read, ")]
    {
        let failure = fails(&run, id, "timeout");
        row.measured(&format!("{id}: to the failure"), began.elapsed());
        let message = failure.text("message");
        assert!(message.starts_with(phase), "the phase is named: {message}");
        assert!(message.contains(read), "what was read is named: {message}");
        let written = message.rsplit_once(' ').map_or(message, |(rest, _)| rest);
        let written = written.rsplit_once(' ').map_or(written, |(_, number)| number);
        assert!(written.parse::<u32>().is_ok_and(|bytes| bytes > 100), "written: {message}");
        run.state(id, "backoff");
        let why = run.cli(&["why", id]).code(0).stdout;
        assert!(why.contains("detail timeout") && why.contains(phase.trim_end()), "{why}");
    }
    for report in asked {
        assert!(Process::of(report.pid).is_none_or(|process| !process.lives()), "{report:?}");
    }
    // The caller does not hang on it: it waits for the next try, and a stop ends that.
    run.cli(&["stop", "silent"]).code(0);
    let ended = client.answer(call).unwrap_err();
    assert_eq!((ended.code, ended.class()), (-31001, "down"), "{ended:?}");
    assert_eq!(ended.data["sent"], false, "{ended:?}");
}

#[test]
fn hand_02_it_answers_another_id() {
    let row = Row::new("HAND-02");
    let soon = "[start]\nhandshake_timeout = \"200ms\"";
    let result = "\"result\":{\"protocolVersion\":1}";
    let table = [("number", "0", "0"), ("text", "\"$id\"", "\"1\""), ("null", "null", "null")];
    for (id, answered, _) in table {
        let script = format!(
            "read initialize\nat asked $id\nsay {{\"jsonrpc\":\"2.0\",\"id\":{answered},{result}}}\npause"
        );
        row.chaos_with(id, &script, &format!("{soon}\n{ONCE}"));
    }
    let run = row.run();
    for _ in table {
        let asked = row.gates().report("asked");
        assert_eq!(asked.text, "1", "the id that the opening has");
    }
    for (id, _, told) in table {
        let failure = fails(&run, id, "reply-id-mismatch");
        assert!(failure.text("message").contains("another id"), "{failure}");
        let orphan = run.events().into_iter().find(|event| event.is("wire.orphan_reply", id));
        let orphan = orphan.expect("it is told before the failure");
        assert_eq!((orphan.text("id"), orphan.member("waiting")), (told, &json!(1)), "{orphan}");
        let pid = run.event(|event| event.is("plugin.spawned", id)).number("pid");
        is_down_in_backoff(&run, id, u32::try_from(pid).unwrap());
        let logs = run.cli(&["logs", id]).code(0).stdout;
        assert!(logs.contains(&format!("an answer to id {told}; the opening, 1,")), "{logs}");
    }
    row.witness("three answers came, to 0, \"1\" and null instead of 1");
}

#[test]
fn hand_03_it_answers_twice() {
    let row = Row::new("HAND-03");
    let answer = "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"protocolVersion\":1}}";
    let script = format!(
        "on initialize {{\n say-raw {answer}\\n{answer}\\n\n at answered\n}}\non initialized {{ at initialized }}\nserve"
    );
    row.chaos("twice", &script);
    let run = row.run();
    run.active("twice");
    row.gates().report("answered");
    // Both lay in the pipe together.
    let orphan = run.events().into_iter().find(|event| event.is("wire.orphan_reply", "twice"));
    let orphan = orphan.expect("it is told before it is active");
    assert_eq!((orphan.text("id"), orphan.number("total")), ("1", 1), "{orphan}");
    row.witness("the second answer is an orphan, and counted");
    row.gates().report("initialized");
    // What was written before it has been read by then.
    assert_eq!(run.call("twice", "echo", &json!({"n": 1})).unwrap(), json!({"n": 1}));
    assert_eq!(run.count(|event| event.is("plugin.opened", "twice")), 1, "initialized once");
    let again = row.gates().report_within("initialized", Deadline::after(Duration::ZERO));
    assert_eq!(again, None, "and told so once");
    let shown = run.plugin("twice");
    assert_eq!(json!([shown["state"], shown["generation"]]), json!(["active", 1]), "{shown}");
    assert_eq!(run.count(|event| event.is("plugin.failure", "twice")), 0);
}

#[test]
fn hand_05_it_speaks_another_version() {
    let row = Row::new("HAND-05");
    row.chaos("native", "on initialize {\n at asked\n reply {\"protocolVersion\":999}\n}\nserve");
    let refuses = "read initialize\nat asked\nsay {\"jsonrpc\":\"2.0\",\"id\":$id,\"error\":{\"code\":-31010,\
                   \"message\":\"no common version\",\"data\":{\"supported\":[998,999]}}}\npause";
    row.chaos("refuses", refuses);
    let server = "on initialize {\n at asked\n reply {\"protocolVersion\":\"1999-01-01\",\"capabilities\":{},\"serverInfo\":{\"name\":\"old\",\"version\":\"1\"}}\n}\nserve mcp";
    row.chaos_with("mcp", server, "dialect = \"mcp\"");
    let run = row.run();
    for (id, theirs, ours) in [
        ("native", "999", "[1]"),
        ("refuses", "[998,999]", "[1]"),
        ("mcp", "1999-01-01", "2025-11-25"),
    ] {
        row.gates().report("asked");
        let failure = fails(&run, id, "version");
        let message = failure.text("message");
        assert!(message.contains(theirs) && message.contains(ours), "both sets: {message}");
        rests(&run, id, "failed");
        assert_eq!(run.count(|event| event.is("plugin.spawned", id)), 1, "{id}: one try");
        assert_eq!(run.count(|event| event.is("restart.scheduled", id)), 0, "{id}");
        let refused = run.call(id, "echo", &json!({})).unwrap_err();
        assert_eq!((refused.code, refused.class()), (-31001, "failed"), "{refused:?}");
        let why = run.cli(&["why", id]).code(0).stdout;
        assert!(why.contains(theirs) && why.contains("detail version"), "{why}");
    }
    row.witness("each of the three was asked once and said its version");
}

#[test]
fn hand_06_initialize_is_refused() {
    let row = Row::new("HAND-06");
    let discovered = "{\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{\"tools\":{}}}";
    let modern = format!(
        "on initialize {{\n at refused $pid\n reply-error -32601 no such method\n}}\n\
         on server/discover {{\n at discovered $pid\n reply {discovered}\n}}\nserve mcp"
    );
    row.chaos_with("modern", &modern, "dialect = \"mcp\"");
    let neither = "on initialize { reply-error -32601 never heard of it }\n\
                   on server/discover { reply-error -32600 nor of that }\nserve mcp";
    row.chaos_with("neither", neither, &format!("dialect = \"mcp\"\n{ONCE}"));
    let run = row.run();
    comes_up(&run, "modern");
    let refused = row.gates().report("refused");
    let discovered = row.gates().report("discovered");
    assert_eq!(refused.pid, discovered.pid, "the same process");
    row.witness("the same process refused the one and answered the other");
    assert_eq!(run.plugin_pid("modern"), refused.pid);
    let shown = run.plugin("modern");
    assert_eq!(
        json!([shown["state"], shown["generation"], shown["protocol"]]),
        json!(["active", 1, "2026-07-28"]),
        "{shown}"
    );
    assert_eq!(run.count(|event| event.is("plugin.failure", "modern")), 0);

    let failure = fails(&run, "neither", "refused");
    let message = failure.text("message");
    for part in ["-32601", "never heard of it", "-32600", "nor of that"] {
        assert!(message.contains(part), "`{part}`: {message}");
    }
    run.state("neither", "backoff");
}

#[test]
fn hand_09_it_exits_well_in_the_middle() {
    let row = Row::new("HAND-09");
    // Under `on-failure` an exit 0 is a good end only after `active`.
    let more = "[restart]\npolicy = \"on-failure\"\nretry_after = \"never\"\n\
                backoff = { initial = \"0s\" }\nbudget = { restarts = 2, within = \"10m\" }";
    row.chaos_with("leaves", "read initialize\nat leaving\nexit 0", more);
    let run = row.run();
    let end = run.event(|event| {
        event.is_state("leaves", "failed") || event.is_state("leaves", "registered")
    });
    assert_eq!(end.text("to"), "failed", "{end}");
    for generation in 1..=3 {
        let report = row.gates().report("leaving");
        assert_eq!(report.generation, generation);
        let failure = run
            .event(|event| event.is("plugin.failure", "leaves") && event.generation == generation);
        let told = (failure.text("class"), failure.text("detail"));
        assert_eq!(told, ("exit", "before-handshake"), "{failure}");
        assert_eq!(failure.member("exit")["code"], 0, "{failure}");
    }
    row.witness("three processes read the opening and left with 0");
    let gave_up = run.event(|event| event.is("restart.gave_up", "leaves"));
    assert_eq!(gave_up.number("restarts"), 2, "each was charged: {gave_up}");
    assert_eq!(run.count(|event| event.is("plugin.spawned", "leaves")), 3);
    wait_until("status says so", || run.plugin("leaves")["state"] == "failed");
    let why = run.cli(&["why", "leaves"]).code(0).stdout;
    assert!(!why.contains("finished") && why.contains("detail before-handshake"), "{why}");
}
