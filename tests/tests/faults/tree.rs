//! TREE: plugins that are more than one process.

use std::fs;

use outboard_tests::clock::{Stopwatch, wait_until};
use outboard_tests::fault::Row;
use outboard_tests::hold::Hold;
use outboard_tests::{Process, Running, World};
use serde_json::{Value, json};

use crate::supervisor::crew;

/// What holds plugins: the best that this machine has, and what every machine has.
const LEVELS: [&str; 2] = ["auto", "session"];

/// Down for good after the first crash, so that what is said of it stays there to be looked at.
const DOWN: &str = "[restart]\nbackoff = { initial = \"10m\", max = \"10m\" }\n";

/// A plugin that does nothing of what it is asked at the end.
const STUBBORN: &str = "ignore EOF\non shutdown {\n}\non exit {\n}\n";

/// Steps of a stop that end soon.
const SHORT: &str = "[stop]\ndrain = \"50ms\"\nshutdown = \"50ms\"\nexit = \"50ms\"\n";

fn signal(world: &World, pid: u32, signal: i32) {
    world.witness().signal(pid, signal);
}

/// Makes a row with each of what may hold plugins.
fn at_each_level(id: &'static str, round: impl Fn(&Row, &Running<'_>), write: impl Fn(&Row)) {
    for level in LEVELS {
        let row = Row::new(id);
        row.settings(&format!("[supervisor]\ncontainment = \"{level}\"\n"));
        write(&row);
        let run = row.run();
        let in_force = run.event(|event| event.event == "keeper.started");
        let in_force = in_force.text("containment");
        assert!(level == "auto" || in_force == level, "{in_force}");
        assert_eq!(run.status()["supervisor"]["containment"], in_force, "it is said beforehand");
        row.note(format_args!("held by {in_force}"));
        round(&row, &run);
    }
}

fn reported(row: &Row, name: &str) -> Process {
    Process::of(row.gates().report(name).pid).unwrap()
}

/// Stops a plugin and gives what is said of it.
fn stop(run: &Running<'_>, id: &str) -> Value {
    let change = run.cli(&["stop", id, "--json"]).code(0).json();
    let outcome = &change["outcomes"][0];
    assert_eq!(outcome["end"], "stopped", "{change}");
    outcome["stop"].clone()
}

fn rungs(stop: &Value) -> Vec<&str> {
    stop["rungs"].as_array().unwrap().iter().filter_map(|rung| rung["rung"].as_str()).collect()
}

#[test]
fn tree_01_children_and_grandchildren_go_with_the_stop() {
    let script = "fork {\n fork {\n  fork {\n   at third\n   pause\n  }\n  at second\n  pause\n }\n \
        at first\n pause\n}\nserve";
    at_each_level(
        "TREE-01",
        |row, run| {
            run.active("geo");
            let tree = ["first", "second", "third"].map(|name| reported(row, name));
            assert!(tree.iter().all(Process::lives));
            let stop = stop(run, "geo");
            assert_eq!(json!([stop["exit"], stop["swept"]]), json!([{"code": 0}, 3]), "{stop}");
            assert!(!tree.iter().any(Process::lives), "{tree:?}");
            let finished = run.event(|event| event.is("stop.finished", "geo"));
            assert_eq!((finished.generation, finished.number("swept")), (1, 3), "{finished}");
            let text = run.cli(&["events"]).code(0).stdout;
            assert!(text.contains("3 processes"), "{text}");
            row.witness("three levels below the plugin reported that they live, and did");
        },
        |row| row.chaos("geo", script),
    );
}

