//! From answers to text: tables, screens, JSON. The only place that prints.
//!
//! Words carry the meaning and colour only helps; trouble comes first; a table never wraps. The answer goes to
//! standard output; progress, warnings and errors go to standard error.

pub(super) mod attach;
pub(super) mod change;
pub(super) mod conformance;
pub(super) mod discover;
pub(super) mod doctor;
pub(super) mod events;
mod fields;
pub(super) mod import;
pub(super) mod json;
pub(super) mod junit;
pub(super) mod logs;
pub(super) mod plan;
pub(super) mod run;
mod screen;
pub(super) mod status;
mod stop;
pub(super) mod swap;
mod table;
mod text;
pub(super) mod upgrade;
pub(super) mod why;

pub(super) use screen::{Screen, ScreenOptions};

#[cfg(test)]
mod tests;
