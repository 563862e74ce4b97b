//! The table of all pairs of state and event, made by asking the fleet itself.

use std::fmt::Write;
use std::time::Duration;

use crate::event::{
    Detail, Effect, Event, Exit, Look, Note, Opening, Report, Rung, Saying, Settle, StopReason,
};
use crate::fleet::{Effects, Fleet, Key};
use crate::policy::{
    Backoff, Budget, FleetPolicy, HealthPolicy, OnUnhealthy, Policy, RestartPolicy, RestartWhen,
    RetryAfter, StartPolicy, StopPolicy, WhileRestarting,
};
use crate::snapshot::Snapshot;
use crate::time::Time;

/// What every event does in every state: rows that change something whole, the others grouped by state.
///
/// Each state is reached by real events, under the defaults of the manifest reference.
#[must_use]
pub fn state_table() -> String {
    let mut table = String::new();
    for (name, sample) in samples() {
        let before = sample.snapshot();
        let (mut quiet, mut surprised) = (Vec::new(), Vec::new());
        let mut rows = Vec::new();
        for (event_name, event) in events() {
            let mut stepped = sample.clone();
            let effects = stepped.step(event);
            if effects
                .iter()
                .any(|(_, _, effect)| matches!(effect, Effect::Note(Note::Surprised { .. })))
            {
                surprised.push(event_name);
                continue;
            }
            let after = stepped.snapshot();
            let same_state = sample.fleet.state(sample.key) == stepped.fleet.state(sample.key);
            if effects.is_empty() && before == after && same_state {
                quiet.push(event_name);
                continue;
            }
            rows.push((event_name, outcome(&before, &after), words(&effects)));
        }
        // Writing into a String cannot fail.
        let mut line = |text: String| table.push_str(&(text.trim_end().to_owned() + "\n"));
        line(name.to_owned());
        for (event, outcome, words) in rows {
            line(format!("  {event:<26} -> {outcome:<32} {words}"));
        }
        if !quiet.is_empty() {
            line(format!("  changes nothing: {}", quiet.join(", ")));
        }
        if !surprised.is_empty() {
            line(format!("  cannot happen: {}", surprised.join(", ")));
        }
        line(String::new());
    }
    table
}

/// A fleet of one plugin in some state.
#[derive(Clone)]
struct Sample {
    fleet: Fleet,
    key: Key,
    now: Time,
}

impl Sample {
    fn new(change: impl FnOnce(&mut Policy)) -> Self {
        let mut policy = defaults();
        change(&mut policy);
        let storm = Budget { restarts: 50, within: Duration::from_secs(10) };
        let shutdown_cap = Duration::from_secs(25);
        let mut fleet = Fleet::new(FleetPolicy { start_concurrency: 1, shutdown_cap, storm }, 0);
        let key = fleet.register(Time::ZERO, "sample".into(), policy, 0);
        let mut sample = Self { fleet, key, now: Time::ZERO };
        drop(sample.fleet.start_enabled(Time::ZERO));
        sample
    }

    fn usual() -> Self {
        Self::new(|_| {})
    }

    fn step(&mut self, event: Event) -> Effects {
        // A deadline comes when it is due, the others a moment after what was before.
        self.now = match (&event, self.fleet.next_deadline()) {
            (Event::Deadline(_), Some(due)) => due,
            _ => self.now + Duration::from_millis(1),
        };
        let generation = self.fleet.generation(self.key);
        self.fleet.step(self.now, self.key, generation, event)
    }

    fn after(mut self, events: impl IntoIterator<Item = Event>) -> Self {
        for event in events {
            drop(self.step(event));
        }
        self
    }

    fn snapshot(&self) -> Snapshot {
        self.fleet.snapshot(self.key)
    }

    fn active() -> Self {
        Self::usual().after([
            Event::Spawned { pid: 7 },
            Event::Execed,
            Event::FirstByte,
            OPENED,
            Event::ProbeAnswered,
        ])
    }

    fn stopping() -> Self {
        Self::active().after([stop(false)])
    }
}