#[test]
fn tree_02_a_daemon_that_hides_goes_with_the_stop_and_with_the_crash() {
    let script = "daemon {\n scrub\n ignore TERM\n close 0\n close 1\n close 2\n at hidden\n pause\n}\nserve";
    at_each_level(
        "TREE-02",
        |row, run| {
            run.active("geo");
            let hidden = reported(row, "hidden");
            let (plugin, daemon) = (session_of(run.plugin_pid("geo")), session_of(hidden.pid));
            assert_ne!(plugin, daemon, "it left the session");
            let stop = stop(run, "geo");
            assert_eq!(stop["swept"], 1, "{stop}");
            assert!(!hidden.lives());

            run.control("start", &json!({"ids": ["geo"]})).unwrap();
            let hidden = reported(row, "hidden");
            signal(row, run.plugin_pid("geo"), libc::SIGKILL);
            run.state("geo", "backoff");
            assert_eq!(swept(run, "geo"), [(2, 1)], "it is told of the crash");
            assert!(!hidden.lives());
            row.witness(
                "the daemon had a session of its own, no mark and no descriptor, and lived",
            );
        },
        |row| row.chaos_with("geo", script, DOWN),
    );
}

/// What crashes have left: generations and how many had to be killed.
fn swept(run: &Running<'_>, id: &str) -> Vec<(u64, u64)> {
    let events = run.events();
    let events = events.iter().filter(|event| event.is("plugin.swept", id));
    events.map(|event| (event.generation, event.number("n"))).collect()
}

fn session_of(pid: u32) -> i64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.split(' ').nth(3).unwrap().parse().unwrap()
}

#[test]
fn tree_03_a_child_that_answers_after_its_leader_speaks_for_nobody() {
    let row = Row::new("TREE-03");
    let script = "generation 1 {\n fork {\n  setsid\n  ignore TERM\n  at child\n  gate speak\n  loop 64 {\n   \
        say {\"jsonrpc\":\"2.0\",\"id\":$n,\"result\":\"forged\"}\n  }\n  at spoke\n  pause\n }\n \
        on take { at took }\n}\nserve";
    let more = "[restart]\nbackoff = { initial = \"1ms\", max = \"1ms\" }\n";
    row.chaos_with("geo", script, more);
    let run = row.run();
    run.active("geo");
    let child = reported(&row, "child");
    let mut client = run.attach("geo");
    let call = client.send("take", &json!({}));
    row.gates().report("took");
    // A keeper that stands still ends nobody: so the child has time to speak.
    let keeper = run.keeper_pid();
    row.freeze(keeper);
    signal(&row, run.plugin_pid("geo"), libc::SIGKILL);
    let error = client.answer(call).unwrap_err();
    assert_eq!((error.code, &error.data["sent"]), (-31003, &json!(true)), "{error:?}");
    row.gates().open("speak");
    row.gates().report("spoke");
    assert!(child.lives());
    signal(&row, keeper, libc::SIGCONT);
    let second = run.active_above("geo", 1);
    assert!(!child.lives(), "the leader's end is the plugin's end");
    let failure = run.failure("geo");
    assert_eq!((failure.text("class"), failure.text("detail")), ("signal", "SIGKILL"), "{failure}");
    assert!(failure.seq < second.seq);
    for n in 0..64 {
        assert_eq!(run.call("geo", "echo", &json!({"n": n})).unwrap(), json!({"n": n}));
    }
    row.witness("the child reported that it had written 64 replies after its leader's end");
}

