//! The conformance kit: whether a plugin keeps to the protocol, rule by rule.
//!
//! Each check is a story that one process of the plugin is told: what is written to it, how long it is listened to, how
//! it is ended. What it did meanwhile is a record, and a judge makes a verdict of it. Stories and judges are pure; only
//! the driver meets a process.
//!
//! | module | holds |
//! | --- | --- |
//! | [`rules`] | the forty rules, and a book for each dialect: what it makes of them, how much they weigh, which rest on which |
//! | [`report`] | what came out: an outcome for each rule, with what was seen |
//! | `checks` | stories and judges, a file for each theme, and one for each dialect that says which it plays |
//! | `script` | a story, as data |
//! | `record` | what a process did, and questions about it |
//! | `host` | what a host says in a dialect, and how it answers: all of it asked of the wire's own dialects |
//! | `subject` | the plugin that is looked at: what its manifest and its opening say |
//! | `launch` | from a manifest to an order for the keeper |
//! | `crew` | the keeper: every process is started, ended and counted by it |
//! | `drive` | tells one story to one process |
//! | `run` | who is told what, and when; then the verdicts |
//! | `quote` | bytes of a plugin, made fit to be shown |
//!
//! **Absent by design:** the supervisor. A plugin that keeps to the rules does so for any host.

#![forbid(unsafe_code)]

mod checks;
mod clock;
mod crew;
mod drive;
mod host;
mod launch;
mod quote;
mod record;
pub mod report;
pub mod rules;
mod run;
mod script;
mod subject;

pub use report::{Checked, Outcome, Report};
pub use rules::{Book, Id, Level, Rule};
pub use run::{Error, run};
