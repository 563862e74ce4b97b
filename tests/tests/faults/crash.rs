//! CRASH: plugins that end when nobody asked them to.

mod calls;

use std::fs;

use outboard_tests::clock::{Stopwatch, wait_until};
use outboard_tests::fault::{Row, race};
use outboard_tests::runtimes::bin;
use outboard_tests::world::toml_list;
use outboard_tests::{Event, Process, Running, World};
use serde_json::{Value, json};

/// Down for good after the first crash, so that what is said of it stays there to be looked at.
const DOWN: &str = "[restart]\nbackoff = { initial = \"10m\", max = \"10m\" }\n";

/// Up again at once, as often as it takes.
const AT_ONCE: &str = "[restart]\nbackoff = { initial = \"1ms\", max = \"1ms\" }\n\
    budget = { restarts = 100000, within = \"5m\" }\n";

/// Everything that `why` knows of a plugin's last failure.
fn dossier(run: &Running<'_>, id: &str) -> Value {
    run.cli(&["why", id, "--json"]).code(0).json()["dossier"].clone()
}

fn signal(world: &World, pid: u32, signal: i32) {
    world.witness().signal(pid, signal);
}

fn spawns(run: &Running<'_>, id: &str) -> Vec<Event> {
    let mut events = run.events();
    events.retain(|event| event.is("plugin.spawned", id));
    events
}

/// That it gave up, or was spawned as this generation instead.
fn failed_or_spawned(run: &Running<'_>, id: &str, generation: u64) -> Event {
    run.event(|event| {
        let spawned = event.is("plugin.spawned", id) && event.generation >= generation;
        spawned || event.is_state(id, "failed")
    })
}

#[test]
fn crash_01_a_signal_ends_it() {
    let row = Row::new("CRASH-01");
    const SIGNALS: [&str; 5] = ["SEGV", "ABRT", "BUS", "ILL", "FPE"];
    let id = |signal: &str| signal.to_lowercase();
    for signal in SIGNALS {
        row.chaos_with(&id(signal), "err the last words\nserve", DOWN);
    }
    row.chaos_with("killed", "err the last words\non take { at took }\nserve", DOWN);
    let run = row.run();
    for signal in SIGNALS {
        run.active(&id(signal));
        // What the kernel does here with a core of such a process, as one says who is not outboard.
        let chaos = bin("outboard-chaos").display().to_string();
        let reference = row.finish(row.spawn(vec![chaos, "-c".into(), format!("raise {signal}")]));
        let mut client = run.attach(&id(signal));
        let sent = Stopwatch::new();
        let error = client.call("crash", &json!({"signal": signal})).unwrap_err();
        row.measured(signal, sent.elapsed());
        ended_by(&run, &id(signal), &format!("SIG{signal}"), reference.ended.core, &error);
    }
    run.active("killed");
    let mut client = run.attach("killed");
    let call = client.send("take", &json!({}));
    let pid = row.gates().report("took").pid;
    signal(&row, pid, libc::SIGKILL);
    let error = client.answer(call).unwrap_err();
    ended_by(&run, "killed", "SIGKILL", false, &error);
    row.witness(
        "each caller was told the signal, and the kernel's core flag is that of a reference run",
    );
}

