//! Write outboard plugins in Rust.
//!
//! ```no_run
//! use outboard_plugin::{Plugin, Raw};
//!
//! fn main() -> std::process::ExitCode {
//!     Plugin::new("echo", "1.0.0").method("echo", |params: Raw, _| Ok(params)).run()
//! }
//! ```
//!
//! A plugin is a process that a supervisor starts. It reads one JSON object a line on stdin and writes one a line on
//! stdout. This crate does the protocol's part: the opening, pings, `shutdown` and `exit`, the end of stdin, unknown
//! methods, wrong params, cancellation, and handlers that panic. What is left is one function for each method.
//!
//! - **Handlers are plain functions** from params to a result, on threads of a small pool; pings are answered beside
//!   them, so a slow method is busy and not dead. No async runtime is brought in or needed.
//! - **stdout is for frames alone.** [`Plugin::new`] moves it away, so that a stray `println!`, one of a C library or
//!   of a child process ends up on stderr, and so in the plugin's log. stdin is moved likewise.
//! - **Params and results may be typed, [`Value`]s or [`Raw`] text.** Raw text is passed on byte for byte, numbers of
//!   thirty digits included.
//!
//! Not there yet: calls to other plugins, events, progress, `_meta`, draining, new configuration without a restart.
//! The plugin's opening says so, and the host does without.

#![deny(unsafe_code)]

mod call;
mod error;
mod host;
mod plugin;
mod pool;
mod serve;
mod stdio;

pub use call::Call;
pub use error::Error;
pub use host::{Host, Level, State, Status};
pub use plugin::Plugin;
pub use serde_json::Value;

/// JSON text as it came or shall go, unparsed.
pub type Raw = Box<serde_json::value::RawValue>;
