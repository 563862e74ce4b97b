//! One run of a plugin: which request may come when, and who does it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use outboard_wire::{DEFAULT_MAX_DEPTH, Id, Item, Message, Reason, Reject};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::call::Call;
use crate::error::{Error, code};
use crate::events::{self, Event, matches};
use crate::guard::guarded;
use crate::host::lock;
use crate::meta::Meta;
use crate::plugin::Plugin;
use crate::pool::Pool;
use crate::serve::Taker;
use crate::signal::{CancelToken, Why, now};
use crate::status::Level;

/// Calls that wait for a thread. The host knows how many the plugin takes at once and keeps the rest, so more than
/// this is a host that does not.
const WAITING: usize = 1024;

/// Time for calls in progress at the end, once they have been told that nobody waits for them.
const CANCELLED: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing but the opening counts yet.
    New,
    /// `initialize` came; the author's hooks look at the configuration.
    Opening,
    Open,
    /// No more calls will come.
    Draining,
    /// `shutdown` came.
    Stopping,
    /// `exit` came: what was read behind it is not looked at.
    Exited,
}

pub(crate) struct Session {
    shared: Arc<Shared>,
    junk_said: bool,
}

struct Request {
    id: Id,
    method: String,
    params: String,
}

pub(crate) struct Shared {
    pub(crate) plugin: Plugin,
    phase: Mutex<Phase>,
    pub(crate) calls: Pool,
    /// Hooks of the author, one after another. The reader never runs them, so that it always reads.
    hooks: Pool,
    /// Events, one after another.
    events: Pool,
    /// What came while the plugin was opening; at most [`WAITING`].
    held: Mutex<Vec<Request>>,
    /// Calls in progress, with what cancels each.
    tokens: Mutex<HashMap<Id, CancelToken>>,
    /// Events that found no room since the last that did.
    missed: AtomicU64,
}

impl Taker for Session {
    fn take(&mut self, item: Item<'_>) {
        if self.has_exited() {
            return;
        }
        match item {
            Item::Frame(frame) => match outboard_wire::decode(frame, DEFAULT_MAX_DEPTH) {
                Ok(message) => self.message(message),
                Err(reject) => self.reject(&reject),
            },
            Item::TooLong { bytes, id: Some(id), request: true, .. } => {
                let message = format!("{bytes} bytes are more than this plugin takes in a frame");
                self.shared.fail(&id, code::TOO_LARGE, &message);
            }
            Item::TooLong { .. }
            | Item::Runaway { .. }
            | Item::Junk { .. }
            | Item::Fatal { .. } => {
                self.junk();
            }
            Item::Tail { .. } => {}
        }
    }

    fn has_exited(&self) -> bool {
        *lock(&self.shared.phase) == Phase::Exited
    }
}

impl Session {
    pub(crate) fn new(plugin: Plugin) -> Self {
        let shared = Shared {
            phase: Mutex::new(Phase::New),
            calls: Pool::new("call", plugin.concurrency.get().into(), WAITING),
            hooks: Pool::new("hooks", 1, WAITING),
            events: Pool::new("events", 1, events::WAITING),
            held: Mutex::default(),
            tokens: Mutex::default(),
            missed: AtomicU64::new(0),
            plugin,
        };
        Self { shared: Arc::new(shared), junk_said: false }
    }

    fn message(&mut self, message: Message<'_>) {
        match message {
            Message::Request { id, method, params } => {
                self.shared.request(id, &method, params.map_or("{}", RawValue::get));
            }
            Message::Notification { method, params } => {
                let params = params.map_or("{}", RawValue::get);
                match &*method {
                    "exit" => *lock(&self.shared.phase) = Phase::Exited,
                    "$/cancel" => self.shared.cancel(params),
                    "event" => self.shared.event(params),
                    _ => {} // Notifications that it does not know are none of a plugin's business.
                }
            }
            Message::Response { id, outcome } => self.shared.plugin.host.answered(&id, outcome),
            Message::OrphanError { .. } => {}
        }
    }

    fn reject(&mut self, reject: &Reject) {
        match &reject.id {
            Some(id) if reject.request => {
                let code = if reject.reason == Reason::Depth {
                    code::TOO_LARGE
                } else {
                    code::INVALID_REQUEST
                };
                let reason = reject.reason.as_str();
                let message = format!("not a request that this plugin can read: {reason}");
                self.shared.fail(id, code, &message);
            }
            _ => self.junk(),
        }
    }

