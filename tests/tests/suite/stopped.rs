//! Processes that are stopped and not dead: plugins, and the supervisor itself.

use std::time::Duration;

use outboard_tests::{Running, World, long};
use serde_json::json;

/// Probes so close together that a second without answers is a hang.
const QUICK: &str =
    "[health]\ninterval = \"200ms\"\ntimeout = \"200ms\"\nmisses = 3\nsuspect_interval = \"100ms\"";

/// Five plugins with quick probes, all active.
fn five(world: &World) -> Vec<String> {
    let ids: Vec<String> = (1..=5).map(|n| format!("p{n}")).collect();
    for id in &ids {
        world.chaos_with(id, "serve", QUICK);
    }
    ids
}

/// Asserts that nobody was hurt: every plugin answers, in its first generation, without any failure.
#[track_caller]
fn assert_unhurt(run: &Running<'_>, ids: &[String]) {
    for id in ids {
        assert_eq!(run.call(id, "echo", &json!({"id": id})).unwrap(), json!({"id": id}));
        let row = run.plugin(id);
        assert_eq!(
            json!([row["state"], row["generation"], row["restarts"], row["last_failure"]]),
            json!(["active", 1, 0, null]),
            "{row}"
        );
    }
    let hurt = |name: &str| run.count(|event| event.event == name);
    assert_eq!([hurt("plugin.failure"), hurt("plugin.exited"), hurt("probe.missed")], [0, 0, 0]);
}

#[test]
fn a_stopped_plugin_is_found_hung_and_replaced() {
    let world = World::new();
    world.chaos_with("geo", "serve", QUICK);
    let run = world.run();
    run.active("geo");
    let pid = run.plugin_pid("geo");
    world.freeze(pid);
    let second = run.active_above("geo", 1);
    let failure = run.failure("geo");
    assert_eq!((failure.generation, failure.text("class")), (1, "hang"), "{failure}");
    let missed = run.event(|event| event.is("probe.missed", "geo"));
    assert!(missed.seq < failure.seq && failure.seq < second.seq);
    assert!(
        world.witness().below().iter().all(|process| process.pid != pid),
        "the old one is gone"
    );
    assert_eq!(run.call("geo", "echo", &json!({})).unwrap(), json!({}));
    let why = run.cli(&["why", "geo"]).code(0).stdout;
    assert!(why.contains("class hang"), "{why}");
}

#[test]
fn a_stopped_supervisor_hurts_nobody() {
    let world = World::new();
    let ids = five(&world);
    let run = world.run();
    for id in &ids {
        run.active(id);
    }
    let span = Duration::from_secs(if long() { 10 } else { 3 });
    let stopped = run.signal(libc::SIGSTOP);
    let continued = world.witness().signal_after(run.pid, libc::SIGCONT, span).get();
    assert!(continued.at_us - stopped.at_us >= 3_000_000, "it stood still for many probes");
    assert_unhurt(&run, &ids);
    assert_stalled(&run, "p1");
}

/// Asserts that the supervisor saw that the time was lost by itself. A restart, whose events come behind all others,
/// shows that it has said everything by then.
#[track_caller]
fn assert_stalled(run: &Running<'_>, id: &str) {
    run.control("restart", &json!({"ids": [id]})).unwrap();
    run.active_above(id, 1);
    let events = run.events();
    let stall = events.iter().find(|event| event.event == "clock.stall");
    assert!(stall.is_some_and(|stall| stall.number("ms") >= 1000), "{stall:?}");
}
