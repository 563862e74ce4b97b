//! What signals to the supervisor do, and what a stop of the unwilling looks like.

use outboard_tests::World;
use outboard_tests::clock::wait_until;
use serde_json::{Value, json};

/// A plugin that does nothing it is asked to do at the end.
const STUBBORN: &str = "ignore TERM\nignore EOF\non shutdown {\n}\non exit {\n}\nserve";

/// A ladder whose steps end soon.
const SHORT: &str = "[stop]\ndrain = \"50ms\"\nshutdown = \"50ms\"\nexit = \"50ms\"\nterm = \"50ms\"\nkill = \"2s\"";

fn graceful(signal: i32) {
    let world = World::new();
    world.chaos("a", "serve");
    world.chaos("b", "fork-hold\nserve");
    let run = world.run();
    run.active("a");
    run.active("b");
    run.signal(signal);
    assert_eq!(run.ended().code, Some(0), "{}", run.stderr());
    for id in ["a", "b"] {
        let stopped = run.event(|event| event.is("stop.finished", id));
        assert_eq!(stopped.member("exit")["code"], 0, "{stopped}: it was asked, not killed");
    }
    run.event(|event| event.event == "supervisor.stopped");
}

#[test]
fn a_term_signal_stops_all_gracefully() {
    graceful(libc::SIGTERM);
}

#[test]
fn an_interrupt_stops_all_gracefully() {
    graceful(libc::SIGINT);
}

#[test]
fn a_second_signal_kills() {
    for (first, second) in [(libc::SIGTERM, libc::SIGTERM), (libc::SIGINT, libc::SIGTERM)] {
        let world = World::new();
        world.chaos_with("stubborn", STUBBORN, "[stop]\nshutdown = \"10m\"");
        world.chaos("willing", "serve");
        let run = world.run();
        run.active("stubborn");
        run.active("willing");
        run.signal(first);
        run.event(|event| event.is("stop.rung", "stubborn"));
        run.signal(second);
        assert_eq!(run.ended().code, Some(130), "{}", run.stderr());
        let stopped = run.event(|event| event.is("stop.finished", "stubborn"));
        assert_eq!(stopped.member("exit")["signal"], "SIGKILL", "{stopped}");
    }
}

#[test]
fn a_stubborn_plugin_goes_down_the_whole_ladder() {
    let world = World::new();
    world.chaos_with("stubborn", STUBBORN, SHORT);
    let run = world.run();
    run.active("stubborn");
    let pid = run.plugin_pid("stubborn");
    let change = run.cli(&["stop", "stubborn", "--json"]).code(0).json();
    let outcome = &change["outcomes"][0];
    assert_eq!(outcome["end"], "stopped", "{change}");
    let rungs: Vec<&str> = outcome["stop"]["rungs"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|r| r["rung"].as_str())
        .collect();
    assert_eq!(rungs, ["shutdown", "exit", "term", "kill"], "{change}");
    assert_eq!(outcome["stop"]["exit"]["signal"], "SIGKILL", "{change}");
    let reached: Vec<String> = run
        .events()
        .into_iter()
        .filter(|event| event.is("stop.rung", "stubborn"))
        .map(|event| event.text("rung").to_owned())
        .collect();
    assert_eq!(reached, ["shutdown", "exit", "term", "kill"]);
    assert!(world.witness().below().iter().all(|process| process.pid != pid));
    assert_eq!(run.plugin("stubborn")["last_failure"], Value::Null, "a stop is no failure");
}

#[test]
fn a_plugin_that_leaves_early_ends_the_ladder_early() {
    let world = World::new();
    world.chaos_with("early", "on shutdown { exit 3 }\nserve", "[stop]\nshutdown = \"10m\"");
    let run = world.run();
    run.active("early");
    let change = run.cli(&["stop", "early", "--json"]).code(0).json();
    let stop = &change["outcomes"][0]["stop"];
    assert_eq!(stop["exit"]["code"], 3, "{change}");
    assert_eq!(stop["rungs"].as_array().unwrap().len(), 1, "{change}");
}

#[test]
fn calls_in_flight_are_drained_and_new_ones_are_told() {
    let world = World::new();
    world.chaos("geo", "on take {\n at took\n defer finish { reply \"done\" }\n}\nserve");
    let run = world.run();
    run.active("geo");
    let mut client = run.attach("geo");
    let taken = client.send("take", &json!({}));
    world.gates().report("took");
    run.control("stop", &json!({"ids": ["geo"], "wait": false})).unwrap();
    run.event(|event| event.is("stop.rung", "geo") && event.text("rung") == "drain");
    let refused = client.call("echo", &json!({})).unwrap_err();
    assert_eq!((refused.code, refused.class()), (-31008, "stop"), "{refused:?}");
    world.gates().open("finish");
    assert_eq!(client.answer(taken).unwrap().get(), "\"done\"");
    run.state("geo", "registered");
    wait_until("it is down", || run.plugin("geo")["state"] == "registered");
}
