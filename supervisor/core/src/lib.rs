//! Decides what happens to plugins.
//!
//! **Absent by design:** descriptors, signals, the clock, async, files, JSON. The core is a function from
//! (state, now, event) to effects; whoever needs one of those things here returns an [`Effect`] instead.

#![forbid(unsafe_code)]

mod event;
mod policy;
mod time;

pub use event::*;
pub use policy::*;
pub use time::Time;
