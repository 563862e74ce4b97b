//! WIRE: what a plugin may do to its link.

mod answers;
mod framing;
mod lines;
mod pipes;
mod size;

use std::time::Duration;

use outboard_tests::clock::wait_until;
use outboard_tests::{Attach, CallError, Event, Running};
use serde_json::{Value, json};

/// Probes so close together that a hang is judged within a second, and work excuses it no longer than that.
const QUICK: &str = "[health]\ninterval = \"200ms\"\ntimeout = \"200ms\"\nmisses = 3\n\
                     suspect_interval = \"50ms\"\nbusy_cap = \"300ms\"\n";

/// Attaches with a deadline for each call that is soon over.
fn impatient(run: &Running<'_>, id: &str) -> Attach {
    run.try_attach(id, Some(Duration::from_millis(200))).unwrap()
}

/// Attaches with a deadline that no good call reaches: a call that is lost ends in an assertion.
fn patient(run: &Running<'_>, id: &str) -> Attach {
    run.try_attach(id, Some(Duration::from_secs(5))).unwrap()
}

/// Code, `data.class` and `data.sent` of a call's error.
fn told(error: &CallError) -> (i64, &str, Option<bool>) {
    (error.code, error.class(), error.data["sent"].as_bool())
}

/// Class and detail of a plugin's first failure.
#[track_caller]
fn failure(run: &Running<'_>, id: &str) -> (String, String) {
    let failure = run.failure(id);
    (failure.text("class").to_owned(), failure.text("detail").to_owned())
}

/// Asserts that the link works, and that it is still the first one.
#[track_caller]
fn assert_works(run: &Running<'_>, id: &str) {
    assert_eq!(run.call(id, "echo", &json!({"still": "here"})).unwrap(), json!({"still": "here"}));
    let row = run.plugin(id);
    assert_eq!((&row["generation"], &row["restarts"]), (&json!(1), &json!(0)), "{row}");
    assert_eq!(run.count(|event| event.is("plugin.failure", id)), 0, "{row}");
}

/// The lines of standard output that were no message, as the log has them, once there are so many.
#[track_caller]
fn junk(run: &Running<'_>, id: &str, count: usize) -> Vec<String> {
    let mut lines = Vec::new();
    wait_until("so many lines of junk are stored", || {
        let log = run.stored_log(id);
        let out = log.iter().filter(|line| line["src"] == "out");
        lines = out.map(|line| line["text"].as_str().unwrap_or_default().to_owned()).collect();
        lines.len() >= count
    });
    lines
}

/// The last failure's evidence.
#[track_caller]
fn dossier(run: &Running<'_>, id: &str) -> Value {
    run.control("why", &json!({"id": id})).unwrap()["dossier"].take()
}

/// Waits for an event of a plugin.
#[track_caller]
fn event(run: &Running<'_>, id: &str, name: &str) -> Event {
    run.event(|event| event.is(name, id))
}
