//! The harness of the end-to-end suites: a real `outboard`, real plugins, and a witness that is neither.
//!
//! Nothing here links the supervisor: it is built, started and looked at as a user would, by its command line, its
//! sockets and its files, with clients of our own. So a mistake that the supervisor and its client share still shows.
//!
//! | module | holds |
//! | --- | --- |
//! | [`world`] | one test's folder: manifests, scripts, gates, state directories; the leak check at its end |
//! | [`running`] | one supervisor: its events, its status, calls to its plugins, its end |
//! | [`witness`] | the process that starts, counts and ends everything, and its client |
//! | [`gates`] | the folder that scripted plugins (`plugins/chaos`) share with the test |
//! | [`attach`], [`control`], [`websocket`] | plain clients of the two sockets |
//! | [`schema`] | whether a value is what a JSON Schema says |
//! | [`event`], [`tail`] | the journal, read as it grows |
//! | [`fault`], [`neighbour`] | what the rows of the fault table share: witness, growth, a healthy plugin beside the bad one |
//! | [`packages`] | virtual environments with packages in them |
//! | [`pipes`] | what lies in other processes' pipes |
//! | [`hold`] | a process that SIGKILL does not end |
//! | [`executable`], [`exec_gate`] | files that a start trips over, and a gate in the way of one |
//! | [`table`] | the fault table as data: rows, skips, guards, tests |
//! | [`runtimes`] | programs that a test needs: ours, which must be built, and others, which may be missing |
//! | [`clock`] | the one clock: bounds against hanging, and figures for people |
//!
//! Tests wait for events, reports and exits, never for time to pass. What bounds every wait is [`clock::hang_bound`];
//! on a slow machine `OUTBOARD_TEST_FACTOR=3` triples it. `OUTBOARD_LONG=1` chooses the long forms.
//! `OUTBOARD_NEXT_BUILD` names a build with the feature `state-version-next`, for upgrades between two versions.
//! `OUTBOARD_REQUIRE_RUNTIMES=1` (and CI) makes a missing runtime a failure instead of a skip.

#![allow(clippy::unwrap_used, reason = "a test that meets a surprise should stop there")]

pub mod attach;
pub mod bridge;
pub mod clock;
pub mod control;
pub mod event;
pub mod exec_gate;
pub mod executable;
pub mod fault;
pub mod gates;
pub mod hold;
pub mod neighbour;
pub mod packages;
pub mod pipes;
pub mod running;
pub mod runtimes;
pub mod schema;
pub mod table;
pub mod tail;
pub mod websocket;
pub mod witness;
pub mod world;

pub use attach::{Attach, CallError};
pub use bridge::Bridge;
pub use event::Event;
pub use running::Running;
pub use witness::{Ended, Process, Witness};
pub use world::World;

use std::io::Write;

/// Says a line to whoever runs the tests, past the capture of test output.
pub fn say(text: impl std::fmt::Display) {
    // Nobody to read it is no reason to fail a test.
    drop(writeln!(std::io::stderr(), "{text}"));
}

/// Whether the long forms are asked for.
#[must_use]
pub fn long() -> bool {
    std::env::var("OUTBOARD_LONG").is_ok_and(|long| !matches!(&*long, "" | "0"))
}
