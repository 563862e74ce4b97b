//! The brain's end: start a keeper, order, listen; and clean up after one that died.
//!
//! Everything is non-blocking and synchronous. [`Keeper::socket`] and [`Keeper::pidfd`] are there to be polled by
//! whatever event loop the brain has.

mod client;
mod handover;
mod launch;
mod sweep;

pub use client::Keeper;
pub use handover::{KeeperParts, LetterParts, MESSAGES};
pub use sweep::{Sweep, SweepPlan, SweepStep, Swept, reap_adopted, sweep_after_keeper};
