//! Joins core, wire and keeper: all the async of the supervisor.
//!
//! **Absent by design:** arguments, rendering, HTTP.

mod view;

pub use view::*;
