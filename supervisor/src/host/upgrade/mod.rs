//! A running supervisor goes over to another process image: everything that it knows is written down, every descriptor
//! stays open, and whoever executes next goes on where it stopped.
//!
//! | file | holds |
//! | --- | --- |
//! | `state` | what is written down: plain values, with numbers in place of descriptors |
//! | `descriptors` | the descriptors that go along |
//! | `freeze` | from the dispatcher and its links to a state, in one step in which nothing else runs |
//! | `thaw` | from a state to a supervisor; pure first, then with the descriptors |
//! | `image` | the sealed memory file: versions in front, then the parts |
//! | `rehearsal` | whether another build can read it, before this one lets go |
//! | `program` | which file is executed, and that |
//! | `request` | somebody asks for an upgrade; whoever runs the supervisor grants it |
//!
//! The same state thaws after `execve(2)` and, when that fails, in the process that wrote it.

mod descriptors;
mod errors;
mod freeze;
mod image;
mod keeper;
pub(crate) mod path_text;
mod program;
mod rehearsal;
mod request;
mod state;
mod thaw;
mod tokens;

pub(crate) use descriptors::{Descriptors, Fd};
pub use freeze::Frozen;
pub(crate) use freeze::{Beside, Freeze};
pub use image::{Image, Unreadable, VERSION};
pub use program::Program;
pub(crate) use program::inherited;
pub(crate) use rehearsal::take_image;
pub use rehearsal::{NoRehearsal, Rehearsed, VERB, rehearse};
pub(crate) use request::Upgrades;
pub use request::{Granted, Refused, Request};
pub(crate) use state::{HostState, KeptRoute, KeptWay};
pub use thaw::Rebuilt;
pub(crate) use thaw::Thaw;
pub(crate) use tokens::{Clients, KeptCall, KeptMore, KeptPending};
