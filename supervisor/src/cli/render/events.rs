//! Events in words: for `events`, the timeline of `why`, and `run` where nobody watches a terminal.

use serde_json::Value;

use super::fields::Fields;
use super::screen::{Screen, Tone};
use super::stop;
use super::text::{clock, visible};
use crate::control::api::{Event, EventItem};
use crate::control::words::{count, exit, span};

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Info,
    Warn,
    Error,
}

impl Level {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    pub(super) fn tone(self) -> Tone {
        match self {
            Self::Info => Tone::Plain,
            Self::Warn => Tone::Warning,
            Self::Error => Tone::Bad,
        }
    }
}

/// One item of the events, as a line.
pub(in crate::cli) fn item(screen: &mut Screen, item: &EventItem) {
    match item {
        EventItem::Event(event) => line(screen, event),
        EventItem::Missed(missed) if screen.is_json() => {
            screen.json_line(&serde_json::json!({ "missed": missed }));
        }
        EventItem::Missed(missed) => {
            screen.line(&format!(
                "------------ {missed} events went by faster than they could be shown"
            ));
        }
    }
}

/// One event, as a line.
pub(in crate::cli) fn line(screen: &mut Screen, event: &Event) {
    if screen.is_json() {
        screen.json_line(event);
        return;
    }
    let (level, words) = describe(event);
    let before = format!("{} {}  ", clock(&event.at, screen.zone()), about(event));
    screen.toned(&before, level.tone(), &visible(&words), "");
}

/// Whom an event is about.
pub(super) fn about(event: &Event) -> String {
    match &event.plugin {
        Some(id) if event.generation > 0 => format!("{}/{}", visible(id), event.generation),
        Some(id) => visible(id).into_owned(),
        None => "outboard".to_owned(),
    }
}