const OPENED: Event = Event::Opened(Opening { ready: true });

fn stop(now: bool) -> Event {
    Event::Stop { now, reason: StopReason::Stop }
}

fn detail(detail: &'static str) -> Detail {
    Detail { detail, message: detail.to_owned() }
}

fn say(state: Saying) -> Event {
    Event::Said(Report { state, message: None, expected: None })
}

fn samples() -> Vec<(&'static str, Sample)> {
    let overdue = || Event::Deadline(Look::default());
    let crash = || [Event::Died(Exit::Code(1)), Event::Gone { swept: 0 }];
    let spawned = || Sample::usual().after([Event::Spawned { pid: 7 }]);
    let waiting = Sample::new(|policy| policy.requires = vec!["other".into()]);
    let finished = {
        let mut sample = Sample::new(|policy| policy.restart.policy = RestartWhen::OnFailure);
        sample = sample.after([Event::Execed, Event::FirstByte, OPENED, Event::ProbeAnswered]);
        sample.after([Event::Died(Exit::Code(0)), Event::Gone { swept: 0 }])
    };
    let queued = {
        let mut sample = Sample::active();
        drop(sample.fleet.keeper_lost(sample.now));
        sample
    };
    let missed = Sample::active().after([overdue(), overdue()]);
    let broke = || Sample::new(|policy| policy.restart.budget.restarts = 0);
    let half_open = broke().after(crash()).after([overdue()]);
    vec![
        ("registered, wanted down", Sample::new(|policy| policy.enabled = false)),
        ("registered, lazy", Sample::new(|policy| policy.lazy = true)),
        ("registered, waiting", waiting),
        ("registered, finished", finished),
        ("starting, queued", queued),
        ("starting, spawn", Sample::usual()),
        ("starting, first byte", spawned().after([Event::Execed])),
        ("starting, handshake", spawned().after([Event::Execed, Event::FirstByte])),
        ("starting, half-open", half_open),
        (
            "loaded, not ready",
            spawned().after([
                Event::Execed,
                Event::FirstByte,
                Event::Opened(Opening { ready: false }),
            ]),
        ),
        ("loaded, probed", spawned().after([Event::Execed, Event::FirstByte, OPENED])),
        ("active", Sample::active()),
        ("active, probed", Sample::active().after([overdue()])),
        ("degraded by its own words", Sample::active().after([say(Saying::Degraded)])),
        ("degraded, suspect", missed),
        ("stopping, drain", Sample::stopping()),
        ("stopping, ask", Sample::stopping().after([Event::Drained])),
        ("stopping, leave", Sample::stopping().after([Event::Drained, Event::Asked])),
        ("stopping, term", Sample::stopping().after([Event::Drained, Event::Asked, overdue()])),
        ("stopping, kill", Sample::active().after([stop(true)])),
        (
            "stopping, leader ended",
            Sample::stopping().after([Event::Drained, Event::Died(Exit::Code(0))]),
        ),
        (
            "stopping for a failure",
            Sample::active().after([Event::LinkBroken(detail("stdout-closed"))]),
        ),
        ("stopping after a crash", Sample::active().after([Event::Died(Exit::Code(1))])),
        ("backoff", Sample::active().after(crash())),
        ("failed, careful tries", broke().after(crash())),
        (
            "failed, its file looked at",
            Sample::usual()
                .after([Event::SpawnFailed { permanent: true, detail: detail("exe-missing") }]),
        ),
        ("failed, refused", Sample::usual().after([Event::Refused(detail("secret-missing"))])),
        ("unkillable", Sample::active().after([stop(true), overdue()])),
    ]
}