#[test]
fn tree_05_a_plugin_deaf_to_everything_goes_down_the_whole_ladder() {
    let row = Row::new("TREE-05");
    row.chaos_with(
        "deaf",
        &format!("ignore TERM\n{STUBBORN}serve"),
        &format!("{SHORT}term = \"50ms\"\n"),
    );
    let run = row.run();
    run.active("deaf");
    let plugin = Process::of(run.plugin_pid("deaf")).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", plugin.pid)).unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let ignored = u64::from_str_radix(ignored.trim(), 16).unwrap();
    assert_ne!(ignored & 1 << (libc::SIGTERM - 1), 0, "it ignores SIGTERM");
    let stop = stop(&run, "deaf");
    let steps = ["shutdown", "exit", "term", "kill"];
    assert_eq!(rungs(&stop), steps, "{stop}");
    let took = |at: usize| stop["rungs"][at]["ms"].as_u64().unwrap();
    assert!((0..3).all(|at| took(at) >= 50), "each had its time: {stop}");
    assert_eq!(stop["exit"]["signal"], "SIGKILL", "{stop}");
    assert!(!plugin.lives());
    let mut reached = run.events();
    reached.retain(|event| event.is("stop.rung", "deaf"));
    let names: Vec<&str> = reached.iter().map(|event| event.text("rung")).collect();
    assert_eq!(names, steps, "each step is told when it is reached");
    assert!(reached[..3].iter().all(|event| event.number("within_ms") == 50));
    let finished = run.event(|event| event.is("stop.finished", "deaf"));
    assert_eq!(finished.member("rungs"), &stop["rungs"]);
    assert_eq!(run.plugin("deaf")["last_failure"], Value::Null, "a stop is no failure");
    row.witness("the kernel shows SIGTERM among what it ignores, and SIGKILL has ended it");
}

#[test]
fn tree_06_the_ladder_goes_on_for_the_group_when_the_leader_has_left() {
    at_each_level(
        "TREE-06",
        |row, run| {
            run.active("geo");
            let member = reported(row, "member");
            let stop = stop(run, "geo");
            assert_eq!(rungs(&stop), ["shutdown", "exit", "term"], "{stop}");
            assert_eq!(stop["exit"]["signal"], "SIGTERM", "the leader obeyed: {stop}");
            assert_eq!(stop["swept"], 1, "{stop}");
            assert!(!member.lives());
            row.witness("the member ignored SIGTERM and lived when the leader had left");
        },
        |row| {
            let script = format!("{STUBBORN}fork {{\n ignore TERM\n at member\n pause\n}}\nserve");
            row.chaos_with("geo", &script, &format!("{SHORT}term = \"10m\"\n"));
        },
    );
}

#[test]
fn tree_07_a_stopped_plugin_is_continued_to_take_its_signal() {
    at_each_level(
        "TREE-07",
        |row, run| {
            run.active("geo");
            let pid = run.plugin_pid("geo");
            row.freeze(pid);
            let stop = stop(run, "geo");
            assert_eq!(rungs(&stop), ["shutdown", "exit", "term"], "{stop}");
            assert_eq!(stop["exit"]["signal"], "SIGTERM", "{stop}");
            row.witness("every thread of it stood still (state T) when the stop came");
        },
        // Were the signal not taken, the kill would follow.
        |row| row.chaos_with("geo", "serve", &format!("{SHORT}term = \"2s\"\n")),
    );
}

#[test]
fn tree_09_a_wrapper_that_forwards_nothing_hides_nothing() {
    at_each_level(
        "TREE-09",
        |row, run| {
            for id in ["asked", "killed"] {
                run.active(id);
                let real = reported(row, id);
                let wrapper = Process::of(run.plugin_pid(id)).unwrap();
                assert_eq!((wrapper.name.as_str(), real.ppid), ("sh", wrapper.pid));
                if id == "asked" {
                    let stop = stop(run, id);
                    assert_eq!(rungs(&stop), ["shutdown", "exit"], "by protocol: {stop}");
                    assert_eq!(stop["exit"]["code"], 7, "the plugin's own code: {stop}");
                    assert_eq!(stop["swept"], 0, "{stop}");
                } else {
                    signal(row, wrapper.pid, libc::SIGKILL);
                    let failure = run.failure(id);
                    assert_eq!(failure.text("detail"), "SIGKILL", "{failure}");
                    run.state(id, "backoff");
                }
                assert!(!real.lives() && !wrapper.lives());
            }
            row.witness("the plugin's parent was a shell, and that was the leader");
        },
        |row| {
            for id in ["asked", "killed"] {
                // The one whose wrapper is killed does not even leave when its input ends.
                let stays = if id == "killed" { "ignore EOF\n" } else { "" };
                let script = format!("{stays}at {id}\non exit {{ exit 7 }}\nserve");
                row.chaos_wrapped(id, &script, "{}; exit $$?", DOWN);
            }
        },
    );
}

