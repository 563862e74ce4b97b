//! From the host's views to the API's types, by hand.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use outboard_core::{HealthName, StateName, Time};

mod plan;

pub use plan::plan;

use super::{api, note};
use crate::host::{
    Dossier, Ended, EventRecord, Frame, LogLine, LogSource, LostCall, Outcome, PluginView,
    Published, SupervisorView,
};

/// The wall clock and the supervisor's monotonic clock, read together: what turns one into the other.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    pub wall: Timestamp,
    pub now: Time,
}

impl Clocks {
    /// RFC 3339 in UTC of a point in the supervisor's past.
    fn at(self, point: Time) -> String {
        let ago = i64::try_from(self.now.since(point).as_micros()).unwrap_or(i64::MAX);
        rfc3339(self.wall.as_microsecond().saturating_sub(ago))
    }
}

/// RFC 3339 in UTC with microseconds; what does not fit a calendar reads as the epoch.
#[must_use]
pub fn rfc3339(at_us: i64) -> String {
    format!("{:.6}", Timestamp::from_microsecond(at_us).unwrap_or_default())
}

pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The whole answer to `status`, in the order in which screens show it.
#[must_use]
pub fn status(view: &SupervisorView, wall: Timestamp) -> api::Status {
    let clocks = Clocks { wall, now: view.now };
    let mut plugins: Vec<_> = view.plugins.iter().map(|p| plugin(p, clocks)).collect();
    plugins.sort_by(|a, b| rank(a).cmp(&rank(b)));
    api::Status { schema: api::SCHEMA, supervisor: supervisor(view), plugins, drift: Vec::new() }
}

fn rank(plugin: &api::Plugin) -> (api::State, bool, &str) {
    (plugin.state, plugin.health.status == api::HealthStatus::Ok, &plugin.id)
}

fn supervisor(view: &SupervisorView) -> api::Supervisor {
    api::Supervisor {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: view.pid,
        uptime_ms: millis(view.uptime),
        revision: view.revision,
        name: view.state_dir.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        state_dir: text(&view.state_dir),
        sources: view.sources.iter().map(|s| text(s)).collect(),
        containment: view.containment.to_owned(),
        keeper_pid: view.keeper_pid,
        isolation: view.isolation.to_owned(),
        caller: String::new(),
    }
}

/// One plugin.
#[must_use]
pub fn plugin(view: &PluginView, clocks: Clocks) -> api::Plugin {
    let s = &view.snapshot;
    api::Plugin {
        id: s.id.to_string(),
        dialect: view.dialect.to_owned(),
        wanted: if s.wanted_up { api::Wanted::Up } else { api::Wanted::Down },
        state: state(s.state),
        pid: s.pid,
        generation: s.generation,
        restarts: s.restarts,
        since_ms: millis(clocks.now.since(s.since)),
        health: api::Health {
            status: health(s.health),
            last_ok_ms_ago: s.last_life.map(|life| millis(clocks.now.since(life))),
            message: s.health_message.clone(),
        },
        in_flight: view.in_flight,
        last_failure: s.last_failure.as_ref().map(|f| failure(f, clocks)),
        next_try_ms: s.next_try.map(|at| millis(at.since(clocks.now))),
        waiting_for: s.waiting_for.iter().map(|id| id.to_string()).collect(),
        next: s
            .next
            .as_ref()
            .map(|beside| api::Next { generation: beside.generation, state: state(beside.state) }),
        note: note::note(view, clocks.now),
        rung: s.rung.map(rung),
        clients: view.clients,
        drift: None,
        enforced: view.enforced.clone(),
        executable: view.executable.as_deref().map(text),
        command: view.command.clone(),
        manifest: text(&view.manifest),
        entry_point: view.entry_point.clone().map(api::EntryPoint::from),
        loaded_at: view.opened_us.map(rfc3339),
        protocol: view.protocol.clone(),
        offers: view.offers.clone(),
        retry_max_ms: view.retry_max.map(millis),
    }
}

pub(crate) fn state(state: StateName) -> api::State {
    match state {
        StateName::Registered => api::State::Registered,
        StateName::Starting => api::State::Starting,
        StateName::Loaded => api::State::Loaded,
        StateName::Active => api::State::Active,
        StateName::Degraded => api::State::Degraded,
        StateName::Stopping => api::State::Stopping,
        StateName::Backoff => api::State::Backoff,
        StateName::Failed => api::State::Failed,
        StateName::Unkillable => api::State::Unkillable,
    }
}

fn health(health: HealthName) -> api::HealthStatus {
    match health {
        HealthName::Unknown => api::HealthStatus::Unknown,
        HealthName::Ok => api::HealthStatus::Ok,
        HealthName::Degraded => api::HealthStatus::Degraded,
        HealthName::Busy => api::HealthStatus::Busy,
        HealthName::Suspect => api::HealthStatus::Suspect,
        HealthName::Hung => api::HealthStatus::Hung,
    }
}

fn rung(rung: outboard_core::Rung) -> api::Rung {
    match rung {
        outboard_core::Rung::Drain => api::Rung::Drain,
        outboard_core::Rung::Ask => api::Rung::Ask,
        outboard_core::Rung::Leave => api::Rung::Leave,
        outboard_core::Rung::Term => api::Rung::Term,
        outboard_core::Rung::Kill => api::Rung::Kill,
    }
}

fn exit(exit: &outboard_core::Exit) -> api::Exit {
    match exit {
        outboard_core::Exit::Code(code) => api::Exit { code: Some(*code), ..Default::default() },
        outboard_core::Exit::Signal { name, core } => {
            api::Exit { signal: Some((*name).to_owned()), core: *core, ..Default::default() }
        }
        outboard_core::Exit::Oom => api::Exit { oom: true, ..Default::default() },
        outboard_core::Exit::Unknown => api::Exit::default(),
    }
}

