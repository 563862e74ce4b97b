//! What signals to the supervisor do; the unwilling are in the fault table (SUP-02, TREE-05).

use std::io::Write;

use outboard_tests::World;
use outboard_tests::clock::wait_until;
use outboard_tests::gates;
use outboard_tests::world::Launch;
use serde_json::json;

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

/// `run --exit-on-eof`, also by an image that follows.
#[test]
fn a_supervisor_ends_with_who_holds_its_standard_input() {
    for upgraded in [false, true] {
        let world = World::new();
        world.chaos("a", "serve");
        let leash = world.folder().join("leash");
        let mut held = gates::fifo(&leash);
        let shell = format!("{{}} < '{}'", leash.display());
        let run = world.launch(&Launch {
            args: &["--exit-on-eof"],
            shell: Some(&shell),
            ..Launch::default()
        });
        run.active("a");
        held.write_all(b"what comes before the end is nobody's\n").unwrap();
        if upgraded {
            run.cli(&["upgrade"]).code(0);
        }
        assert_eq!(run.call("a", "echo", &json!({"n": 1})).unwrap(), json!({"n": 1}));
        drop(held);
        assert_eq!(run.ended().code, Some(0), "{}", run.stderr());
        let stopped = run.event(|event| event.is("stop.finished", "a"));
        assert_eq!(stopped.member("exit")["code"], 0, "{stopped}: it was asked, not killed");
        let asked = run.event(|event| event.event == "supervisor.stopping");
        assert_eq!(asked.member("by")["via"], "stdin", "{asked}");
    }
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
