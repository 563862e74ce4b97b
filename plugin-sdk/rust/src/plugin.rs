//! A plugin as its author describes it.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::num::NonZeroU16;
use std::os::fd::AsRawFd;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::call::Call;
use crate::error::Error;
use crate::events::Event;
use crate::host::{Host, lock};
use crate::serve::{self, Ended};
use crate::status::{Level, millis};
use crate::stdio::{self, Input};

/// Calls that a plugin takes at once unless it says otherwise.
const DEFAULT_CONCURRENCY: NonZeroU16 = NonZeroU16::new(8).expect("8 is not 0");

type Handler = Box<dyn Fn(&str, &Call) -> Result<String, Error> + Send + Sync>;
type TakeConfig = Box<dyn Fn(&str) -> Result<(), Error> + Send + Sync>;
type TakeEvent = Box<dyn Fn(&Event, &Host) -> Result<(), Error> + Send + Sync>;
type Hook = Box<dyn FnOnce() + Send>;

/// A plugin: its methods, then [`run`](Self::run).
pub struct Plugin {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) methods: BTreeMap<String, Method>,
    pub(crate) publishes: Vec<String>,
    pub(crate) subscriptions: Vec<(String, TakeEvent)>,
    pub(crate) concurrency: NonZeroU16,
    pub(crate) ready: bool,
    pub(crate) idempotency_keys: bool,
    pub(crate) backtraces: bool,
    pub(crate) log_level: Option<Level>,
    pub(crate) on_start: Vec<TakeConfig>,
    pub(crate) on_config: Vec<TakeConfig>,
    pub(crate) on_drain: Vec<Box<dyn Fn() + Send + Sync>>,
    /// Taken by who runs them.
    pub(crate) on_shutdown: Mutex<Vec<Hook>>,
    pub(crate) host: Host,
}

pub(crate) struct Method {
    pub(crate) handler: Handler,
    pub(crate) about: About,
}

/// What the opening says of a method beside its name.
#[derive(Clone, Debug, Default)]
pub struct About {
    idempotent: bool,
    timeout: Option<Duration>,
    description: Option<String>,
    params: Option<Value>,
    result: Option<Value>,
}

impl About {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// It may run twice for one call: after a crash the host may send the call to the next process.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// How long a call may take, to the millisecond.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// For people.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }

    /// JSON Schemas of params and result, to be shown to people.
    #[must_use]
    pub fn schemas(mut self, params: Value, result: Value) -> Self {
        self.params = Some(params);
        self.result = Some(result);
        self
    }

    pub(crate) fn to_value(&self) -> Value {
        let mut about = json!({});
        if self.idempotent {
            about["idempotent"] = json!(true);
        }
        if let Some(limit) = self.timeout {
            about["timeoutMs"] = json!(millis(limit));
        }
        for (name, text) in [("params", &self.params), ("result", &self.result)] {
            if let Some(text) = text {
                about[name] = text.clone();
            }
        }
        if let Some(text) = &self.description {
            about["description"] = json!(text);
        }
        about
    }
}