/// What happened, in words, and how much it matters.
///
/// An event of a newer supervisor is told by its name and its members: none is left out.
pub(super) fn describe(event: &Event) -> (Level, String) {
    use Level::{Error, Info, Warn};
    let f = Fields(event);
    match event.event.as_str() {
        "supervisor.started" => {
            (Info, format!("outboard {} started, pid {}", f.text("version"), f.text("pid")))
        }
        "supervisor.stopping" => (Info, format!("stopping{}", asked_by(event))),
        "supervisor.upgrade_started" => (
            Info,
            format!("goes over from {} to {}, {}", f.text("from"), f.text("to"), f.text("program")),
        ),
        "supervisor.upgrade_refused" => {
            (Warn, with("not upgraded, nothing has changed", "", &f.text("message")))
        }
        "supervisor.upgraded" => (
            Info,
            format!(
                "outboard {} goes on as {}, after {}: {}, {}",
                f.text("from"),
                f.text("to"),
                f.span("ms"),
                count(f.number("plugins"), "running plugin", "running plugins"),
                count(f.number("clients"), "attached client", "attached clients"),
            ),
        ),
        "supervisor.upgrade_failed" => {
            (Error, with("not upgraded, it goes on as it was", "", &f.text("message")))
        }
        "supervisor.stopped" => (Info, with("stopped", "", &f.text("reason"))),
        "keeper.started" => (Info, format!("keeper started, pid {}", f.text("pid"))),
        "keeper.died" => (
            Error,
            with(
                "the keeper died, and its plugins with it; they start again",
                "",
                &f.text("message"),
            ),
        ),
        "keeper.reexecuted" => (
            Info,
            format!("the keeper, pid {}, is outboard {} now too", f.text("pid"), f.text("version")),
        ),
        "keeper.kept" => {
            (Warn, with("the keeper stays the build that it was", "", &f.text("message")))
        }
        "plugin.registered" => (Info, "registered".to_owned()),
        "plugin.removed" => (Info, "removed".to_owned()),
        "plugin.asked" => (Info, format!("{} is wanted{}", f.text("what"), asked_by(event))),
        "plugin.reconfigured" => {
            let what = format!("its manifest changed ({})", f.text("action").replace('_', " "));
            (Info, with(&what, "", &f.list("keys")))
        }
        "plugin.state" => (state_level(&f.text("to")), with(&f.text("to"), "", &f.text("reason"))),
        "plugin.phase" => (Info, phase(&f.text("phase")).to_owned()),
        "plugin.phase_extended" => {
            (Info, format!("still at work on its start; it may take up to {}", f.span("up_to_ms")))
        }
        "plugin.spawned" => {
            (Info, with(&format!("spawned pid {}", f.text("pid")), "", &f.words("command")))
        }
        "plugin.opened" => (Info, opened(event).unwrap_or_else(|| "handshake answered".to_owned())),
        // Whether it was to end is told by what comes before, or by the failure that comes after.
        "plugin.exited" => match f.exit() {
            Some(end) if end.code == Some(0) => (Info, exit(&end)),
            Some(end) => (Warn, exit(&end)),
            None => (Warn, "ended".to_owned()),
        },
        "plugin.failure" => (Error, failure(event)),
        "plugin.swept" => {
            (Warn, format!("it left {}, killed now", count(f.number("n"), "process", "processes")))
        }
        "plugin.unkillable" => {
            let state = match f.text("state").as_str() {
                "" => String::new(),
                "D" => ", blocked in the kernel (state D)".to_owned(),
                "t" => ", held by a tracer (state t)".to_owned(),
                other => format!(", state {other}"),
            };
            let pid = f.text("pid");
            (Error, format!("pid {pid} survived SIGKILL{state}; its calls are refused"))
        }
        "plugin.executable_changed" => {
            (Info, with("its executable changed", "", &f.text("executable")))
        }
        "restart.scheduled" => {
            (Warn, format!("starts again in {}, attempt {}", f.span("after_ms"), f.text("attempt")))
        }
        "restart.gave_up" => (Error, gave_up(event)),
        "probe.missed" => {
            (Warn, format!("probe unanswered, {} of {}", f.text("misses"), f.text("of")))
        }
        "probe.excused" => (
            Info,
            format!(
                "silent {}, excused by its work for up to {}",
                f.span("silent_ms"),
                f.span("up_to_ms")
            ),
        ),
        "health.changed" => {
            let level = if f.text("to") == "ok" { Info } else { Warn };
            (
                level,
                with(
                    &format!("health {} -> {}", f.text("from"), f.text("to")),
                    "",
                    &f.text("message"),
                ),
            )
        }
        "stop.rung" => (Info, stop::step(event)),
        "stop.finished" => (Info, stop::finished(event)),
        "dependency.waiting" => (Info, format!("waits for {}", f.list("on"))),
        "wire.junk" => (
            Warn,
            with(
                &format!(
                    "{} on stdout that are no messages",
                    count(f.number("lines"), "line", "lines")
                ),
                "",
                &f.text("excerpt"),
            ),
        ),
        "wire.too_long" => (Warn, "a message that is too long was skipped".to_owned()),
        "wire.fragment" => {
            (Warn, with("it ended in the middle of a message", "", &f.text("excerpt")))
        }
        "wire.orphan_reply" if event.fields.contains_key("late") => {
            (Info, format!("it answered {} too late", f.text("id")))
        }
        "wire.orphan_reply" => {
            let what = match f.text("waiting") {
                waiting if waiting.is_empty() => "which nobody asked".to_owned(),
                waiting => format!("and not the opening, {waiting}"),
            };
            let told = format!("it answered {}, {what}", f.text("id"));
            (Warn, with(&told, "", &f.text("message")))
        }
        "wire.reject" => (
            Warn,
            with(
                &format!("a line that is no valid message ({})", f.text("reason")),
                "",
                &f.text("excerpt"),
            ),
        ),
        "wire.orphan_error" => {
            (Warn, with("an error that answers nothing", "", &f.text("message")))
        }
        "wire.violation" => (Warn, with("it broke its protocol", "", &f.text("what"))),
        "call.kept_for_replay" => (
            Info,
            format!(
                "{} that may be made twice, kept for the next run",
                count(f.number("n"), "call", "calls")
            ),
        ),
        "mcp.list_changed" => (Info, format!("its list of {} changed", f.text("kind"))),
        "log.trouble" => (Warn, with("trouble with the log files", "", &f.text("message"))),
        "event.dropped" => {
            (Warn, format!("an event of {} was not delivered: its queue is full", f.text("topic")))
        }
        "client.cut_off" => (
            Warn,
            format!(
                "{} does not read what it is owed ({} KiB, {}), and lost its connection",
                f.text("client"),
                f.number("owed_bytes") / 1024,
                count(f.number("open_calls"), "call open", "calls open"),
            ),
        ),
        "client.missed" => (
            Warn,
            format!(
                "{} read too slowly and missed {}",
                f.text("client"),
                count(f.number("n"), "notification", "notifications"),
            ),
        ),
        "client.silent" => {
            let (client, after) = (f.text("client"), f.span("after_ms"));
            (
                Warn,
                format!("{client} was asked and did not answer in {after}; nobody answers it now"),
            )
        }
        "client.refused" => {
            let who = match f.text("caller").as_str() {
                "unknown" => "who had ended before it was known".to_owned(),
                caller => caller.to_owned(),
            };
            (Warn, format!("a client at {} was refused: {who} (refuse_plugins)", f.text("socket")))
        }
        "log.dropped" => {
            (Warn, format!("{} dropped", count(f.number("n"), "log line", "log lines")))
        }
        "clock.stall" => {
            (Warn, format!("the machine stood still for {}; no plugin is blamed", f.span("ms")))
        }
        "process.stray" => {
            (Warn, format!("pid {} belongs to no plugin for sure; it is watched", f.text("pid")))
        }
        "storm.began" => {
            (Warn, "many plugins fail at once: one restart a second from now on".to_owned())
        }
        "swap.started" => (Info, "another version is to take over".to_owned()),
        "swap.active" => (Info, format!("on trial: active after {}", span(f.millis("after_ms")))),
        "swap.canary" => {
            let name = format!("canary {} of {}", f.number("probe"), f.number("of"));
            let took = span(f.millis("took_ms"));
            match event.fields.get("answered").and_then(Value::as_bool) {
                Some(true) => (Info, format!("{name} answered in {took}")),
                Some(false) | None => (Warn, format!("{name} not answered in {took}")),
            }
        }
        "swap.switched" => (
            Info,
            format!(
                "serves from now on; generation {} answers {} and leaves",
                f.number("before"),
                count(f.number("in_flight"), "call", "calls")
            ),
        ),
        "build.started" => (Info, "its sources changed: it is built".to_owned()),
        "build.finished" => (Info, format!("built in {}", span(f.millis("took_ms")))),
        "build.failed" => {
            (Error, format!("build failed: {}; nothing is swapped", f.text("message")))
        }
        "swap.rolled_back" => (Error, format!("rolled back: {}", f.text("reason"))),
        "swap.abandoned" => (Warn, format!("swap given up: {}", f.text("reason"))),
        "swap.done" => (Info, format!("swap over after {}", span(f.millis("took_ms")))),
        "reaper.removed" => (
            Info,
            format!("{} of an earlier run removed", count(f.number("n"), "process", "processes")),
        ),
        "reaper.skipped" => (
            Warn,
            format!(
                "{} left alone: not ours for sure",
                count(f.number("n"), "process", "processes")
            ),
        ),
        "state.unreadable" => (
            Warn,
            format!(
                "{} makes no sense and was not believed; kept as {}",
                f.text("file"),
                f.text("kept_as")
            ),
        ),
        "config.rejected" => (Error, with("its manifest is refused", "", &f.list("problems"))),
        "config.applied" => {
            (Info, format!("revision {} applied{}", f.text("revision"), asked_by(event)))
        }
        "config.answered" => match event.fields.get("applied").and_then(Value::as_bool) {
            Some(true) => (Info, "took its changed configuration".to_owned()),
            _ => (Warn, "did not take its changed configuration".to_owned()),
        },
        "internal.surprise" => {
            (Warn, format!("surprised by {} while {}", f.text("what"), f.text("state")))
        }
        "internal.panic" => (Error, with("a part of outboard panicked", "", &f.text("message"))),
        name => (Info, unknown(name, event)),
    }
}

