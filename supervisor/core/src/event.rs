//! The closed vocabulary: everything that can happen to a plugin, and everything the core can ask for.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::policy::{PluginId, SwapMode};
use crate::snapshot::{HealthName, Phase, StateName, StopRecord};
use crate::time::Time;
use crate::word::{self, Word};

/// Everything that can happen to one plugin, grouped by who says it.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    // An operator, the API or a caller.
    /// Wanted up, now; refills the restart budget.
    Start,
    /// Wanted down.
    Stop { now: bool, reason: StopReason },
    /// Down, then up again; refills the restart budget.
    Restart { now: bool },
    /// A call came while no generation could take it; starts a lazy plugin.
    Called,

    // The surroundings and the process.
    /// Refused before anything was spawned (class `config`).
    Refused(Detail),
    /// The start failed before `exec` succeeded (class `spawn`).
    SpawnFailed { permanent: bool, detail: Detail },
    /// The process exists.
    Spawned { pid: u32 },
    /// `exec` succeeded.
    Execed,
    /// The leader ended. Its last bytes have been read; its tree may live on.
    Died(Exit),
    /// The leader is reaped and nothing of its tree is left.
    Gone { swept: u32 },
    /// The keeper died and took the processes with it; never charged to the plugin.
    KeeperLost,
    /// The executable of a plugin that failed for good changed on disk, or did not.
    FileLooked { changed: bool },

    // The wire.
    /// The first byte on stdout.
    FirstByte,
    /// A sign of progress during handshake or ready (`$/status`, `$/progress`).
    StartProgress,
    /// The dialect's opening was answered.
    Opened(Opening),
    /// The opening was refused, or the versions do not meet (`permanent`).
    OpenFailed { permanent: bool, detail: Detail },
    /// The plugin speaks of itself (`$/status`, or the body of a `ping` answer).
    Said(Report),
    /// A probe of this generation was answered; any answer counts.
    ProbeAnswered,
    /// More junk, dropped logs or unknown ids than the bound in the last minute, or quiet again.
    Noisy(bool),
    /// The link is unusable while the process lives (class `protocol`).
    LinkBroken(Detail),
    /// No call is in flight any more and `drain` was answered where it is supported.
    Drained,
    /// Nothing was in flight when the drain was ordered, and the plugin wants no word of it: no step was taken.
    NothingToDrain,
    /// `shutdown` was answered, or the dialect has none.
    Asked,

    // The clock.
    /// A deadline has passed. The pipe was read until it would block before `look` was made.
    Deadline(Look),
}

impl Event {
    /// The variant's name, for notes and tables.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Start => "Start",
            Self::Stop { .. } => "Stop",
            Self::Restart { .. } => "Restart",
            Self::Called => "Called",
            Self::Refused(_) => "Refused",
            Self::SpawnFailed { .. } => "SpawnFailed",
            Self::Spawned { .. } => "Spawned",
            Self::Execed => "Execed",
            Self::Died(_) => "Died",
            Self::Gone { .. } => "Gone",
            Self::KeeperLost => "KeeperLost",
            Self::FileLooked { .. } => "FileLooked",
            Self::FirstByte => "FirstByte",
            Self::StartProgress => "StartProgress",
            Self::Opened(_) => "Opened",
            Self::OpenFailed { .. } => "OpenFailed",
            Self::Said(_) => "Said",
            Self::ProbeAnswered => "ProbeAnswered",
            Self::Noisy(_) => "Noisy",
            Self::LinkBroken(_) => "LinkBroken",
            Self::Drained => "Drained",
            Self::NothingToDrain => "NothingToDrain",
            Self::Asked => "Asked",
            Self::Deadline(_) => "Deadline",
        }
    }

    /// Who may say it: commands and answers to orders belong to no generation, what comes from a process does.
    pub(crate) fn belongs_to_a_generation(&self) -> bool {
        match self {
            Self::Start
            | Self::Stop { .. }
            | Self::Restart { .. }
            | Self::Called
            | Self::KeeperLost
            | Self::FileLooked { .. }
            | Self::Deadline(_) => false,
            Self::Refused(_)
            | Self::SpawnFailed { .. }
            | Self::Spawned { .. }
            | Self::Execed
            | Self::Died(_)
            | Self::Gone { .. }
            | Self::FirstByte
            | Self::StartProgress
            | Self::Opened(_)
            | Self::OpenFailed { .. }
            | Self::Said(_)
            | Self::ProbeAnswered
            | Self::Noisy(_)
            | Self::LinkBroken(_)
            | Self::Drained
            | Self::NothingToDrain
            | Self::Asked => true,
        }
    }
}

