//! The management API's types: what `--json` prints and what the socket carries.
//!
//! Members are only ever added. A reader ignores members that it does not know, and a word that it does not know
//! reads as `Unknown`, so that a command line and a supervisor of neighbouring versions understand each other.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

mod dossier;
mod errors;
mod params;
mod plan;
mod swap;
mod topics;

pub use dossier::{Direction, Dossier, Frame, LostCall, Why};
pub use errors::{ErrorData, Refusal, code};
pub use params::{
    EventPage, EventsFrom, LogFilter, LogsOf, Nothing, OfFailure, Reloading, Select, Shutdown,
    Start, Stopping, SwapIn, TopicsOf,
};
pub use plan::{Action, Difference, Plan, Reload, Setting, Step};
pub use swap::{Answered, CanaryProbe, Swap, SwapCalls, SwapVerdict};
pub use topics::{Published, TopicItem};

/// The value of `schema` in everything that `--json` prints.
pub const SCHEMA: u32 = 1;

/// The answer to `status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    pub schema: u32,
    pub supervisor: Supervisor,
    /// Trouble first: by state, inside a state what is not `ok` first, then by id.
    pub plugins: Vec<Plugin>,
    /// Files that were changed on the disk since, and are not in force.
    #[serde(default)]
    pub drift: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Supervisor {
    pub version: String,
    pub pid: u32,
    pub uptime_ms: u64,
    /// One state of the configuration; rises with each applied change.
    pub revision: u64,
    pub name: String,
    pub state_dir: String,
    /// The folders and files it was started with.
    pub sources: Vec<String>,
    /// What ends a whole plugin here: `cgroup`, `session`, …
    pub containment: String,
    pub keeper_pid: Option<u32>,
    /// What keeps plugins from each other. `shared-user`: they run as one user, so that each can read and signal the others,
    /// and use what this user may use.
    #[serde(default)]
    pub isolation: String,
    /// Who is asking, as the supervisor sees it: `cli`, `api`, or `plugin:ID` for a process of a plugin.
    #[serde(default)]
    pub caller: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plugin {
    pub id: String,
    pub dialect: String,
    /// `up` or `down`: what is wanted, apart from what is.
    pub wanted: Wanted,
    pub state: State,
    pub pid: Option<u32>,
    /// One run of this plugin; 0 before the first.
    pub generation: u64,
    /// Since it was last started by hand.
    pub restarts: u32,
    /// How long it has been in this state.
    pub since_ms: u64,
    pub health: Health,
    /// Calls accepted and not yet settled, waiting ones included.
    pub in_flight: u32,
    pub last_failure: Option<Failure>,
    /// Until the next start of its own accord, or the end of a step of its stop.
    pub next_try_ms: Option<u64>,
    pub waiting_for: Vec<String>,
    /// A second generation beside the serving one.
    pub next: Option<Next>,
    /// In plain words why the row is not simply fine.
    pub note: Option<String>,
    /// The step of its stop, while it is stopping.
    pub rung: Option<Rung>,
    /// Attached clients.
    pub clients: u32,
    /// Whether the manifest on disk differs from what runs; `null`: not looked at.
    pub drift: Option<bool>,
    /// What holds it: containment and limits in force.
    pub enforced: Vec<String>,
    /// Its resolved executable, once looked up.
    pub executable: Option<String>,
    pub command: Vec<String>,
    pub manifest: String,
    /// The entry point of a Python package that it was found by.
    #[serde(default)]
    pub entry_point: Option<EntryPoint>,
    /// When the opening of the process that runs was answered: RFC 3339, UTC.
    #[serde(default)]
    pub loaded_at: Option<String>,
    /// What the opening agreed on.
    pub protocol: Option<String>,
    /// What the opening said it offers.
    pub offers: Option<String>,
    /// The longest gap between careful tries after it was given up, where the gaps grow.
    #[serde(default)]
    pub retry_max_ms: Option<u64>,
}

/// What an installed Python package says of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntryPoint {
    /// The virtual environment.
    pub environment: String,
    pub group: String,
    pub name: String,
    /// `package.module:Class`.
    pub value: String,
    /// The package; several where they have the same name for it.
    pub distribution: String,
    pub version: String,
    /// When the package, or the file that is named, was last written: RFC 3339.
    pub installed: String,
}