#[test]
fn tree_10_a_wrapper_that_leaves_takes_the_plugin_with_it() {
    at_each_level(
        "TREE-10",
        |row, run| {
            run.active("late");
            for id in ["early", "late"] {
                let real = reported(row, id);
                row.gates().open(&format!("leave-{id}"));
                let failure = run.failure(id);
                assert_eq!(failure.text("class"), "exit", "{failure}");
                assert_eq!(failure.member("exit"), &json!({"code": 0}), "{failure}");
                run.state(id, "backoff");
                assert_eq!(swept(run, id), [(1, 1)], "it is told who was left");
                assert!(!real.lives());
                let why = run.cli(&["why", id]).code(0).stdout;
                assert!(why.contains("its first process ended and left 1 process"), "{why}");
            }
            let early = run.failure("early");
            assert_eq!(early.text("detail"), "before-handshake", "{early}");
            assert_eq!(run.count(|event| event.is_state("early", "active")), 0);
            row.witness("the real plugins lived, and one answered, when their leaders left with 0");
        },
        |row| {
            // A shell's background job has no stdin unless it is kept elsewhere.
            let line = |id: &str| {
                format!(
                    "exec 3<&0; {{}} <&3 & head -c1 \"$$CHAOS_DIR/leave-{id}\" >/dev/null; exit 0"
                )
            };
            row.chaos_wrapped("early", "at early\nread\npause", &line("early"), DOWN);
            row.chaos_wrapped("late", "ignore EOF\nat late\nserve", &line("late"), DOWN);
            for id in ["early", "late"] {
                drop(outboard_tests::gates::fifo(
                    &row.gates().folder().join(format!("leave-{id}")),
                ));
            }
        },
    );
}

#[test]
fn tree_05_a_plugin_that_leaves_early_ends_the_ladder_early() {
    let row = Row::new("TREE-05");
    row.chaos_with(
        "early",
        "ignore TERM\non shutdown { exit 3 }\nserve",
        "[stop]\nshutdown = \"10m\"",
    );
    let run = row.run();
    run.active("early");
    let stop = stop(&run, "early");
    assert_eq!(stop["exit"]["code"], 3, "{stop}");
    assert_eq!(rungs(&stop), ["shutdown"], "{stop}");
    wait_until("it is down", || run.plugin("early")["state"] == "registered");
    row.witness("it left in the first step of ten minutes");
}