/// Why a plugin is asked to leave (protocol `shutdown.reason`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StopReason {
    Stop,
    Restart,
    /// Another version serves from now on: what is in flight here, written or not, is still answered here.
    Swap,
    Config,
    HostExit,
}

/// A machine-readable detail (`exe-missing`, `timeout`, `before-handshake`, …) and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    #[serde(with = "word")]
    pub detail: Word,
    pub message: String,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    Code(i32),
    Signal {
        /// `SIGSEGV`, …
        #[serde(with = "word")]
        name: Word,
        core: bool,
    },
    /// Killed for memory, with evidence.
    Oom,
    /// The keeper could not say any more.
    Unknown,
}

/// What the core needs to know of an answered opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    pub ready: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub state: Saying,
    pub message: Option<String>,
    pub expected: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Saying {
    Ready,
    Degraded,
    Unhealthy,
    Busy,
}

/// What the host saw of a generation when a deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Look {
    /// The last answer of any kind, `$/status`, or `$/progress` for a pending call.
    pub last_life: Option<Time>,
    /// When the last byte of the probe in flight entered the pipe; `None` while it has not.
    pub probe_written: Option<Time>,
    /// Calls that keep the plugin busy (in flight and counting as work, or abandoned and unanswered).
    pub working: u32,
    /// The latest deadline of the calls in flight.
    pub latest_deadline: Option<Time>,
    /// Since when nobody has wanted anything of it, nor it of others; `None` while something is open.
    pub idle_since: Option<Time>,
    /// A debugger traces the process.
    pub traced: bool,
    /// The leader is stopped by a signal (process state `T`).
    pub stopped: bool,
    /// What the leader does, in words, where that was looked at.
    pub doing: Option<&'static str>,
    /// Bytes seen on stderr, CPU time used and processes made by the tree, in any unit: a rise is activity.
    /// Filled in during the first-byte phase only.
    pub activity: u64,
    /// Half a frame is lying in the framer.
    pub mid_frame: bool,
    /// What has been seen since the start, and how many bytes went which way: for the words of a timeout.
    pub seen: Seen,
    /// Bytes read from its stdout.
    pub read: u64,
    /// Bytes written to its stdin.
    pub written: u64,
}

/// What a starting plugin has shown so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Seen {
    #[default]
    Nothing,
    StderrOnly,
    JunkOnly,
    Frames,
    /// An answer came, but to another id.
    OtherId,
}

/// Everything the core can ask the host to do. An order that nobody runs is a bug.
#[must_use = "an effect nobody runs is a lost order"]
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Start a process of this version for this generation and write the dialect's opening.
    /// Answered by `Refused`, `SpawnFailed`, or `Spawned` and `Execed`.
    Spawn { generation: u64, version: Version },
    /// The next version of a swap is the one in force from now on.
    Adopt,
    /// The next version of a swap is not wanted any more; the one in force stays.
    Discard,
    /// Send one probe; `second` asks for the kind that is not the dialect's usual one. The dialect keeps which one that
    /// is: the one that was answered.
    Probe { second: bool },
    /// Where calls go from now on.
    Route(Route),
    /// Settle every call in flight of this generation, and every queued one that may not wait, now.
    Settle(Settle),
    /// One rung of the stop ladder; `within` is its budget.
    Rung { rung: Rung, within: Duration, reason: StopReason },
    /// The generation is over: close what is left of its link.
    Retire { generation: u64 },
    /// Look at the executable's identity; answer with `FileLooked`.
    LookAtFile,
    /// Something happened that people and logs should know.
    Note(Note),
}

