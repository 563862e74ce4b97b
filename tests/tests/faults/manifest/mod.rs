//! MAN: manifests that are wrong, and what they leave alone.

mod around;
mod drift;
mod file;
mod half;
mod set;
mod text;
mod trust;

use std::fs;

use outboard_tests::fault::Row;
use outboard_tests::world::Launch;
use outboard_tests::{Event, Running};
use serde_json::{Value, json};

/// A plugin that is well, beside those that are not.
const WELL: &str = "well";

/// The rest of a manifest of which only the beginning matters.
const PROCESS: &str = "[process]\ncommand = [\"true\"]\n";

/// Reads the manifests again, and gives the event that this ends with.
#[track_caller]
fn reload(run: &Running<'_>) -> Event {
    let seq = run.events().last().map_or(0, |event| event.seq);
    run.signal(libc::SIGHUP);
    run.event_after(seq, |event| event.event.starts_with("config.") && event.plugin.is_none())
}

/// The problems of a rejected set, as one text.
#[track_caller]
fn rejected(run: &Running<'_>) -> String {
    let event = reload(run);
    assert_eq!(event.event, "config.rejected", "{event}");
    let problems = event.member("problems").as_array().unwrap();
    problems.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
}

/// That no pass of the supervisor over its manifests has touched what runs.
#[track_caller]
fn is_untouched(run: &Running<'_>) {
    let row = run.plugin(WELL);
    assert_eq!(json!([row["state"], row["generation"]]), json!(["active", 1]), "{row}");
    assert_eq!(run.call(WELL, "echo", &json!({"n": 1})).unwrap(), json!({"n": 1}));
    assert_eq!(run.status()["supervisor"]["revision"], 1);
}

#[track_caller]
fn says_all(parts: &[&str], said: &str) {
    for part in parts {
        assert!(said.contains(part), "`{part}` is to be said in:\n{said}");
    }
}

/// A set with errors is refused whole and says `parts`: by `check`, by a reload, by `run --strict`. A plain `run` starts
/// what is sound. `bad` are files and their texts; gives the last supervisor.
#[track_caller]
fn is_refused<'w>(row: &'w Row, bad: &[(&str, &str)], parts: &[&str]) -> Running<'w> {
    row.chaos(WELL, "serve");
    let before = row.run();
    before.active(WELL);
    for (file, text) in bad {
        fs::write(row.manifests().join(file), text).unwrap();
    }
    refuses(row, before, parts)
}

/// The same once everything lies there and a supervisor runs what was sound.
#[track_caller]
fn refuses<'w>(row: &'w Row, before: Running<'w>, parts: &[&str]) -> Running<'w> {
    let folder = row.manifests().display().to_string();
    let check = row.cli_on("check", &["check", &folder]).code(2);
    says_all(parts, &format!("{}{}", check.stdout, check.stderr));
    rejected(&before);
    is_untouched(&before);
    assert_eq!(before.count(|event| event.event == "plugin.spawned"), 1);
    before.stop();
    let strict = row.launch(&Launch { state: "strict", args: &["--strict"], ..Launch::default() });
    assert_eq!(strict.ended().code, Some(2), "{}", strict.stderr());
    says_all(parts, &strict.stderr());
    assert_eq!(strict.count(|event| event.event == "plugin.spawned"), 0, "nothing was started");
    let run = row.launch(&Launch { state: "run", ..Launch::default() });
    run.active(WELL);
    says_all(parts, &run.stderr());
    run
}

/// This plugin is down for its manifest: `failed`, class `config`, never spawned; `why` says `parts`.
#[track_caller]
fn is_failed(run: &Running<'_>, id: &str, parts: &[&str]) {
    run.state(id, "failed");
    let row = run.plugin(id);
    assert_eq!(json!([row["state"], row["pid"]]), json!(["failed", null]), "{row}");
    assert_eq!(row["last_failure"]["class"], "config", "{row}");
    assert_eq!(run.count(|event| event.is("plugin.spawned", id)), 0);
    says_all(parts, &run.cli(&["why", id]).code(0).stdout);
    let refused = run.call(id, "echo", &json!({})).unwrap_err();
    assert_eq!((refused.code, refused.class()), (-31001, "failed"), "{refused:?}");
}
