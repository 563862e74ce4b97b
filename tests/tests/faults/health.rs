//! HEALTH: alive, busy, deaf, stopped; and a host that stands still.

use std::time::Duration;

use outboard_tests::clock::{Deadline, Stopwatch};
use outboard_tests::fault::Row;
use outboard_tests::{Event, Running, World};
use serde_json::{Value, json};

/// Probes so close together that a hang is judged within a second, and work excuses it no longer than that.
const QUICK: &str = "[health]\ninterval = \"200ms\"\ntimeout = \"200ms\"\nmisses = 3\n\
                     suspect_interval = \"50ms\"\nbusy_cap = \"300ms\"\n";

/// Waits until a plugin is active, or has failed: whichever comes first.
#[track_caller]
fn assert_becomes_active(run: &Running<'_>, id: &str) {
    let first = run.event(|event| event.is_state(id, "active") || event.is("plugin.failure", id));
    assert_eq!(first.event, "plugin.state", "{first}");
}

/// Asserts what a plugin's first failure was, and that the next generation is up under the same budget.
#[track_caller]
fn assert_hung(run: &Running<'_>, id: &str, detail: &str) -> Event {
    let failure = run.failure(id);
    assert_eq!((failure.text("class"), failure.text("detail")), ("hang", detail), "{failure}");
    run.active_above(id, 1);
    let row = run.plugin(id);
    assert_eq!(json!([row["generation"], row["restarts"]]), json!([2, 1]), "{row}");
    failure
}

/// Asserts that nothing was missed, and nothing failed.
#[track_caller]
fn assert_unhurt(run: &Running<'_>, id: &str) {
    let row = run.plugin(id);
    assert_eq!(
        json!([row["state"], row["generation"], row["restarts"], row["last_failure"]]),
        json!(["active", 1, 0, null]),
        "{row}"
    );
    let hurt = |name: &str| run.count(|event| event.is(name, id));
    assert_eq!([hurt("plugin.failure"), hurt("plugin.exited")], [0, 0]);
}

#[test]
fn health_01_a_plugin_that_falls_silent_is_judged_after_its_misses_and_replaced() {
    let row = Row::new("HEALTH-01");
    let script = "generation 1 {\n defer fall {\n at silent\n pause\n }\n}\nserve";
    row.chaos_with("p", script, QUICK);
    let run = row.run();
    run.active("p");
    row.gates().open("fall");
    row.gates().report("silent");
    row.witness("the plugin said that it falls silent, and sleeps");
    let failure = assert_hung(&run, "p", "no-answer");
    let message = failure.text("message");
    assert!(message.starts_with("3 probes"), "{message}");
    assert!(message.ends_with("its process is sleeping"), "what it was doing: {message}");
    let missed = run.events();
    let missed = missed.iter().filter(|event| event.is("probe.missed", "p"));
    let missed: Vec<u64> = missed.map(|event| event.number("misses")).collect();
    assert_eq!(missed, [1, 2, 3]);
    assert!(run.cli(&["why", "p"]).code(0).stdout.contains("sleeping"));
}

#[test]
fn health_01_callers_of_a_plugin_that_falls_silent_are_told() {
    let row = Row::new("HEALTH-01");
    let script = "generation 1 {\n on fall {\n at silent\n pause\n }\n}\nserve";
    row.chaos_with("p", script, QUICK);
    let run = row.run();
    run.active("p");
    let mut client = run.attach("p");
    let calls = [client.send("fall", &json!({})), client.send("echo", &json!({}))];
    row.gates().report("silent");
    row.witness("the plugin took a call, and sleeps");
    for call in calls {
        let error = client.answer(call).unwrap_err();
        assert_eq!((error.code, error.class()), (-31003, "hang"), "{error:?}");
        assert_eq!(error.data["sent"], true, "{error:?}");
    }
    // Work excuses silence up to `busy_cap`, which was over before the first miss.
    assert_hung(&run, "p", "no-answer");
}

/// A call that keeps its plugin from everything else, longer than silence is excused otherwise.
const LONG_CALL: Duration = Duration::from_millis(1500);

/// The plugin is at work in `work`: not judged before that call's deadline, and then it is.
fn busy_until_its_deadline(row: &Row, script: &str, doing: &str) {
    row.chaos_with("p", script, QUICK);
    let run = row.run();
    run.active("p");
    let mut client = run.try_attach("p", Some(LONG_CALL)).unwrap();
    let call = client.send("work", &json!({}));
    row.gates().report("working");
    let excused = run.event(|event| event.is("probe.excused", "p"));
    row.witness(format_args!("a probe was unanswered for {} ms", excused.number("silent_ms")));
    let busy = run.event(|event| event.is("health.changed", "p") && event.text("to") == "busy");
    let outcome = client.answer(call).unwrap_err();
    assert_eq!((outcome.code, outcome.class()), (-31002, "in_flight"), "its own: {outcome:?}");
    let failure = assert_hung(&run, "p", "busy-too-long");
    assert!(failure.text("message").ends_with(doing), "{failure}");
    assert!(busy.seq < failure.seq);
    let left = run.events().into_iter().find(|event| {
        event.is("plugin.state", "p") && event.generation == 1 && event.text("from") == "active"
    });
    assert_eq!(left.unwrap().text("to"), "stopping", "busy is active until it is judged");
}