/// Asserts what must be known of a plugin that a signal has ended, with one call in flight.
fn ended_by(
    run: &Running<'_>,
    id: &str,
    signal: &str,
    core: bool,
    error: &outboard_tests::CallError,
) {
    assert_eq!((error.code, error.class()), (-31003, "signal"), "{error:?}");
    assert_eq!(error.data["sent"], true, "{error:?}");
    assert_eq!(error.data["exit"]["signal"], signal, "{error:?}");
    assert!(error.data["stderr"].to_string().contains("the last words"), "{error:?}");
    let failure = run.failure(id);
    assert_eq!((failure.text("class"), failure.text("detail")), ("signal", signal), "{failure}");
    let why = run.control("why", &json!({"id": id})).unwrap();
    let frames = why["dossier"]["frames"].as_array().unwrap();
    let of =
        |direction: &str| frames.iter().rfind(|frame| frame["direction"] == direction).unwrap();
    let (sent, read) = (of("to")["text"].as_str().unwrap(), of("from")["text"].as_str().unwrap());
    assert!(sent.starts_with("crash{") || sent.starts_with("take{"), "the last word to it: {sent}");
    assert!(read.contains("protocolVersion"), "its own last word, its opening: {read}");
    assert_eq!(failure.member("exit"), &json!({"signal": signal, "core": core}), "{failure}");
    run.state(id, "backoff");
    let row = run.plugin(id);
    assert_eq!(json!([row["state"], row["pid"]]), json!(["backoff", null]), "{row}");
    let dossier = dossier(run, id);
    assert_eq!(dossier["stderr"], json!(["the last words"]), "{dossier}");
    assert_eq!(dossier["lost_total"], 1, "{dossier}");
    assert!(dossier["cpu_ms"].is_u64() && dossier["peak_kib"].as_u64() > Some(0), "{dossier}");
    let names: Vec<&str> = dossier["timeline"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|e| e["event"].as_str())
        .collect();
    for name in ["plugin.spawned", "plugin.opened", "plugin.exited", "plugin.failure"] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
}

#[test]
fn crash_02_a_kill_by_hand_is_not_taken_for_one_by_memory() {
    let row = Row::new("CRASH-02");
    row.chaos_with("greedy", "alloc 64M\nserve", DOWN);
    let run = row.run();
    run.active("greedy");
    signal(&row, run.plugin_pid("greedy"), libc::SIGKILL);
    let failure = run.failure("greedy");
    assert_eq!((failure.text("class"), failure.text("detail")), ("signal", "SIGKILL"), "{failure}");
    assert!(!run.cli(&["why", "greedy"]).code(0).stdout.contains("memory"));
    run.state("greedy", "backoff");
    let peak = dossier(&run, "greedy")["peak_kib"].as_u64().unwrap();
    assert!(peak >= 64 * 1024, "{peak} KiB");
    row.witness("it held 64 MiB, as the kernel's account shows, and was killed by hand");
}

#[test]
fn crash_03_an_exit_code_is_told_and_explained() {
    let row = Row::new("CRASH-03");
    const CODES: [i64; 6] = [0, 1, 126, 127, 137, 143];
    let direct = |code: i64| format!("direct-{code}");
    let wrapper = |code: i64| format!("wrapped-{code}");
    for code in CODES {
        row.chaos_with(&direct(code), "serve", DOWN);
        row.chaos_wrapped(&wrapper(code), "serve", "{}; exit $$?", DOWN);
    }
    row.chaos_with("finishes", "serve", "[restart]\npolicy = \"on-failure\"\n");
    let plain = row.folder().join("not-executable");
    fs::write(&plain, "").unwrap();
    let shell = |id: &str, line: &str| {
        let command = toml_list(&["sh", "-c", line]);
        row.manifest(id, &format!("[process]\ncommand = {command}\n{DOWN}"));
    };
    shell("absent", "no-such-program-anywhere; exit $$?");
    shell("closed", &format!("{}; exit $$?", plain.display()));
    let run = row.run();
    for code in CODES {
        for id in [direct(code), wrapper(code)] {
            run.active(&id);
            // The shell says 128 and the number of the signal that has ended what it ran.
            let (method, params) = match code {
                137 if id == wrapper(code) => ("crash", json!({"signal": "KILL"})),
                143 if id == wrapper(code) => ("crash", json!({"signal": "TERM"})),
                _ => ("quit", json!({"code": code})),
            };
            let error = run.call(&id, method, &params).unwrap_err();
            assert_eq!((error.code, error.class()), (-31003, "exit"), "{id}: {error:?}");
            let failure = run.failure(&id);
            assert_eq!(failure.text("class"), "exit", "0 too, when nobody asked: {failure}");
            assert_eq!(failure.text("detail"), "unasked", "{failure}");
            assert_eq!(failure.member("exit"), &json!({"code": code}), "{failure}");
            explained(&run, &failure, code);
            run.state(&id, "backoff");
        }
    }
    for (id, code) in [("absent", 127), ("closed", 126)] {
        let failure = run.failure(id);
        assert_eq!(failure.text("detail"), "before-handshake", "{failure}");
        assert_eq!(failure.member("exit"), &json!({"code": code}), "{failure}");
        explained(&run, &failure, code);
    }
    run.active("finishes");
    run.call("finishes", "quit", &json!({"code": 0})).unwrap_err();
    let rests = run.event(|event| event.is_state("finishes", "registered"));
    assert_eq!(rests.text("reason"), "finished, exit 0", "{rests}");
    assert_eq!(run.plugin("finishes")["note"], "finished, exit 0");
    assert_eq!(run.count(|event| event.is("plugin.failure", "finishes")), 0);
    assert_eq!(spawns(&run, "finishes").len(), 1, "it is not started again");
    row.witness("every code is in the event's `exit`, as the keeper's wait told it");
}

