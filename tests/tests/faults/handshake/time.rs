//! Not ready for ever, a supervisor that stood still, and calls that come too early.

use std::time::Duration;

use outboard_tests::clock::{Deadline, Stopwatch, wait_until};
use outboard_tests::fault::{Holds, Row, race};
use outboard_tests::pipes::unread_input;
use outboard_tests::witness::Process;
use serde_json::json;

#[test]
fn hand_07_it_is_never_ready() {
    let row = Row::new("HAND-07");
    let busy = "{\"state\":\"busy\",\"message\":\"indexing, 3 of 900 files\"}";
    let script = format!(
        "on initialize {{ reply {{\"protocolVersion\":1,\"ready\":false}} }}\n\
         on initialized {{\n say {{\"jsonrpc\":\"2.0\",\"method\":\"$$/status\",\"params\":{busy}}}\n at busy\n}}\n\
         on ping {{ reply {busy} }}\non echo {{ at called }}\nserve"
    );
    let more = "[start]\nready_timeout = \"1s\"\n\
                [restart]\nbackoff = { initial = \"5m\", max = \"5m\" }";
    row.chaos_with("geo", &script, more);
    let run = row.run();
    let mut client = run.try_attach("geo", Some(Duration::from_millis(100))).unwrap();
    let began = Stopwatch::new();
    let held = client.send("echo", &json!({}));
    let pid = row.gates().report("busy").pid;
    row.witness("it says busy, and never anything else");
    run.state("geo", "loaded");
    wait_until("status shows the reason", || {
        let shown = run.plugin("geo");
        assert_ne!(shown["state"], "active", "{shown}");
        shown["state"] == "loaded" && shown["health"]["message"] == "indexing, 3 of 900 files"
    });
    assert_eq!(run.plugin("geo")["pid"], pid);
    let ended = client.answer(held).unwrap_err();
    row.measured("a call of 100 ms ended", began.elapsed());
    assert_eq!((ended.code, &ended.data["sent"]), (-31002, &json!(false)), "{ended:?}");

    let failure = run.failure("geo");
    let told = (failure.text("class"), failure.text("detail"));
    assert_eq!(told, ("handshake", "not-ready"), "{failure}");
    assert!(failure.text("message").contains("indexing, 3 of 900 files"), "{failure}");
    run.state("geo", "backoff");
    assert_eq!(run.count(|event| event.is_state("geo", "active")), 0, "never");
    let called = row.gates().report_within("called", Deadline::after(Duration::ZERO));
    assert_eq!(called, None, "nor was anything routed to it");
    assert!(Process::of(pid).is_none_or(|process| !process.lives()));
}

#[test]
fn hand_11_the_answer_lies_in_the_pipe_of_a_supervisor_that_stands_still() {
    race(|round| {
        let row = Row::new("HAND-11");
        let answers = "gate go\n reply {\"protocolVersion\":1}\n at answered\n";
        // One waits for the first byte, the other has it behind it.
        let first = format!("on initialize {{\n at asked\n {answers}}}\nserve");
        row.chaos_with("silent", &first, "[start]\nfirst_byte_timeout = \"500ms\"");
        let begun = format!("on initialize {{\n say hello\n at asked\n {answers}}}\nserve");
        row.chaos_with("begun", &begun, "[start]\nhandshake_timeout = \"500ms\"");
        let run = row.run();
        for _ in 0..2 {
            row.gates().report("asked");
        }
        run.event(|event| event.is("wire.junk", "begun"));
        row.freeze(run.pid);
        row.gates().open_for("go", 2);
        for _ in 0..2 {
            row.gates().report("answered");
        }
        row.witness("both answers were written while the supervisor stood still");
        // A little late is no stall, and time is given back for none: then only what lies in the pipe saves them.
        let stalled = round % 2 == 0;
        let wait = Duration::from_millis(if stalled { 1000 } else { 600 });
        run.signal_after(libc::SIGCONT, wait);
        for id in ["silent", "begun"] {
            run.active(id);
            assert_eq!(run.count(|event| event.is("plugin.failure", id)), 0, "{id}, {round}");
            assert_eq!(run.plugin(id)["generation"], 1);
        }
        let stalls: Vec<u64> = run
            .events()
            .iter()
            .filter(|event| event.event == "clock.stall")
            .map(|event| event.number("ms"))
            .collect();
        assert!(stalls.len() <= 1 && (!stalled || stalls.len() == 1), "one is one: {stalls:?}");
        row.note(format_args!("clock.stall of {stalls:?}ms"));
    });
}