#[test]
fn health_02_a_busy_plugin_is_not_killed_before_its_calls_deadline() {
    let row = Row::new("HEALTH-02");
    let script = "generation 1 {\n on work {\n at working\n pause\n }\n}\nserve";
    busy_until_its_deadline(&row, script, "its process is sleeping");
}

#[test]
fn health_02_cpu_time_alone_excuses_no_more_than_that() {
    let row = Row::new("HEALTH-02");
    let script = "generation 1 {\n on work {\n at working\n spin\n }\n}\nserve";
    busy_until_its_deadline(&row, script, "its process is running");
}

#[test]
fn health_02_progress_is_a_sign_of_life() {
    let row = Row::new("HEALTH-02");
    let script = r#"on work {
                      at working
                      loop 200 {
                        gate on
                        say {"jsonrpc":"2.0","method":"$$/progress","params":{"token":$id,"value":$n}}
                        at progressed
                      }
                      reply {}
                    }
                    serve"#;
    row.chaos_with("p", script, &QUICK.replace("300ms", "1s"));
    let run = row.run();
    run.active("p");
    let mut client = run.attach("p");
    let call = client.send("work", &json!({}));
    row.gates().report("working");
    let began = Stopwatch::new();
    let mut seen = 0;
    let mut rounds = 0;
    // Longer than silence is excused.
    while began.elapsed() < Duration::from_millis(1500) {
        let excused = run.event_after(seen, |event| event.is("probe.excused", "p"));
        assert!(excused.number("silent_ms") < 1000, "{excused}");
        seen = excused.seq;
        rounds += 1;
        row.gates().open("on");
        row.gates().report("progressed");
    }
    row.witness(format_args!("{rounds} probes were unanswered beside one call"));
    row.gates().open_for("on", 200 - rounds);
    client.answer(call).unwrap();
    assert_unhurt(&run, "p");
    assert_eq!(run.count(|event| event.is("probe.missed", "p")), 0);
}

#[test]
fn health_03_a_probe_that_is_answered_with_an_error_is_answered() {
    let row = Row::new("HEALTH-03");
    let errors = [(-32601, "method not found"), (-32600, "invalid"), (-32603, "not supported")];
    // Where no answer counts, the start is over soon.
    let more = format!("[start]\nready_timeout = \"1s\"\n{QUICK}");
    let ids = ["a", "b", "c"];
    for (id, (code, message)) in ids.iter().zip(errors) {
        let script =
            format!("on ping {{\n at pinged $pid\n reply-error {code} {message}\n}}\nserve");
        row.chaos_with(id, &script, &more);
    }
    let run = row.run();
    for id in ids {
        assert_becomes_active(&run, id);
    }
    const ROUNDS: usize = 100;
    for _ in 0..ROUNDS {
        run.control("health", &json!({"ids": ids})).unwrap();
    }
    let mut pings = 0;
    while row.gates().report_within("pinged", Deadline::after(Duration::ZERO)).is_some() {
        pings += 1;
    }
    assert!(pings >= ids.len() * ROUNDS, "{pings}");
    row.witness(format_args!("{pings} pings were refused"));
    for id in ids {
        assert_unhurt(&run, id);
        assert_eq!(run.count(|event| event.is("probe.missed", id)), 0);
    }
}

#[test]
fn health_04_a_probe_that_is_dropped_is_followed_by_the_other_kind_which_is_kept() {
    let row = Row::new("HEALTH-04");
    let script = "on ping { at pinged $generation }\non $/probe {\n at probed\n reply {}\n}\nserve";
    row.chaos_with("p", script, &format!("[start]\nready_timeout = \"5s\"\n{QUICK}"));
    let run = row.run();
    assert_becomes_active(&run, "p");
    row.gates().report("pinged");
    row.gates().report("probed");
    row.witness("the plugin saw a ping, dropped it, and answered the probe after it");
    // Those that it is sent at its interval, not those that are asked for.
    for _ in 0..3 {
        row.gates().report("probed");
    }
    assert_unhurt(&run, "p");
    run.cli(&["restart", "p"]).code(0);
    for _ in 0..3 {
        row.gates().report("probed");
    }
    let pinged = |row: &Row| row.gates().report_within("pinged", Deadline::after(Duration::ZERO));
    assert_eq!(pinged(&row), None, "what it answers is kept, over a restart too");
    assert_eq!(run.count(|event| event.is("plugin.failure", "p")), 0);
}

