//! The way out: frames to the host.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use outboard_wire::{DEFAULT_MAX_FRAME, Id, encode};
use serde_json::{Value, json};

use crate::error::{Error, code};

/// A handle on the host, for saying things unasked. Cheap to clone, usable from any thread.
///
/// When the host is gone nothing is sent and nothing fails: the end of stdin is about to end the plugin.
#[derive(Clone)]
pub struct Host {
    shared: Arc<Shared>,
}

struct Shared {
    output: Mutex<Output>,
    /// Bytes of the largest frame that the host takes, as its opening said.
    max_frame: AtomicUsize,
    /// What the plugin last said of itself: the answer to pings. `None` is well.
    status: Mutex<Option<Value>>,
}

struct Output {
    sink: Box<dyn Write + Send>,
    /// Kept between frames so that a small one allocates nothing.
    frame: Vec<u8>,
}

/// How bad or how chatty a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    const fn as_str(self) -> &'static str {
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
    state: State,
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

    fn to_value(&self) -> Value {
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
            value["expectedMs"] = json!(u64::try_from(expected.as_millis()).unwrap_or(u64::MAX));
        }
        value
    }
}

impl Host {
    pub(crate) fn new(sink: Box<dyn Write + Send>) -> Self {
        let output = Mutex::new(Output { sink, frame: Vec::new() });
        let max_frame = AtomicUsize::new(DEFAULT_MAX_FRAME);
        Self { shared: Arc::new(Shared { output, max_frame, status: Mutex::new(None) }) }
    }

    /// A line for the plugin's log.
    pub fn log(&self, level: Level, message: &str) {
        self.notify("$/log", &json!({ "level": level.as_str(), "message": message }));
    }

    /// A line for the plugin's log, with fields beside the sentence.
    pub fn log_fields(&self, level: Level, message: &str, fields: Value) {
        let params = json!({ "level": level.as_str(), "message": message, "fields": fields });
        self.notify("$/log", &params);
    }

    /// Says how the plugin is. Pings are answered with it until the next one.
    pub fn status(&self, status: &Status) {
        let value = status.to_value();
        *lock(&self.shared.status) = (status.state != State::Ready).then(|| value.clone());
        self.notify("$/status", &value);
    }

    /// What a ping is answered with.
    pub(crate) fn ping_result(&self) -> String {
        lock(&self.shared.status).as_ref().map_or_else(|| "{}".to_owned(), Value::to_string)
    }

    pub(crate) fn set_max_frame(&self, bytes: usize) {
        self.shared.max_frame.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn answer(&self, id: &Id, outcome: Result<&str, &Error>) {
        self.write(|frame| match outcome {
            Ok(result) => {
                encode::result(frame, id, result);
                let bytes = frame.len() - 1;
                if bytes > self.shared.max_frame.load(Ordering::Relaxed) {
                    frame.clear();
                    let message =
                        format!("the result of {bytes} bytes is larger than the host takes");
                    encode::error(frame, id, code::TOO_LARGE, &message, None);
                }
            }
            Err(Error { code, message, data }) => {
                let data = data.as_ref().map(Value::to_string);
                encode::error(frame, id, *code, message, data.as_deref());
            }
        });
    }

    fn notify(&self, method: &str, params: &Value) {
        self.write(|frame| encode::notification(frame, method, Some(&params.to_string())));
    }

    /// Writes one frame whole. A handler that panicked while another frame was written has not cut it off: panics
    /// cannot happen between here and the end of the write.
    fn write(&self, encode: impl FnOnce(&mut Vec<u8>)) {
        /// Bytes of buffer that are kept from one frame to the next.
        const KEEP: usize = 64 << 10;
        let mut output = lock(&self.shared.output);
        let Output { sink, frame } = &mut *output;
        frame.clear();
        encode(frame);
        if sink.write_all(frame).and_then(|()| sink.flush()).is_err() {
            // The host closed its end. Half a frame may be out, so nothing may follow it.
            *sink = Box::new(std::io::sink());
        }
        frame.shrink_to(KEEP);
    }
}

/// Nothing that is locked here can be left half changed, so a panic elsewhere does not matter.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
