//! A backend without a supervisor behind it, for tests of this folder and of the command line.

use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use outboard_core::{
    Class, Detail, Exit, Failure, HealthName, PluginId, Snapshot, StateName, Time,
};
use serde_json::{Map, Value};
use tokio::sync::{Notify, broadcast};

use super::backend::{Backend, LogQuery};
use crate::host::upgrade::{Granted, Refused};
use crate::host::{
    By, Dossier, Drift, Ended, EventRecord, LogLine, LogSource, NoVersion, Outcome, Plan,
    PluginView, ReloadError, ReloadRequest, Reloaded, SupervisorView, Swapped, Which, Whose,
};

/// 2026-03-01T03:12:04.118Z, in microseconds.
pub(crate) const AT_US: i64 = 1_772_334_724_118_000;

/// Five hours after the fake supervisor's start.
pub(crate) const NOW: Time = Time::from_start(Duration::from_secs(5 * 3600));

#[derive(Clone)]
pub(crate) struct Fake(Arc<Inner>);

struct Inner {
    state: Mutex<FakeState>,
    events: broadcast::Sender<Arc<EventRecord>>,
    logs: broadcast::Sender<Arc<LogLine>>,
    /// `stop` and `shutdown` wait here when `hold` is set.
    gate: Notify,
}

pub(crate) struct FakeState {
    pub(crate) view: SupervisorView,
    pub(crate) dossier: Option<Dossier>,
    pub(crate) journal: Vec<Arc<EventRecord>>,
    pub(crate) lines: Vec<LogLine>,
    /// What was asked for, in words.
    pub(crate) asked: Vec<String>,
    pub(crate) outcomes: Vec<Outcome>,
    /// The answer to `swap`.
    pub(crate) swapped: Option<Result<Swapped, NoVersion>>,
    pub(crate) hold: bool,
    pub(crate) plan: Plan,
    pub(crate) reload_error: Option<ReloadError>,
    pub(crate) drift: Drift,
    /// How often it was looked at.
    pub(crate) looks: u32,
    /// Who every client is; a plugin's is refused.
    pub(crate) whose: Whose,
}

impl Fake {
    pub(crate) fn new(plugins: Vec<PluginView>) -> Self {
        Self(Arc::new(Inner {
            state: Mutex::new(FakeState {
                view: supervisor(plugins),
                dossier: None,
                journal: Vec::new(),
                lines: Vec::new(),
                asked: Vec::new(),
                outcomes: Vec::new(),
                swapped: None,
                hold: false,
                plan: Plan { revision: 7, ..Plan::default() },
                reload_error: None,
                drift: Drift::default(),
                looks: 0,
                whose: Whose::Other,
            }),
            events: broadcast::channel(8).0,
            logs: broadcast::channel(8).0,
            gate: Notify::new(),
        }))
    }

    pub(crate) fn with<T>(&self, f: impl FnOnce(&mut FakeState) -> T) -> T {
        f(&mut self.0.state.lock().expect("no test panics while it holds the fake"))
    }

    /// Notes an event in the journal and tells subscribers.
    pub(crate) fn emit(&self, record: EventRecord) {
        let record = Arc::new(record);
        self.with(|state| state.journal.push(Arc::clone(&record)));
        drop(self.0.events.send(record));
    }

    pub(crate) fn say(&self, line: LogLine) {
        drop(self.0.logs.send(Arc::new(line)));
    }

    /// How many read events or logs at the moment.
    pub(crate) fn readers(&self) -> usize {
        self.0.events.receiver_count() + self.0.logs.receiver_count()
    }

    pub(crate) fn open_gate(&self) {
        self.0.gate.notify_one();
    }

    async fn change(&self, what: String) -> Vec<Outcome> {
        let hold = self.with(|state| {
            state.asked.push(what.clone());
            state.hold
        });
        if hold {
            self.0.gate.notified().await;
            self.with(|state| state.asked.push(format!("{what} done")));
        }
        self.with(|state| state.outcomes.clone())
    }
}

impl Backend for Fake {
    fn view(&self) -> SupervisorView {
        self.with(|state| {
            state.looks += 1;
            state.view.clone()
        })
    }

