//! Starts on demand, rest, and many starts at once.

use outboard_tests::clock::{Stopwatch, wait_until};
use outboard_tests::{World, say};
use serde_json::json;

#[test]
fn many_callers_of_a_lazy_plugin_are_one_start() {
    let world = World::new();
    world.chaos_with(
        "geo",
        "on initialize {\n gate open\n reply {\"protocolVersion\":1}\n}\nserve",
        "lazy = true",
    );
    world.chaos("warm", "serve");
    let run = world.run();
    run.active("warm");
    assert_eq!(run.plugin("geo")["state"], "registered");
    let mut clients: Vec<_> = (0..20).map(|_| run.attach("geo")).collect();
    let calls: Vec<u64> = clients.iter_mut().map(|c| c.send("echo", &json!({"n": 1}))).collect();
    wait_until("all of them wait", || run.plugin("geo")["in_flight"] == 20);
    world.gates().open_for("open", 10);
    for (client, call) in clients.iter_mut().zip(calls) {
        assert_eq!(client.answer(call).unwrap().get(), r#"{"n":1}"#);
    }
    run.active("geo");
    assert_eq!(run.count(|event| event.is("plugin.spawned", "geo")), 1);
}

#[test]
fn a_lazy_plugin_rests_when_nobody_calls_it_and_never_while_a_call_is_open() {
    let world = World::new();
    world.chaos_with("geo", "serve", "lazy = true\n[idle]\nstop_after = \"1s\"");
    let run = world.run();
    let mut client = run.attach("geo");
    let held = client.send("hold", &json!({"gate": "go"}));
    run.active("geo");
    // Held over more than its span: by the probes of another plugin, not by sleeping here.
    let other = run.event(|event| event.event == "supervisor.started").seq;
    wait_until("twice its span has passed", || {
        run.plugin("geo")["since_ms"].as_u64().is_some_and(|ms| ms > 2_500)
    });
    assert_eq!(run.plugin("geo")["state"], "active");
    assert_eq!(run.count(|event| event.is_state("geo", "stopping")), 0);
    world.gates().open("go");
    client.answer(held).unwrap();
    run.event_after(other, |event| event.is_state("geo", "registered"));
    let row = run.plugin("geo");
    assert_eq!(
        json!([row["wanted"], row["pid"], row["restarts"]]),
        json!(["down", null, 0]),
        "{row}"
    );
    assert!(row["last_failure"].is_null(), "{row}");
    assert_eq!(client.call("echo", &json!({"n": 2})).unwrap(), json!({"n": 2}), "starts it again");
    assert_eq!(run.plugin("geo")["generation"], 2);
}

/// Sixty launchers that are at work for many times the budget of their first byte. Eight start at once; nobody's clock
/// runs while it waits for its turn, and work counts.
#[test]
fn a_fleet_of_slow_starters_does_not_time_itself_out() {
    const FLEET: usize = 60;
    let world = World::new();
    world.settings("[supervisor]\nstart_concurrency = 8\n");
    let more = "[start]\nfirst_byte_timeout = \"600ms\"\nfirst_byte_cap = \"5m\"\n\
                [health]\ninterval = \"60s\"\n";
    for n in 0..FLEET {
        world.chaos_with(&format!("p{n:02}"), "loop 6M {\n}\nserve", more);
    }
    let began = Stopwatch::new();
    let run = world.run();
    for n in 0..FLEET {
        run.active(&format!("p{n:02}"));
    }
    let took = began.elapsed();
    let (mut starting, mut most, mut extended) = (0_usize, 0, 0);
    for event in run.events() {
        match &*event.event {
            "plugin.phase" if event.text("phase") == "spawn" => starting += 1,
            "plugin.phase_extended" => extended += 1,
            "plugin.state" if event.text("to") == "active" => starting -= 1,
            _ => {}
        }
        most = most.max(starting);
    }
    assert_eq!(run.count(|event| event.event == "plugin.failure"), 0);
    assert_eq!(run.count(|event| event.event == "plugin.spawned"), FLEET, "each once");
    // Whoever takes a turn is told of before the one that gave it back in the same step.
    assert!((8..=9).contains(&most), "{most} at once");
    say(format_args!(
        "{FLEET} slow starters active after {took:?}, {extended} of them by work beyond the budget of 600ms"
    ));
}