/// Who asked for it, where that is known.
fn asked_by(event: &Event) -> String {
    let by = event.fields.get("by");
    let member = |name: &str| by.and_then(|by| by.get(name));
    let number = |name: &str| member(name).and_then(Value::as_u64);
    match (member("via").and_then(Value::as_str), number("pid"), number("uid")) {
        (Some("watch"), ..) => ", as a file changed".to_owned(),
        (Some("stdin"), ..) => ", as standard input ended".to_owned(),
        (Some("signal"), ..) => ", as a signal asked".to_owned(),
        (_, Some(pid), Some(uid)) => match member("caller").and_then(Value::as_str) {
            Some(plugin) => format!(", as pid {pid} of {plugin} asked"),
            None => format!(", as pid {pid} of user {uid} asked"),
        },
        _ => String::new(),
    }
}

fn unknown(name: &str, event: &Event) -> String {
    let members: Vec<String> = event
        .fields
        .iter()
        .map(|(key, value)| match value {
            Value::String(text) => format!("{key}={text}"),
            other => format!("{key}={other}"),
        })
        .collect();
    with(name, "", &members.join(" "))
}

/// `what`, and what is known beyond it.
fn with(what: &str, before: &str, more: &str) -> String {
    if more.is_empty() { what.to_owned() } else { format!("{what}: {before}{more}") }
}

