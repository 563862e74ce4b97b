//! A handle on the host.

use std::collections::HashMap;
use std::io::Write;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use outboard_wire::{DEFAULT_MAX_DEPTH, DEFAULT_MAX_FRAME, Id, RemoteError, encode, json};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use crate::error::{Error, code};
use crate::meta::Meta;
use crate::outlet::Outlet;
use crate::signal::{Answer, CancelToken, now};
use crate::status::{Level, State, Status, millis};

/// Bytes that a frame has around its payload, at most.
const ENVELOPE: usize = 512;

/// A handle on the host: log lines, the plugin's status, calls to other plugins, events. Cheap to clone, usable from
/// any thread.
///
/// Before the plugin runs there is no host, and when the host is gone nothing is sent and nothing fails, save what
/// waits for an answer: that ends with an error.
#[derive(Clone)]
pub struct Host {
    shared: Arc<Shared>,
}

struct Shared {
    outlet: Outlet,
    /// Bytes and levels of the largest frame that the host takes, as its opening said.
    max_frame: AtomicUsize,
    max_depth: AtomicU32,
    /// What the plugin last said of itself: the answer to pings. `None` is well.
    status: Mutex<Option<Value>>,
    requests: Mutex<Requests>,
}

#[derive(Default)]
struct Requests {
    running: bool,
    last: i64,
    /// Who waits for which.
    pending: HashMap<i64, CancelToken>,
}

