//! What a test and its witness say to each other: one JSON object a line.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One order. Each gets exactly one [`Answer`], some of them late.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub id: u64,
    pub order: Order,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    /// Starts a process: answers with its pid.
    Spawn(Spawn),
    /// Everything that lives below the witness: answers with a list of [`Process`].
    Below,
    /// Answers with [`Ended`] once a started process has ended.
    WaitExit { pid: u32 },
    /// Answers with the moment at which nothing was below the witness any more: the kernel says `ECHILD`.
    WaitEmpty,
    /// Signals a process below, by the witness' clock; answers with the moment at which it did.
    Signal { pid: u32, signal: i32, after_us: u64 },
    /// Types on a started process' terminal.
    Type { pid: u32, text: String },
}

/// How to start a process. It gets a process group of its own, an empty signal mask, and dies with the witness.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Spawn {
    pub argv: Vec<String>,
    /// Beside what the test itself has.
    pub env: BTreeMap<String, String>,
    pub cwd: Option<PathBuf>,
    /// A file; else nothing is to be read.
    pub stdin: Option<PathBuf>,
    /// A file; else nowhere.
    pub stdout: Option<PathBuf>,
    /// A file; else nowhere.
    pub stderr: Option<PathBuf>,
    /// All three on a new terminal that controls it; what appears there goes to `stdout`.
    pub terminal: bool,
    /// Signals blocked at its start.
    pub block: Vec<i32>,
    /// Signals ignored at its start.
    pub ignore: Vec<i32>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    pub id: u64,
    pub result: Result<Value, String>,
}

/// One process below the witness.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub pid: u32,
    pub ppid: u32,
    /// Since boot, in clock ticks: tells apart two that had the same number.
    pub start: u64,
    /// As the kernel's letter: R, S, D, T, Z, …
    pub state: char,
    pub name: String,
    pub args: Vec<String>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    /// It left a core dump.
    pub core: bool,
    /// When the witness reaped it, by its clock.
    pub at_us: u64,
}

/// A moment by the witness' clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    pub at_us: u64,
}
