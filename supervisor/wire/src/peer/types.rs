//! What goes into a peer and what comes back out of it.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::left::Left;
use super::waiting::Turn;

/// What one side of a link bears. Sizes are bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Inbound frame; for the framer, kept here because it is said to the plugin in the opening.
    pub max_frame: usize,
    /// Outbound frame, without its LF.
    pub max_send: usize,
    /// Nesting, the outer object counted as 1, both directions.
    pub max_depth: u32,
    /// Pending calls, waiting ones included. A caller that has none open may go an eighth beyond it, and beyond the
    /// bounds of the queue, so that others who fill them do not shut it out.
    pub in_flight: usize,
    /// Calls that the plugin gets at once.
    pub concurrency: usize,
    /// The outbound queue: what no byte of the pipe holds yet.
    pub queue_bytes: usize,
    pub queue_frames: usize,
    /// Whether calls above `concurrency` wait; else they are refused.
    pub queue_calls: bool,
    /// The plugin's own requests in progress.
    pub plugin_requests: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_frame: crate::DEFAULT_MAX_FRAME,
            max_send: crate::DEFAULT_MAX_SEND,
            max_depth: crate::DEFAULT_MAX_DEPTH,
            in_flight: 1024,
            concurrency: 64,
            queue_bytes: 8 << 20,
            queue_frames: 1024,
            queue_calls: true,
            plugin_requests: 64,
        }
    }
}

/// A call to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewCall<'a> {
    pub method: &'a str,
    /// JSON text, written as it is; empty leaves the member out.
    pub params: &'a str,
    /// A point in time since the host's start.
    pub deadline: Option<Duration>,
    /// Where `params` say how many milliseconds are left until then; said anew when the frame is handed out.
    pub left: Option<Left>,
    /// Whose turn it takes while it waits for the concurrency limit.
    pub turn: Turn,
    /// It keeps the plugin busy while it is open.
    pub works: bool,
    /// Of the host itself (opening, probe, drain, shutdown): control lane, exempt from all limits but `max_send` and
    /// `max_depth`, not counted as in flight.
    pub control: bool,
}

/// Why nothing was accepted. Nothing of it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The class of the error: `pending`, `concurrency`, `queue_bytes` or `queue_frames`.
    Overloaded(&'static str),
    TooLarge {
        bytes: usize,
    },
    TooDeep,
}

/// A call that was cancelled.
#[derive(Debug)]
pub struct Cancelled<T> {
    pub token: T,
    pub method: Arc<str>,
    /// It went to the writer: the plugin may act on it. Not taken back even while no byte is written yet.
    pub sent: bool,
    /// It was still queued and has been taken out: the plugin never hears of it.
    pub unwritten_removed: bool,
}

/// A call whose deadline passed.
#[derive(Debug)]
pub struct Expired<T> {
    pub id: u32,
    pub token: T,
    pub method: Arc<str>,
    /// As in [`Cancelled`]. An unsent one was taken out of the queue, and its id is free again.
    pub sent: bool,
    /// When it was accepted.
    pub since: Duration,
}

/// A pending call that an answer belongs to.
#[derive(Debug)]
pub struct Answered<T> {
    pub id: u32,
    pub token: T,
    pub method: Arc<str>,
    pub control: bool,
    /// When it was accepted.
    pub since: Duration,
}

/// Whose answer it is.
#[derive(Debug)]
pub enum Resolved<T> {
    Pending(Answered<T>),
    /// The caller has been told something else already.
    Late,
    /// Never sent, or answered before.
    Unknown,
}

/// A call that ended with its link.
#[derive(Debug)]
pub struct Settled<T> {
    pub id: u32,
    pub token: T,
    pub method: Arc<str>,
    /// A byte of it was written. If not, a retry is safe for any method.
    pub sent: bool,
    /// Its params, where the writer has not taken its frame: it can be made again as it was. Empty for none.
    pub params: Option<Box<str>>,
    pub deadline: Option<Duration>,
    pub control: bool,
    /// When it was accepted.
    pub since: Duration,
}
