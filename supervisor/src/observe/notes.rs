//! The core's notes as journal events.

use std::time::Duration;

use outboard_core::plan::Action;
use outboard_core::{
    Class, Exit, HealthName, Note, Phase, Rung, StateName, StopRecord, SwapMode, Verdict,
};
use serde_json::{Map, Value, json};

/// The event name and the members of `note`.
#[must_use]
pub fn describe(note: &Note) -> (&'static str, Map<String, Value>) {
    let (event, fields) = match note {
        Note::StateChanged { from, to, generation: _, reason } => {
            ("plugin.state", json!({"from": state(*from), "to": state(*to), "reason": reason}))
        }
        Note::PhaseReached { phase: p } => ("plugin.phase", json!({"phase": phase(*p)})),
        Note::PhaseExtended { phase: p, up_to } => {
            ("plugin.phase_extended", json!({"phase": phase(*p), "up_to_ms": ms(*up_to)}))
        }
        Note::Failed(failure) => (
            "plugin.failure",
            json!({
                "class": class(failure.class),
                "detail": failure.detail.detail,
                "message": failure.detail.message,
                "exit": failure.exit.as_ref().map(exit_json),
            }),
        ),
        Note::RestartScheduled { after, attempt } => {
            ("restart.scheduled", json!({"after_ms": ms(*after), "attempt": attempt}))
        }
        Note::GaveUp { restarts, within, retry_after } => (
            "restart.gave_up",
            json!({
                "restarts": restarts,
                "within_ms": ms(*within),
                "retry_after_ms": retry_after.map(ms),
            }),
        ),
        Note::ProbeMissed { misses, of } => ("probe.missed", json!({"misses": misses, "of": of})),
        Note::ProbeExcused { silent_for, up_to } => {
            ("probe.excused", json!({"silent_ms": ms(*silent_for), "up_to_ms": ms(*up_to)}))
        }
        Note::HealthChanged { from, to, message } => (
            "health.changed",
            json!({"from": health(*from), "to": health(*to), "message": message}),
        ),
        Note::RungReached { rung: r, within } => {
            ("stop.rung", json!({"rung": rung(*r), "within_ms": ms(*within)}))
        }
        Note::Stopped(record) => ("stop.finished", stop_record(record)),
        Note::Swept { n, generation: _ } => ("plugin.swept", json!({"n": n})),
        Note::BecameUnkillable { pid } => ("plugin.unkillable", json!({"pid": pid})),
        Note::DependencyWaited { on } => {
            let on: Vec<&str> = on.iter().map(|id| &**id).collect();
            ("dependency.waiting", json!({"on": on}))
        }
        Note::StormBegan => ("storm.began", json!({})),
        Note::SwapStarted { mode } => ("swap.started", json!({"mode": swap_mode(*mode)})),
        Note::SwapActive { after } => ("swap.active", json!({"after_ms": ms(*after)})),
        Note::SwapCanary { probe, of, answered, took } => (
            "swap.canary",
            json!({"probe": probe, "of": of, "answered": answered, "took_ms": ms(*took)}),
        ),
        Note::SwapJudged(Verdict::Switched { from, to }) => {
            ("swap.switched", json!({"before": from, "serving": to}))
        }
        Note::SwapJudged(Verdict::RolledBack { why }) => {
            ("swap.rolled_back", json!({"reason": why}))
        }
        Note::SwapJudged(Verdict::Abandoned { why }) => ("swap.abandoned", json!({"reason": why})),
        Note::SwapDone { took } => ("swap.done", json!({"took_ms": ms(*took)})),
        Note::ClockStalled { late } => ("clock.stall", json!({"ms": ms(*late)})),
        Note::Surprised { state: s, event } => {
            ("internal.surprise", json!({"state": state(*s), "what": event}))
        }
    };
    match fields {
        Value::Object(fields) => (event, fields),
        _ => (event, Map::new()),
    }
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn stop_record(record: &StopRecord) -> Value {
    let rungs: Vec<Value> =
        record.rungs.iter().map(|(r, took)| json!({"rung": rung(*r), "ms": ms(*took)})).collect();
    json!({
        "took_ms": ms(record.took),
        "exit": record.exit.as_ref().map(exit_json),
        "swept": record.swept,
        "by_itself": record.by_itself,
        "rungs": rungs,
    })
}

/// How a process ended, as a member of events and errors.
#[must_use]
pub fn exit_json(exit: &Exit) -> Value {
    match exit {
        Exit::Code(code) => json!({"code": code}),
        Exit::Signal { name, core } => json!({"signal": name, "core": core}),
        Exit::Oom => json!({"signal": "SIGKILL", "oom": true}),
        Exit::Unknown => json!({"unknown": true}),
    }
}

/// `exit 1`, `SIGSEGV (core dumped)`: how a process ended, for people.
#[must_use]
pub fn exit_text(exit: &Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exit {code}"),
        Exit::Signal { name, core: true } => format!("{name} (core dumped)"),
        Exit::Signal { name, core: false } => (*name).to_owned(),
        Exit::Oom => "killed for memory".to_owned(),
        Exit::Unknown => "ended, how is not known".to_owned(),
    }
}

