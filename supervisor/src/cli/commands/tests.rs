//! Verbs against a management server with a fake backend behind it: what is printed, and the exit code.

mod reload;

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use clap::Parser;
use outboard_core::{Class, Exit as ProcessExit, Rung, StopRecord};
use serde_json::json;

use super::dispatch;
use super::run::{Plan, Supervised, supervise};
use crate::cli::args::Args;
use crate::cli::exit::Exit;
use crate::cli::render::Screen;
use crate::cli::render::run::{Expected, Mode};
use crate::cli::trouble::Trouble;
use crate::control::fake::{self, Fake, active, failed, outcome, registered};
use crate::control::{Backend, ControlServer};
use crate::host::{Dossier, Ended, LogSource};

struct World {
    dir: tempfile::TempDir,
    fake: Fake,
    _server: ControlServer,
}

impl World {
    fn new(fake: Fake) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let server = ControlServer::start(dir.path(), fake.clone()).unwrap();
        Self { dir, fake, _server: server }
    }

    async fn types(&self, words: &[&str]) -> (Exit, String) {
        types(self.dir.path(), words).await
    }
}

/// What is printed, standard error behind `!`, with the state directory's name taken out.
async fn types(dir: &std::path::Path, words: &[&str]) -> (Exit, String) {
    let mut all = vec!["outboard", "--state-dir", dir.to_str().unwrap()];
    all.extend(words);
    let args = Args::try_parse_from(all).unwrap();
    let (mut screen, printed) = Screen::for_test(100, args.json);
    let exit = match dispatch(&args, &mut screen).await {
        Ok(exit) => exit,
        Err(trouble) => screen.trouble(&trouble),
    };
    (exit, printed.text().replace(dir.to_str().unwrap(), "STATE"))
}

/// A stop as a well-behaved plugin leaves.
fn left() -> StopRecord {
    let rungs = vec![(Rung::Leave, Duration::from_millis(20))];
    let (exit, took) = (Some(ProcessExit::Code(0)), Duration::from_millis(20));
    StopRecord { generation: 1, rungs, exit, swept: 0, took, by_itself: false }
}

fn three() -> Fake {
    Fake::new(vec![active("geo", 60), failed("github"), registered("bash-ls")])
}

#[tokio::test]
async fn status_is_printed_whole_or_in_part() {
    let world = World::new(three());
    let (exit, text) = world.types(&["status", "g*"]).await;
    assert_eq!(exit, Exit::Done);
    insta::assert_snapshot!(text);
    let (_, json) = world.types(&["status", "--json"]).await;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["schema"], &json["plugins"][0]["state"]), (&json!(1), &json!("failed")));
}