/// Asserts that a code which means something by custom comes with its meaning, in the event and in `why`, and that
/// others are left alone.
fn explained(run: &Running<'_>, failure: &Event, code: i64) {
    let meaning = match code {
        126 => "cannot execute",
        127 => "finds no such command",
        137 => "SIGKILL",
        143 => "SIGTERM",
        _ => {
            assert!(!failure.text("message").contains("shell"), "{failure}");
            return;
        }
    };
    let id = failure.plugin.as_deref().unwrap();
    let why = run.cli(&["why", id]).code(0).stdout;
    for text in [failure.text("message"), &why] {
        assert!(text.contains("shell") && text.contains(meaning), "{id}, {code}: {text}");
    }
}

#[test]
fn crash_05_its_last_reply_is_delivered_before_its_end_is_told() {
    let row = Row::new("CRASH-05");
    let script = "on last {\n at last\n gate die\n reply \"made it\"\n exit 1\n}\nserve";
    row.chaos_with("geo", script, AT_ONCE);
    let run = row.run();
    race(|round| {
        run.active_above("geo", round.into());
        let mut client = run.attach("geo");
        let call = client.send("last", &json!({}));
        let plugin = Process::of(row.gates().report("last").pid).unwrap();
        // What it writes from here on is read only after it has ended.
        row.freeze(run.pid);
        row.gates().open("die");
        wait_until("it has ended", || !plugin.lives());
        signal(&row, run.pid, libc::SIGCONT);
        let answer = client.answer(call).map(|result| result.get().to_owned());
        assert_eq!(answer.as_deref(), Ok("\"made it\""));
        let generation = u64::from(round) + 1;
        let failure =
            run.event(|event| event.is("plugin.failure", "geo") && event.generation == generation);
        assert_eq!(failure.member("exit"), &json!({"code": 1}), "{failure}");
    });
    row.witness("the supervisor stood still from before the reply until after the end");
}

/// The end is what the kernel tells first here, and the reply, which a child has written, what it tells last.
#[test]
fn crash_05_what_lies_in_the_pipe_counts_also_when_the_end_is_heard_first() {
    let row = Row::new("CRASH-05");
    let script = "on last {\n fork {\n  gate speak\n  reply \"made it\"\n  at spoke\n  pause\n }\n \
        at last\n gate die\n exit 1\n}\nserve";
    row.chaos_with("geo", script, AT_ONCE);
    let run = row.run();
    race(|round| {
        run.active_above("geo", round.into());
        let mut client = run.attach("geo");
        let call = client.send("last", &json!({}));
        let plugin = Process::of(row.gates().report("last").pid).unwrap();
        let keeper = run.keeper_pid();
        row.freeze(run.pid);
        row.gates().open("die");
        wait_until("it has ended", || !plugin.lives());
        // The keeper has told it, too, and leaves the child its half second.
        row.freeze(keeper);
        row.gates().open("speak");
        row.gates().report("spoke");
        signal(&row, run.pid, libc::SIGCONT);
        signal(&row, keeper, libc::SIGCONT);
        let answer = client.answer(call).map(|result| result.get().to_owned());
        assert_eq!(answer.as_deref(), Ok("\"made it\""));
    });
    row.witness("the child reported its reply after the end of its leader, and both before the supervisor looked");
}