#[test]
fn tree_08_what_survives_the_kill_is_told_fenced_off_and_waited_for() {
    let row = Row::new("TREE-08");
    let short = format!("{SHORT}term = \"50ms\"\nkill = \"500ms\"\n");
    row.chaos_with("held", "serve", &short);
    row.chaos("neighbour", "serve");
    let run = row.run();
    run.active("held");
    run.active("neighbour");
    let plugin = Process::of(run.plugin_pid("held")).unwrap();
    let hold = match Hold::of(plugin.pid) {
        Ok(hold) => hold,
        Err(error) => return row.witness(format_args!("not made: tracing is forbidden: {error}")),
    };
    let stop = run.cli(&["stop", "held", "--json"]).code(6).json();
    hold.has_it();
    let outcome = &stop["outcomes"][0];
    assert_eq!(
        json!([outcome["end"], outcome["pid"]]),
        json!(["unkillable", plugin.pid]),
        "{stop}"
    );
    let told = run.event(|event| event.is("plugin.unkillable", "held"));
    assert_eq!(told.number("pid"), u64::from(plugin.pid), "{told}");
    assert_eq!(told.text("state"), "t", "the kernel's word for what it does: {told}");
    assert_eq!(Process::of(plugin.pid).unwrap().state, 't');
    assert!(run.cli(&["events"]).code(0).stdout.contains("survived SIGKILL"));
    let status = run.plugin("held");
    assert_eq!(json!([status["state"], status["pid"]]), json!(["unkillable", plugin.pid]));
    let refused = run.call("held", "echo", &json!({})).unwrap_err();
    assert_eq!((refused.code, &refused.data["sent"]), (-31001, &json!(false)), "{refused:?}");
    // Wanted up again, but there is to be no second one beside it.
    run.control("start", &json!({"ids": ["held"], "wait": false})).unwrap();
    assert_eq!(run.call("neighbour", "echo", &json!({})).unwrap(), json!({}));
    assert_eq!(run.plugin("held")["state"], "unkillable");
    run.control("stop", &json!({"ids": ["held"], "wait": false})).unwrap();
    let before = run.events().last().unwrap().seq;
    let since = Stopwatch::new();
    hold.release();
    run.event_after(before, |event| event.is_state("held", "registered"));
    row.measured("registered after the release", since.elapsed());
    assert!(!plugin.lives());
    assert_eq!(run.count(|event| event.is("plugin.spawned", "held")), 1);
    row.witness("the killed plugin stood in a tracing stop, state t, until it was let go");
}

#[test]
fn tree_08_a_supervisor_ends_and_says_what_it_leaves() {
    let row = Row::new("TREE-08");
    let short = format!("{SHORT}term = \"50ms\"\nkill = \"500ms\"\n");
    row.chaos_with("held", "serve", &short);
    row.chaos("willing", "serve");
    let run = row.run();
    run.active("held");
    run.active("willing");
    let plugin = Process::of(run.plugin_pid("held")).unwrap();
    let hold = match Hold::of(plugin.pid) {
        Ok(hold) => hold,
        Err(error) => return row.witness(format_args!("not made: tracing is forbidden: {error}")),
    };
    run.signal(libc::SIGTERM);
    assert_eq!(run.ended().code, Some(6), "{}", run.stdout());
    hold.has_it();
    assert!(run.stdout().contains(&plugin.pid.to_string()), "{}", run.stdout());
    let willing = run.event(|event| event.is("stop.finished", "willing"));
    assert_eq!(willing.member("exit")["code"], 0, "{willing}");
    run.event(|event| event.is("plugin.unkillable", "held"));
    assert!(plugin.lives());
    hold.release();
    row.assert_nothing_runs();
    row.witness("the killed plugin stood in a tracing stop when its supervisor ended");
}

/// All at once: an orphan without a mark, a child in another session, a wrapper, and all of them deaf.
#[test]
fn tree_02_nothing_outlives_its_stop_or_its_crash() {
    at_each_level(
        "TREE-02",
        |row, run| {
            crew::all_active(run);
            for _ in 0..2 {
                row.gates().report("daemon");
                row.gates().report("child");
            }
            assert_eq!(crew::living(run).len(), crew::PROCESSES, "{:#?}", run.plugin_processes());
            let crashed = run.plugin_pid("wrapped");
            signal(row, crashed, libc::SIGKILL);
            run.state("wrapped", "failed");
            assert_eq!(
                crew::living(run).len(),
                crew::PROCESSES - 4,
                "{:#?}",
                run.plugin_processes()
            );
            let stops = run.control("stop", &json!({"all": true})).unwrap();
            for outcome in stops["outcomes"].as_array().unwrap() {
                assert!(
                    ["stopped", "unchanged"].contains(&outcome["end"].as_str().unwrap()),
                    "{stops}"
                );
            }
            assert!(crew::living(run).is_empty(), "{:#?}", run.plugin_processes());
            row.witness("eight processes of three plugins lived before");
        },
        |row| crew::crew(row),
    );
}
