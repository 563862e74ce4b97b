//! Decides what happens to plugins.
//!
//! **Absent by design:** descriptors, signals, the clock, async, files, JSON. The core is a function from
//! (state, now, event) to effects; whoever needs one of those things here returns an [`Effect`] instead.
//!
//! # Map
//!
//! - [`Event`], [`Effect`], [`Note`], [`Snapshot`]: the closed vocabulary.
//! - [`Fleet`]: owns every plugin; order of start and stop, turns, the storm guard, the stop of everything.
//! - `owner`, `swap`: one plugin, which has one life, or two while one version takes over from another.
//! - `plugin` and `lifecycle/*`: one life; one file per state, each with its answer to every event.
//! - `restart`, `health`, `ladder`: the policies that several states share.
//! - `timer`: a deadline that knows how late it ran, because on a stalled host late is not dead.
//!
//! # Calling order
//!
//! 1. [`Fleet::register`] each plugin, then [`Fleet::start_enabled`] once.
//! 2. Sleep until [`Fleet::next_deadline`] or until something happens. What happens is a [`Fleet::step`]. When a
//!    deadline has passed: [`Fleet::fleet_due`], then for each key of [`Fleet::due`] read its pipe dry, make a
//!    [`Look`], and step with [`Event::Deadline`].
//! 3. Carry out every returned [`Effect`] in order. An order may be answered by a step while it is carried out:
//!    orders come last among the effects of a call, behind everything that is only told.
//! 4. [`Fleet::shutdown`], and go on stepping until [`Fleet::is_down`].

#![forbid(unsafe_code)]
#![deny(clippy::wildcard_enum_match_arm, clippy::match_wildcard_for_single_variants)]

mod event;
mod exit;
mod fleet;
mod health;
mod ladder;
mod lifecycle;
mod owner;
pub mod plan;
mod plugin;
mod policy;
mod restart;
mod rng;
mod snapshot;
mod swap;
mod table;
mod time;
mod timer;
pub mod word;

pub use event::*;
pub use fleet::{Effects, Fleet, Key, NoSwap, Swapping};
pub use policy::*;
pub use snapshot::*;
pub use table::state_table;
pub use time::Time;
