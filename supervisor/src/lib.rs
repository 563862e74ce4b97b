//! An out-of-process plugin supervisor.

#![forbid(unsafe_code)]

pub mod cli;
pub mod control;
pub mod host;
pub mod observe;
