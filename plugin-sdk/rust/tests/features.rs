//! What a plugin can do beyond answering, against the host in memory of the test kit.

#![allow(clippy::unwrap_used, reason = "a test that meets a surprise should stop there")]

use std::sync::mpsc;
use std::time::Duration;

use outboard_plugin::testing::FakeHost;
use outboard_plugin::{About, Call, CancelToken, Error, Event, Host, Plugin, Value, json};

/// Generous: it only keeps a broken SDK from hanging the test.
const LONG: Duration = Duration::from_secs(20);

fn plugin() -> Plugin {
    Plugin::new("test", "1.0.0")
}

#[test]
fn another_plugin_is_called_as_a_part_of_the_call() {
    let relay = plugin()
        .method("relay", |params: Value, call: &Call| call.call::<Value>("kv", "get", &params));
    let host = FakeHost::of(relay)
        .provide("kv", "get", |params| match params["key"].as_str() {
            Some("a") => Ok(json!({ "value": "b" })),
            _ => Err(Error::new(7, "no such key").with_data(json!({ "plugin": "kv" }))),
        })
        .open();
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let meta = json!({ "deadlineMs": 60_000, "traceparent": trace, "caller": "cli" });
    assert_eq!(
        host.call("relay", json!({ "key": "a", "_meta": meta })),
        Ok(json!({ "value": "b" }))
    );
    let called = &host.called()[0];
    assert_eq!(called["params"], json!({ "key": "a" }));
    assert_eq!(called["_meta"], json!({ "traceparent": trace }), "the trace goes along alone");
    let limit = called["timeoutMs"].as_u64().unwrap();
    assert!((1..=60_000).contains(&limit), "{limit}");
    let error = host.call("relay", json!({})).unwrap_err();
    assert_eq!((error.code(), error.message()), (7, "no such key"));
    assert_eq!(error.data(), Some(&json!({ "plugin": "kv" })));
}

#[test]
fn a_wait_for_another_plugin_ends_with_the_call_that_it_is_made_for() {
    let (entered, enters) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let (ended, ends) = mpsc::channel();
    let relay = plugin().method("relay", move |_: Value, call: &Call| {
        let outcome = call.call::<Value>("slow", "get", &json!({}));
        ended.send(outcome.is_err()).unwrap();
        outcome
    });
    let host = FakeHost::of(relay)
        .provide("slow", "get", move |_| {
            entered.send(()).unwrap();
            // Until the test is over: what this answers then is nobody's.
            released.recv().unwrap_err();
            Ok(json!(1))
        })
        .open();
    let pending = host.start("relay", json!({}));
    enters.recv_timeout(LONG).unwrap();
    pending.cancel();
    assert!(ends.recv_timeout(LONG).unwrap(), "the other plugin has not answered yet");
    // The fake host reads nothing while it provides, so the provider has to end before the answer is seen.
    drop(release);
    assert_eq!(pending.wait().unwrap_err().code(), -32800);
}

#[test]
fn a_deadline_ends_what_looks_and_says_so() {
    let plugin = plugin().method("slow", |_: Value, call: &Call| -> Result<(), Error> {
        assert!(call.remaining().is_some());
        assert!(call.wait_cancelled(LONG), "the deadline never came");
        assert!(call.is_cancelled());
        Err(Error::cancelled())
    });
    let host = FakeHost::open(plugin);
    let late = host.call("slow", json!({ "_meta": { "deadlineMs": 20 } })).unwrap_err();
    assert_eq!((late.code(), late.message()), (-31002, "the deadline has passed"));
    let pending = host.start("slow", json!({ "_meta": { "deadlineMs": 60_000 } }));
    pending.cancel();
    assert_eq!(pending.wait().unwrap_err().code(), -32800);
}

#[test]
fn a_token_outlives_its_handler() {
    let (told, tells) = mpsc::channel::<CancelToken>();
    let plugin = plugin().method("give", move |_: Value, call: &Call| {
        told.send(call.token().clone()).unwrap();
        while call.check().is_ok() {
            std::thread::yield_now();
        }
        call.check()
    });
    let host = FakeHost::open(plugin);
    let pending = host.start("give", json!({}));
    let token = tells.recv_timeout(LONG).unwrap();
    assert!(!token.is_cancelled());
    pending.cancel();
    assert_eq!(pending.wait().unwrap_err().code(), -32800);
    assert!(token.is_cancelled() && token.wait(LONG));
}

