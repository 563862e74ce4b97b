//! What a handler knows of the call that it answers.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::host::{Host, lock};

/// One call in progress.
pub struct Call {
    pub(crate) method: String,
    pub(crate) host: Host,
    pub(crate) cancel: Arc<Cancel>,
}

impl Call {
    /// The method that was called.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Whether the caller has gone or its deadline has passed. A long handler looks now and then, and answers with
    /// [`Error::cancelled`](crate::Error::cancelled); one that does not look is not disturbed.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        *lock(&self.cancel.came)
    }

    /// Waits for cancellation, for `time` at most. Gives whether it came: the way to sleep in a handler.
    #[must_use]
    pub fn wait_cancelled(&self, time: Duration) -> bool {
        let Cancel { came, news } = &*self.cancel;
        let waited = news.wait_timeout_while(lock(came), time, |came| !*came);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// The host, for log lines and the plugin's status.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }
}

/// Whether a call was cancelled, and a way to be told.
#[derive(Default)]
pub(crate) struct Cancel {
    came: Mutex<bool>,
    news: Condvar,
}

impl Cancel {
    pub(crate) fn set(&self) {
        *lock(&self.came) = true;
        self.news.notify_all();
    }
}
