//! An out-of-process plugin supervisor: it starts other people's code as child processes, speaks JSON-RPC with them
//! over stdio, walks them through their lifecycle, probes them, restarts them when they crash, and leaves nothing
//! behind.
//!
//! The `outboard` binary is this library with a command line. An application embeds it like this:
//!
//! ```no_run
//! use outboard::host::{CallOptions, Supervisor};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let supervisor = Supervisor::builder("state/").start()?;
//! supervisor.discover_and_register(&["manifests/".into()]).await?;
//! supervisor.load("weather").await.map_err(|outcome| format!("{outcome:?}"))?;
//!
//! let params = serde_json::value::to_raw_value(&serde_json::json!({"city": "Oslo"}))?;
//! let forecast = supervisor.call("weather", "forecast", &params, CallOptions::default()).await?;
//! println!("{forecast}");
//!
//! supervisor.shutdown_all(false).await;
//! # Ok(()) }
//! ```
//!
//! The first line of the application's `main` has to be [`keeper_entry`], since the keeper, the small process that is
//! the parent of every plugin, is the application's own binary, re-executed.
//!
//! # Map
//!
//! | module | holds |
//! | --- | --- |
//! | [`host`] | the running supervisor: dispatcher, links, routes, logs, journal; [`host::Supervisor`] |
//! | [`observe`] | what happened, as event names and sentences |
//! | [`control`] | the management API and the attach socket |
//! | [`discover`] | plugins that no file describes: entry points of Python packages |
//! | [`cli`] | the command line |
//!
//! What decides, cuts bytes, forks or reads TOML is in crates of its own: `outboard-core`, `outboard-wire`,
//! `outboard-keeper`, `outboard-manifest`.

#![forbid(unsafe_code)]

pub mod cli;
pub mod control;
mod dialects;
pub mod discover;
pub mod host;
mod nearest;
pub mod observe;

/// Becomes the keeper if this process was started to be it, and then never returns; else returns at once.
///
/// To be called before any thread is started and any descriptor opened.
pub fn keeper_entry() {
    outboard_keeper::entry::run_if_keeper();
}