#[tokio::test]
async fn a_watch_prints_what_changed_and_nothing_else() {
    let world = World::new(Fake::new(vec![active("geo", 60), failed("github")]));
    let fake = world.fake.clone();
    let (mut screen, printed) = Screen::for_test(100, true);
    let lines = || printed.text().lines().count();
    let happens = async {
        until(|| lines() == 1).await;
        // Something happens to somebody, and nothing that a row says is another than before.
        let looks = fake.with(|state| state.looks);
        fake.emit(fake::event(1, 0, "geo", "call.lost", json!({})));
        until(|| fake.with(|state| state.looks) > looks).await;
        fake.with(|state| state.view.plugins[0] = failed("geo"));
        fake.emit(fake::event(2, 0, "geo", "plugin.state", json!({"to": "failed"})));
        until(|| lines() == 2).await;
    };
    let dir = world.dir.path().to_str().unwrap();
    let words = ["outboard", "--state-dir", dir, "status", "--watch", "--json"];
    let args = Args::try_parse_from(words).unwrap();
    tokio::select! {
        ended = dispatch(&args, &mut screen) => panic!("it ended: {:?}", ended.map(|exit| exit as u8)),
        () = happens => {}
    }
    let text = printed.text();
    let states: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|status| {
            let plugins = status["plugins"].as_array().unwrap().iter();
            let geo = plugins.into_iter().find(|plugin| plugin["id"] == "geo").unwrap();
            geo["state"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(states, ["active", "failed"], "{text}");
}

#[tokio::test]
async fn list_prints_ids() {
    assert_eq!(World::new(three()).types(&["list"]).await.1, "bash-ls\ngeo\ngithub\n");
}

#[tokio::test]
async fn errors_have_one_shape_and_their_exit_code() {
    let world = World::new(three());
    let mut all = String::new();
    for words in [
        &["status", "githup"][..],
        &["why", "nothing-like-it"],
        &["stop"],
        &["call", "geo", "m", "7"],
    ] {
        let (exit, text) = world.types(words).await;
        all.push_str(&format!("$ outboard {}  ({})\n{text}", words.join(" "), exit as u8));
    }
    let nowhere = tempfile::tempdir().unwrap();
    for words in [&["status"][..], &["call", "geo", "m"]] {
        let (exit, text) = types(nowhere.path(), words).await;
        all.push_str(&format!("$ outboard {}  ({})\n{text}", words.join(" "), exit as u8));
    }
    insta::assert_snapshot!(all);
}

#[tokio::test]
async fn a_stop_that_left_something_is_no_success() {
    let world = World::new(three());
    world.fake.with(|state| {
        state.outcomes = vec![outcome("geo", 20, Ended::Unkillable { pid: Some(9) })];
    });
    let (exit, text) = world.types(&["stop", "geo", "--now"]).await;
    assert_eq!(exit, Exit::Unavailable);
    assert!(text.contains("pid 9 survived SIGKILL"), "{text}");
    assert_eq!(world.fake.with(|state| state.asked.clone()), ["stop geo now"]);
}

#[tokio::test]
async fn a_change_is_watched_until_its_answer_is_there() {
    let world = World::new(three());
    world.fake.with(|state| {
        state.hold = true;
        state.outcomes = vec![outcome("geo", 20, Ended::Stopped(None))];
    });
    let fake = world.fake.clone();
    let happens = async move {
        // The verb reads events before it asks.
        until(|| fake.with(|state| !state.asked.is_empty())).await;
        let gone = json!({"took_ms": 20, "exit": {"code": 0}, "swept": 0, "by_itself": false,
            "rungs": [{"rung": "exit", "ms": 20}]});
        fake.emit(fake::event(1, 0, "geo", "stop.finished", gone));
        fake.open_gate();
    };
    let ((exit, text), ()) = tokio::join!(world.types(&["stop", "geo"]), happens);
    assert_eq!(exit, Exit::Done);
    // Known from the event or from the answer, whichever came first, and said once.
    assert_eq!(text.matches("geo  stopped").count(), 1, "{text}");
    assert!(text.ends_with("It stays down until `start` or the next `run`.\n"), "{text}");
}

/// No event comes before the answer: what is offered is said all the same.
#[tokio::test]
async fn an_answer_that_overtakes_its_events_is_shown_whole() {
    let world = World::new(three());
    world.fake.with(|state| state.outcomes = vec![outcome("geo", 420, Ended::Active)]);
    for verb in ["start", "restart"] {
        let (exit, text) = world.types(&[verb, "geo"]).await;
        assert_eq!(
            (exit, text.as_str()),
            (Exit::Done, "geo  active       0.42s  3 methods\n"),
            "{verb}"
        );
    }
}

#[tokio::test]
async fn what_is_not_waited_for_is_under_way() {
    let world = World::new(three());
    let (exit, text) = world.types(&["restart", "g*", "--no-wait"]).await;
    assert_eq!((exit, text.as_str()), (Exit::Done, "restart is under way: geo, github\n"));
}

#[tokio::test]
async fn shutdown_says_each_last_word() {
    let world = World::new(three());
    world.fake.with(|state| {
        state.outcomes = vec![
            outcome("geo", 20, Ended::Stopped(Some(left()))),
            // What had failed is down now, and was not running before.
            outcome("github", 0, Ended::Stopped(None)),
            outcome("bash-ls", 0, Ended::Unchanged),
        ];
    });
    let (exit, text) = world.types(&["shutdown"]).await;
    assert_eq!(exit, Exit::Done);
    assert_eq!(text, "geo      stopped      0.02s  left when asked, exit 0\noutboard has ended.\n");
}

#[tokio::test]
async fn logs_and_events_are_printed() {
    let world = World::new(three());
    world.fake.with(|state| {
        state.lines = vec![
            fake::line(0, "geo", LogSource::Err, None, "one"),
            fake::line(1, "geo", LogSource::Log, Some("warn"), "two"),
        ];
    });
    world.fake.emit(fake::event(1, 0, "geo", "probe.missed", json!({"misses": 1, "of": 3})));
    let (_, text) = world.types(&["logs", "geo", "-n", "1"]).await;
    assert!(text.ends_with("warn  two\n"), "{text}");
    assert_eq!(text.lines().count(), 1);
    let (_, text) = world.types(&["logs", "--all", "--source", "err", "--json"]).await;
    assert!(
        text.starts_with(r#"{"schema":1,"at":"2026-03-01T03:12:04.118000Z","plugin":"geo""#),
        "{text}"
    );
    let (_, text) = world.types(&["events"]).await;
    assert!(text.ends_with("geo/6  probe unanswered, 1 of 3\n"), "{text}");
}

#[tokio::test]
async fn following_ends_with_the_supervisor() {
    let world = World::new(three());
    world.fake.with(|state| state.lines = vec![fake::line(0, "geo", LogSource::Err, None, "past")]);
    let World { dir, fake, _server: server } = world;
    let state_dir = dir.path().to_str().unwrap();
    let words = ["outboard", "--state-dir", state_dir, "logs", "geo", "-f"];
    let args = Args::try_parse_from(words).unwrap();
    let (mut screen, printed) = Screen::for_test(100, false);
    let end = async {
        until(|| fake.readers() == 1 && printed.text().contains("past")).await;
        // Already in the past: not printed twice. The second one is new.
        fake.say(fake::line(0, "geo", LogSource::Err, None, "past"));
        fake.say(fake::line(5, "geo", LogSource::Err, None, "new"));
        until(|| printed.text().contains("new")).await;
        server.stop().await;
    };
    let (exit, ()) = tokio::join!(dispatch(&args, &mut screen), end);
    assert_eq!(exit, Ok(Exit::Done));
    let text = printed.text();
    let lines: Vec<_> = text.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(lines, ["past", "new", "ended"], "{text}");
}

/// Waits for something that happens in another task of this runtime.
async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("it happens");
}

fn crashed(id: &str) -> Dossier {
    let failure = fake::failure(Class::Exit, "exit", "it exited", Some(ProcessExit::Code(1)));
    Dossier {
        failure,
        view: failed(id),
        last_words: vec!["one".to_owned(), "two".to_owned()],
        stderr_lines: 2,
        at_us: None,
        up: None,
        words_at: Vec::new(),
        frames: Vec::new(),
        timeline: Vec::new(),
        lost: Vec::new(),
        lost_total: 0,
        earlier: Vec::new(),
        cpu: None,
        peak_kib: None,
        swept: None,
    }
}

#[tokio::test]
async fn why_can_show_the_last_words_alone() {
    let world = World::new(three());
    world.fake.with(|state| state.dossier = Some(crashed("github")));
    assert_eq!(world.types(&["why", "github", "--stderr"]).await.1, "one\ntwo\n");
    let (exit, text) = world.types(&["why", "github"]).await;
    assert_eq!(exit, Exit::Done);
    assert!(
        text.starts_with("github is failed: exit 1. One careful try in 11s, then at"),
        "{text}"
    );
}

fn plan(once_active: Option<Duration>) -> Plan {
    let up = ["geo".to_owned()].into();
    Plan {
        mode: Mode::Pretty,
        expected: Expected { up, ..Expected::default() },
        once_active,
        plugin_logs: true,
    }
}

fn state(seq: u64, from: &str, to: &str) -> crate::host::EventRecord {
    fake::event(seq, 0, "geo", "plugin.state", json!({"from": from, "to": to, "reason": ""}))
}

/// Runs `supervise` with a backend whose plugin turns to `states`, one after another; the supervisor has ended once
/// it was told to.
async fn run_until(plan: Plan, states: &[&str]) -> (Result<Exit, Trouble>, String, Vec<String>) {
    let fake = Fake::new(vec![registered("geo")]);
    fake.with(|state| {
        state.dossier = Some(crashed("geo"));
        state.outcomes = vec![outcome("geo", 20, Ended::Stopped(None))];
    });
    let (mut screen, printed) = Screen::for_test(100, false);
    let ended = fake.clone();
    let stopped = async move {
        until(|| ended.with(|state| !state.asked.is_empty())).await;
        Ok(())
    };
    let begin = || {
        let mut from = "registered";
        for (seq, to) in states.iter().enumerate() {
            fake.emit(state(seq as u64 + 1, from, to));
            from = to;
        }
    };
    let exit = supervise(
        &fake,
        &plan,
        fake.subscribe_events(),
        begin,
        stopped,
        std::future::pending(),
        &mut screen,
    )
    .await;
    let exit = exit.map(|supervised| match supervised {
        Supervised::Ended(exit) => exit,
        Supervised::Granted => panic!("nobody granted anything"),
    });
    (exit, printed.text(), fake.with(|state| state.asked.clone()))
}

#[tokio::test]
async fn once_active_ends_when_all_are() {
    let minute = Some(Duration::from_secs(60));
    let (exit, text, asked) = run_until(plan(minute), &["starting", "active"]).await;
    assert_eq!((exit, asked), (Ok(Exit::Done), vec!["shutdown".to_owned()]));
    assert!(text.contains("1 active after"), "{text}");
}

#[tokio::test]
async fn once_active_ends_at_the_first_failure_and_says_why() {
    let minute = Some(Duration::from_secs(60));
    let (exit, text, _) = run_until(plan(minute), &["starting", "failed"]).await;
    assert_eq!(exit, Ok(Exit::Unavailable));
    assert!(text.contains("! error: geo is failed: exit 1."), "{text}");
}

#[tokio::test]
async fn once_active_does_not_wait_for_ever() {
    let soon = Some(Duration::from_millis(20));
    let (exit, _, asked) = run_until(plan(soon), &["starting"]).await;
    let trouble = exit.unwrap_err();
    assert_eq!((trouble.exit, asked), (Exit::Deadline, vec!["shutdown".to_owned()]));
    assert_eq!(trouble.cause, ["not there yet: geo"]);
}

#[tokio::test]
async fn a_supervisor_that_somebody_else_ended_is_no_failure() {
    let fake = Fake::new(vec![active("geo", 1)]);
    let (mut screen, printed) = Screen::for_test(100, false);
    let exit = supervise(
        &fake,
        &plan(None),
        fake.subscribe_events(),
        || {},
        async { Ok(()) },
        std::future::pending(),
        &mut screen,
    )
    .await;
    assert_eq!(exit, Ok(Supervised::Ended(Exit::Done)));
    assert!(printed.text().ends_with("outboard has ended.\n"), "{}", printed.text());
}

#[tokio::test]
async fn a_supervisor_that_had_to_end_says_so() {
    let fake = Fake::new(vec![active("geo", 1)]);
    let (mut screen, _) = Screen::for_test(100, false);
    let lost = async { Err(Trouble::new(Exit::Unavailable, "the keeper died three times")) };
    let exit = supervise(
        &fake,
        &plan(None),
        fake.subscribe_events(),
        || {},
        lost,
        std::future::pending(),
        &mut screen,
    )
    .await;
    assert_eq!(exit.unwrap_err().exit, Exit::Unavailable);
}

#[tokio::test]
async fn health_probes_first_and_a_plugin_that_does_not_run_is_not_in_the_state_asked_for() {
    let world = World::new(three());
    let (exit, text) = world.types(&["health", "geo"]).await;
    assert_eq!(exit, Exit::Done);
    assert!(text.starts_with("ID") && text.contains("geo") && text.contains("ok"), "{text}");
    let (exit, text) = world.types(&["health"]).await;
    assert_eq!(exit, Exit::Unavailable);
    assert!(text.contains("github") && text.contains("failed"), "{text}");
    assert_eq!(
        world.fake.with(|state| state.asked.clone()),
        ["check geo", "check geo github bash-ls"]
    );
}

#[tokio::test]
async fn schema_needs_no_supervisor_and_is_json_for_editors_and_lines_for_scripts() {
    let nowhere = std::path::Path::new("nowhere");
    let (exit, text) = types(nowhere, &["schema"]).await;
    assert_eq!(exit, Exit::Done);
    let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(schema["properties"]["process"].is_object(), "{text}");
    let (_, text) = types(nowhere, &["schema", "events"]).await;
    assert!(text.lines().any(|line| line == "plugin.state"), "{text}");
}
