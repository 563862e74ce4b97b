//! The management API of a running supervisor, over a Unix socket, and the clients of both sockets.
//!
//! [`api`] is the promise to the outside: serde types, converted by hand from the host's views in [`convert`], so
//! that an internal never becomes a contract by accident. [`server`] serves any [`Backend`]; [`client`] is the other
//! end, used by the command line. Calls to plugins do not pass here: they go over the attach socket
//! ([`attach_client`]).
//!
//! **Absent by design:** terminals, colours, how output looks.

mod answer;
pub mod api;
pub mod attach;
pub mod attach_client;
pub mod backend;
pub mod bridge;
pub mod client;
pub mod convert;
mod crowd;
mod document;
#[cfg(test)]
pub(crate) mod fake;
mod http;
mod methods;
mod note;
mod refusals;
mod reserve;
mod rpc;
pub mod select;
pub mod server;
pub mod socket;
mod supervisor;
mod swap;
pub mod upgrade;
mod websocket;
pub mod words;

pub use attach::AttachServer;
pub use backend::{Backend, LogQuery};
pub use client::{ClientError, ControlClient, Events};
pub use document::openrpc;
pub use server::ControlServer;

/// The management socket's name in the state directory.
pub const CONTROL_SOCKET: &str = "control.sock";

/// The name of the socket for calls in the state directory.
pub const ATTACH_SOCKET: &str = "attach.sock";

/// What the command line calls itself in its requests.
pub const CLI_AGENT: &str = "outboard";

/// The largest request or answer on either socket: the largest frame that a manifest may allow (`max_frame`).
pub const MAX_MESSAGE: u32 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests;
