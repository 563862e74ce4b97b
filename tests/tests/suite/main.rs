//! End to end: the real binary, real plugins, real signals.

#![allow(clippy::unwrap_used, reason = "a test that meets a surprise should stop there")]

mod architecture;
mod attach;
mod bad_inputs;
mod between;
mod broken;
mod calls;
mod conformance;
mod conformance_foreign;
mod docs;
mod doctor;
mod dossier;
mod entrypoints;
mod follow;
mod harness;
mod import;
mod lifecycle;
mod load;
mod lsp;
mod management;
mod mcp;
mod mcp_breadth;
mod once_active;
mod rebuilt;
mod reload;
mod scaffold;
mod secrets;
mod signals;
mod starts;
mod swap;
mod upgrade;
mod watch;
