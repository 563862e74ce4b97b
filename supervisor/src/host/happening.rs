//! What the dispatcher hears.

use outboard_core::{Event, Key};
use tokio::sync::mpsc;

use super::command::Command;

/// One thing that happened, for the dispatcher.
#[derive(Debug)]
pub(crate) enum Happening {
    /// A link, or whoever looked for it, says something about one generation.
    Plugin {
        key: Key,
        generation: u64,
        event: Event,
    },
    /// The link has news to fetch: the plugin spoke of itself, or shows progress.
    News {
        key: Key,
        generation: u64,
    },
    /// The pidfd says that the process has ended; the keeper will say how.
    Ended {
        key: Key,
        generation: u64,
    },
    /// The keeper has not said how, so long after the end.
    Overdue {
        key: Key,
        generation: u64,
        last: bool,
    },
    /// A pipe of a living process was closed.
    PipeClosed {
        key: Key,
        generation: u64,
        what: &'static str,
    },
    /// A plugin answered its changed configuration, or let the time for that pass.
    Reconfigured {
        key: Key,
        generation: u64,
        applied: bool,
    },
    /// Files cannot be written, or can be again.
    SinkTrouble(String),
    Command(Command),
}

/// The way to the dispatcher. Unbounded, but what fills it is bounded: each source says each thing once until it is
/// fetched.
#[derive(Clone, Debug)]
pub(crate) struct Happenings(mpsc::UnboundedSender<Happening>);

impl Happenings {
    /// The way, and its other end.
    #[must_use]
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Happening>) {
        let (send, receive) = mpsc::unbounded_channel();
        (Self(send), receive)
    }

    /// Says it. After the dispatcher has ended nobody listens, and nothing is lost by that.
    pub(crate) fn tell(&self, happening: Happening) {
        self.0.send(happening).unwrap_or_default();
    }
}
