//! An out-of-process plugin supervisor.

#![forbid(unsafe_code)]

pub mod host;
pub mod observe;