#[test]
fn crash_06_a_crash_loop_is_given_up_and_then_tried_carefully() {
    let row = Row::new("CRASH-06");
    let script = "generation 1-4 {\n err no luck in $generation\n exit 1\n}\n\
        at careful\ngate open\nserve";
    let more = "[restart]\nbackoff = { initial = \"1ms\", max = \"2ms\" }\n\
        budget = { restarts = 3, within = \"5m\" }\n\
        retry_after = { initial = \"300ms\", max = \"300ms\" }\n";
    row.chaos_with("geo", script, more);
    let run = row.run();
    let failed = failed_or_spawned(&run, "geo", 5);
    assert!(failed.is_state("geo", "failed"), "budget + 1: {failed}");
    let before = spawns(&run, "geo").iter().filter(|event| event.seq < failed.seq).count();
    assert_eq!(before, 4);
    let gave_up = run.event(|event| event.is("restart.gave_up", "geo"));
    assert_eq!((gave_up.number("restarts"), gave_up.number("retry_after_ms")), (3, 300));
    let text = run.cli(&["why", "geo"]).code(0).stdout;
    assert!(text.contains("4 times") && text.contains("all 4 ended like this"), "{text}");
    let dossier = dossier(&run, "geo");
    let tries: Vec<u64> = dossier["earlier"]
        .as_array()
        .unwrap()
        .iter()
        .chain([&dossier["failure"]])
        .filter_map(|failure| failure["generation"].as_u64())
        .collect();
    assert_eq!(tries, [1, 2, 3, 4], "{dossier}");
    // The careful try: alone, and calls flow only once it has answered a probe.
    row.gates().report("careful");
    run.event(|event| event.is("plugin.spawned", "geo") && event.generation == 5);
    assert_eq!(spawns(&run, "geo").len(), 5);
    let mut client = run.attach("geo");
    let call = client.send("echo", &json!({"patient": 1}));
    wait_until("the call waits", || run.plugin("geo")["in_flight"] == 1);
    row.gates().open("open");
    run.active("geo");
    assert_eq!(client.answer(call).unwrap().get(), "{\"patient\":1}");
    row.witness("four processes were spawned, and each ended with code 1");
}

#[test]
fn crash_07_a_good_handshake_does_not_give_the_budget_back() {
    let row = Row::new("CRASH-07");
    let more = "[restart]\nbackoff = { initial = \"1ms\", max = \"1ms\" }\n\
        budget = { restarts = 2, within = \"5m\" }\nreset_after = \"10m\"\nretry_after = \"never\"\n";
    row.chaos_with("geo", "serve", more);
    let run = row.run();
    for generation in 0..3 {
        run.active_above("geo", generation);
        let error = run.call("geo", "quit", &json!({"code": 0})).unwrap_err();
        assert_eq!(error.data["exit"]["code"], 0, "{error:?}");
    }
    let failed = failed_or_spawned(&run, "geo", 4);
    assert!(failed.is_state("geo", "failed"), "budget + 1: {failed}");
    assert_eq!(spawns(&run, "geo").len(), 3, "each of them was active");
    assert_eq!(run.count(|event| event.is_state("geo", "active")), 3);
    assert_eq!(run.plugin("geo")["next_try_ms"], Value::Null);
    run.cli(&["start", "geo"]).code(0);
    assert_eq!(run.call("geo", "echo", &json!({})).unwrap(), json!({}), "by hand it comes again");
    row.witness("three generations were active, and each ended with code 0 because it was told to");
}