    fn whose(&self, _socket: BorrowedFd<'_>) -> Whose {
        self.with(|state| state.whose)
    }

    fn why_refused(&self, whose: Whose) -> Option<String> {
        whose.why_refused()
    }

    fn panicked(&self, what: &'static str, _message: String) {
        self.with(|state| state.asked.push(format!("end, since {what} panicked")));
    }

    async fn start(&self, ids: Vec<PluginId>, _by: By) -> Vec<Outcome> {
        self.change(format!("start {}", ids.join(" "))).await
    }

    async fn stop(&self, ids: Vec<PluginId>, now: bool, _by: By) -> Vec<Outcome> {
        self.change(format!("stop {}{}", ids.join(" "), if now { " now" } else { "" })).await
    }

    async fn restart(&self, ids: Vec<PluginId>, now: bool, _by: By) -> Vec<Outcome> {
        self.change(format!("restart {}{}", ids.join(" "), if now { " now" } else { "" })).await
    }

    async fn check(&self, ids: Vec<PluginId>) {
        self.change(format!("check {}", ids.join(" "))).await;
    }

    async fn reload(&self, request: ReloadRequest) -> Result<Reloaded, ReloadError> {
        let except = match request.except.as_slice() {
            [] => String::new(),
            ids => format!(" except {}", ids.join(" ")),
        };
        let on = request.if_revision.map_or_else(String::new, |n| format!(" on {n}"));
        let what = if request.apply { "reload" } else { "plan" };
        let outcomes = self.change(format!("{what}{on}{except}")).await;
        self.with(|state| {
            if let Some(error) = state.reload_error.clone() {
                return Err(error);
            }
            let plan = state.plan.clone();
            let changes = request.apply && !plan.is_empty();
            let revision = plan.revision + u64::from(changes);
            Ok(Reloaded::of(revision, request.apply, plan, outcomes))
        })
    }

    async fn drift(&self) -> Drift {
        self.with(|state| state.drift.clone())
    }

    async fn swap(&self, id: &str, file: Option<PathBuf>) -> Result<Swapped, NoVersion> {
        let from = file.map_or_else(String::new, |file| format!(" {}", file.display()));
        self.change(format!("swap {id}{from}")).await;
        self.with(|state| state.swapped.take()).unwrap_or(Err(NoVersion::Unknown))
    }

    async fn shutdown(&self, now: bool, _by: By) -> Vec<Outcome> {
        self.change(format!("shutdown{}", if now { " now" } else { "" })).await
    }

    async fn upgrade(&self) -> Result<Granted, Refused> {
        Err(Refused::NotOffered)
    }

    fn why(&self, id: &str) -> Option<Dossier> {
        self.with(|state| state.dossier.clone().filter(|dossier| *dossier.view.snapshot.id == *id))
    }

    async fn dossier(&self, id: &str, _which: Which) -> Option<Dossier> {
        self.why(id)
    }

    fn events_since(&self, seq: u64, limit: usize) -> Vec<Arc<EventRecord>> {
        self.with(|state| {
            state.journal.iter().filter(|record| record.seq > seq).take(limit).cloned().collect()
        })
    }

    fn subscribe_events(&self) -> broadcast::Receiver<Arc<EventRecord>> {
        self.0.events.subscribe()
    }

    async fn logs(&self, query: LogQuery) -> Vec<LogLine> {
        self.with(|state| {
            let matching: Vec<_> =
                state.lines.iter().filter(|line| query.wants(line)).cloned().collect();
            matching[matching.len().saturating_sub(query.lines)..].to_vec()
        })
    }

    fn subscribe_logs(&self) -> broadcast::Receiver<Arc<LogLine>> {
        self.0.logs.subscribe()
    }

    fn listen(&self, _topics: &[&str]) -> crate::host::TopicStream {
        crate::host::TopicStream::silent()
    }
}