impl Host {
    pub(crate) fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                outlet: Outlet::new(),
                max_frame: AtomicUsize::new(DEFAULT_MAX_FRAME),
                max_depth: AtomicU32::new(DEFAULT_MAX_DEPTH),
                status: Mutex::new(None),
                requests: Mutex::default(),
            }),
        }
    }

    /// A line for the plugin's log.
    pub fn log(&self, level: Level, message: &str) {
        self.log_line(level, None, message, Map::new());
    }

    /// A line for the plugin's log, with fields beside the sentence.
    pub fn log_fields(&self, level: Level, message: &str, fields: Map<String, Value>) {
        self.log_line(level, None, message, fields);
    }

    pub(crate) fn log_line(
        &self,
        level: Level,
        logger: Option<&str>,
        message: &str,
        fields: Map<String, Value>,
    ) {
        /// Bytes of the longest sentence that is told whole.
        const LONGEST: usize = 64 << 10;
        let message = &message[..message.floor_char_boundary(LONGEST)];
        let mut params = json!({ "level": level.as_str(), "message": message });
        if let Some(logger) = logger {
            params["logger"] = json!(logger);
        }
        if !fields.is_empty() {
            params["fields"] = Value::Object(fields);
        }
        self.notify("$/log", &params);
    }

    /// Says how the plugin is. Pings are answered with it until the next one.
    pub fn status(&self, status: &Status) {
        let value = status.to_value();
        *lock(&self.shared.status) = (status.state != State::Ready).then(|| value.clone());
        self.notify("$/status", &value);
    }

    /// Calls another plugin, for its own sake; a handler says [`Call::call`](crate::Call::call) instead. The host has a
    /// deadline for it.
    ///
    /// # Errors
    ///
    /// The callee's or the host's, as they came; the result does not read as an `R`.
    pub fn call<R: DeserializeOwned>(
        &self,
        plugin: &str,
        method: &str,
        params: &impl Serialize,
    ) -> Result<R, Error> {
        self.call_in(&CancelToken::new(None), &Meta::default(), None, plugin, method, params)
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
        let token = CancelToken::new(now().checked_add(limit));
        self.call_in(&token, &Meta::default(), Some(limit), plugin, method, params)
    }

    pub(crate) fn call_in<R: DeserializeOwned>(
        &self,
        token: &CancelToken,
        meta: &Meta,
        limit: Option<Duration>,
        plugin: &str,
        method: &str,
        params: &impl Serialize,
    ) -> Result<R, Error> {
        let mut request = json!({ "plugin": plugin, "method": method });
        let limit = limit.into_iter().chain(token.remaining()).min();
        if let Some(limit) = limit {
            request["timeoutMs"] = json!(millis(limit).max(1));
        }
        let params = to_raw_value(params)?;
        // A call without params reads better in Rust as `&()`.
        let params = if params.get() == "null" { "{}" } else { params.get() };
        let result =
            self.request(token, "host/call", &extended(&request, meta, "params", params))?;
        Ok(serde_json::from_str(&result)?)
    }

    /// Publishes an event and gives how many plugins it was handed to.
    ///
    /// # Errors
    ///
    /// The host's: the manifest does not allow the topic, or the host has gone.
    pub fn publish(&self, topic: &str, data: &impl Serialize) -> Result<u64, Error> {
        self.publish_in(&CancelToken::new(None), &Meta::default(), topic, data)
    }

    /// Publishes an event without asking what became of it.
    ///
    /// # Errors
    ///
    /// `data` is no JSON.
    pub fn publish_now(&self, topic: &str, data: &impl Serialize) -> Result<(), Error> {
        let params = event(&Meta::default(), topic, data)?;
        self.shared.outlet.send(|out| encode::notification(out, "host/publish", Some(&params)));
        Ok(())
    }

    pub(crate) fn publish_in(
        &self,
        token: &CancelToken,
        meta: &Meta,
        topic: &str,
        data: &impl Serialize,
    ) -> Result<u64, Error> {
        #[derive(Deserialize)]
        struct Published {
            delivered: u64,
        }
        let result = self.request(token, "host/publish", &event(meta, topic, data)?)?;
        Ok(serde_json::from_str::<Published>(&result)?.delivered)
    }

    /// The host's name and version, its uptime, and the plugins that this one may call.
    ///
    /// # Errors
    ///
    /// The host's, or it has gone.
    pub fn info(&self) -> Result<Value, Error> {
        Ok(serde_json::from_str(&self.request(&CancelToken::new(None), "host/info", "{}")?)?)
    }

    fn request(&self, token: &CancelToken, method: &str, params: &str) -> Answer {
        self.fits(params)?;
        let id = {
            let mut requests = lock(&self.shared.requests);
            if !requests.running {
                return Err(host_gone());
            }
            requests.last += 1;
            let id = requests.last;
            requests.pending.insert(id, token.clone());
            id
        };
        self.shared
            .outlet
            .send(|out| encode::request_with(out, &Id::Num(id), method, Some(params)));
        let answer = token.answer(id);
        lock(&self.shared.requests).pending.remove(&id);
        answer
    }

    /// Hands an answer on. One that was not asked for, or given up meanwhile, is nobody's.
    pub(crate) fn answered(&self, id: &Id, outcome: Result<&RawValue, RemoteError<'_>>) {
        let Id::Num(id) = *id else { return };
        if let Some(token) = lock(&self.shared.requests).pending.remove(&id) {
            token.deliver(id, outcome.map(|result| result.get().to_owned()).map_err(remote));
        }
    }

    pub(crate) fn attach(&self, sink: Box<dyn Write + Send>, fd: Option<RawFd>) {
        self.shared.outlet.open(sink, fd);
        lock(&self.shared.requests).running = true;
    }

    /// Ends what waits for an answer.
    pub(crate) fn detach(&self) {
        let mut requests = lock(&self.shared.requests);
        requests.running = false;
        for (id, token) in requests.pending.drain() {
            token.deliver(id, Err(host_gone()));
        }
    }

    /// Sends what waits, for `limit` at most, and nothing after it.
    pub(crate) fn close(&self, limit: Duration) {
        self.shared.outlet.close(limit);
    }

    /// What a ping is answered with.
    pub(crate) fn ping_result(&self) -> String {
        lock(&self.shared.status).as_ref().map_or_else(|| "{}".to_owned(), Value::to_string)
    }

    pub(crate) fn set_limits(&self, max_frame: Option<usize>, max_depth: Option<u32>) {
        if let Some(bytes) = max_frame {
            self.shared.max_frame.store(bytes, Ordering::Relaxed);
        }
        if let Some(depth) = max_depth {
            self.shared.max_depth.store(depth, Ordering::Relaxed);
        }
    }

    pub(crate) fn answer(&self, id: &Id, outcome: Result<&str, &Error>) {
        let too_much = outcome.ok().and_then(|result| self.fits(result).err());
        let outcome = too_much.as_ref().map_or(outcome, Err);
        self.shared.outlet.send(|out| match outcome {
            Ok(result) => encode::result(out, id, result),
            Err(Error { code, message, data }) => {
                let data = data.as_ref().map(Value::to_string);
                encode::error(out, id, *code, message, data.as_deref());
            }
        });
    }

    pub(crate) fn notify(&self, method: &str, params: &Value) {
        let params = params.to_string();
        self.shared.outlet.send(|out| encode::notification(out, method, Some(&params)));
    }

    fn fits(&self, payload: &str) -> Result<(), Error> {
        let bytes = payload.len();
        if bytes + ENVELOPE > self.shared.max_frame.load(Ordering::Relaxed) {
            let message = format!("{bytes} bytes are more than the host takes");
            return Err(Error::new(code::TOO_LARGE, message));
        }
        let depth = self.shared.max_depth.load(Ordering::Relaxed);
        if !json::depth_within(payload.as_bytes(), depth.saturating_sub(1)) {
            return Err(Error::new(code::TOO_LARGE, "it nests deeper than the host takes"));
        }
        Ok(())
    }
}

/// `object` with a member whose text stays as it is, and the trace of what it is made for.
fn extended(object: &Value, meta: &Meta, name: &str, text: &str) -> String {
    let mut out = object.to_string();
    out.pop();
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":");
    out.push_str(text);
    let trace = meta.trace();
    if !trace.is_empty() {
        out.push_str(",\"_meta\":");
        out.push_str(&json!(trace).to_string());
    }
    out.push('}');
    out
}

fn event(meta: &Meta, topic: &str, data: &impl Serialize) -> Result<String, Error> {
    Ok(extended(&json!({ "topic": topic }), meta, "data", to_raw_value(data)?.get()))
}

fn host_gone() -> Error {
    Error::new(code::SHUTTING_DOWN, "the host has gone")
}

fn remote(error: RemoteError<'_>) -> Error {
    // Data with numbers that no `Value` can hold is left out.
    let data = error.data.and_then(|data| serde_json::from_str(data.get()).ok());
    Error { code: error.code, message: error.message.into_owned(), data }
}

/// Nothing that is locked here can be left half changed, so a panic elsewhere does not matter.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
