//! What is asked of the dispatcher.

use outboard_core::{Key, Time};
use outboard_manifest::{Manifest, Refused};
use tokio::sync::oneshot;

use super::by::By;
use super::reload::{Reading, ReloadError, ReloadRequest, Reloaded};
use super::swap::{SwapOrder, Swapped};
use super::upgrade::Freeze;
use super::view::Outcome;

/// One order of an operator, the API or an application.
#[derive(Debug)]
pub(crate) enum Command {
    /// Registers what a set of manifests holds; nothing starts by it.
    Register { manifests: Vec<Manifest>, refused: Vec<Refused>, done: oneshot::Sender<()> },
    /// Wants every enabled plugin up that is not lazy.
    StartEnabled,
    /// Changes what is wanted of some plugins and waits for what becomes of it.
    Change { change: Change, keys: Vec<Key>, by: By, done: oneshot::Sender<Vec<Outcome>> },
    /// Ends everything; `now` goes straight to the kill.
    Shutdown { now: bool, by: By, done: oneshot::Sender<Vec<Outcome>> },
    /// Plans what these manifests change, and does it, or refuses them whole.
    Reload {
        reading: Box<Reading>,
        request: ReloadRequest,
        done: oneshot::Sender<Result<Reloaded, ReloadError>>,
    },
    /// Lets another version take over; `done` hears of the end.
    Swap { key: Key, order: Box<SwapOrder>, done: oneshot::Sender<Swapped> },
    /// Says when all that was told before it has been taken in, and is seen.
    TakeIn { done: oneshot::Sender<()> },
    /// Forgets a plugin that is down.
    Unload { key: Key, done: oneshot::Sender<()> },
    /// Writes everything down; when it is meant, nothing goes on here afterwards.
    Freeze(Freeze),
    /// A call waits, or was refused, for want of a running generation; `wake` is its deadline.
    Called { key: Key, wake: Option<Time> },
}

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Start,
    Stop { now: bool },
    Restart { now: bool },
}
