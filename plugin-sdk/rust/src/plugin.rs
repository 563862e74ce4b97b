//! A plugin as its author describes it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::num::NonZeroU16;
use std::process::ExitCode;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::Call;
use crate::error::Error;
use crate::host::Host;
use crate::serve::{self, Ended};
use crate::stdio;

/// Calls that a plugin takes at once unless it says otherwise.
const DEFAULT_CONCURRENCY: NonZeroU16 = NonZeroU16::new(8).expect("8 is not 0");

type Handler = Box<dyn Fn(&str, &Call) -> Result<String, Error> + Send + Sync>;
type Configure = Box<dyn FnOnce(&str) -> Result<(), Error> + Send>;
type OnShutdown = Box<dyn FnOnce() + Send>;

/// A plugin: its methods, then [`run`](Self::run).
pub struct Plugin {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) methods: BTreeMap<String, Method>,
    pub(crate) concurrency: NonZeroU16,
    pub(crate) ready: bool,
    pub(crate) configure: Option<Configure>,
    pub(crate) on_shutdown: Option<OnShutdown>,
    pub(crate) host: Host,
    /// The process's own, or why it could not be had.
    input: io::Result<File>,
}

pub(crate) struct Method {
    pub(crate) handler: Handler,
    pub(crate) idempotent: bool,
}

impl Plugin {
    /// A plugin on this process's stdin and stdout, which are its own from here on: call it first of all in `main`.
    #[must_use]
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        let (input, output): (_, Box<dyn Write + Send>) = match stdio::take() {
            Ok((input, output)) => (Ok(input), Box::new(output)),
            Err(error) => (Err(error), Box::new(io::sink())),
        };
        Self::build(name.into(), version.into(), input, output)
    }

    /// A plugin that writes its frames to `output`; [`run_on`](Self::run_on) runs it. For tests without a process.
    #[must_use]
    pub fn with_output(
        name: impl Into<String>,
        version: impl Into<String>,
        output: impl Write + Send + 'static,
    ) -> Self {
        let none = Err(io::Error::from(io::ErrorKind::Unsupported));
        Self::build(name.into(), version.into(), none, Box::new(output))
    }

    fn build(
        name: String,
        version: String,
        input: io::Result<File>,
        output: Box<dyn Write + Send>,
    ) -> Self {
        Self {
            name,
            version,
            methods: BTreeMap::new(),
            concurrency: DEFAULT_CONCURRENCY,
            ready: true,
            configure: None,
            on_shutdown: None,
            host: Host::new(output),
            input,
        }
    }

    /// A method. `params` that do not read as a `P` are answered with −32602 without the handler; a handler that
    /// panics is answered with −32603, and the plugin lives on.
    ///
    /// # Panics
    ///
    /// `name` is not `[A-Za-z0-9_$./:-]{1,128}`, is one of the protocol's own, or is there already.
    #[must_use]
    pub fn method<P, R, F>(self, name: &str, handler: F) -> Self
    where
        P: DeserializeOwned,
        R: Serialize,
        F: Fn(P, &Call) -> Result<R, Error> + Send + Sync + 'static,
    {
        self.add(name, false, handler)
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
        self.add(name, true, handler)
    }

    fn add<P, R, F>(mut self, name: &str, idempotent: bool, handler: F) -> Self
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
        let earlier = self.methods.insert(name.to_owned(), Method { handler, idempotent });
        assert!(earlier.is_none(), "the method `{name}` is there twice");
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
        F: FnOnce(C) -> Result<(), Error> + Send + 'static,
    {
        self.configure = Some(Box::new(move |config| {
            let config = serde_json::from_str(config)
                .map_err(|error| Error::invalid_params(format!("wrong [config]: {error}")))?;
            take(config)
        }));
        self
    }

    /// Runs when the host asks the plugin to shut down, before it is answered. Calls may still be in progress.
    #[must_use]
    pub fn on_shutdown(mut self, act: impl FnOnce() + Send + 'static) -> Self {
        self.on_shutdown = Some(Box::new(act));
        self
    }

    /// Opens as not ready: no calls come until a [`Status`](crate::Status) says `Ready` or `Degraded`.
    #[must_use]
    pub fn starting(mut self) -> Self {
        self.ready = false;
        self
    }

    /// A handle for saying things unasked, from any thread.
    #[must_use]
    pub fn host(&self) -> Host {
        self.host.clone()
    }

    /// Serves until the host says `exit` or closes stdin, and gives the status to leave `main` with: 0 for either.
    ///
    /// At `exit` it returns at once. At the end of stdin calls in progress have a second to be answered. Handlers
    /// that still run then end with the process, when `main` returns.
    pub fn run(mut self) -> ExitCode {
        let none = Err(io::Error::from(io::ErrorKind::Unsupported));
        match std::mem::replace(&mut self.input, none) {
            Ok(input) => self.run_on(input),
            Err(error) => {
                complain(&self.name, &format!("stdin and stdout cannot be used: {error}"));
                ExitCode::FAILURE
            }
        }
    }

    /// As [`run`](Self::run), with frames from `input`.
    pub fn run_on(self, input: impl Read) -> ExitCode {
        let name = self.name.clone();
        match serve::serve(self, input) {
            Ended::Exit | Ended::EndOfInput => ExitCode::SUCCESS,
            Ended::Unreadable(error) => {
                complain(&name, &format!("reading stdin: {error}"));
                ExitCode::FAILURE
            }
        }
    }
}

/// A line on stderr, which is the plugin's log. Not by a print macro: those panic when stderr is gone.
pub(crate) fn complain(name: &str, problem: &str) {
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