fn failure(f: &outboard_core::Failure, clocks: Clocks) -> api::Failure {
    api::Failure { at: clocks.at(f.at), ..failure_words(f) }
}

/// A failure without its time: for notes, which say when in other words.
pub(super) fn failure_words(f: &outboard_core::Failure) -> api::Failure {
    api::Failure {
        class: crate::observe::class(f.class).to_owned(),
        detail: f.detail.detail.to_owned(),
        message: f.detail.message.clone(),
        at: String::new(),
        generation: f.generation,
        exit: f.exit.as_ref().map(exit),
        up_ms: None,
    }
}

/// What became of plugins after a change of what is wanted.
#[must_use]
pub fn change(
    ids: &[outboard_core::PluginId],
    outcomes: &[Outcome],
    clocks: Clocks,
) -> api::Change {
    api::Change {
        schema: api::SCHEMA,
        plugins: ids.iter().map(|id| id.to_string()).collect(),
        outcomes: outcomes.iter().map(|o| outcome(o, clocks)).collect(),
    }
}

pub(super) fn outcome(o: &Outcome, clocks: Clocks) -> api::Outcome {
    let mut out = api::Outcome {
        plugin: o.plugin.to_string(),
        end: api::End::Unchanged,
        took_ms: millis(o.took),
        stop: None,
        failure: None,
        waiting_for: Vec::new(),
        pid: None,
    };
    out.end = match &o.end {
        Ended::Active => api::End::Active,
        Ended::Resting => api::End::Resting,
        Ended::Unchanged => api::End::Unchanged,
        Ended::Overtaken => api::End::Overtaken,
        Ended::Swapping => api::End::Swapping,
        Ended::Stopped(record) => {
            out.stop = record.as_ref().map(|record| api::Stop {
                rungs: record
                    .rungs
                    .iter()
                    .map(|(r, took)| api::RungTime { rung: rung(*r), ms: millis(*took) })
                    .collect(),
                exit: record.exit.as_ref().map(exit),
                swept: record.swept,
                by_itself: record.by_itself,
            });
            api::End::Stopped
        }
        Ended::Waiting(ids) => {
            out.waiting_for = ids.iter().map(|id| id.to_string()).collect();
            api::End::Waiting
        }
        Ended::Failed(f) => {
            out.failure = Some(failure(f, clocks));
            api::End::Failed
        }
        Ended::Unkillable { pid } => {
            out.pid = *pid;
            api::End::Unkillable
        }
    };
    out
}

/// The last failure of a plugin, with its evidence.
#[must_use]
pub fn dossier(d: &Dossier, clocks: Clocks) -> api::Dossier {
    api::Dossier {
        failure: past(&d.failure, d.at_us, d.up, clocks),
        stderr: d.last_words.clone(),
        stderr_at: d.words_at.iter().map(|at| rfc3339(*at)).collect(),
        stderr_lines: d.stderr_lines,
        timeline: d.timeline.iter().map(event).collect(),
        lost: d.lost.iter().map(lost).collect(),
        lost_total: d.lost_total,
        frames: d.frames.iter().map(frame).collect(),
        earlier: d.earlier.iter().map(|f| past(&f.failure, f.at_us, f.up, clocks)).collect(),
        cpu_ms: d.cpu.map(millis),
        peak_kib: d.peak_kib,
        swept: d.swept,
    }
}

fn past(
    f: &outboard_core::Failure,
    at_us: Option<i64>,
    up: Option<Duration>,
    clocks: Clocks,
) -> api::Failure {
    let told = failure(f, clocks);
    api::Failure { at: at_us.map_or(told.at, rfc3339), up_ms: up.map(millis), ..failure_words(f) }
}

fn frame(frame: &Frame) -> api::Frame {
    api::Frame {
        at: rfc3339(frame.at_us),
        direction: if frame.out { api::Direction::To } else { api::Direction::From },
        id: frame.id,
        bytes: frame.bytes,
        cut: frame.cut,
        text: frame.text.clone(),
    }
}

fn lost(call: &LostCall) -> api::LostCall {
    api::LostCall { method: call.method.clone(), after_ms: millis(call.after), sent: call.sent }
}

/// One event.
#[must_use]
pub fn event(record: &EventRecord) -> api::Event {
    api::Event {
        seq: record.seq,
        at: rfc3339(record.at_us),
        plugin: record.plugin.as_deref().map(str::to_owned),
        generation: record.generation,
        event: record.event.to_owned(),
        fields: record.fields.clone(),
    }
}

/// What a plugin published. Its data was read from a message, so it is JSON.
pub(super) fn published(event: &Published) -> Result<api::Published, serde_json::Error> {
    Ok(api::Published {
        topic: event.topic.clone(),
        source: event.source.to_string(),
        time_ms: event.time_ms,
        data: serde_json::value::RawValue::from_string(event.data.to_string())?,
    })
}

/// One log line.
#[must_use]
pub fn log_line(line: &LogLine) -> api::LogLine {
    api::LogLine {
        at: rfc3339(line.at_us),
        plugin: line.plugin.to_string(),
        generation: line.generation,
        source: match line.source {
            LogSource::Host => api::Source::Host,
            LogSource::Err => api::Source::Err,
            LogSource::Out => api::Source::Out,
            LogSource::Log => api::Source::Log,
        },
        level: line.level.map(str::to_owned),
        text: line.text.to_string(),
    }
}

pub(super) fn source(source: api::Source) -> LogSource {
    match source {
        api::Source::Host => LogSource::Host,
        api::Source::Err => LogSource::Err,
        api::Source::Out => LogSource::Out,
        api::Source::Log => LogSource::Log,
    }
}
