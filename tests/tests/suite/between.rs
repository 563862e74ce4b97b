//! Plugins among themselves: calls, events, and where they have to end.

use std::time::Duration;

use outboard_tests::clock::wait_until;
use outboard_tests::{Running, World};
use serde_json::{Value, json};

const META: &str = "on initialize { reply {\"protocolVersion\":1,\"supports\":{\"meta\":true,\"cancel\":true}} }\n";

/// May call and publish anything.
const FREE: &str = "[permissions]\ncall = [\"*\"]\npublish = [\"*\"]\n";

fn relay(plugin: &str, method: &str, params: &Value) -> Value {
    json!({"plugin": plugin, "method": method, "params": params})
}

/// `a` may call `kv`; `kv` understands `_meta`.
fn two(world: &World, kv: &str) {
    world.chaos_with("a", "serve", "[permissions]\ncall = [\"kv.*\", \"absent.*\"]\n");
    world.chaos("kv", &format!("{META}{kv}serve"));
}

fn both(run: &Running<'_>) {
    run.active("a");
    run.active("kv");
}

#[test]
fn a_plugin_calls_another_one_and_what_that_answers_comes_back() {
    let world = World::new();
    two(&world, "");
    let run = world.run();
    both(&run);
    let mut client = run.try_attach("a", Some(Duration::from_secs(20))).unwrap();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut params = relay("kv", "echo", &json!({"n": 1}));
    params["_meta"] = json!({"traceparent": trace});
    let echoed = client.call("relay", &params).unwrap();
    let meta = &echoed["_meta"];
    assert_eq!(
        json!([echoed["n"], meta["caller"], meta["traceparent"]]),
        json!([1, "plugin:a", trace])
    );
    let left = meta["deadlineMs"].as_u64().unwrap();
    assert!(left <= 20_000, "its caller's time, not the 30 s of the manifest: {echoed}");

    let error = client.call("relay", &relay("kv", "fail", &json!({"code": -7, "message": "no"})));
    let error = error.unwrap_err();
    assert_eq!((error.code, &*error.message, &error.data["plugin"]), (-7, "no", &json!("kv")));
    let error = client.call("relay", &relay("other", "echo", &json!({}))).unwrap_err();
    assert_eq!((error.code, error.class()), (-31006, "call"), "{error:?}");
    let error = client.call("relay", &relay("kv", "ping", &json!({}))).unwrap_err();
    assert_eq!((error.code, error.class()), (-31006, "reserved"), "{error:?}");
    let error = client.call("relay", &relay("absent", "x", &json!({}))).unwrap_err();
    assert_eq!((error.code, error.class()), (-31001, "not_found"), "{error:?}");
    let info = client.call("info", &json!({})).unwrap();
    assert_eq!(info["peers"], json!([{"id": "kv", "state": "active", "health": "ok"}]), "{info}");
    assert_eq!(info["plugin"]["id"], "a");
}

#[test]
fn the_opening_says_what_a_plugin_may_ask() {
    let world = World::new();
    let script = "on initialize {\n at asked $params\n reply {\"protocolVersion\":1}\n}\nserve";
    world.chaos_with("a", script, "[permissions]\ncall = [\"kv.get\"]\npublish = [\"geo.*\"]\n");
    let run = world.run();
    run.active("a");
    let asked: Value = serde_json::from_str(&world.gates().report("asked").text).unwrap();
    let said = &asked["capabilities"];
    assert_eq!(
        json!([said["call"], said["publish"], said["events"]]),
        json!([["kv.get"], ["geo.*"], true])
    );
}

#[test]
fn a_deadline_is_inherited_and_the_end_of_a_callee_is_told() {
    let world = World::new();
    two(&world, "on take { at took }\non $/cancel { at cancelled $p.reason }\n");
    let run = world.run();
    both(&run);
    let mut hasty = run.try_attach("a", Some(Duration::from_millis(300))).unwrap();
    let call = hasty.send("relay", &relay("kv", "take", &json!({})));
    world.gates().report("took");
    assert_eq!(hasty.answer(call).unwrap_err().code, -31002);
    // Its callee is told as well: nobody waits there any longer either.
    assert_eq!(world.gates().report("cancelled").text, "deadline");

    let mut client = run.attach("a");
    let call = client.send("relay", &relay("kv", "take", &json!({})));
    let pid = world.gates().report("took").pid;
    world.witness().signal(pid, libc::SIGKILL);
    let error = client.answer(call).unwrap_err();
    assert_eq!((error.code, error.class()), (-31003, "signal"), "{error:?}");
    assert_eq!(json!([error.data["plugin"], error.data["sent"]]), json!(["kv", true]), "{error:?}");
    run.active_above("kv", 1);
    assert_eq!(client.call("relay", &relay("kv", "echo", &json!({"n": 2}))).unwrap()["n"], 2);
}