#[test]
fn health_04_answers_to_calls_are_signs_of_life_where_no_probe_is_answered() {
    let row = Row::new("HEALTH-04");
    // Deaf to both kinds once it is up.
    let script =
        "on deafen {\n on ping { at dropped }\n on $/probe { at dropped }\n reply {}\n}\nserve";
    row.chaos_with("p", script, &QUICK.replace("200ms", "500ms"));
    let run = row.run();
    run.active("p");
    let mut client = run.attach("p");
    client.call("deafen", &json!({})).unwrap();
    // As many as may be without an answer at a time.
    const PROBES: usize = 3;
    for n in 0..PROBES {
        row.gates().report("dropped");
        assert_eq!(client.call("echo", &json!({"n": n})).unwrap(), json!({"n": n}));
    }
    row.witness(format_args!("{PROBES} probes were dropped, each before an answer to a call"));
    assert_unhurt(&run, "p");
}

#[test]
fn health_06_a_supervisor_that_was_stopped_blames_nobody() {
    let row = Row::new("HEALTH-06");
    let ids: Vec<String> = (0..200).map(|n| format!("p{n}")).collect();
    let quick = "[health]\ninterval = \"1s\"\ntimeout = \"500ms\"\nmisses = 3\nsuspect_interval = \"200ms\"\n";
    for id in &ids {
        row.chaos_with(id, "serve", quick);
    }
    let run = row.run();
    for id in &ids {
        run.active(id);
    }
    let stopped = run.signal(libc::SIGSTOP);
    let span = Duration::from_secs(3);
    let continued = World::witness(&row).signal_after(run.pid, libc::SIGCONT, span).get();
    let stood = Duration::from_micros(continued.at_us - stopped.at_us);
    assert!(stood >= span, "by the witness' clock");
    row.witness(format_args!("it stood still for {stood:.1?}, three times its probes' interval"));
    for id in &ids {
        assert_eq!(run.call(id, "echo", &json!({"id": id})).unwrap(), json!({"id": id}));
    }
    // A restart, whose events come behind all others, shows that everything was said by then.
    run.control("restart", &json!({"ids": ["p0"]})).unwrap();
    run.active_above("p0", 1);
    let events = run.events();
    let hurt = |name: &str| events.iter().filter(|event| event.event == name).count();
    assert_eq!([hurt("plugin.failure"), hurt("probe.missed"), hurt("plugin.exited")], [0, 0, 1]);
    let stalls: Vec<u64> = events
        .iter()
        .filter(|event| event.event == "clock.stall")
        .map(|event| event.number("ms"))
        .filter(|ms| *ms >= 1000)
        .collect();
    assert_eq!(stalls.len(), 1, "told once: {stalls:?}");
    let status = run.status();
    let fine =
        |plugin: &&Value| plugin["state"] == "active" && plugin["restarts"].as_u64() <= Some(1);
    assert_eq!(status["plugins"].as_array().unwrap().iter().filter(fine).count(), ids.len());
}

#[test]
fn health_07_a_plugin_that_somebody_stopped_is_told_apart_and_killed() {
    let row = Row::new("HEALTH-07");
    row.chaos_with("p", "serve", QUICK);
    let run = row.run();
    run.active("p");
    let pid = run.plugin_pid("p");
    row.freeze(pid);
    row.witness(format_args!("process {pid} is stopped by a signal"));
    let mut client = run.try_attach("p", Some(Duration::from_millis(100))).unwrap();
    let outcome = client.call("echo", &json!({})).unwrap_err();
    assert_eq!((outcome.code, outcome.class()), (-31002, "in_flight"), "{outcome:?}");
    let failure = assert_hung(&run, "p", "stopped-by-signal");
    let missed = run.event(|event| event.is("probe.missed", "p"));
    assert!(missed.seq < failure.seq);
    let below = World::witness(&row).below();
    assert!(below.iter().all(|process| process.pid != pid), "the old one is gone");
    let rungs: Vec<String> = run
        .events()
        .iter()
        .filter(|event| event.is("stop.rung", "p"))
        .map(|event| event.text("rung").to_owned())
        .collect();
    assert_eq!(rungs, ["kill"], "it can take nothing else");
    assert_eq!(run.call("p", "echo", &json!({})).unwrap(), json!({}));
    let why = run.cli(&["why", "p"]).code(0).stdout;
    assert!(why.contains("stopped by a signal") && why.contains("class hang"), "{why}");
}
