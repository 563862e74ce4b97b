//! The fault table, `tests/faults/README.md`: one test a row, one file a family.

#![allow(clippy::unwrap_used, reason = "a test that meets a surprise should stop there")]

mod crash;
mod handshake;
mod health;
mod manifest;
mod security;
mod spawn;
mod stderr;
mod supervisor;
mod swap;
mod table;
mod tree;
mod wire;
