//! The note of a plugin: in plain words why its row is not simply fine.

use std::time::Duration;

use outboard_core::{HealthName, Phase, Rung, StateName, SwapStage};

use super::convert;
use super::words::{count, failure, span};
use crate::host::PluginView;
use outboard_core::Time;

/// The note, or `None` when there is nothing to say.
pub(super) fn note(view: &PluginView, now: Time) -> Option<String> {
    let snapshot = &view.snapshot;
    match snapshot.state {
        StateName::Failed => Some(failed(view, now)),
        StateName::Unkillable => Some(match snapshot.pid {
            Some(pid) => format!("pid {pid} survived SIGKILL; its calls are refused"),
            None => "survived SIGKILL; its calls are refused".to_owned(),
        }),
        StateName::Backoff => {
            Some(format!("{}; {}", last_failure(view), again(view, now, "starts again")))
        }
        StateName::Starting => Some(starting(snapshot.phase).to_owned()),
        StateName::Loaded => Some(match snapshot.phase {
            Some(Phase::Ready) => "answered the handshake; not ready yet".to_owned(),
            _ => "answered the handshake; its first probe is out".to_owned(),
        }),
        StateName::Stopping => Some(stopping(view, now)),
        StateName::Registered => Some(resting(view, now)),
        StateName::Active | StateName::Degraded => swapping(view).or_else(|| serving(view, now)),
    }
}

/// What a swap does beside it.
fn swapping(view: &PluginView) -> Option<String> {
    let snapshot = &view.snapshot;
    let beside = snapshot.next.as_ref();
    Some(match (snapshot.swap?, beside) {
        (SwapStage::Trial, Some(next)) if next.generation > 0 => {
            format!("generation {} is on trial beside it", next.generation)
        }
        (SwapStage::Trial, Some(_)) => "a new version waits for its turn to start".to_owned(),
        (SwapStage::Trial, None) => "a new version, on trial; calls wait".to_owned(),
        (SwapStage::Leaving, Some(next)) if next.state == StateName::Unkillable => {
            format!("generation {} survived SIGKILL beside it", next.generation)
        }
        (SwapStage::Leaving, Some(next)) => format!("generation {} leaves", next.generation),
        (SwapStage::Leaving | SwapStage::Returning, None) => "a swap ends".to_owned(),
        (SwapStage::Returning, Some(_)) => "the old version comes back".to_owned(),
    })
}

fn failed(view: &PluginView, now: Time) -> String {
    let id = &view.snapshot.id;
    match view.snapshot.next_try {
        Some(_) => {
            format!("{}; {}; see `why {id}`", last_failure(view), again(view, now, "one try"))
        }
        None => format!("{}; see `why {id}`", last_failure(view)),
    }
}

fn last_failure(view: &PluginView) -> String {
    view.snapshot.last_failure.as_ref().map_or_else(
        || "no reason is known".to_owned(),
        |last| failure(&convert::failure_words(last)),
    )
}

fn again(view: &PluginView, now: Time, verb: &str) -> String {
    match view.snapshot.next_try {
        Some(at) if at > now => format!("{verb} in {}", span(at.since(now))),
        Some(_) => format!("{verb} now"),
        None => format!("{verb} when its turn comes"),
    }
}

/// What a starting plugin is waited for.
pub(super) fn starting(phase: Option<Phase>) -> &'static str {
    match phase {
        None | Some(Phase::Queued) => "waits for its turn to start",
        Some(Phase::Spawn) => "its process is being started",
        Some(Phase::FirstByte) => "runs, silent so far",
        Some(Phase::Handshake) => "handshake under way",
        Some(Phase::Ready) => "answered the handshake; not ready yet",
    }
}

fn stopping(view: &PluginView, now: Time) -> String {
    let step = match view.snapshot.rung {
        None => "stopping",
        Some(Rung::Drain) => "its calls finish first",
        Some(Rung::Ask) => "asked to shut down",
        Some(Rung::Leave) => "asked to exit, stdin closed",
        Some(Rung::Term) => "SIGTERM sent",
        Some(Rung::Kill) => "SIGKILL sent",
    };
    match view.snapshot.next_try {
        Some(at) if at > now => format!("{step}; {} more at most", span(at.since(now))),
        Some(_) | None => step.to_owned(),
    }
}

fn resting(view: &PluginView, now: Time) -> String {
    let snapshot = &view.snapshot;
    if !snapshot.waiting_for.is_empty() {
        return format!("waits for {}", snapshot.waiting_for.join(", "));
    }
    if snapshot.finished {
        return "finished, exit 0".to_owned();
    }
    match view.held_since {
        // A start that has not begun yet.
        _ if snapshot.wanted_up => "waits for its turn to start".to_owned(),
        Some(since) => format!("stopped by hand {} ago", span(now.since(since))),
        None if view.lazy => "lazy: starts at the first call".to_owned(),
        None if snapshot.last_stop.is_some() => "stopped".to_owned(),
        None => "not enabled".to_owned(),
    }
}

fn serving(view: &PluginView, now: Time) -> Option<String> {
    let snapshot = &view.snapshot;
    let silent = snapshot.last_life.map_or(Duration::ZERO, |life| now.since(life));
    let health = match snapshot.health {
        HealthName::Busy => Some(format!(
            "silent {}, {} open",
            span(silent),
            count(u64::from(view.in_flight), "call", "calls")
        )),
        HealthName::Suspect => Some(format!("silent {}, probes unanswered", span(silent))),
        HealthName::Hung => Some(format!("silent {}, taken for hung", span(silent))),
        HealthName::Degraded => match &snapshot.health_message {
            Some(message) => Some(format!("it says: {message}")),
            None if view.dropped_lines > 0 => {
                Some(format!("{} dropped", count(view.dropped_lines, "log line", "log lines")))
            }
            None if view.junk_lines > 0 => Some(format!(
                "{} on stdout that are no messages",
                count(view.junk_lines, "line", "lines")
            )),
            None => None,
        },
        HealthName::Ok | HealthName::Unknown => {
            snapshot.health_message.as_ref().map(|m| format!("it says: {m}"))
        }
    };
    health.or_else(|| {
        (view.clients > 0)
            .then(|| format!("{} attached", count(u64::from(view.clients), "client", "clients")))
    })
}
