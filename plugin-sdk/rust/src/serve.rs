//! From frames to handlers and back.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use outboard_wire::{
    DEFAULT_MAX_DEPTH, DEFAULT_MAX_FRAME, Framer, Id, Item, Message, Reason, Reject,
};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::call::{Call, Cancel};
use crate::error::{Error, code};
use crate::host::{Host, lock};
use crate::plugin::{Method, Plugin, complain};
use crate::pool::Pool;

/// The one version of the protocol that this SDK speaks.
const PROTOCOL: u32 = 1;

/// Calls that wait for a thread. The host knows how many the plugin takes at once and keeps the rest, so more than
/// this is a host that does not.
const WAITING: usize = 1024;

/// Time for calls in progress once stdin has ended. A host that wants to wait longer drains before it closes.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Why serving ended.
pub(crate) enum Ended {
    Exit,
    EndOfInput,
    Unreadable(io::Error),
}

/// Serves `plugin` from `input`, on this thread and those of the pool.
pub(crate) fn serve(plugin: Plugin, mut input: impl Read) -> Ended {
    let mut session = Session::new(plugin);
    let mut framer = Framer::newline(DEFAULT_MAX_FRAME);
    let mut buffer = vec![0; 64 << 10];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => {
                session.pool.drain(LAST_ANSWERS);
                return Ended::EndOfInput;
            }
            Ok(count) => framer.feed(&buffer[..count], &mut |item| session.take(item)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Ended::Unreadable(error),
        }
        if session.phase == Phase::Exited {
            return Ended::Exit;
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing but the opening counts yet.
    New,
    Open,
    /// `shutdown` was answered.
    Stopping,
    /// `exit` came: what was read behind it is not looked at.
    Exited,
}

struct Session {
    /// Taken apart: its methods are below, the rest answers the opening and `shutdown`, once each.
    plugin: Plugin,
    methods: Arc<BTreeMap<String, Method>>,
    host: Host,
    pool: Pool,
    /// Calls in progress, with what cancels each.
    calls: Arc<Mutex<HashMap<Id, Arc<Cancel>>>>,
    phase: Phase,
    junk_said: bool,
}

impl Session {
    fn new(mut plugin: Plugin) -> Self {
        Self {
            methods: Arc::new(std::mem::take(&mut plugin.methods)),
            host: plugin.host.clone(),
            pool: Pool::new(plugin.concurrency.get().into(), WAITING),
            calls: Arc::default(),
            phase: Phase::New,
            junk_said: false,
            plugin,
        }
    }

    fn take(&mut self, item: Item<'_>) {
        if self.phase == Phase::Exited {
            return;
        }
        match item {
            Item::Frame(frame) => match outboard_wire::decode(frame, DEFAULT_MAX_DEPTH) {
                Ok(message) => self.message(message),
                Err(reject) => self.reject(&reject),
            },
            Item::TooLong { bytes, id: Some(id), request: true, .. } => {
                let message = format!("{bytes} bytes are more than this plugin takes in a frame");
                self.host.answer(&id, Err(&Error::new(code::TOO_LARGE, message)));
            }
            Item::TooLong { .. } | Item::Runaway { .. } | Item::Junk { .. } | Item::Fatal(_) => {
                self.junk();
            }
            Item::Tail { .. } => {}
        }
    }

    fn message(&mut self, message: Message<'_>) {
        match message {
            Message::Request { id, method, params } => {
                let params = params.map_or("{}", RawValue::get);
                self.request(id, &method, params);
            }
            Message::Notification { method, params } => match &*method {
                "exit" => self.phase = Phase::Exited,
                "$/cancel" => self.cancel(params.map_or("{}", RawValue::get)),
                _ => {} // Notifications that it does not know are none of a plugin's business.
            },
            // This SDK asks nothing.
            Message::Response { .. } | Message::OrphanError { .. } => {}
        }
    }

    fn request(&mut self, id: Id, method: &str, params: &str) {
        match (method, self.phase) {
            ("initialize", Phase::New) => {
                let outcome = self.open(params);
                self.host.answer(&id, outcome.as_deref());
            }
            ("initialize", _) => {
                self.fail(&id, code::INVALID_REQUEST, "this plugin has been initialized already");
            }
            ("ping", _) => self.host.answer(&id, Ok(&self.host.ping_result())),
            ("shutdown", _) => {
                if let Some(act) = self.plugin.on_shutdown.take()
                    && let Err(error) = guarded("on_shutdown", || {
                        act();
                        Ok(())
                    })
                {
                    complain(&self.plugin.name, &error.message);
                }
                self.phase = Phase::Stopping;
                self.host.answer(&id, Ok("{}"));
            }
            (_, Phase::New) => {
                self.fail(&id, code::NOT_READY, "this plugin has not been initialized");
            }
            (_, Phase::Stopping | Phase::Exited) => {
                self.fail(&id, code::SHUTTING_DOWN, "this plugin is shutting down");
            }
            (_, Phase::Open) => self.call(id, method, params),
        }
    }

    /// The answer to `initialize`.
    fn open(&mut self, params: &str) -> Result<String, Error> {
        let opening: Opening = serde_json::from_str(params)
            .map_err(|error| Error::invalid_params(format!("initialize: {error}")))?;
        if !opening.versions.contains(&PROTOCOL) {
            let message = format!("this plugin speaks version {PROTOCOL} of the protocol");
            return Err(Error::new(code::UNSUPPORTED_PROTOCOL, message)
                .with_data(json!({ "supported": [PROTOCOL] })));
        }
        if let Some(configure) = self.plugin.configure.take() {
            let config = opening.config.as_ref().map_or("{}", |config| config.get());
            guarded("configure", || configure(config))?;
        }
        if let Some(limit) = opening.limits.and_then(|limits| limits.max_frame) {
            self.host.set_max_frame(limit);
        }
        self.phase = Phase::Open;
        let describe = |(name, method): (&String, &Method)| {
            let about = if method.idempotent { json!({ "idempotent": true }) } else { json!({}) };
            (name.clone(), about)
        };
        let methods: serde_json::Map<_, _> = self.methods.iter().map(describe).collect();
        let result = json!({
            "protocolVersion": PROTOCOL,
            "name": self.plugin.name,
            "version": self.plugin.version,
            "methods": methods,
            "concurrency": self.plugin.concurrency,
            "ready": self.plugin.ready,
            "supports": { "cancel": true },
        });
        Ok(result.to_string())
    }

    fn call(&self, id: Id, method: &str, params: &str) {
        if !self.methods.contains_key(method) {
            self.fail(&id, code::METHOD_NOT_FOUND, &format!("no method {method}"));
            return;
        }
        let cancel = Arc::new(Cancel::default());
        lock(&self.calls).insert(id.clone(), Arc::clone(&cancel));
        let call = Call { method: method.to_owned(), host: self.host.clone(), cancel };
        let (methods, calls) = (Arc::clone(&self.methods), Arc::clone(&self.calls));
        let (own_id, params) = (id.clone(), params.to_owned());
        let taken = self.pool.submit(Box::new(move || {
            let outcome = match methods.get(call.method()) {
                Some(method) => guarded(call.method(), || (method.handler)(&params, &call)),
                None => Err(Error::new(code::METHOD_NOT_FOUND, "no such method")),
            };
            lock(&calls).remove(&own_id);
            call.host().answer(&own_id, outcome.as_deref());
        }));
        if !taken {
            lock(&self.calls).remove(&id);
            self.fail(&id, code::OVERLOADED, "too many calls wait for this plugin already");
        }
    }

    fn cancel(&self, params: &str) {
        #[derive(Deserialize)]
        struct Params {
            id: i64,
        }
        if let Ok(Params { id }) = serde_json::from_str(params)
            && let Some(cancel) = lock(&self.calls).get(&Id::Num(id))
        {
            cancel.set();
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
                self.fail(id, code, &format!("not a request that this plugin can read: {reason}"));
            }
            _ => self.junk(),
        }
    }

    /// Junk on stdin is never answered, as nobody could tell what the answer is to. It is told once.
    fn junk(&mut self) {
        if !self.junk_said {
            self.junk_said = true;
            complain(&self.plugin.name, "stdin has lines that are no messages; they are skipped");
        }
    }

    fn fail(&self, id: &Id, code: i64, message: &str) {
        self.host.answer(id, Err(&Error::new(code, message)));
    }
}

/// What this SDK reads of the opening.
#[derive(Deserialize)]
struct Opening {
    #[serde(rename = "protocolVersions")]
    versions: Vec<u32>,
    config: Option<Box<RawValue>>,
    limits: Option<HostLimits>,
}

#[derive(Deserialize)]
struct HostLimits {
    #[serde(rename = "maxFrameBytes")]
    max_frame: Option<usize>,
}

/// Runs an author's code; a panic becomes an error. The panic hook has printed it to stderr by then.
fn guarded<T>(what: &str, act: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    // What the closure could leave half done is the author's own state, as in any thread that panics.
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|panic| {
        let words = panic_words(&*panic);
        Err(Error::new(code::INTERNAL, format!("{what} panicked: {words}"))
            .with_data(json!({ "class": "panic" })))
    })
}

fn panic_words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