/// The contract's word for a state.
#[must_use]
pub fn state(state: StateName) -> &'static str {
    match state {
        StateName::Registered => "registered",
        StateName::Starting => "starting",
        StateName::Loaded => "loaded",
        StateName::Active => "active",
        StateName::Degraded => "degraded",
        StateName::Stopping => "stopping",
        StateName::Backoff => "backoff",
        StateName::Failed => "failed",
        StateName::Unkillable => "unkillable",
    }
}

/// The contract's word for a step of a plan.
#[must_use]
pub fn action(action: Action) -> &'static str {
    match action {
        Action::Add => "add",
        Action::Remove => "remove",
        Action::InPlace | Action::Tell => "in_place",
        Action::Swap => "swap",
        Action::Restart => "restart",
        Action::Start => "start",
        Action::Stop => "stop",
        Action::Hold => "held",
        Action::Rest => "rest",
    }
}

/// The contract's word for a failure class.
#[must_use]
pub fn class(class: Class) -> &'static str {
    match class {
        Class::Config => "config",
        Class::Spawn => "spawn",
        Class::Handshake => "handshake",
        Class::Protocol => "protocol",
        Class::Exit => "exit",
        Class::Signal => "signal",
        Class::Oom => "oom",
        Class::Hang => "hang",
        Class::Unhealthy => "unhealthy",
        Class::Dependency => "dependency",
        Class::Keeper => "keeper",
    }
}

/// The contract's word for a health.
#[must_use]
pub fn health(health: HealthName) -> &'static str {
    match health {
        HealthName::Unknown => "unknown",
        HealthName::Ok => "ok",
        HealthName::Degraded => "degraded",
        HealthName::Busy => "busy",
        HealthName::Suspect => "suspect",
        HealthName::Hung => "hung",
    }
}

/// The contract's word for a start phase.
#[must_use]
pub fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Queued => "queued",
        Phase::Spawn => "spawn",
        Phase::FirstByte => "first_byte",
        Phase::Handshake => "handshake",
        Phase::Ready => "ready",
    }
}

/// The contract's word for a mode of swapping.
#[must_use]
pub fn swap_mode(mode: SwapMode) -> &'static str {
    match mode {
        SwapMode::Overlap => "overlap",
        SwapMode::Exclusive => "exclusive",
    }
}

/// The contract's word for a rung of the stop ladder.
#[must_use]
pub fn rung(rung: Rung) -> &'static str {
    match rung {
        Rung::Drain => "drain",
        Rung::Ask => "shutdown",
        Rung::Leave => "exit",
        Rung::Term => "term",
        Rung::Kill => "kill",
    }
}