#[test]
fn progress_rises_and_ends_with_the_answer() {
    let (told, tells) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
    let plugin = plugin().method("count", move |_: Value, call: &Call| {
        for done in [1.0, 1.0, 0.5, f64::NAN, 2.0] {
            call.progress(done, Some(2.0), "counting");
        }
        let host = call.host().clone();
        told.send(Box::new(move || host.log(outboard_plugin::Level::Info, "still here"))).unwrap();
        Ok(())
    });
    let host = FakeHost::open(plugin);
    let pending = host.start("count", json!({}));
    pending.wait().unwrap();
    let told: Vec<_> = pending.progress().iter().map(|p| p["progress"].as_f64()).collect();
    assert_eq!(told, [Some(1.0), Some(2.0)]);
    assert_eq!(pending.progress()[0]["message"], "counting");
    // A host outlives the call; whatever it says is no progress, which the fake host would tell of.
    tells.recv_timeout(LONG).unwrap()();
    host.wait_until("the line", |host| !host.logs().is_empty());
}

#[test]
fn what_the_meta_says_is_there_and_the_params_are_the_callers() {
    let plugin = plugin().method("who", |params: Value, call: &Call| {
        Ok(json!({
            "params": params, "caller": call.caller(), "attempt": call.attempt(),
            "key": call.idempotency_key(), "own": call.meta("own").map(|own| own.get()),
        }))
    });
    let host = FakeHost::open(plugin);
    let meta = json!({ "caller": "plugin:x", "attempt": 2, "idempotencyKey": "k", "own": [1] });
    assert_eq!(
        host.call("who", json!({ "a": 1, "_meta": meta })),
        Ok(
            json!({ "params": { "a": 1 }, "caller": "plugin:x", "attempt": 2, "key": "k", "own": "[1]" })
        )
    );
}

#[test]
fn events_come_in_order_and_those_that_were_not_asked_for_do_not() {
    let (told, tells) = mpsc::channel();
    let plugin = plugin()
        .subscribe("net.*", move |event: &Event, _: &Host| {
            let number: u64 = event.read()?;
            told.send((event.topic.clone(), number)).unwrap();
            if number == 1 { Err(Error::new(1, "one is odd")) } else { Ok(()) }
        })
        .publishes("geo.*");
    let host = FakeHost::open(plugin);
    assert_eq!(host.opening()["subscribe"], json!(["net.*"]));
    assert_eq!(host.opening()["events"], json!(["geo.*"]));
    for (topic, number) in [("net.up", 0), ("geo.up", 7), ("net.down", 1), ("net.up", 2)] {
        host.emit(topic, json!(number));
    }
    for expected in [("net.up", 0), ("net.down", 1), ("net.up", 2)] {
        let (topic, number) = tells.recv_timeout(LONG).unwrap();
        assert_eq!((&*topic, number), expected);
    }
    host.wait_until("the complaint", |host| !host.logs().is_empty());
    assert_eq!(host.logs()[0]["message"], "net.down: one is odd (1)");
}

#[test]
fn events_are_published_and_the_host_tells_of_itself() {
    let plugin = plugin().method("tell", |_: Value, call: &Call| {
        let delivered = call.publish("geo.updated", &json!({ "rows": 3 }))?;
        call.host().publish_now("geo.seen", &())?;
        Ok(json!({ "delivered": delivered, "host": call.host().info()?["hostInfo"]["name"] }))
    });
    let host = FakeHost::open(plugin);
    assert_eq!(host.call("tell", json!({})), Ok(json!({ "delivered": 1, "host": "fake" })));
    let topics: Vec<_> = host.published().iter().map(|event| event["topic"].clone()).collect();
    assert_eq!(topics, ["geo.updated", "geo.seen"]);
    assert_eq!(host.published()[0]["data"], json!({ "rows": 3 }));
}

