//! End to end: the real binary, real plugins, real signals.

#![allow(clippy::unwrap_used, reason = "a test that meets a surprise should stop there")]

mod harness;
