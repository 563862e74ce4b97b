//! What a plugin says of itself.

use std::time::Duration;

use serde_json::{Value, json};

/// How bad or how chatty a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// How the plugin is, in its own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Well; ends the other three, and a start announced with [`Plugin::starting`](crate::Plugin::starting).
    Ready,
    /// Answers, though not as well as it should.
    Degraded,
    /// Wants a restart, if the manifest has one for that.
    Unhealthy,
    /// At work on something other than calls; silence meanwhile is no hang.
    Busy,
}

/// A [`State`] with its reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    pub(crate) state: State,
    message: Option<String>,
    expected: Option<Duration>,
}

impl Status {
    #[must_use]
    pub fn new(state: State) -> Self {
        Self { state, message: None, expected: None }
    }

    /// Why, for the people who look at the plugin's status.
    #[must_use]
    pub fn because(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// How long it may last. A hint, to the millisecond; the host has a cap of its own.
    #[must_use]
    pub fn expected(mut self, time: Duration) -> Self {
        self.expected = Some(time);
        self
    }

    pub(crate) fn to_value(&self) -> Value {
        let state = match self.state {
            State::Ready => "ready",
            State::Degraded => "degraded",
            State::Unhealthy => "unhealthy",
            State::Busy => "busy",
        };
        let mut value = json!({ "state": state });
        if let Some(message) = &self.message {
            value["message"] = json!(message);
        }
        if let Some(expected) = self.expected {
            value["expectedMs"] = json!(millis(expected));
        }
        value
    }
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
