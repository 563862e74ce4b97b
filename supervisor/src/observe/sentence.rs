//! Events as the lines that stand among a plugin's own in its log.

use serde_json::Value;

use crate::host::EventRecord;

/// The supervisor's act in a few words; `None` for events that say nothing to whoever reads the log.
#[must_use]
pub fn sentence(record: &EventRecord) -> Option<String> {
    let text = |name: &str| record.fields.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| record.fields.get(name).and_then(Value::as_u64).unwrap_or_default();
    Some(match record.event {
        "plugin.spawned" => format!("spawned pid {}", number("pid")),
        "plugin.asked" => format!("{} is wanted{}", text("what"), by(record.fields.get("by"))),
        "plugin.reconfigured" => {
            let keys = record.fields.get("keys").and_then(Value::as_array);
            let keys: Vec<&str> = keys.into_iter().flatten().filter_map(Value::as_str).collect();
            format!("its manifest changed: {} ({})", keys.join(", "), text("action"))
        }
        "config.answered" if record.fields.get("applied") == Some(&Value::Bool(true)) => {
            "took its changed configuration".to_owned()
        }
        "config.answered" => "did not take its changed configuration".to_owned(),
        "plugin.state" => match text("reason") {
            "" => text("to").to_owned(),
            reason => format!("{}: {reason}", text("to")),
        },
        "plugin.opened" => format!("opened: protocol {}", text("protocol")),
        "plugin.exited" => format!("ended: {}", exit(record.fields.get("exit"))),
        "plugin.failure" => format!("failure {}: {}", text("class"), text("message")),
        "plugin.swept" => format!("{} of its processes outlived it and were killed", number("n")),
        "plugin.unkillable" => format!("survived SIGKILL: pid {}", number("pid")),
        "plugin.executable_changed" => format!("runs another file now: {}", text("executable")),
        "restart.scheduled" => format!("starts again in {}", millis(number("after_ms"))),
        "restart.gave_up" => match record.fields.get("retry_after_ms").and_then(Value::as_u64) {
            Some(after) if number("restarts") == 0 => {
                format!("gave up; looks again in {}", millis(after))
            }
            Some(after) => format!(
                "gave up after {} restarts; one try in {}",
                number("restarts"),
                millis(after)
            ),
            None => format!("gave up after {} restarts", number("restarts")),
        },
        "probe.missed" => format!("did not answer probe {} of {}", number("misses"), number("of")),
        "health.changed" => match text("message") {
            "" => format!("health {}", text("to")),
            message => format!("health {}: {message}", text("to")),
        },
        "stop.rung" => format!("stop: {}, within {}", text("rung"), millis(number("within_ms"))),
        "wire.junk" => {
            let said = match number("lines") {
                1 => "a line on stdout that is no message".to_owned(),
                lines => format!("{lines} lines on stdout that are no messages"),
            };
            match record.fields.get("writers").and_then(Value::as_array) {
                Some(pids) => format!("{said}; {}", writers(pids)),
                None => said,
            }
        }
        "wire.fragment" => format!("{} bytes on stdout without an end: not read", number("bytes")),
        "wire.too_long" => {
            format!("a line of {} bytes on stdout is longer than max_frame", number("bytes"))
        }
        "wire.orphan_reply" if record.fields.contains_key("late") => {
            format!("an answer to id {}, too late", text("id"))
        }
        "wire.orphan_reply" => {
            let opening = record.fields.get("waiting").and_then(Value::as_u64);
            let why = match opening {
                Some(opening) => format!("; the opening, {opening}, waits for one"),
                None => ", which nobody asked".to_owned(),
            };
            let error = match text("message") {
                "" => String::new(),
                error => format!(": {error}"),
            };
            format!("an answer to id {}{why}{error}", text("id"))
        }
        "wire.orphan_error" | "wire.violation" => text("message").to_owned() + text("what"),
        "call.kept_for_replay" => {
            format!("{} calls in flight may be made twice: kept for the next run", number("n"))
        }
        "event.dropped" => format!("an event of {} was dropped: the queue is full", text("topic")),
        "client.cut_off" => format!(
            "a client lost its connection: {} did not read {} bytes",
            text("client"),
            number("owed_bytes")
        ),
        "client.missed" => {
            format!("a client missed {} notifications: {}", number("n"), text("client"))
        }
        "client.silent" => format!(
            "{} was asked and did not answer in {}: the plugin was told that nobody does",
            text("client"),
            millis(number("after_ms"))
        ),
        "log.dropped" => format!("{} lines dropped: more than 1000 a second", number("n")),
        "build.started" => "its sources changed: it is built".to_owned(),
        "build.finished" => format!("built in {}", millis(number("took_ms"))),
        "build.failed" => format!("build failed: {}", text("message")),
        "swap.started" => format!("swap: another version is to take over ({})", text("mode")),
        "swap.active" => format!("swap: active after {}, on trial", millis(number("after_ms"))),
        "swap.canary" => {
            let answered = record.fields.get("answered").and_then(Value::as_bool);
            let end = if answered == Some(true) { "answered in" } else { "not answered in" };
            let (probe, of) = (number("probe"), number("of"));
            format!("swap: canary {probe} of {of} {end} {}", millis(number("took_ms")))
        }
        "swap.switched" => {
            format!("swap: serves from now on; generation {} drains and leaves", number("before"))
        }
        "swap.rolled_back" => format!("swap: rolled back: {}", text("reason")),
        "swap.abandoned" => format!("swap: given up: {}", text("reason")),
        "swap.done" => format!("swap: done in {}", millis(number("took_ms"))),
        "dependency.waiting" => "waits for what it requires".to_owned(),
        _ => return None,
    })
}

/// Who asked, where that is known.
fn by(by: Option<&Value>) -> String {
    let member = |name: &str| by.and_then(|by| by.get(name));
    match (member("pid").and_then(Value::as_u64), member("uid").and_then(Value::as_u64)) {
        (Some(pid), Some(uid)) => match member("caller").and_then(Value::as_str) {
            Some(plugin) => format!(" by pid {pid} of {plugin}"),
            None => format!(" by pid {pid} of user {uid}"),
        },
        _ => String::new(),
    }
}

/// Others who may have written what is no message.
fn writers(pids: &[Value]) -> String {
    let pids: Vec<String> = pids.iter().map(|pid| format!("pid {pid}")).collect();
    format!("{} can write there as well", pids.join(", "))
}

fn exit(exit: Option<&Value>) -> String {
    let member = |name: &str| exit.and_then(|e| e.get(name));
    match (member("code").and_then(Value::as_i64), member("signal").and_then(Value::as_str)) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => signal.to_owned(),
        (None, None) => "how is not known".to_owned(),
    }
}

fn millis(ms: u64) -> String {
    if ms < 1000 { format!("{ms}ms") } else { format!("{}.{}s", ms / 1000, ms % 1000 / 100) }
}