fn events() -> Vec<(&'static str, Event)> {
    let silent = Look { probe_written: Some(Time::ZERO), ..Look::default() };
    let busy = Look { working: 1, ..Look::default() };
    let spawn_failed = |permanent| Event::SpawnFailed { permanent, detail: detail("spawn") };
    let open_failed = |permanent| Event::OpenFailed { permanent, detail: detail("refused") };
    vec![
        ("Start", Event::Start),
        ("Stop", stop(false)),
        ("Stop now", stop(true)),
        ("Restart", Event::Restart { now: false }),
        ("Restart now", Event::Restart { now: true }),
        ("Called", Event::Called),
        ("Refused", Event::Refused(detail("refused"))),
        ("SpawnFailed permanent", spawn_failed(true)),
        ("SpawnFailed transient", spawn_failed(false)),
        ("Spawned", Event::Spawned { pid: 8 }),
        ("Execed", Event::Execed),
        ("Died exit 0", Event::Died(Exit::Code(0))),
        ("Died exit 1", Event::Died(Exit::Code(1))),
        ("Died exit 125", Event::Died(Exit::Code(125))),
        ("Died SIGSEGV", Event::Died(Exit::Signal { name: "SIGSEGV", core: true })),
        ("Died oom", Event::Died(Exit::Oom)),
        ("Gone", Event::Gone { swept: 0 }),
        ("KeeperLost", Event::KeeperLost),
        ("FileLooked changed", Event::FileLooked { changed: true }),
        ("FileLooked same", Event::FileLooked { changed: false }),
        ("FirstByte", Event::FirstByte),
        ("StartProgress", Event::StartProgress),
        ("Opened ready", OPENED),
        ("Opened not ready", Event::Opened(Opening { ready: false })),
        ("OpenFailed permanent", open_failed(true)),
        ("OpenFailed", open_failed(false)),
        ("Said ready", say(Saying::Ready)),
        ("Said degraded", say(Saying::Degraded)),
        ("Said unhealthy", say(Saying::Unhealthy)),
        ("Said busy", say(Saying::Busy)),
        ("ProbeAnswered", Event::ProbeAnswered),
        ("Noisy", Event::Noisy(true)),
        ("Quiet", Event::Noisy(false)),
        ("LinkBroken", Event::LinkBroken(detail("stdout-closed"))),
        ("Drained", Event::Drained),
        ("NothingToDrain", Event::NothingToDrain),
        ("Asked", Event::Asked),
        ("Deadline (silent)", Event::Deadline(silent)),
        ("Deadline (busy)", Event::Deadline(busy)),
    ]
}

/// The state afterwards, with what distinguishes it.
fn outcome(before: &Snapshot, after: &Snapshot) -> String {
    let mut text = format!("{:?}", after.state).to_lowercase();
    if let Some(rung) = after.rung {
        write!(text, " {}", format!("{rung:?}").to_lowercase()).unwrap_or_default();
    }
    if let Some(phase) = after.phase {
        write!(text, " {}", format!("{phase:?}").to_lowercase()).unwrap_or_default();
    }
    if after.finished {
        text.push_str(" finished");
    }
    if after.half_open {
        text.push_str(" half-open");
    }
    if before.wanted_up != after.wanted_up {
        text.push_str(if after.wanted_up { ", wanted up" } else { ", wanted down" });
    }
    if before.generation != after.generation {
        write!(text, ", generation {}", after.generation).unwrap_or_default();
    }
    text
}

/// Effects in short. State changes are told by the row itself.
fn words(effects: &Effects) -> String {
    let words: Vec<String> = effects.iter().filter_map(|(_, _, effect)| word(effect)).collect();
    words.join(" · ")
}

fn word(effect: &Effect) -> Option<String> {
    Some(match effect {
        Effect::Spawn { generation, .. } => format!("spawn {generation}"),
        Effect::Adopt => "adopt".to_owned(),
        Effect::Discard => "discard".to_owned(),
        Effect::Probe { second: false } => "probe".to_owned(),
        Effect::Probe { second: true } => "probe (second kind)".to_owned(),
        Effect::Route(route) => format!("route {route:?}").to_lowercase(),
        Effect::Settle(Settle::Crashed { class, .. }) => {
            format!("settle crashed({class:?})").to_lowercase()
        }
        Effect::Settle(Settle::Stopped(reason)) => {
            format!("settle stopped({reason:?})").to_lowercase()
        }
        Effect::Rung { rung, within, .. } => format!("{} {within:?}", rung_name(*rung)),
        Effect::Retire { generation } => format!("retire {generation}"),
        Effect::LookAtFile => "look at file".to_owned(),
        Effect::Note(note) => return note_word(note),
    })
}