#[test]
fn crash_08_commands_in_backoff_replace_the_pending_try() {
    let row = Row::new("CRASH-08");
    let script = "generation 1 { exit 1 }\nserve";
    for id in ["started", "stopped", "reloaded"] {
        row.chaos_with(id, script, DOWN);
    }
    let run = row.run();
    for id in ["started", "stopped", "reloaded"] {
        run.state(id, "backoff");
        assert_eq!(run.plugin(id)["restarts"], 1);
    }
    run.cli(&["start", "started"]).code(0);
    assert_eq!(run.plugin("started")["state"], "active");
    run.cli(&["stop", "stopped"]).code(0);
    let stopped = run.plugin("stopped");
    assert_eq!(
        json!([stopped["state"], stopped["wanted"], stopped["next_try_ms"]]),
        json!(["registered", "down", null]),
        "{stopped}"
    );
    row.chaos_with("reloaded", script, &format!("{DOWN}[config]\nunits = \"metric\"\n"));
    run.signal(libc::SIGHUP);
    run.active("reloaded");
    let counts = ["started", "stopped", "reloaded"].map(|id| spawns(&run, id).len());
    assert_eq!(counts, [2, 1, 2], "once and now; never; once and now");
    row.witness("all three were in `backoff` for ten minutes when the commands came");
}

#[test]
fn crash_09_it_ends_by_itself_while_it_is_being_stopped() {
    let row = Row::new("CRASH-09");
    let script = "on take {\n at took\n gate die\n exit 3\n}\nserve";
    row.chaos_with("geo", script, "[stop]\ndrain = \"10m\"\n");
    let run = row.run();
    race(|_| {
        run.control("start", &json!({"ids": ["geo"]})).unwrap();
        let generation = run.plugin("geo")["generation"].as_u64().unwrap();
        let mut client = run.attach("geo");
        let call = client.send("take", &json!({}));
        let plugin = Process::of(row.gates().report("took").pid).unwrap();
        run.control("stop", &json!({"ids": ["geo"], "wait": false})).unwrap();
        run.event(|event| event.is("stop.rung", "geo") && event.generation == generation);
        // The end of the drain is decided on both: that it was asked, and that it has gone.
        row.freeze(run.pid);
        row.gates().open("die");
        wait_until("it has ended", || !plugin.lives());
        signal(&row, run.pid, libc::SIGCONT);
        let of_it =
            |event: &Event| event.is("stop.finished", "geo") && event.generation == generation;
        let stop = run.event(of_it);
        assert_eq!(stop.member("exit"), &json!({"code": 3}), "{stop}");
        assert_eq!(stop.member("by_itself"), true, "{stop}");
        let rungs = stop.member("rungs").as_array().unwrap();
        assert!(rungs.iter().all(|rung| rung["rung"] == "drain"), "no signal: {stop}");
        let error = client.answer(call).unwrap_err();
        assert_eq!((error.code, error.class()), (-31003, "exit"), "{error:?}");
        let row = run.plugin("geo");
        assert_eq!(json!([row["state"], row["generation"]]), json!(["registered", generation]));
    });
    let text = run.cli(&["events"]).code(0).stdout;
    assert!(text.contains("ended by itself, exit 3"), "{text}");
    row.witness("it ended with the code of its script between the decision and the first signal");
}

#[test]
fn crash_11_it_exits_while_a_grandchild_holds_its_stdout() {
    let row = Row::new("CRASH-11");
    let script = "generation 1 {\n fork {\n ignore TERM\n at holder\n pause\n }\n}\nserve";
    row.chaos_with("geo", script, AT_ONCE);
    let run = row.run();
    run.active("geo");
    let holder = Process::of(row.gates().report("holder").pid).unwrap();
    let mut client = run.attach("geo");
    let sent = Stopwatch::new();
    let error = client.call("quit", &json!({"code": 1})).unwrap_err();
    row.measured("caller told", sent.elapsed());
    assert!(holder.lives(), "the pipe is still held when the caller is told");
    assert_eq!(error.data["exit"]["code"], 1, "{error:?}");
    let second = run.event(|event| event.is("plugin.spawned", "geo") && event.generation == 2);
    assert!(!holder.lives(), "nothing of the first is left when the second begins");
    let failure = run.failure("geo");
    assert!(failure.seq < second.seq);
    assert_eq!((failure.text("class"), failure.text("detail")), ("exit", "unasked"), "{failure}");
    run.active_above("geo", 1);
    row.witness("the holder lived when the caller was told the end, and held both pipes");
}
