//! How the brain's end fails.

use std::error::Error;
use std::fmt;
use std::io;

use crate::probe::Shortfall;

/// Why there is no keeper, or why an order cannot be given.
#[derive(Debug)]
pub enum KeeperError {
    /// The keeper's process could not be started.
    Start { what: &'static str, source: io::Error },
    /// It started and did not greet in time: the named binary is not one that calls
    /// [`crate::entry::run_if_keeper`] first, or the machine stands still.
    NoGreeting,
    /// It ended before it greeted.
    EndedEarly,
    /// This process itself was started to be a keeper, and did not call [`crate::entry::run_if_keeper`] first.
    NotAnEntry,
    /// It found more than one thread in its own process, and will not serve: the entry was called too late.
    Threads { count: u32 },
    /// It speaks another version of the messages.
    Version { theirs: u16 },
    /// Cgroups were asked for and cannot be had.
    Containment(Shortfall),
    /// An order could not be put into a message; nothing was sent, and the keeper is well.
    Order { what: &'static str, source: io::Error },
    /// The keeper has closed its end: it is dead or about to be.
    Closed,
}

impl fmt::Display for KeeperError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeeperError::Start { what, source } => {
                write!(f, "cannot start the keeper: {what}: {source}")
            }
            KeeperError::NoGreeting => f.write_str("the keeper did not greet in time"),
            KeeperError::EndedEarly => f.write_str("the keeper ended before it greeted"),
            KeeperError::NotAnEntry => f.write_str(
                "this process was started as a keeper and its program did not become one",
            ),
            KeeperError::Threads { count } => {
                write!(f, "the keeper found {count} threads where there must be one")
            }
            KeeperError::Version { theirs } => {
                write!(
                    f,
                    "the keeper speaks version {theirs} of the messages, not {}",
                    crate::protocol::VERSION
                )
            }
            KeeperError::Containment(why) => write!(f, "cgroup containment is not possible: {why}"),
            KeeperError::Order { what, source } => write!(f, "cannot order: {what}: {source}"),
            KeeperError::Closed => f.write_str("the keeper has closed its socket"),
        }
    }
}

impl Error for KeeperError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            KeeperError::Start { source, .. } | KeeperError::Order { source, .. } => Some(source),
            KeeperError::NoGreeting
            | KeeperError::EndedEarly
            | KeeperError::NotAnEntry
            | KeeperError::Threads { .. }
            | KeeperError::Version { .. }
            | KeeperError::Containment(_)
            | KeeperError::Closed => None,
        }
    }
}