fn rung_name(rung: Rung) -> &'static str {
    match rung {
        Rung::Drain => "drain",
        Rung::Ask => "ask",
        Rung::Leave => "leave",
        Rung::Term => "term",
        Rung::Kill => "kill",
    }
}

fn note_word(note: &Note) -> Option<String> {
    Some(match note {
        Note::Failed(failure) => {
            format!("failed {:?}/{}", failure.class, failure.detail.detail).to_lowercase()
        }
        Note::RestartScheduled { after, .. } => format!("restart in {after:?}"),
        Note::GaveUp { retry_after: Some(gap), .. } => format!("gave up, try in {gap:?}"),
        Note::GaveUp { retry_after: None, .. } => "gave up".to_owned(),
        Note::ProbeMissed { misses, of } => format!("missed {misses} of {of}"),
        Note::ProbeExcused { up_to, .. } => format!("excused up to {up_to:?}"),
        Note::HealthChanged { to, .. } => format!("health {to:?}").to_lowercase(),
        Note::Stopped(record) if record.by_itself => "stopped by itself".to_owned(),
        Note::Stopped(_) => "stopped".to_owned(),
        Note::Swept { n, .. } => format!("swept {n}"),
        Note::BecameUnkillable { .. } => "unkillable".to_owned(),
        Note::DependencyWaited { .. } => "waits".to_owned(),
        Note::StormBegan => "storm".to_owned(),
        Note::ClockStalled { .. } => "stall".to_owned(),
        Note::SwapStarted { .. } => "swap started".to_owned(),
        Note::SwapActive { .. } => "swap active".to_owned(),
        Note::SwapCanary { probe, of, answered, .. } => {
            format!("canary {probe} of {of}: {}", if *answered { "answered" } else { "missed" })
        }
        Note::SwapJudged(verdict) => format!("verdict {verdict:?}").to_lowercase(),
        Note::SwapDone { .. } => "swap done".to_owned(),
        // Told by the row, by the rung's own order, or elsewhere.
        Note::StateChanged { .. }
        | Note::PhaseReached { .. }
        | Note::PhaseExtended { .. }
        | Note::RungReached { .. }
        | Note::Surprised { .. } => return None,
    })
}

/// The defaults of the manifest reference, without jitter.
pub(crate) fn defaults() -> Policy {
    let secs = Duration::from_secs;
    Policy {
        enabled: true,
        lazy: false,
        after: Vec::new(),
        requires: Vec::new(),
        start: StartPolicy {
            spawn_timeout: secs(5),
            first_byte_timeout: secs(30),
            first_byte_cap: secs(300),
            handshake_timeout: secs(30),
            ready_timeout: secs(60),
        },
        health: HealthPolicy {
            interval: secs(10),
            timeout: secs(5),
            misses: 3,
            suspect_interval: secs(2),
            busy_cap: secs(120),
            on_unhealthy: OnUnhealthy::Report,
            unhealthy_after: 3,
        },
        restart: RestartPolicy {
            policy: RestartWhen::Always,
            backoff: Backoff {
                initial: Duration::from_millis(100),
                max: secs(30),
                factor: 2.0,
                jitter: 0.0,
            },
            budget: Budget { restarts: 10, within: secs(300) },
            reset_after: secs(60),
            retry_after: RetryAfter::Growing { initial: secs(15), max: secs(300) },
        },
        stop: StopPolicy {
            drain: secs(5),
            shutdown: secs(5),
            exit: secs(2),
            term: secs(5),
            kill: secs(2),
            total: None,
        },
        while_restarting: WhileRestarting::Wait,
        idle_after: None,
    }
}
