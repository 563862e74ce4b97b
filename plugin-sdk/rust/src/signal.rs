//! Whether a call was cancelled, and the one place where its handler waits.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, code};
use crate::host::lock;

/// What a handler, and what it has started, look at to learn that nobody wants the answer any more.
///
/// Cheap to clone, usable from any thread, and still right when the call has been answered.
#[derive(Clone)]
pub struct CancelToken {
    signal: Arc<Signal>,
}

struct Signal {
    deadline: Option<Instant>,
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    cancelled: Option<Why>,
    /// Answers to the handler's own requests, by their number. They wait here so that one wait ends with whatever comes
    /// first: the answer, the cancellation, the deadline.
    answers: HashMap<i64, Answer>,
}

/// How much later than the host the plugin notices a deadline. The host has answered the caller by then and has said
/// `$/cancel`; that it was late, and by how much, is for the host to tell.
const GRACE: Duration = Duration::from_millis(100);

/// Why nobody wants the answer any more.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// The caller has gone, or the plugin is to end.
    Caller,
    Deadline,
}

/// The result as text, or the error.
pub(crate) type Answer = Result<String, Error>;

impl CancelToken {
    pub(crate) fn new(deadline: Option<Instant>) -> Self {
        Self {
            signal: Arc::new(Signal { deadline, state: Mutex::default(), news: Condvar::new() }),
        }
    }

    /// Whether the caller has gone or the deadline has passed.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.why().is_some()
    }

    /// Waits for cancellation, for `time` at most. Gives whether it came: the way to sleep in a handler.
    #[must_use]
    pub fn wait(&self, time: Duration) -> bool {
        let limit = self.patience().map_or(time, |left| left.min(time));
        let state = lock(&self.signal.state);
        let waited =
            self.signal.news.wait_timeout_while(state, limit, |state| state.cancelled.is_none());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        self.is_cancelled()
    }

    /// For `?` between two steps of a long handler.
    ///
    /// # Errors
    ///
    /// Once it is cancelled: −32800, or −31002 when the deadline has passed.
    pub fn check(&self) -> Result<(), Error> {
        self.why().map_or(Ok(()), |why| Err(why.into()))
    }

    /// Time left until the deadline; `None` when there is none.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.signal.deadline.map(|deadline| deadline.saturating_duration_since(now()))
    }

    /// Time until the plugin itself notices that the deadline has passed.
    fn patience(&self) -> Option<Duration> {
        let last = self.signal.deadline.map(|deadline| deadline + GRACE);
        last.map(|last| last.saturating_duration_since(now()))
    }

    pub(crate) fn why(&self) -> Option<Why> {
        self.why_in(&lock(&self.signal.state))
    }

    fn why_in(&self, state: &State) -> Option<Why> {
        let late = || (self.patience() == Some(Duration::ZERO)).then_some(Why::Deadline);
        state.cancelled.or_else(late)
    }

    pub(crate) fn cancel(&self, why: Why) {
        lock(&self.signal.state).cancelled.get_or_insert(why);
        self.signal.news.notify_all();
    }

    pub(crate) fn deliver(&self, request: i64, answer: Answer) {
        lock(&self.signal.state).answers.insert(request, answer);
        self.signal.news.notify_all();
    }

    /// Waits for the answer to a request; fails as [`check`](Self::check) when the call ended before.
    pub(crate) fn answer(&self, request: i64) -> Answer {
        let mut state = lock(&self.signal.state);
        loop {
            if let Some(answer) = state.answers.remove(&request) {
                return answer;
            }
            if let Some(why) = self.why_in(&state) {
                return Err(why.into());
            }
            state = match self.patience() {
                Some(left) => {
                    let waited = self.signal.news.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.signal.news.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

impl From<Why> for Error {
    fn from(why: Why) -> Self {
        match why {
            Why::Caller => Self::cancelled(),
            Why::Deadline => Self::new(code::DEADLINE, "the deadline has passed"),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "deadlines of calls are the plugin's own time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
