//! JSON-RPC between the host and a plugin: bytes to messages and back.
//!
//! Layers, each usable and tested alone:
//!
//! | module | turns |
//! | --- | --- |
//! | [`frame`] | bytes into frames; bounded, resynchronising, whatever else a plugin prints |
//! | [`message`] | a frame into a borrowed message, or a typed reject |
//! | [`encode`] | messages into frames, in the one member order that a shell script can read |
//! | [`peer`] | calls into ids, lanes, deadlines and exactly one outcome each |
//! | [`dialect`] | messages into meaning: the native protocol, MCP |
//! | [`session`] | one client's messages into what is the host's to answer, to keep and to pass on |
//! | [`error`] | failures into the JSON-RPC error object that a caller gets |
//!
//! **Absent by design:** processes, pipes, async, the clock. Points in time are [`std::time::Duration`]s since the
//! host's start, passed in. The Rust SDK and the fuzz targets build on the same code.

#![forbid(unsafe_code)]

pub mod dialect;
pub mod encode;

pub mod error;
pub mod frame;
mod id;
pub mod json;
pub mod message;
pub mod octets;

pub mod peer;
mod salvage;
pub mod session;

pub use dialect::Dialect;
pub use error::CallError;
pub use frame::{Framer, Item, JunkKind};
pub use id::Id;
pub use message::{Message, Reason, Reject, RemoteError, decode};
pub use peer::Peer;
pub use session::Session;

/// Depth of nesting that both sides bear by default; the outer object is level 1.
pub const DEFAULT_MAX_DEPTH: u32 = 128;

/// Bytes of one inbound frame by default.
pub const DEFAULT_MAX_FRAME: usize = 16 << 20;

/// Bytes of one outbound frame by default.
pub const DEFAULT_MAX_SEND: usize = 8 << 20;