/// Calls with time, calls without, and calls that find the wait full.
const PATIENT: usize = 200;
const HASTY: usize = 56;
const REFUSED: usize = 144;

#[test]
fn hand_12_many_calls_come_while_a_first_start_is_held() {
    let row = Row::new("HAND-12");
    let script = "on initialize {\n at asked\n gate go\n reply {\"protocolVersion\":1}\n}\n\
                  on initialized { at initialized }\non take {\n at took $p.n\n reply {\"n\":$p.n}\n}\nserve";
    row.chaos_with("geo", script, "[calls]\nin_flight = 256\ndeadline = \"10m\"\nconcurrency = 8");
    row.chaos("warm", "serve");
    let run = row.run();
    let pid = row.gates().report("asked").pid;
    run.active("warm");
    let mut warm = run.attach("warm");
    warm.call("echo", &json!({})).unwrap();
    let mut patient = run.attach("geo");
    let mut hasty = run.try_attach("geo", Some(Duration::from_secs(1))).unwrap();
    let holds = Holds::of(&run);
    let unread = unread_input(pid);

    let calls: Vec<u64> = (0..PATIENT).map(|n| patient.send("take", &json!({"n": n}))).collect();
    wait_until("all of them wait", || run.plugin("geo")["in_flight"] == PATIENT);
    let began = Stopwatch::new();
    let soon_over: Vec<u64> = (0..HASTY).map(|_| hasty.send("take", &json!({"n": -1}))).collect();
    wait_until("the wait is full", || run.plugin("geo")["in_flight"] == PATIENT + HASTY);
    let too_many: Vec<u64> = (0..REFUSED).map(|_| hasty.send("take", &json!({"n": -2}))).collect();
    let began_refusing = Stopwatch::new();
    for (number, id) in too_many.into_iter().enumerate() {
        let error = hasty.answer(id).unwrap_err();
        if number == 0 {
            row.measured("the first refusal", began_refusing.elapsed());
        }
        assert_eq!((error.code, error.class()), (-31004, "pending"), "{number}: {error:?}");
        assert_eq!(error.data["sent"], false, "{error:?}");
    }
    for id in soon_over {
        let error = hasty.answer(id).unwrap_err();
        assert_eq!((error.code, &error.data["sent"]), (-31002, &json!(false)), "{error:?}");
    }
    row.measured("the last with a deadline of 1 s ended", began.elapsed());
    assert_eq!(run.plugin("geo")["in_flight"], PATIENT);
    assert_eq!(run.plugin("geo")["state"], "starting");
    assert_eq!(unread_input(pid), unread, "nothing was written to it meanwhile");
    row.witness(format_args!(
        "{} calls came while the script held its answer",
        PATIENT + HASTY + REFUSED
    ));

    row.gates().open("go");
    row.gates().report("initialized");
    for (n, id) in calls.into_iter().enumerate() {
        let took = row.gates().report("took");
        assert_eq!(took.text, n.to_string(), "in the order in which they came");
        assert_eq!(patient.answer(id).unwrap().get(), format!("{{\"n\":{n}}}"));
    }
    assert_eq!(run.plugin("geo")["generation"], 1);
    drop((patient, hasty));
    holds.are_back();
}
