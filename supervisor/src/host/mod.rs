//! Joins core, wire and keeper: all the async of the supervisor.
//!
//! **Absent by design:** arguments, rendering, HTTP.

mod bucket;
mod clock;
mod journal;
mod lines;
mod redact;
mod sink;
mod tail;
mod view;

pub use clock::Clock;
pub use view::*;