    /// Junk on stdin is never answered, as nobody could tell what the answer is to. It is told once.
    fn junk(&mut self) {
        if !self.junk_said {
            self.junk_said = true;
            let words = "stdin has lines that are no messages; they are skipped";
            self.shared.plugin.host.log(Level::Warn, words);
        }
    }

    /// Waits for what is in progress, then for the shutdown hooks, each for a time at most.
    pub(crate) fn finish(&self, calls: Duration, hooks: Duration) {
        // An opening may still be going on, and calls wait for it.
        let limit = now() + calls;
        self.shared.hooks.drain(calls);
        self.shared.calls.drain(limit.saturating_duration_since(now()));
        for token in lock(&self.shared.tokens).values() {
            token.cancel(Why::Caller);
        }
        self.shared.calls.drain(CANCELLED);
        let shared = Arc::clone(&self.shared);
        if self.shared.hooks.submit(Box::new(move || shared.run_shutdown_hooks())) {
            self.shared.hooks.drain(hooks);
        }
    }
}

impl Shared {
    fn request(self: &Arc<Self>, id: Id, method: &str, params: &str) {
        self.dispatch(&mut lock(&self.phase), id, method, params);
    }

    /// Decides with the phase in hand, so that who changes it meets nobody half way. Nothing here takes long: what the
    /// author wrote runs elsewhere.
    fn dispatch(self: &Arc<Self>, phase: &mut Phase, id: Id, method: &str, params: &str) {
        match (method, *phase) {
            ("ping", _) => {
                let host = &self.plugin.host;
                host.answer(&id, Ok(&host.ping_result()));
            }
            ("initialize", Phase::New) => {
                *phase = Phase::Opening;
                self.opening(id, params);
            }
            ("initialize", _) => {
                self.fail(&id, code::INVALID_REQUEST, "this plugin has been initialized already");
            }
            ("shutdown", _) => {
                *phase = Phase::Stopping;
                self.hook(id, params, |shared, _| {
                    shared.run_shutdown_hooks();
                    Ok("{}".to_owned())
                });
            }
            (_, Phase::Opening) if lock(&self.held).len() < WAITING => {
                let (method, params) = (method.to_owned(), params.to_owned());
                lock(&self.held).push(Request { id, method, params });
            }
            (_, Phase::New | Phase::Opening) => {
                self.fail(&id, code::NOT_READY, "this plugin has not been initialized");
            }
            ("drain", Phase::Open | Phase::Draining) => {
                *phase = Phase::Draining;
                self.hook(id, params, Self::drain);
            }
            ("config/changed", _) if !self.plugin.on_config.is_empty() => {
                self.hook(id, params, Self::reconfigure);
            }
            (_, Phase::Draining | Phase::Stopping | Phase::Exited) => {
                self.fail(&id, code::SHUTTING_DOWN, "this plugin is shutting down");
            }
            (_, Phase::Open) => self.call(id, method, params),
        }
    }

    /// Answers `initialize` on the hooks' thread, then turns to what came meanwhile.
    fn opening(self: &Arc<Self>, id: Id, params: &str) {
        let (shared, params) = (Arc::clone(self), params.to_owned());
        // The first job of all: there is room for it.
        self.hooks.submit(Box::new(move || {
            let outcome = shared.open(&params);
            let mut phase = lock(&shared.phase);
            if *phase == Phase::Opening {
                *phase = if outcome.is_ok() { Phase::Open } else { Phase::New };
            }
            shared.plugin.host.answer(&id, outcome.as_deref());
            let held = std::mem::take(&mut *lock(&shared.held));
            for Request { id, method, params } in held {
                shared.dispatch(&mut phase, id, &method, &params);
            }
        }));
    }

    /// Answers a request on the hooks' thread.
    fn hook(
        self: &Arc<Self>,
        id: Id,
        params: &str,
        act: fn(&Shared, &str) -> Result<String, Error>,
    ) {
        let (shared, own_id, params) = (Arc::clone(self), id.clone(), params.to_owned());
        let taken = self.hooks.submit(Box::new(move || {
            let outcome = act(&shared, &params);
            shared.plugin.host.answer(&own_id, outcome.as_deref());
        }));
        if !taken {
            self.fail(&id, code::OVERLOADED, "too much waits for this plugin already");
        }
    }