#[test]
fn new_configuration_is_taken_or_refused() {
    let plugin = plugin()
        .configure(|config: Value| match config["unit"].as_str() {
            Some(_) => Ok(()),
            None => Err(Error::new(4, "a unit is needed")),
        })
        .on_config(|config: Value| match config["unit"].as_str() {
            Some("m" | "ft") => Ok(()),
            _ => Err(Error::new(4, "no such unit")),
        });
    let host = FakeHost::of(plugin).config(json!({ "unit": "m" })).open();
    assert_eq!(host.opening()["supports"]["configReload"], true);
    assert_eq!(host.change_config(json!({ "unit": "ft" })), Ok(()));
    assert_eq!(host.change_config(json!({})).unwrap_err().message(), "no such unit");
    let refused = FakeHost::of(plugin_without_unit()).try_open();
    assert_eq!(refused.err().unwrap().message(), "a unit is needed");
}

fn plugin_without_unit() -> Plugin {
    plugin().configure(|_: Value| Err(Error::new(4, "a unit is needed")))
}

#[test]
fn a_drain_waits_for_calls_and_refuses_new_ones() {
    let (began, begins) = mpsc::channel();
    let (go, goes) = mpsc::channel::<()>();
    let goes = std::sync::Mutex::new(goes);
    let (drained, drains) = mpsc::channel();
    let plugin = plugin()
        .method("slow", move |_: Value, _| {
            began.send(()).unwrap();
            goes.lock().unwrap().recv().unwrap_err();
            Ok("done")
        })
        .on_drain(move || drained.send(()).unwrap());
    let host = FakeHost::open(plugin);
    let pending = host.start("slow", json!({}));
    begins.recv_timeout(LONG).unwrap();
    let early = host.drain(Duration::from_millis(1)).unwrap_err();
    assert_eq!((early.code(), drains.try_recv().is_err()), (-31002, true));
    assert_eq!(host.call("slow", json!({})).unwrap_err().code(), -31008);
    drop(go);
    assert_eq!(pending.wait(), Ok(json!("done")));
    assert_eq!(host.drain(LONG), Ok(()));
    drains.recv_timeout(LONG).unwrap();
}

#[test]
fn hooks_run_once_at_the_end_however_it_comes() {
    for asked in [true, false] {
        let (told, tells) = mpsc::channel();
        let again = told.clone();
        let plugin = plugin()
            .on_shutdown(|| panic!("on purpose"))
            .on_shutdown(move || again.send("second").unwrap());
        let host = FakeHost::open(plugin);
        if asked {
            assert_eq!(host.shutdown(), Ok(()));
            assert_eq!(host.shutdown(), Ok(()));
        }
        drop(host);
        drop(told);
        assert_eq!(tells.iter().collect::<Vec<_>>(), ["second"], "asked: {asked}");
    }
}

#[test]
fn a_backtrace_is_in_the_answer_only_when_asked_for() {
    let fails = |_: Value, _: &Call| -> Result<(), Error> { panic!("on purpose") };
    let host = FakeHost::open(plugin().method("fail", fails));
    let quiet = host.call("fail", json!({})).unwrap_err();
    assert_eq!(quiet.data(), Some(&json!({ "class": "panic" })));
    assert_eq!(quiet.class(), Some("panic"));
    let host = FakeHost::open(plugin().method("fail", fails).backtraces());
    let loud = host.call("fail", json!({})).unwrap_err();
    assert!(loud.data().unwrap()["backtrace"].as_str().is_some_and(|text| !text.is_empty()));
}

#[test]
fn what_is_said_of_a_method_is_in_the_opening() {
    let about = About::new()
        .idempotent()
        .timeout(Duration::from_secs(2))
        .description("gives it back")
        .schemas(json!({ "type": "object" }), json!(true));
    let plugin = plugin().method("echo", |params: Value, _| Ok(params)).about("echo", about);
    let host = FakeHost::open(plugin.idempotency_keys());
    assert_eq!(
        host.opening()["methods"]["echo"],
        json!({
            "idempotent": true, "timeoutMs": 2000, "description": "gives it back",
            "params": { "type": "object" }, "result": true,
        })
    );
    assert_eq!(host.opening()["supports"]["idempotency"], true);
}

#[test]
fn without_a_host_nothing_is_said_and_requests_fail() {
    let host = plugin().host();
    host.log(outboard_plugin::Level::Info, "nobody listens");
    assert_eq!(host.publish("x", &()).unwrap_err().code(), -31008);
    assert!(host.publish_now("x", &()).is_ok());
}