impl From<outboard_manifest::EntryPoint> for EntryPoint {
    fn from(point: outboard_manifest::EntryPoint) -> Self {
        let outboard_manifest::EntryPoint {
            environment,
            group,
            name,
            value,
            distribution,
            version,
            installed,
        } = point;
        Self { environment, group, name, value, distribution, version, installed }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Wanted {
    Up,
    Down,
}

/// The life of a plugin, in the order in which screens show it: trouble first.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Failed,
    Unkillable,
    Backoff,
    Degraded,
    Starting,
    Stopping,
    Loaded,
    Active,
    Registered,
    #[serde(other)]
    Unknown,
}

impl State {
    /// The word for it, in text as in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Unkillable => "unkillable",
            Self::Backoff => "backoff",
            Self::Degraded => "degraded",
            Self::Starting => "starting",
            Self::Stopping => "stopping",
            Self::Loaded => "loaded",
            Self::Active => "active",
            Self::Registered => "registered",
            Self::Unknown => "unknown",
        }
    }

    /// The state of that name; `Unknown` for a word of a newer supervisor.
    #[must_use]
    pub fn of_word(word: &str) -> Self {
        match word {
            "failed" => Self::Failed,
            "unkillable" => Self::Unkillable,
            "backoff" => Self::Backoff,
            "degraded" => Self::Degraded,
            "starting" => Self::Starting,
            "stopping" => Self::Stopping,
            "loaded" => Self::Loaded,
            "active" => Self::Active,
            "registered" => Self::Registered,
            _ => Self::Unknown,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    pub status: HealthStatus,
    /// Since its last sign of life in this generation.
    pub last_ok_ms_ago: Option<u64>,
    pub message: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    Ok,
    Degraded,
    Busy,
    Suspect,
    Hung,
    #[serde(other)]
    Unknown,
}

impl HealthStatus {
    /// The word for it, in text as in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Busy => "busy",
            Self::Suspect => "suspect",
            Self::Hung => "hung",
            Self::Unknown => "unknown",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// `config`, `spawn`, `handshake`, `protocol`, `exit`, `signal`, `oom`, `hang`, `unhealthy`, `dependency`, `keeper`.
    pub class: String,
    /// Machine-readable: `exe-missing`, `timeout`, `before-handshake`, …
    pub detail: String,
    /// For people.
    pub message: String,
    /// RFC 3339, UTC.
    pub at: String,
    pub generation: u64,
    pub exit: Option<Exit>,
    /// For how long it had been active; `null`: it had not been, or it is not known.
    #[serde(default)]
    pub up_ms: Option<u64>,
}

/// How a process ended; a member that is absent does not apply, none at all means that it is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exit {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub signal: Option<String>,
    /// It left a core dump.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub core: bool,
    /// It was killed for memory.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub oom: bool,
}

/// A second generation, starting beside the one that serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Next {
    pub generation: u64,
    pub state: State,
}

/// A step of the stop ladder, named as in the manifest's `[stop]`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Rung {
    /// Calls in flight run on, new ones are refused.
    Drain,
    /// The dialect's `shutdown` request.
    #[serde(rename = "shutdown")]
    Ask,
    /// `exit`, then standard input is closed.
    #[serde(rename = "exit")]
    Leave,
    Term,
    Kill,
    #[serde(other)]
    Unknown,
}

/// The answer to `start`, `stop`, `restart` and `shutdown`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    pub schema: u32,
    /// Whom it was about.
    pub plugins: Vec<String>,
    /// What became of each; empty when nobody waited for it.
    pub outcomes: Vec<Outcome>,
}

/// What became of one plugin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    pub plugin: String,
    pub end: End,
    pub took_ms: u64,
    /// For `stopped`: how.
    pub stop: Option<Stop>,
    /// For `failed`: why.
    pub failure: Option<Failure>,
    /// For `waiting`: on whom.
    pub waiting_for: Vec<String>,
    /// For `unkillable`.
    pub pid: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum End {
    Active,
    /// Lazy or finished: rests as asked.
    Resting,
    Stopped,
    /// Already as asked.
    Unchanged,
    Waiting,
    Failed,
    Unkillable,
    /// Somebody else changed what is wanted meanwhile.
    Overtaken,
    /// A new version of it is on trial: nothing was changed.
    Swapping,
    #[serde(other)]
    Unknown,
}

/// One stop, step by step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stop {
    pub rungs: Vec<RungTime>,
    pub exit: Option<Exit>,
    /// Processes of its tree that had to be killed after it.
    pub swept: u32,
    /// It ended by itself before any step could end it.
    pub by_itself: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RungTime {
    pub rung: Rung,
    pub ms: u64,
}

/// One event. In JSON its own fields stand beside these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    pub seq: u64,
    /// RFC 3339, UTC.
    pub at: String,
    pub plugin: Option<String>,
    pub generation: u64,
    /// A dotted name.
    pub event: String,
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

/// One item of `subscribe_events`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EventItem {
    Event(Event),
    /// This many events went by unread: the reader was too slow and the journal no longer had them.
    Missed(u64),
}

/// One line of a plugin's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// RFC 3339, UTC.
    pub at: String,
    pub plugin: String,
    pub generation: u64,
    pub source: Source,
    pub level: Option<String>,
    pub text: String,
}

/// One item of `subscribe_logs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogItem {
    Line(LogLine),
    /// This many lines went by unread: the reader was too slow.
    Missed(u64),
}

/// Where a log line comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The supervisor's own acts.
    Host,
    /// stderr.
    Err,
    /// Lines on stdout that are no message.
    Out,
    /// The plugin's log notifications.
    Log,
}

impl Source {
    /// The word for it, in text as in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Err => "err",
            Self::Out => "out",
            Self::Log => "log",
        }
    }
}

/// The answer to `upgrade`: it takes place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Upgrade {
    pub schema: u32,
    /// The version that ran.
    pub from: String,
    /// The version that goes on.
    pub to: String,
    /// The number of the last event before it.
    pub seq: u64,
}