fn state_level(to: &str) -> Level {
    match to {
        "failed" | "unkillable" => Level::Error,
        "backoff" | "degraded" => Level::Warn,
        _ => Level::Info,
    }
}

fn phase(phase: &str) -> &str {
    match phase {
        "queued" => "waits for its turn to start",
        "spawn" => "its process is being started",
        "first_byte" => "runs; its first byte is awaited",
        "handshake" => "first byte; handshake under way",
        "ready" => "handshake answered; not ready yet",
        other => other,
    }
}

/// What an opening agreed on and offers: `2025-11-25, 14 tools`. The native protocol's version is no news.
pub(super) fn opened(event: &Event) -> Option<String> {
    let f = Fields(event);
    offer(f.text("protocol"), f.text("offers"))
}

/// As [`opened`].
pub(super) fn offer(protocol: String, offers: String) -> Option<String> {
    let parts: Vec<String> =
        [protocol, offers].into_iter().filter(|part| !part.is_empty() && part != "1").collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// The failure that an event tells of, in few words.
pub(super) fn failure(event: &Event) -> String {
    let f = Fields(event);
    crate::control::words::failure(&crate::control::api::Failure {
        class: f.text("class"),
        detail: f.text("detail"),
        message: f.text("message"),
        at: String::new(),
        generation: event.generation,
        exit: f.exit(),
        up_ms: None,
    })
}

/// That it gave up, and what comes next.
pub(super) fn gave_up(event: &Event) -> String {
    let f = Fields(event);
    let next = match (event.fields.get("retry_after_ms"), f.number("restarts")) {
        // What failed for good at its first start may have been mended by then; what that takes is its class' business.
        (Some(Value::Number(_)), 0) => format!("looks again in {}", f.span("retry_after_ms")),
        (Some(Value::Number(_)), _) => format!("one careful try in {}", f.span("retry_after_ms")),
        _ => "it stays down".to_owned(),
    };
    match f.number("restarts") {
        0 => format!("gave up; {next}"),
        n => format!(
            "gave up after {} in {}; {next}",
            count(n, "restart", "restarts"),
            f.span("within_ms")
        ),
    }
}
