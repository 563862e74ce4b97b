//! CRASH-04: what becomes of calls whose plugin dies.

use outboard_tests::Running;
use outboard_tests::clock::{Stopwatch, wait_until};
use outboard_tests::fault::{Row, race};
use serde_json::{Value, json};

use super::{AT_ONCE, signal};

#[test]
fn crash_04_it_dies_with_calls_in_flight_and_calls_waiting() {
    let row = Row::new("CRASH-04");
    let more = |while_restarting: &str| {
        format!("[calls]\nconcurrency = 20\nwhile_restarting = \"{while_restarting}\"\n{AT_ONCE}")
    };
    row.chaos_with("waits", "on take { at took }\nserve", &more("wait"));
    row.chaos_with("fails", "on take { at took }\nserve", &more("fail"));
    let swallow = "generation 1 {\n on twice { at took }\n}\ngeneration 2- {\n on twice { reply $params }\n}\ngeneration 1-2 {\n on both { at took }\n}";
    let script = format!("{swallow}\non plain {{ at took }}\nserve");
    let again = "concurrency = 20\nidempotent = [\"twice\", \"both\"]\n";
    row.chaos_with("again", &script, &format!("[calls]\n{again}{AT_ONCE}"));
    let run = row.run();
    let mut generation = [0, 0];
    race(|round| {
        for (at, id) in ["waits", "fails"].into_iter().enumerate() {
            generation[at] = run.active_above(id, generation[at]).generation;
            let mut client = run.attach(id);
            let sent: Vec<u64> = (0..20).map(|_| client.send("take", &json!({}))).collect();
            let pid = (0..20).map(|_| row.gates().report("took").pid).last().unwrap();
            let waiting: Vec<u64> =
                (0..20).map(|n| client.send("echo", &json!({"round": round, "n": n}))).collect();
            wait_until("all are accepted", || run.plugin(id)["in_flight"] == 40);
            let killed = Stopwatch::new();
            signal(&row, pid, libc::SIGKILL);
            for call in sent {
                let error = client.answer(call).unwrap_err();
                assert_eq!((error.code, error.class()), (-31003, "signal"), "{id}: {error:?}");
                assert_eq!(error.data["sent"], true, "{id}: {error:?}");
                assert_eq!(error.data["generation"], generation[at], "{id}: {error:?}");
            }
            if round == 0 {
                row.measured(&format!("20 callers of `{id}` told"), killed.elapsed());
            }
            for (n, call) in waiting.into_iter().enumerate() {
                match (id, client.answer(call)) {
                    ("waits", Ok(result)) => {
                        let result: Value = serde_json::from_str(result.get()).unwrap();
                        assert_eq!(result, json!({"round": round, "n": n}));
                    }
                    ("fails", Err(error)) => {
                        assert_eq!(error.data["sent"], false, "{error:?}");
                        assert_eq!(error.data["retryable"], true, "{error:?}");
                    }
                    (_, outcome) => panic!("{id}: {outcome:?}"),
                }
            }
        }
    });
    replayed_at_most_once(&row, &run);
    row.witness("20 calls were reported by the plugin, and 40 were open when it was killed");
}

/// Of 20 calls in flight 10 may be made twice and are answered then, 5 may be made twice and die of it again, and 5 may
/// not. 20 more wait.
fn replayed_at_most_once(row: &Row, run: &Running<'_>) {
    run.active("again");
    let mut client = run.attach("again");
    let method = |n| match n {
        0..10 => "twice",
        10..15 => "both",
        _ => "plain",
    };
    let sent: Vec<u64> = (0..20).map(|n| client.send(method(n), &json!({"n": n}))).collect();
    let first = (0..20).map(|_| row.gates().report("took")).last().unwrap();
    let waiting: Vec<u64> = (0..20).map(|n| client.send("echo", &json!({"n": n}))).collect();
    wait_until("all are accepted", || run.plugin("again")["in_flight"] == 40);
    signal(row, first.pid, libc::SIGKILL);
    for call in &sent[15..] {
        let error = client.answer(*call).unwrap_err();
        assert_eq!((error.code, error.class()), (-31003, "signal"), "{error:?}");
        let told = json!([error.data["sent"], error.data["retryable"], error.data["attempt"]]);
        assert_eq!(told, json!([true, false, 1]), "{error:?}");
    }
    let kept = run.event(|event| event.is("call.kept_for_replay", "again"));
    assert_eq!((kept.number("n"), kept.generation), (15, 1));
    // The next run has them again, before what was never written.
    let second = (0..5).map(|_| row.gates().report("took")).last().unwrap();
    assert_eq!(second.generation, 2);
    for (n, call) in sent[..10].iter().enumerate() {
        let result = client.answer(*call).unwrap_or_else(|error| panic!("call {n}: {error:?}"));
        assert_eq!(result.get(), json!({"n": n}).to_string(), "answered by the second run");
    }
    for (n, call) in waiting.into_iter().enumerate() {
        assert_eq!(client.answer(call).unwrap().get(), json!({"n": n}).to_string());
    }
    signal(row, second.pid, libc::SIGKILL);
    for call in &sent[10..15] {
        let error = client.answer(*call).unwrap_err();
        assert_eq!((error.code, error.class()), (-31003, "signal"), "{error:?}");
        let told = json!([error.data["sent"], error.data["retryable"], error.data["attempt"]]);
        assert_eq!(told, json!([true, true, 2]), "{error:?}");
    }
    run.active_above("again", 2);
    wait_until("nothing is open", || run.plugin("again")["in_flight"] == 0);
    row.witness("the plugin reported 15 calls that may be made twice, and 5 of them a second time");
}
