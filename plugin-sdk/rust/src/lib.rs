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
//! stdout. This crate does the protocol's part: the opening, pings, `drain`, `shutdown` and `exit`, the end of stdin,
//! unknown methods, wrong params, deadlines, cancellation, and handlers that panic. What is left is one function for
//! each method.
//!
//! - **Handlers are plain functions** from params to a result, on threads of a small pool; pings are answered beside
//!   them, so a slow method is busy and not dead. No async runtime is brought in or needed.
//! - **stdout is for frames alone.** [`Plugin::new`] moves it away under a supervisor, so that a stray `println!`, one
//!   of a C library or of a child process ends up on stderr, and so in the plugin's log. stdin is moved likewise.
//! - **Params and results may be typed, [`Value`]s or [`Raw`] text.** Raw text is passed on byte for byte, numbers of
//!   thirty digits included.
//! - **`tracing` goes to the plugin's log**, fields included.
//!
//! [`testing`] runs a plugin against a host in memory.

#![deny(unsafe_code)]

mod call;
mod error;
mod events;
mod guard;
mod host;
mod logging;
mod meta;
mod opening;
mod outlet;
mod plugin;
mod pool;
mod serve;
mod session;
mod signal;
mod status;
mod stdio;
pub mod testing;
#[cfg(test)]
mod vectors;

pub use call::Call;
pub use error::Error;
pub use events::Event;
pub use host::Host;
pub use plugin::{About, Plugin};
pub use serde_json::{Value, json};
pub use signal::CancelToken;
pub use status::{Level, State, Status};

/// JSON text as it came or shall go, unparsed.
pub type Raw = Box<serde_json::value::RawValue>;

/// What handlers, and most things that ask the host, give.
pub type Result<T> = std::result::Result<T, Error>;