    fn event(self: &Arc<Self>, params: &str) {
        if self.plugin.subscriptions.is_empty() {
            return;
        }
        let Ok(mut event) = serde_json::from_str::<Event>(params) else { return };
        event.missed += self.missed.swap(0, Ordering::Relaxed);
        let missed = event.missed;
        let shared = Arc::clone(self);
        if !self.events.submit(Box::new(move || shared.handle_event(&event))) {
            self.missed.store(missed + 1, Ordering::Relaxed);
        }
    }

    pub(crate) fn fail(&self, id: &Id, code: i64, message: &str) {
        self.plugin.host.answer(id, Err(&Error::new(code, message)));
    }

    pub(crate) fn guarded<T>(
        &self,
        what: &str,
        act: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        guarded(what, self.plugin.backtraces, act)
    }

    fn call(self: &Arc<Self>, id: Id, method: &str, params: &str) {
        if !self.plugin.methods.contains_key(method) {
            self.fail(&id, code::METHOD_NOT_FOUND, &format!("no method {method}"));
            return;
        }
        let (own, meta) = Meta::split(params);
        let token = CancelToken::new(meta.deadline.and_then(|left| now().checked_add(left)));
        lock(&self.tokens).insert(id.clone(), token.clone());
        let call = Call::new(method.to_owned(), self.plugin.host.clone(), meta, token);
        let (shared, own_id, params) = (Arc::clone(self), id.clone(), own.into_owned());
        let taken = self.calls.submit(Box::new(move || {
            let outcome = shared.handle(&call, &params);
            lock(&shared.tokens).remove(&own_id);
            call.finish();
            shared.plugin.host.answer(&own_id, outcome.as_deref());
        }));
        if !taken {
            lock(&self.tokens).remove(&id);
            self.fail(&id, code::OVERLOADED, "too many calls wait for this plugin already");
        }
    }

    fn handle(&self, call: &Call, params: &str) -> Result<String, Error> {
        let Some(method) = self.plugin.methods.get(call.method()) else {
            return Err(Error::new(code::METHOD_NOT_FOUND, "no such method"));
        };
        // It may have waited for a thread for longer than anybody waits for it.
        call.check()?;
        let outcome = self.guarded(call.method(), || (method.handler)(params, call));
        match (outcome, call.token().why()) {
            (Err(error), Some(why)) if error.code == code::CANCELLED => Err(why.into()),
            (outcome, _) => outcome,
        }
    }

    fn cancel(&self, params: &str) {
        #[derive(Deserialize)]
        struct Params {
            id: i64,
            #[serde(default)]
            reason: String,
        }
        let Ok(Params { id, reason }) = serde_json::from_str(params) else { return };
        let why = if reason == "deadline" { Why::Deadline } else { Why::Caller };
        // Under the phase's lock a call is either held or begun.
        let phase = lock(&self.phase);
        let held = {
            let mut held = lock(&self.held);
            let at = held.iter().position(|request| request.id == Id::Num(id));
            at.map(|at| held.remove(at))
        };
        drop(phase);
        if let Some(request) = held {
            self.plugin.host.answer(&request.id, Err(&why.into()));
        } else if let Some(token) = lock(&self.tokens).get(&Id::Num(id)) {
            token.cancel(why);
        }
    }

    fn handle_event(&self, event: &Event) {
        for (pattern, handler) in &self.plugin.subscriptions {
            if matches(pattern, &event.topic) {
                let what = format!("the handler of {pattern}");
                let host = &self.plugin.host;
                if let Err(error) = self.guarded(&what, || handler(event, host)) {
                    host.log(Level::Error, &format!("{}: {error}", event.topic));
                }
            }
        }
    }

    /// Each once, and all of them, whatever becomes of one.
    fn run_shutdown_hooks(&self) {
        let hooks = std::mem::take(&mut *lock(&self.plugin.on_shutdown));
        for hook in hooks {
            let outcome = self.guarded("a shutdown hook", || {
                hook();
                Ok(())
            });
            if let Err(error) = outcome {
                self.plugin.host.log(Level::Error, &error.to_string());
            }
        }
    }
}
