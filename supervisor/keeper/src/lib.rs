//! The keeper: a small, single-threaded process that is the parent of every plugin.
//!
//! The same binary, re-executed. It forks, sets the child up, executes, reaps, and reports; it kills what a plugin
//! leaves behind, and everything there is when its supervisor (the *brain*) dies, however it dies. *The keeper decides
//! nothing; the brain never forks a plugin.*
//!
//! | module | holds |
//! | --- | --- |
//! | [`entry`] | turns a re-executed process into the keeper; the first call in `main` |
//! | [`order`] | the vocabulary: what a brain can order, what a keeper reports |
//! | [`settings`], [`error`] | what a keeper is started with, and how that fails |
//! | `brain` | the brain's end: [`Keeper`], [`Sweep`] after a keeper's death |
//! | `server` | the keeper process: one poll, orders before sweeps, one sweep pass a turn |
//! | `extinguish` | ends everything below a process; the end is the kernel's `ECHILD`, never a walk |
//! | [`probe`], `cgroup`, `fleets` | containment level 1: which is possible, leaves, `cgroup.kill` |
//! | [`reaper`] | at the next start: removes what a double kill may have left |
//! | [`trial`] | tries what this machine can do, with throw-away processes |
//! | [`inherit`] | what a process inherits from the image that ran in it before |
//! | [`leash`] | a helper process that must not outlive whoever started it |
//! | [`pidfd`] | signals that cannot reach the wrong process |
//! | `book` | what goes over when the keeper executes another image of itself |
//! | [`peer`] | who is on the other end of a socket, and where that process stands |
//! | `protocol`, `blueprint` | messages between the two: fixed packets, and a sealed memfd for what is long |
//! | `sys` | system calls; nearly all of the `unsafe` |
//!
//! **Absent by design:** async, JSON, manifests, JSON-RPC, policy. When to restart, how long a rung lasts and what a
//! failure means is decided elsewhere and arrives here as an order.

pub mod entry;
pub mod error;
pub mod inherit;
pub mod leash;
pub mod order;
pub mod peer;
pub mod pidfd;
pub mod probe;
pub mod reaper;
pub mod settings;
pub mod trial;

mod blueprint;
mod book;
mod brain;
mod cgroup;
mod extinguish;
mod fleets;
mod protocol;
mod server;
mod switches;
mod sys;
mod tree;

pub use brain::{
    Keeper, KeeperParts, LetterParts, MESSAGES, Sweep, SweepPlan, SweepStep, Swept, reap_adopted,
    sweep_after_keeper,
};
pub use error::KeeperError;
pub use order::{
    CgroupLimits, Credentials, ExitStatus, Order, Orphans, Report, Rlimit, Rusage, SpawnOrder, Step,
};
pub use reaper::RunMark;
pub use settings::{Containment, ContainmentChoice, Controllers, KeeperProgram, Level, Settings};
pub use sys::process::{become_subreaper, set_non_dumpable};
