//! The keeper process.
//!
//! One thread, one poll, nothing else that waits. Each turn: orders, then what the kernel reports (ends, outcomes of
//! `exec`), then one sweep pass, then reports. It decides nothing that an operator could want otherwise: what is here
//! follows from orders and from deaths.

mod again;
mod child;
mod end;
mod outbox;
mod poller;
mod probe;
mod run;
mod setup;
mod slot;
mod spawn;
mod stock;
mod sweep;

pub(crate) use setup::{go_on, refuse_version, serve};