#[test]
fn a_caller_that_dies_or_changes_its_mind_takes_its_calls_along() {
    let world = World::new();
    two(&world, "on take { at took $id }\non $/cancel { at cancelled $p.reason }\n");
    world.chaos_with(
        "fickle",
        "on start {\n ask host/call {\"plugin\":\"kv\",\"method\":\"take\",\"params\":{}}\n}\n\
         on stop {\n say {\"jsonrpc\":\"2.0\",\"method\":\"$$/cancel\",\"params\":{\"id\":\"ask-0\"}}\n reply {}\n}\nserve",
        FREE,
    );
    let run = world.run();
    both(&run);
    run.active("fickle");
    let mut client = run.attach("a");
    let call = client.send("relay", &relay("kv", "take", &json!({})));
    world.gates().report("took");
    world.witness().signal(run.plugin_pid("a"), libc::SIGKILL);
    assert_eq!(client.answer(call).unwrap_err().code, -31003);
    assert_eq!(world.gates().report("cancelled").text, "caller");
    wait_until("nothing is open", || run.plugin("kv")["in_flight"] == 0);

    let mut client = run.attach("fickle");
    let call = client.send("start", &json!({}));
    world.gates().report("took");
    client.call("stop", &json!({})).unwrap();
    assert_eq!(client.answer(call).unwrap_err().code, -32800, "passed on as it came");
    assert_eq!(world.gates().report("cancelled").text, "caller");
}

#[test]
fn circles_and_long_chains_end_in_words() {
    let world = World::new();
    let one = format!("[calls]\nconcurrency = 1\n{FREE}");
    world.chaos_with("one", &format!("{META}serve"), &one);
    world.chaos_with("many", &format!("{META}serve"), FREE);
    let run = world.run();
    run.active("one");
    run.active("many");
    let mut client = run.attach("one");
    // It would wait for itself.
    let circle = relay("many", "relay", &relay("one", "echo", &json!({})));
    let error = client.call("relay", &circle).unwrap_err();
    assert_eq!((error.code, error.class()), (-31004, "call_cycle"), "{error:?}");
    assert_eq!(error.data["retryable"], false);
    // One that takes many calls may be called again by itself, but not for ever.
    let nested = |depth: usize| {
        (1..depth).fold(relay("many", "echo", &json!({"n": 1})), |inner, _| {
            relay("many", "relay", &inner)
        })
    };
    let mut client = run.attach("many");
    assert_eq!(client.call("relay", &nested(15)).unwrap()["n"], 1);
    let error = client.call("relay", &nested(17)).unwrap_err();
    assert_eq!((error.code, error.class()), (-31004, "call_cycle"), "{error:?}");
}

#[test]
fn events_reach_who_subscribed_and_nobody_else() {
    let world = World::new();
    let hears = |topics: &str| {
        format!(
            "on initialize {{ reply {{\"protocolVersion\":1,\"subscribe\":[\"{topics}\"]}} }}\n\
             on event {{ at heard $params }}\nserve"
        )
    };
    world.chaos("geo", &hears("geo.*"));
    world.chaos("net", &hears("net.*"));
    world.chaos_with("all", &hears("*"), "[permissions]\npublish = [\"geo.*\"]\n");
    let run = world.run();
    for id in ["geo", "net", "all"] {
        run.active(id);
    }
    let mut client = run.attach("all");
    let published = client.call("publish", &json!({"topic": "geo.up", "data": {"n": 1}})).unwrap();
    assert_eq!(published, json!({"delivered": 1}), "to others, and not to itself");
    let heard = world.gates().report("heard");
    assert_eq!(heard.pid, run.plugin_pid("geo"));
    let event: Value = serde_json::from_str(&heard.text).unwrap();
    assert_eq!(
        json!([event["topic"], event["seq"], event["source"], event["missed"], event["data"]]),
        json!(["geo.up", 1, "all", 0, {"n": 1}])
    );
    assert!(event["timeMs"].as_u64().is_some_and(|ms| ms > 1_600_000_000_000), "{event}");
    client.call("publish", &json!({"topic": "geo.down", "data": null})).unwrap();
    let event: Value = serde_json::from_str(&world.gates().report("heard").text).unwrap();
    assert_eq!(json!([event["topic"], event["seq"]]), json!(["geo.down", 2]));
    let error = client.call("publish", &json!({"topic": "net.up", "data": 1})).unwrap_err();
    assert_eq!((error.code, error.class()), (-31006, "publish"), "{error:?}");
    let error = client.call("publish", &json!({"topic": "no topic", "data": 1})).unwrap_err();
    assert_eq!(error.code, -32602, "{error:?}");
}

