//! What a handler knows of the call that it answers.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use serde_json::value::RawValue;
use std::sync::Mutex;

use crate::error::Error;
use crate::host::{Host, lock};
use crate::meta::Meta;
use crate::signal::CancelToken;

/// One call in progress.
pub struct Call {
    method: String,
    host: Host,
    meta: Meta,
    token: CancelToken,
    /// The last value told; `None` once the call is answered.
    progress: Mutex<Option<f64>>,
}

impl Call {
    pub(crate) fn new(method: String, host: Host, meta: Meta, token: CancelToken) -> Self {
        Self { method, host, meta, token, progress: Mutex::new(Some(f64::NEG_INFINITY)) }
    }

    /// The method that was called.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Whether the caller has gone or its deadline has passed. A long handler looks now and then, or says
    /// [`call.check()?`](Self::check); one that does not look is not disturbed.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.token.is_cancelled()
    }

    /// For `?` between two steps of a long handler.
    ///
    /// # Errors
    ///
    /// [`Error::cancelled`], once the call is cancelled or late.
    pub fn check(&self) -> Result<(), Error> {
        self.token.check()
    }

    /// Waits for cancellation, for `time` at most. Gives whether it came: the way to sleep in a handler.
    #[must_use]
    pub fn wait_cancelled(&self, time: Duration) -> bool {
        self.token.wait(time)
    }

    /// Cancellation as something to hand to what the handler starts.
    #[must_use]
    pub fn token(&self) -> &CancelToken {
        &self.token
    }

    /// Time left until the deadline; `None` when there is none.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.token.remaining()
    }

    /// `cli`, `api:NAME` or `plugin:ID`, if it is known.
    #[must_use]
    pub fn caller(&self) -> Option<&str> {
        self.meta.caller.as_deref()
    }

    /// 1, or 2 when the call is repeated after a crash.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.meta.attempt
    }

    /// Calls with the same key have the same effect, once.
    #[must_use]
    pub fn idempotency_key(&self) -> Option<&str> {
        self.meta.idempotency_key.as_deref()
    }

    /// A member of the call's `_meta` as it came: trace context, and what the caller added.
    #[must_use]
    pub fn meta(&self, name: &str) -> Option<&RawValue> {
        self.meta.member(name)
    }

    /// Tells the caller how far the call is, if it wants to know. `done` rises from one time to the next; what does not
    /// is left out, as is what comes after the answer.
    pub fn progress(&self, done: f64, total: Option<f64>, message: &str) {
        let Some(token) = self.meta.member("progressToken") else { return };
        let mut last = lock(&self.progress);
        if !last.is_some_and(|last| done > last) || !done.is_finite() {
            return;
        }
        *last = Some(done);
        let mut params = json!({ "token": token, "progress": done });
        if let Some(total) = total {
            params["total"] = json!(total);
        }
        if !message.is_empty() {
            params["message"] = json!(message);
        }
        self.host.notify("$/progress", &params);
    }

    /// No progress is told from here on.
    pub(crate) fn finish(&self) {
        *lock(&self.progress) = None;
    }

    /// Calls another plugin, as a part of this call: its trace goes along, its deadline bounds it, and its cancellation
    /// ends the wait.
    ///
    /// # Errors
    ///
    /// The callee's or the host's, as they came; [`Error::cancelled`]; the result does not read as an `R`.
    pub fn call<R: DeserializeOwned>(
        &self,
        plugin: &str,
        method: &str,
        params: &impl Serialize,
    ) -> Result<R, Error> {
        self.host.call_in(&self.token, &self.meta, None, plugin, method, params)
    }

    /// As [`call`](Self::call), for `limit` at most.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub fn call_within<R: DeserializeOwned>(
        &self,
        limit: Duration,
        plugin: &str,
        method: &str,
        params: &impl Serialize,
    ) -> Result<R, Error> {
        self.host.call_in(&self.token, &self.meta, Some(limit), plugin, method, params)
    }

    /// Publishes an event and gives how many plugins it was handed to.
    ///
    /// # Errors
    ///
    /// The host's; [`Error::cancelled`].
    pub fn publish(&self, topic: &str, data: &impl Serialize) -> Result<u64, Error> {
        self.host.publish_in(&self.token, &self.meta, topic, data)
    }

    /// The host, for log lines, the plugin's status, and what is no part of this call.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }
}