impl Plugin {
    /// A plugin. Under a supervisor this takes the process's stdin and stdout at once: call it first of all in `main`.
    #[must_use]
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        stdio::take_if_supervised();
        Self {
            name: name.into(),
            version: version.into(),
            methods: BTreeMap::new(),
            publishes: Vec::new(),
            subscriptions: Vec::new(),
            concurrency: DEFAULT_CONCURRENCY,
            ready: true,
            idempotency_keys: false,
            backtraces: false,
            log_level: Some(Level::Info),
            on_start: Vec::new(),
            on_config: Vec::new(),
            on_drain: Vec::new(),
            on_shutdown: Mutex::default(),
            host: Host::new(),
        }
    }

    /// A method. `params` that do not read as a `P` are answered with −32602 without the handler; a handler that
    /// panics is answered with −32603, and the plugin lives on.
    ///
    /// # Panics
    ///
    /// `name` is not `[A-Za-z0-9_$./:-]{1,128}`, is one of the protocol's own, or is there already.
    #[must_use]
    pub fn method<P, R, F>(mut self, name: &str, handler: F) -> Self
    where
        P: DeserializeOwned,
        R: Serialize,
        F: Fn(P, &Call) -> Result<R, Error> + Send + Sync + 'static,
    {
        assert!(is_free(name), "`{name}` cannot be the name of a plugin's method");
        let handler: Handler = Box::new(move |params, call| {
            let params = serde_json::from_str(params)
                .map_err(|error| Error::invalid_params(format!("wrong params: {error}")))?;
            Ok(serde_json::to_string(&handler(params, call)?)?)
        });
        let method = Method { handler, about: About::default() };
        let earlier = self.methods.insert(name.to_owned(), method);
        assert!(earlier.is_none(), "the method `{name}` is there twice");
        self
    }

    /// A method that may run twice for one call: after a crash the host may send the call to the next process.
    ///
    /// # Panics
    ///
    /// As [`method`](Self::method).
    #[must_use]
    pub fn idempotent_method<P, R, F>(self, name: &str, handler: F) -> Self
    where
        P: DeserializeOwned,
        R: Serialize,
        F: Fn(P, &Call) -> Result<R, Error> + Send + Sync + 'static,
    {
        self.method(name, handler).about(name, About::new().idempotent())
    }

    /// Says more of a method that is there already.
    ///
    /// # Panics
    ///
    /// There is no such method.
    #[must_use]
    pub fn about(mut self, name: &str, about: About) -> Self {
        let method = self.methods.get_mut(name);
        method.unwrap_or_else(|| panic!("there is no method `{name}` to say something of")).about =
            about;
        self
    }

    /// How many calls the plugin takes at once (8 unless said): as many threads run handlers. The host keeps what is
    /// beyond that.
    #[must_use]
    pub fn concurrency(mut self, calls: NonZeroU16) -> Self {
        self.concurrency = calls;
        self
    }

    /// Takes the manifest's `[config]`, before any call. An error refuses the start, with its message as the reason.
    #[must_use]
    pub fn configure<C, F>(mut self, take: F) -> Self
    where
        C: DeserializeOwned,
        F: Fn(C) -> Result<(), Error> + Send + Sync + 'static,
    {
        self.on_start.push(reading(take));
        self
    }

    /// Takes a `[config]` that has changed, without a restart. Where it fails, and without any such hook, the host
    /// restarts the plugin instead.
    #[must_use]
    pub fn on_config<C, F>(mut self, take: F) -> Self
    where
        C: DeserializeOwned,
        F: Fn(C) -> Result<(), Error> + Send + Sync + 'static,
    {
        self.on_config.push(reading(take));
        self
    }

    /// Runs when no more calls will come and those in progress have ended.
    #[must_use]
    pub fn on_drain(mut self, act: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_drain.push(Box::new(act));
        self
    }

    /// Runs once before the plugin ends, be it asked to, told by SIGTERM, or left without a host. Calls may still be in
    /// progress. It has half a second where nobody gave it more.
    #[must_use]
    pub fn on_shutdown(self, act: impl FnOnce() + Send + 'static) -> Self {
        lock(&self.on_shutdown).push(Box::new(act));
        self
    }

    /// A topic, or a pattern of topics, that the plugin publishes, for people and tools to see.
    #[must_use]
    pub fn publishes(mut self, topic: impl Into<String>) -> Self {
        self.publishes.push(topic.into());
        self
    }

    /// Events of a topic, `*` being any run of characters: one at a time, in order. An error is logged.
    #[must_use]
    pub fn subscribe<F>(mut self, topic: impl Into<String>, handler: F) -> Self
    where
        F: Fn(&Event, &Host) -> Result<(), Error> + Send + Sync + 'static,
    {
        self.subscriptions.push((topic.into(), Box::new(handler)));
        self
    }

    /// Opens as not ready: no calls come until a [`Status`](crate::Status) says `Ready` or `Degraded`.
    #[must_use]
    pub fn starting(mut self) -> Self {
        self.ready = false;
        self
    }

    /// Promises that every handler looks at [`Call::idempotency_key`], and does nothing twice for the same one. The host
    /// then sends a call that has one again after a crash.
    #[must_use]
    pub fn idempotency_keys(mut self) -> Self {
        self.idempotency_keys = true;
        self
    }

    /// Puts backtraces of handlers that panicked into their answers. Otherwise they are in the log alone.
    #[must_use]
    pub fn backtraces(mut self) -> Self {
        self.backtraces = true;
        self
    }

    /// The least level that `tracing` leads to the host (`Info` unless said); `None` leaves `tracing` alone, for a
    /// subscriber of your own.
    #[must_use]
    pub fn log_level(mut self, least: impl Into<Option<Level>>) -> Self {
        self.log_level = least.into();
        self
    }

    /// A handle for saying things unasked, from any thread. Before the plugin runs nobody listens.
    #[must_use]
    pub fn host(&self) -> Host {
        self.host.clone()
    }

    /// Serves until the host says `exit`, closes stdin, or sends SIGTERM, and gives the status to leave `main` with: 0
    /// for any of them.
    ///
    /// Calls in progress have a second to be answered, shutdown hooks half a second more. What still runs then ends with
    /// the process, when `main` returns.
    pub fn run(self) -> ExitCode {
        let name = self.name.clone();
        if let Some(least) = self.log_level {
            crate::logging::install(&self.host, least);
        }
        let served = stdio::take().and_then(|stdio| {
            let fd = stdio.output.as_raw_fd();
            Ok(self.serve_on(Input::new(stdio.input)?, Box::new(stdio.output), Some(fd)))
        });
        served.unwrap_or_else(|error| {
            complain(&name, &error.to_string());
            ExitCode::FAILURE
        })
    }

    /// As [`run`](Self::run), with frames from `input` and to `output`.
    pub fn serve(self, input: impl Read, output: impl Write + Send + 'static) -> ExitCode {
        self.serve_on(input, Box::new(output), None)
    }

    fn serve_on(
        self,
        input: impl Read,
        output: Box<dyn Write + Send>,
        fd: Option<i32>,
    ) -> ExitCode {
        let name = self.name.clone();
        self.host.attach(output, fd);
        match serve::serve(self, input) {
            Ended::Exit | Ended::EndOfInput => ExitCode::SUCCESS,
            Ended::Unreadable(error) => {
                complain(&name, &format!("reading stdin: {error}"));
                ExitCode::FAILURE
            }
        }
    }
}

fn reading<C, F>(take: F) -> TakeConfig
where
    C: DeserializeOwned,
    F: Fn(C) -> Result<(), Error> + Send + Sync + 'static,
{
    Box::new(move |config| {
        let config = serde_json::from_str(config).map_err(|error| {
            Error::invalid_params(format!("the manifest's [config] is wrong: {error}"))
        })?;
        take(config)
    })
}

/// A line on stderr, which is the plugin's log. Not by a print macro: those panic when stderr is gone.
fn complain(name: &str, problem: &str) {
    drop(writeln!(io::stderr(), "{name}: {problem}"));
}

/// Whether a plugin may have a method of this name.
fn is_free(name: &str) -> bool {
    const RESERVED: [&str; 7] =
        ["initialize", "initialized", "ping", "shutdown", "exit", "drain", "event"];
    const PREFIXES: [&str; 3] = ["config/", "host/", "$/"];
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"_$./:-".contains(&b);
    (1..=128).contains(&name.len())
        && name.bytes().all(legal)
        && !RESERVED.contains(&name)
        && !PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}