/// Two that answer each other's events would do so for ever, as fast as they can.
#[test]
fn a_loop_of_events_is_bounded_and_hurts_nobody() {
    let world = World::new();
    let answers = |hears: &str, says: &str| {
        format!(
            "on initialize {{ reply {{\"protocolVersion\":1,\"subscribe\":[\"{hears}\"]}} }}\n\
             on event {{ say {{\"jsonrpc\":\"2.0\",\"method\":\"host/publish\",\"params\":{{\"topic\":\"{says}\",\"data\":1}}}} }}\n\
             on begin {{\n say {{\"jsonrpc\":\"2.0\",\"method\":\"host/publish\",\"params\":{{\"topic\":\"{says}\",\"data\":1}}}}\n reply {{}}\n}}\nserve"
        )
    };
    world.chaos_with("left", &answers("right", "left"), FREE);
    world.chaos_with("right", &answers("left", "right"), FREE);
    world.chaos("well", "serve");
    let run = world.run();
    for id in ["left", "right", "well"] {
        run.active(id);
    }
    // Many at once, so that the bound is met whatever the machine.
    let mut client = run.attach("left");
    for _ in 0..200 {
        client.call("begin", &json!({})).unwrap();
    }
    run.event(|event| {
        event.event == "wire.violation" && event.text("what").contains("events a second")
    });
    assert_eq!(run.call("well", "echo", &json!({"n": 1})).unwrap(), json!({"n": 1}));
    assert_eq!(client.call("echo", &json!({"n": 2})).unwrap(), json!({"n": 2}), "it still answers");
    assert_eq!(run.plugin("left")["generation"], 1);
}

/// A subscriber that does not read misses events, is told how many, and can still be called.
#[test]
fn who_does_not_read_misses_events_and_is_told_how_many() {
    let world = World::new();
    let script = "on initialize { reply {\"protocolVersion\":1,\"subscribe\":[\"*\"]} }\n\
                  on event {\n at heard $p.seq $p.missed\n gate go\n}\nserve";
    world.chaos("slow", script);
    world.chaos_with("geo", "serve", FREE);
    let run = world.run();
    run.active("slow");
    run.active("geo");
    let mut client = run.attach("geo");
    let mut publish = |text: &str| {
        let event = json!({"topic": "geo.up", "data": {"text": text}});
        client.call("publish", &event).unwrap()["delivered"].as_u64().unwrap()
    };
    let data = "x".repeat(64 << 10);
    let delivered: u64 = (0..120).map(|_| publish(&data)).sum();
    assert!((10..110).contains(&delivered), "half of the queue is for events: {delivered} of 120");
    run.event(|event| event.is("event.dropped", "slow"));
    let mut slow = run.attach("slow");
    let call = slow.send("echo", &json!({"n": 1}));
    world.gates().open_for("go", 200);
    assert_eq!(slow.answer(call).unwrap().get(), r#"{"n":1}"#, "the other half is for calls");
    assert_eq!(publish("small"), 1);
    let last = (0..=delivered).map(|_| world.gates().report("heard").text).last().unwrap();
    assert_eq!(last, format!("121 {}", 120 - delivered), "number and missed");
}

#[test]
fn requests_of_a_plugin_are_bounded() {
    let world = World::new();
    let script = "on many {\n loop 5 {\n  ask host/call {\"plugin\":\"kv\",\"method\":\"hold\",\"params\":{\"gate\":\"go\"}}\n }\n}\n\
                  on answer { at answer $params }\nserve";
    world.chaos_with("a", script, &format!("[calls]\nplugin_requests = 3\n{FREE}"));
    world.chaos("kv", "serve");
    let run = world.run();
    both(&run);
    let mut client = run.attach("a");
    client.send("many", &json!({}));
    for _ in 0..2 {
        let answer: Value = serde_json::from_str(&world.gates().report("answer").text).unwrap();
        assert_eq!(answer["error"]["code"], -31004, "{answer}");
    }
    wait_until("three are open", || run.plugin("kv")["in_flight"] == 3);
    world.gates().open_for("go", 3);
    for _ in 0..3 {
        let answer: Value = serde_json::from_str(&world.gates().report("answer").text).unwrap();
        assert_eq!(answer["result"], json!({"held": "go"}), "{answer}");
    }
}
