//! Pipes that are full, or closed at one end; and more than anybody reads.

use outboard_tests::Process;
use outboard_tests::clock::wait_until;
use outboard_tests::fault::{Holds, Row, race};
use outboard_tests::neighbour::Neighbour;
use outboard_tests::pipes::unread_input;
use serde_json::json;

use super::{QUICK, assert_works, event, failure, patient, told};

#[test]
fn wire_13_notifications_without_a_pause_starve_nobody() {
    let row = Row::new("WIRE-13");
    let (rounds, each) = if outboard_tests::long() { (100, 10_000) } else { (50, 2_000) };
    let script = format!(
        "on flood {{\n loop {rounds} {{\n \
         flood-out {each} {{\"jsonrpc\":\"2.0\",\"method\":\"$$/log\",\"params\":{{\"level\":\"info\",\"message\":\"note $n\"}}}}\n \
         read echo\n reply $params\n }}\n}}\nserve"
    );
    row.chaos("p", &script);
    Neighbour::moves_in(&row);
    let run = row.run();
    run.active("p");
    let neighbour = Neighbour::works(&run);
    let held = Holds::of(&run);
    let mut client = run.attach("p");
    client.send("flood", &json!({}));
    // All are there beforehand, so that it never waits for one.
    let ids: Vec<u64> = (0..rounds).map(|n| client.send("echo", &json!({"n": n}))).collect();
    for (n, id) in ids.into_iter().enumerate() {
        assert_eq!(client.answer(id).unwrap().get(), format!(r#"{{"n":{n}}}"#));
    }
    let health = run.plugin("p")["health"].clone();
    assert!(health["message"].as_str().unwrap_or_default().contains("flood"), "{health}");
    assert_eq!(run.count(|event| event.is_state("p", "degraded")), 1);
    // What is still to be said of them is said at the latest when it ends.
    run.cli(&["stop", "p"]).code(0);
    let lines =
        |src: &str| run.stored_log("p").iter().filter(|line| line["src"] == src).count() as u64;
    let dropped = || {
        let events = run.events();
        let dropped = events.iter().filter(|event| event.is("log.dropped", "p"));
        dropped.map(|event| event.number("n")).sum::<u64>()
    };
    wait_until("kept and dropped lines are all that were written", || {
        lines("log") + dropped() == rounds * each
    });
    assert!(dropped() > 0, "it was a flood");
    row.witness(format_args!("{} kept, {} dropped and counted", lines("log"), dropped()));
    neighbour.was_not_disturbed(&run, &row);
    drop(client);
    held.are_back();
}

/// Reads nothing any more.
const DEAF: &str = "generation 1 {\n on deaf {\n at deaf\n pause\n }\n}\nserve";

/// So many callers of so much each: more than the queue takes.
const CALLERS: usize = 200;
const EACH: usize = 64 << 10;

#[test]
fn wire_14_a_plugin_that_does_not_read_fills_its_queue_and_no_more() {
    let row = Row::new("WIRE-14");
    // Long enough for all the callers to come.
    let quick = QUICK.replace("300ms", "2s");
    let more = format!("{quick}[calls]\nwhile_restarting = \"fail\"\n");
    row.chaos_with("p", DEAF, &more);
    let run = row.run();
    run.active("p");
    let held = Holds::of(&run);
    let mut client = run.attach("p");
    let deaf = client.send("deaf", &json!({}));
    let pid = row.gates().report("deaf").pid;
    let params = format!(r#"{{"text":"{}"}}"#, "x".repeat(EACH));
    let mut calls: Vec<u64> = (0..4).map(|_| client.send_raw("echo", &params)).collect();
    wait_until("the pipe is full", || unread_input(pid) >= 60 << 10);
    row.witness("the plugin's input pipe is full");
    calls.extend((4..CALLERS).map(|_| client.send_raw("echo", &params)));
    let outcomes: Vec<_> = calls
        .into_iter()
        .map(|id| client.answer(id).unwrap_err())
        .map(|error| (error.code, error.class().to_owned(), error.data["sent"].clone()))
        .collect();
    assert_eq!(client.answer(deaf).unwrap_err().code, -31003);
    let count = |code, class: &str, sent: bool| {
        let fits = |(c, k, s): &&(i64, String, serde_json::Value)| {
            *c == code && k == class && *s == json!(sent)
        };
        outcomes.iter().filter(fits).count()
    };
    let refused = count(-31004, "queue_bytes", false);
    let taken = (8 << 20) / EACH;
    assert!((CALLERS - taken..CALLERS - taken + 8).contains(&refused), "{refused} {outcomes:?}");
    let (begun, unsent) = (count(-31003, "hang", true), count(-31003, "hang", false));
    assert!(begun >= 1, "{outcomes:?}");
    assert_eq!(refused + begun + unsent, CALLERS, "each has one outcome: {outcomes:?}");
    row.note(format_args!("{refused} refused, {begun} begun, {unsent} never sent"));
    assert_eq!(failure(&run, "p"), ("hang".to_owned(), "stdin-blocked".to_owned()));
    run.active_above("p", 1);
    drop(client);
    held.are_back();
}

#[test]
fn wire_14_a_plugin_that_does_not_read_is_stopped_step_by_step() {
    let row = Row::new("WIRE-14");
    row.chaos_with(
        "p",
        DEAF,
        "[stop]\ndrain = \"100ms\"\nshutdown = \"100ms\"\nexit = \"100ms\"\n",
    );
    let run = row.run();
    run.active("p");
    let mut client = run.attach("p");
    let deaf = client.send("deaf", &json!({}));
    let pid = row.gates().report("deaf").pid;
    let params = format!(r#"{{"text":"{}"}}"#, "x".repeat(EACH));
    let calls: Vec<u64> = (0..4).map(|_| client.send_raw("echo", &params)).collect();
    wait_until("the pipe is full", || unread_input(pid) >= 60 << 10);
    row.witness("the plugin's input pipe is full");
    run.cli(&["stop", "p"]).code(0);
    let outcome = client.answer(deaf).unwrap_err();
    assert_eq!(told(&outcome), (-31008, "stop", Some(true)), "{outcome:?}");
    for id in calls {
        let outcome = client.answer(id).unwrap_err();
        assert_eq!((outcome.code, outcome.class()), (-31008, "stop"), "{outcome:?}");
    }
    let stopped = event(&run, "p", "stop.finished");
    let rungs = stopped.member("rungs").as_array().unwrap();
    let names: Vec<&str> = rungs.iter().filter_map(|rung| rung["rung"].as_str()).collect();
    assert_eq!(names, ["drain", "shutdown", "exit", "term"], "{stopped}");
    assert_eq!(stopped.member("exit")["signal"], "SIGTERM", "{stopped}");
}

#[test]
fn wire_15_reading_never_depends_on_writing() {
    let row = Row::new("WIRE-15");
    let script = format!(
        "on write {{\n at ready\n gate go\n \
         say-raw {{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":\"\n say-repeat 1024 {}\n say \"}}\n at wrote\n}}\n\
         on big {{ reply {{\"taken\":\"whole\"}} }}\nserve",
        "x".repeat(1024)
    );
    row.chaos("p", &script);
    let run = row.run();
    run.active("p");
    let mut client = patient(&run, "p");
    let params = format!(r#"{{"text":"{}"}}"#, "y".repeat(4 << 20));
    race(|_| {
        let write = client.send("write", &json!({}));
        let pid = row.gates().report("ready").pid;
        let big = client.send_raw("big", &params);
        wait_until("the request fills the pipe", || unread_input(pid) >= 60 << 10);
        row.gates().open("go");
        assert_eq!(client.answer(write).unwrap().get().len(), (1 << 20) + 2);
        assert_eq!(client.answer(big).unwrap().get(), r#"{"taken":"whole"}"#);
        row.gates().report("wrote");
    });
    row.witness("1 MiB was answered while the input pipe was full of a request of 4 MiB");
    assert_works(&run, "p");
}

#[test]
fn wire_16_a_plugin_that_closes_its_stdin_answers_what_it_took_and_is_replaced() {
    let row = Row::new("WIRE-16");
    let script = "generation 1 {\n on take {\n close 0\n at closed\n gate answer\n reply {\"last\":1}\n at answered\n pause\n }\n}\nserve";
    row.chaos_with(
        "p",
        script,
        "[stop]\ndrain = \"200ms\"\nshutdown = \"100ms\"\nexit = \"100ms\"\n",
    );
    let run = row.run();
    run.active("p");
    let mut client = run.attach("p");
    let taken = client.send("take", &json!({}));
    let pid = row.gates().report("closed").pid;
    row.gates().open("answer");
    assert_eq!(client.answer(taken).unwrap().get(), r#"{"last":1}"#, "the answer is delivered");
    row.gates().report("answered");
    row.witness("the plugin closed its input, and answered the call that it had");
    // The next write meets a pipe that nobody reads: the supervisor lives, and says so.
    let next = client.send("echo", &json!({"n": 1}));
    assert_eq!(failure(&run, "p"), ("protocol".to_owned(), "stdin-closed".to_owned()));
    match client.answer(next) {
        // Nothing of it can have reached the plugin, so the next generation may take it.
        Ok(answer) => assert_eq!(answer.get(), r#"{"n":1}"#),
        Err(error) => assert_eq!((error.code, error.class()), (-31003, "protocol"), "{error:?}"),
    }
    run.active_above("p", 1);
    assert!(Process::of(pid).is_none(), "the old one is gone");
}

#[test]
fn wire_17_a_plugin_that_closes_its_stdout_is_stopped_and_its_callers_are_told() {
    let row = Row::new("WIRE-17");
    let script = "generation 1 {\n on mute { at taken }\n on shut {\n close 1\n at closed\n pause\n }\n}\nserve";
    row.chaos_with("p", script, "[stop]\nshutdown = \"100ms\"\nexit = \"100ms\"\n");
    let run = row.run();
    run.active("p");
    let mut client = run.attach("p");
    let mut calls = vec![client.send("mute", &json!({})), client.send("mute", &json!({}))];
    calls.push(client.send("shut", &json!({})));
    let pid = row.gates().report("closed").pid;
    assert!(Process::of(pid).is_some_and(|process| process.lives()));
    row.witness(format_args!("process {pid} closed its output and lived on"));
    let closed = outboard_tests::clock::Stopwatch::new();
    for id in calls {
        let error = client.answer(id).unwrap_err();
        assert_eq!(told(&error), (-31003, "protocol", Some(true)), "{error:?}");
    }
    row.measured("three callers told", closed.elapsed());
    assert_eq!(failure(&run, "p"), ("protocol".to_owned(), "stdout-closed".to_owned()));
    run.active_above("p", 1);
    assert!(Process::of(pid).is_none(), "stopped, not left behind");
}
