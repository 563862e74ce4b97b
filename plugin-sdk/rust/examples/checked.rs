//! What `plugin-sdk/checks` holds against the protocol: a plugin that uses everything.

#![allow(clippy::print_stdout, reason = "stray prints are part of what it is checked for")]

use std::time::Duration;

use outboard_plugin::{
    About, Call, Error, Event, Host, Level, Plugin, Raw, State, Status, Value, json,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Sum {
    a: i64,
    b: i64,
}

fn count(params: Value, call: &Call) -> Result<u64, Error> {
    let to = params["to"].as_u64().unwrap_or(0);
    for done in 1..=to {
        call.progress(done as f64, Some(to as f64), "");
    }
    Ok(to)
}

fn slow(_: Value, call: &Call) -> Result<(), Error> {
    while !call.wait_cancelled(Duration::from_secs(60)) {}
    call.check()
}

fn prints(_: Value, _: &Call) -> Result<&'static str, Error> {
    println!("a stray print");
    Ok("done")
}

fn fails(_: Value, _: &Call) -> Result<(), Error> {
    panic!("on purpose")
}

/// Says everything that a plugin can say to its host.
fn talks(params: Value, call: &Call) -> Result<u64, Error> {
    let to = params["to"].as_str().unwrap_or_default();
    let busy = Status::new(State::Busy).because("talking").expected(Duration::from_secs(1));
    call.host().status(&busy);
    call.host().publish_now("checked.whispered", &())?;
    call.host().info()?;
    call.call::<Value>(to, "echo", &json!({"a": 1}))?;
    if call.call::<Value>(to, "forbidden", &()).is_err() {
        call.host().status(&Status::new(State::Ready));
    }
    call.publish("checked.said", &json!({"n": 1}))
}

fn heard(event: &Event, host: &Host) -> Result<(), Error> {
    let fields = [("topic".to_owned(), json!(event.topic))];
    host.log_fields(Level::Info, "heard", fields.into_iter().collect());
    Ok(())
}

/// Takes no notice of anything.
fn deaf(_: Value, _: &Call) -> Result<(), Error> {
    loop {
        std::thread::park();
    }
}

fn main() -> std::process::ExitCode {
    Plugin::new("checked", "1.0.0")
        .method("echo", |params: Raw, _| Ok(params))
        .method("add", |Sum { a, b }, _| Ok(a + b))
        .about("add", About::new().timeout(Duration::from_secs(2)))
        .method("slow", slow)
        .method("count", count)
        .method("prints", prints)
        .method("fails", fails)
        .method("deaf", deaf)
        .method("talks", talks)
        .subscribe("checked.*", heard)
        .on_config(|_: Value| Ok(()))
        .on_drain(|| ())
        .on_shutdown(|| println!("farewell"))
        .run()
}