pub(crate) fn supervisor(plugins: Vec<PluginView>) -> SupervisorView {
    SupervisorView {
        pid: 4242,
        uptime: Duration::from_secs(11_520),
        state_dir: PathBuf::from("/state/outboard/default"),
        sources: vec![PathBuf::from("manifests/")],
        revision: 7,
        containment: "cgroup",
        isolation: crate::host::ISOLATION,
        keeper_pid: Some(4243),
        now: NOW,
        plugins,
    }
}

/// A point `secs` before the fake's now.
pub(crate) fn ago(secs: u64) -> Time {
    Time::from_start(NOW.since_start() - Duration::from_secs(secs))
}

pub(crate) fn active(id: &str, up_secs: u64) -> PluginView {
    PluginView {
        snapshot: Snapshot {
            id: id.into(),
            wanted_up: true,
            state: StateName::Active,
            since: ago(up_secs),
            generation: 1,
            pid: Some(8000),
            restarts: 0,
            health: HealthName::Ok,
            health_message: None,
            last_life: Some(ago(2)),
            phase: None,
            rung: None,
            next_try: None,
            waiting_for: Vec::new(),
            last_failure: None,
            last_stop: None,
            finished: false,
            start_took: None,
            half_open: false,
            next: None,
            swap: None,
        },
        dialect: "native",
        lazy: false,
        in_flight: 0,
        protocol: Some("1".to_owned()),
        offers: Some("3 methods".to_owned()),
        command: vec!["./geo".to_owned()],
        executable: Some(PathBuf::from("/opt/geo")),
        manifest: PathBuf::from(format!("manifests/{id}.toml")),
        entry_point: None,
        opened_us: None,
        junk_lines: 0,
        dropped_lines: 0,
        clients: 0,
        held_since: None,
        enforced: vec!["cgroup".to_owned()],
        retry_max: None,
        refused: None,
    }
}

pub(crate) fn registered(id: &str) -> PluginView {
    let mut view = active(id, 0);
    view.snapshot.state = StateName::Registered;
    view.snapshot.health = HealthName::Unknown;
    view.snapshot.last_life = None;
    view.snapshot.pid = None;
    view.snapshot.generation = 0;
    view.snapshot.wanted_up = false;
    view.lazy = true;
    view.offers = None;
    view.protocol = None;
    view
}

pub(crate) fn failure(
    class: Class,
    detail: &'static str,
    message: &str,
    exit: Option<Exit>,
) -> Failure {
    Failure {
        class,
        detail: Detail { detail, message: message.to_owned() },
        exit,
        generation: 6,
        at: ago(4),
    }
}

/// Gave up; one careful try in 11 s.
pub(crate) fn failed(id: &str) -> PluginView {
    let mut view = registered(id);
    view.snapshot.state = StateName::Failed;
    view.snapshot.wanted_up = true;
    view.lazy = false;
    view.snapshot.since = ago(4);
    view.snapshot.generation = 6;
    view.snapshot.restarts = 5;
    view.retry_max = Some(Duration::from_secs(300));
    view.snapshot.next_try = Some(NOW + Duration::from_secs(11));
    view.snapshot.last_failure =
        Some(failure(Class::Exit, "exit", "it exited", Some(Exit::Code(1))));
    view
}

pub(crate) fn outcome(id: &str, took_ms: u64, end: Ended) -> Outcome {
    Outcome { plugin: id.into(), took: Duration::from_millis(took_ms), end }
}

pub(crate) fn event(
    seq: u64,
    at_ms: i64,
    plugin: &str,
    event: &'static str,
    fields: Value,
) -> EventRecord {
    let fields = match fields {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    EventRecord {
        seq,
        at_us: AT_US + at_ms * 1000,
        plugin: (!plugin.is_empty()).then(|| plugin.into()),
        generation: u64::from(!plugin.is_empty()) * 6,
        event,
        fields,
    }
}

pub(crate) fn line(
    at_ms: i64,
    plugin: &str,
    source: LogSource,
    level: Option<&'static str>,
    text: &str,
) -> LogLine {
    LogLine {
        at_us: AT_US + at_ms * 1000,
        plugin: plugin.into(),
        generation: 6,
        source,
        level,
        text: text.into(),
    }
}
