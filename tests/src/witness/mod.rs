//! The witness: a process of its own for each test, which is no part of what is tested.
//!
//! It starts every process of the test and is a subreaper, so whatever escapes from a supervisor, a keeper or a
//! plugin lands on it. So it can count from outside what lives below it, and it ends all of it when the test ends,
//! however the test ends: the end of its input, and the death of the thread that started it, are its orders to kill.

mod below;
mod client;
mod protocol;
mod server;
mod start;

pub use client::{Later, Witness};
pub use protocol::{Ended, Moment, Process, Spawn};
pub use server::serve;
