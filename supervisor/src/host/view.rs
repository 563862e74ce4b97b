//! What the host shows of itself: plain values, converted by `control` for the outside.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use outboard_core::{Failure, PluginId, Snapshot, StopRecord};
use serde::{Deserialize, Serialize};

/// One look at the supervisor.
#[derive(Clone, Debug)]
pub struct SupervisorView {
    pub pid: u32,
    pub uptime: Duration,
    pub state_dir: PathBuf,
    /// The folders and files that `run` was given.
    pub sources: Vec<PathBuf>,
    /// One state of the configuration; rises with each applied change.
    pub revision: u64,
    /// `cgroup`, `session`: what ends a whole plugin here.
    pub containment: &'static str,
    pub keeper_pid: Option<u32>,
    /// `shared-user`: what keeps plugins from each other.
    pub isolation: &'static str,
    /// Monotonic now, on the clock of every [`outboard_core::Time`] in the snapshots.
    pub now: outboard_core::Time,
    pub plugins: Vec<PluginView>,
}

/// One plugin as `status` needs it.
#[derive(Clone, Debug)]
pub struct PluginView {
    pub snapshot: Snapshot,
    pub dialect: &'static str,
    /// Its manifest says that it starts at the first call.
    pub lazy: bool,
    /// Calls accepted and not yet settled, waiting ones included.
    pub in_flight: u32,
    /// `1`, `2025-11-25`, …: what the opening agreed on.
    pub protocol: Option<String>,
    /// `3 methods`, `14 tools`: what the opening said it offers.
    pub offers: Option<String>,
    pub command: Vec<String>,
    /// The resolved executable, once looked up.
    pub executable: Option<PathBuf>,
    pub manifest: PathBuf,
    /// The entry point that it was found by.
    pub entry_point: Option<outboard_manifest::EntryPoint>,
    /// When the opening of the process that runs was answered, in microseconds since the Unix epoch.
    pub opened_us: Option<i64>,
    pub junk_lines: u64,
    pub dropped_lines: u64,
    /// Attached clients.
    pub clients: u32,
    /// Started by hand (or by a call), stopped by hand: `Some(when)`.
    pub held_since: Option<outboard_core::Time>,
    /// What the kernel holds it with: containment and limits in force.
    pub enforced: Vec<String>,
    /// The longest gap between careful tries, where they grow.
    pub retry_max: Option<Duration>,
    /// The manifest's own problems, with carets, when the set's file was refused.
    pub refused: Option<String>,
}

/// What became of one plugin after `start`, `stop`, `restart` or `shutdown`.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub plugin: PluginId,
    pub took: Duration,
    pub end: Ended,
}

#[derive(Clone, Debug)]
pub enum Ended {
    Active,
    /// Lazy or finished: rests as asked.
    Resting,
    Stopped(Option<StopRecord>),
    /// Already as asked.
    Unchanged,
    /// Waits for what it requires.
    Waiting(Vec<PluginId>),
    Failed(Failure),
    Unkillable {
        pid: Option<u32>,
    },
    /// Somebody else changed what is wanted meanwhile.
    Overtaken,
    /// A new version of it is on trial: nothing was changed.
    Swapping,
}

/// The last failure as a dossier.
#[derive(Clone, Debug)]
pub struct Dossier {
    pub failure: Failure,
    /// When, in microseconds since the Unix epoch; `None` for one whose place on this run's clock is known.
    pub at_us: Option<i64>,
    /// For how long it had been active.
    pub up: Option<Duration>,
    /// The plugin as it is now.
    pub view: PluginView,
    /// Last lines of stderr, oldest first, redacted.
    pub last_words: Vec<String>,
    /// When each of those was read, in microseconds since the Unix epoch.
    pub words_at: Vec<i64>,
    pub stderr_lines: u64,
    /// What happened in that generation, oldest first.
    pub timeline: Vec<EventRecord>,
    /// The last frames both ways, oldest first, redacted.
    pub frames: Vec<Frame>,
    /// Calls that ended with it: method, milliseconds until it failed, whether it was sent.
    pub lost: Vec<LostCall>,
    pub lost_total: u64,
    /// Ends of the generations before, newest last: to show a pattern.
    pub earlier: Vec<PastFailure>,
    pub cpu: Option<Duration>,
    pub peak_kib: Option<u64>,
    /// Others of its tree that had to be killed after it.
    pub swept: Option<u32>,
}

/// One failure among others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PastFailure {
    pub failure: Failure,
    /// As in [`Dossier`].
    pub at_us: Option<i64>,
    pub up: Option<Duration>,
}

/// One frame, as far as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// Microseconds since the Unix epoch, UTC.
    pub at_us: i64,
    /// To the plugin; else of the plugin.
    pub out: bool,
    /// Of a call of the host's.
    pub id: Option<u32>,
    pub bytes: u64,
    /// There was more than `text`.
    pub cut: bool,
    /// To the plugin: method and params; of the plugin: the frame as it came.
    pub text: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LostCall {
    pub method: String,
    pub after: Duration,
    pub sent: bool,
}

/// One event of the journal; `fields` beside the members that every event has.
#[derive(Clone, Debug)]
pub struct EventRecord {
    pub seq: u64,
    /// Microseconds since the Unix epoch, UTC.
    pub at_us: i64,
    pub plugin: Option<PluginId>,
    pub generation: u64,
    /// A dotted name from the closed list of `observe`.
    pub event: &'static str,
    pub fields: serde_json::Map<String, serde_json::Value>,
}

/// One line of a plugin's log, from one of four sources on one clock.
#[derive(Clone, Debug)]
pub struct LogLine {
    pub at_us: i64,
    pub plugin: PluginId,
    pub generation: u64,
    pub source: LogSource,
    /// `trace`, `debug`, `info`, `warn`, `error` where the source has levels.
    pub level: Option<&'static str>,
    pub text: Arc<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogSource {
    /// The supervisor's own acts.
    Host,
    /// stderr.
    Err,
    /// Lines on stdout that are no message.
    Out,
    /// `$/log` and MCP `notifications/message`.
    Log,
}