/// Which of the versions that the host knows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    InForce,
    /// The one that a swap brought, until it is adopted or discarded.
    Next,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Route {
    /// To the live link.
    Open,
    /// Calls wait, bounded, until the next route (`while_restarting = "wait"`).
    Hold(Unavailable),
    /// Calls are refused at once.
    Refuse(Unavailable),
}

/// Why a call cannot be taken now: the `class` of −31001, −31008 and −31009.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Unavailable {
    Starting,
    Waiting,
    Backoff,
    HalfOpen,
    Down,
    Failed,
    /// −31008 `stop`, `restart`, `host_exit`.
    Stopping(StopReason),
}

/// Why calls in flight end: the `class` of −31003 (or −31008 after a drain that ran out).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Settle {
    Crashed { class: Class, exit: Option<Exit> },
    Stopped(StopReason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Rung {
    Drain,
    Ask,
    Leave,
    Term,
    Kill,
}

/// Failure classes; see the manifest reference for what each leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Class {
    Config,
    Spawn,
    Handshake,
    Protocol,
    Exit,
    Signal,
    Oom,
    Hang,
    Unhealthy,
    Dependency,
    /// The keeper died with its plugins; not the plugin's fault.
    Keeper,
}

/// What became of a swap; each has exactly one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Generation `to` serves, and `from` leaves.
    Switched { from: u64, to: u64 },
    /// The old version serves on, or comes back.
    RolledBack { why: String },
    /// What is wanted of the plugin changed meanwhile.
    Abandoned { why: String },
}

/// A failure as status, `why` and events tell it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    pub class: Class,
    pub detail: Detail,
    pub exit: Option<Exit>,
    pub generation: u64,
    pub at: Time,
}

/// What happened, named noun-verb in the past; rendered by others.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    StateChanged {
        from: StateName,
        to: StateName,
        generation: u64,
        reason: String,
    },
    PhaseReached {
        phase: Phase,
    },
    PhaseExtended {
        phase: Phase,
        up_to: Duration,
    },
    Failed(Failure),
    RestartScheduled {
        after: Duration,
        attempt: u32,
    },
    /// Gave up; the next careful try, if any, is `retry_after` from now.
    GaveUp {
        restarts: u32,
        within: Duration,
        retry_after: Option<Duration>,
    },
    ProbeMissed {
        misses: u32,
        of: u32,
    },
    ProbeExcused {
        silent_for: Duration,
        up_to: Duration,
    },
    HealthChanged {
        from: HealthName,
        to: HealthName,
        message: Option<String>,
    },
    RungReached {
        rung: Rung,
        within: Duration,
    },
    Stopped(StopRecord),
    /// The leader had ended by itself, and this many others of its tree had to be killed.
    Swept {
        n: u32,
        generation: u64,
    },
    BecameUnkillable {
        pid: Option<u32>,
    },
    DependencyWaited {
        on: Vec<PluginId>,
    },
    StormBegan,
    /// Another version is to take over from the generation that this is told of.
    SwapStarted {
        mode: SwapMode,
    },
    /// The new version is active: its canary probes begin.
    SwapActive {
        after: Duration,
    },
    /// One canary probe was answered, or not in time.
    SwapCanary {
        probe: u32,
        of: u32,
        answered: bool,
        took: Duration,
    },
    SwapJudged(Verdict),
    /// Nothing of the loser is left, or nothing can be done about it.
    SwapDone {
        took: Duration,
    },
    ClockStalled {
        late: Duration,
    },
    /// A pair of state and event that cannot happen did.
    Surprised {
        state: StateName,
        event: &'static str,
    },
}
