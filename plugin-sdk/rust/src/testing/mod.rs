//! A host in memory, for unit tests: no process, no supervisor, real frames.
//!
//! ```
//! use outboard_plugin::testing::FakeHost;
//! use outboard_plugin::{Plugin, Value, json};
//!
//! let plugin = Plugin::new("echo", "1.0.0").method("echo", |params: Value, _| Ok(params));
//! let host = FakeHost::open(plugin);
//! assert_eq!(host.call("echo", json!({"a": 1})), Ok(json!({"a": 1})));
//! ```
//!
//! The plugin runs as it does under a supervisor, on a thread of its own. The host checks what it writes: a line that is
//! no message, a second answer, or progress that nobody asked for fails the test when the host is dropped.

mod link;

use std::collections::BTreeMap;
use std::io::BufReader;
use std::process::ExitCode;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use outboard_wire::encode;
use serde_json::{Value, json};

use crate::error::Error;
use crate::host::lock;
use crate::plugin::Plugin;
use crate::status::millis;
use link::{Inner, Provider, Shared};

/// Time that each wait may last before the test fails; nothing is slow for it.
const LONG: Duration = Duration::from_secs(20);

/// A host that has opened one plugin. Dropping it closes the plugin's stdin and waits for its end.
pub struct FakeHost {
    shared: Arc<Shared>,
    opening: Value,
    reader: Option<JoinHandle<()>>,
    plugin: Option<JoinHandle<ExitCode>>,
}

/// A [`FakeHost`] before it has opened its plugin.
pub struct Builder {
    plugin: Plugin,
    config: Value,
    limits: Value,
    providers: BTreeMap<String, Provider>,
}

impl FakeHost {
    /// Opens `plugin`.
    ///
    /// # Panics
    ///
    /// It refuses to start; [`Builder::try_open`] gives the reason instead.
    #[must_use]
    pub fn open(plugin: Plugin) -> Self {
        Self::of(plugin).open()
    }

    /// A host that gives `plugin` more than nothing.
    #[must_use]
    pub fn of(plugin: Plugin) -> Builder {
        Builder { plugin, config: json!({}), limits: json!({}), providers: BTreeMap::new() }
    }

    /// The result of `initialize`.
    #[must_use]
    pub fn opening(&self) -> &Value {
        &self.opening
    }

    /// Calls a method and waits for what it is answered with.
    ///
    /// # Errors
    ///
    /// The plugin's.
    pub fn call(&self, method: &str, params: Value) -> Result<Value, Error> {
        self.start(method, params).wait()
    }

    /// Calls a method and does not wait. `_meta` in `params` goes over what the host has in it.
    #[must_use]
    pub fn start(&self, method: &str, mut params: Value) -> Pending<'_> {
        let mut inner = self.lock();
        if let Some(object) = params.as_object_mut() {
            let token = format!("t{}", inner.last + 1);
            let mut meta = json!({ "caller": "test", "progressToken": token });
            if let (Some(Value::Object(own)), Some(meta)) =
                (object.remove("_meta"), meta.as_object_mut())
            {
                meta.extend(own);
            }
            object.insert("_meta".into(), meta);
        }
        let id = inner.send_request(method, &params);
        inner.asked.entry(id).or_default().wants_progress = true;
        Pending { host: self, id }
    }

    /// Sends one of the protocol's own requests, and waits for its answer.
    ///
    /// # Errors
    ///
    /// The plugin's.
    pub fn request(&self, method: &str, params: &Value) -> Result<Value, Error> {
        let id = self.lock().send_request(method, params);
        Pending { host: self, id }.wait()
    }

    /// Sends a notification.
    pub fn notify(&self, method: &str, params: &Value) {
        self.lock().send(|out| encode::notification(out, method, Some(&params.to_string())));
    }

    /// Delivers an event.
    pub fn emit(&self, topic: &str, data: Value) {
        let mut inner = self.lock();
        inner.seq += 1;
        let params = json!({"topic": topic, "seq": inner.seq, "source": "test", "timeMs": 0, "missed": 0, "data": data});
        inner.send(|out| encode::notification(out, "event", Some(&params.to_string())));
    }

    /// Tells of a new `[config]`.
    ///
    /// # Errors
    ///
    /// The plugin's: a real host restarts it then.
    pub fn change_config(&self, config: Value) -> Result<(), Error> {
        self.request("config/changed", &json!({ "config": config, "revision": 2 })).map(drop)
    }

    /// Asks the plugin to finish what it has.
    ///
    /// # Errors
    ///
    /// The plugin's: calls are still in progress.
    pub fn drain(&self, limit: Duration) -> Result<(), Error> {
        self.request("drain", &json!({ "deadlineMs": millis(limit) })).map(drop)
    }

    /// Asks the plugin to prepare for its end.
    ///
    /// # Errors
    ///
    /// The plugin's.
    pub fn shutdown(&self) -> Result<(), Error> {
        self.request("shutdown", &json!({ "reason": "stop", "deadlineMs": 5000 })).map(drop)
    }

    /// The params of `$/log`, in order.
    #[must_use]
    pub fn logs(&self) -> Vec<Value> {
        self.lock().logs.clone()
    }

    /// The params of `$/status`, in order.
    #[must_use]
    pub fn statuses(&self) -> Vec<Value> {
        self.lock().statuses.clone()
    }

    /// The params of `host/publish`, in order.
    #[must_use]
    pub fn published(&self) -> Vec<Value> {
        self.lock().published.clone()
    }

    /// The params of `host/call`, in order.
    #[must_use]
    pub fn called(&self) -> Vec<Value> {
        self.lock().called.clone()
    }

    /// Waits until something is so; looks each time when the plugin has said something.
    ///
    /// # Panics
    ///
    /// It does not become so.
    pub fn wait_until(&self, what: &str, so: impl Fn(&Self) -> bool) {
        loop {
            let Inner { heard, ended, .. } = *self.lock();
            if so(self) {
                return;
            }
            assert!(!ended, "waited for {what}; the plugin has ended");
            let mut inner = self.lock();
            while inner.heard == heard && !inner.ended {
                inner = self.wait(inner, what);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.shared.state)
    }

    fn wait<'a>(&self, inner: MutexGuard<'a, Inner>, what: &str) -> MutexGuard<'a, Inner> {
        let waited = self.shared.news.wait_timeout(inner, LONG);
        let (inner, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "waited for {what}; nothing came in {LONG:?}");
        inner
    }

    /// Closes the plugin's stdin, waits for its end, and gives what it did against the protocol.
    fn close(&mut self) -> Vec<String> {
        self.lock().input = None;
        let plugin = self.plugin.take().map(|plugin| plugin.join().map(drop));
        let reader = self.reader.take().map(JoinHandle::join);
        if [plugin, reader].into_iter().flatten().any(|ended| ended.is_err()) {
            self.lock().violations.push("the plugin's own thread panicked".into());
        }
        std::mem::take(&mut self.lock().violations)
    }
}

impl Drop for FakeHost {
    fn drop(&mut self) {
        let violations = self.close();
        if !std::thread::panicking() {
            assert!(violations.is_empty(), "{violations:?}");
        }
    }
}

impl Builder {
    /// The manifest's `[config]`.
    #[must_use]
    pub fn config(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    /// `limits` of `initialize`, such as `{"maxFrameBytes": 65536}`.
    #[must_use]
    pub fn limits(mut self, limits: Value) -> Self {
        self.limits = limits;
        self
    }

    /// Answers the plugin's own calls of another one.
    #[must_use]
    pub fn provide(
        mut self,
        plugin: &str,
        method: &str,
        act: impl Fn(Value) -> Result<Value, Error> + Send + 'static,
    ) -> Self {
        self.providers.insert(format!("{plugin}.{method}"), Box::new(act));
        self
    }

    /// Opens the plugin.
    ///
    /// # Panics
    ///
    /// It refuses to start.
    #[must_use]
    pub fn open(self) -> FakeHost {
        self.try_open().unwrap_or_else(|error| panic!("the plugin refuses to start: {error}"))
    }

    /// Opens the plugin, unless it refuses.
    ///
    /// # Errors
    ///
    /// The plugin's.
    ///
    /// # Panics
    ///
    /// No pipe is to be had.
    pub fn try_open(self) -> Result<FakeHost, Error> {
        let (plugin_input, input) = std::io::pipe().expect("a pipe is to be had");
        let (output, plugin_output) = std::io::pipe().expect("a pipe is to be had");
        let inner = Inner::new(input);
        let shared = Arc::new(Shared { state: Mutex::new(inner), news: Condvar::new() });
        let id = self.plugin.name.clone();
        let plugin = std::thread::spawn(move || self.plugin.serve(plugin_input, plugin_output));
        let (theirs, providers) = (Arc::clone(&shared), self.providers);
        let reader = std::thread::spawn(move || theirs.read(BufReader::new(output), &providers));
        let mut host =
            FakeHost { shared, opening: json!({}), reader: Some(reader), plugin: Some(plugin) };
        host.opening = host.request(
            "initialize",
            &json!({
                "protocolVersions": [1],
                "hostInfo": { "name": "fake", "version": "0" },
                "plugin": { "id": id, "instance": format!("{id}-0"), "generation": 1 },
                "config": self.config,
                "capabilities": { "call": ["*"], "publish": ["*"], "events": true, "log": true, "progress": true },
                "limits": self.limits,
            }),
        )?;
        host.notify("initialized", &json!({}));
        Ok(host)
    }
}

/// A call that was sent.
pub struct Pending<'h> {
    host: &'h FakeHost,
    id: u32,
}

impl Pending<'_> {
    /// Says that nobody wants the answer any more.
    pub fn cancel(&self) {
        self.host.notify("$/cancel", &json!({ "id": self.id, "reason": "caller" }));
    }

    /// What the call told of its progress so far.
    #[must_use]
    pub fn progress(&self) -> Vec<Value> {
        self.host.lock().asked.get(&self.id).map(|asked| asked.progress.clone()).unwrap_or_default()
    }

    /// Whether it has been answered.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.host.lock().asked.get(&self.id).is_some_and(|asked| asked.answer.is_some())
    }

    /// Waits for the answer.
    ///
    /// # Errors
    ///
    /// The plugin's.
    ///
    /// # Panics
    ///
    /// There is none.
    pub fn wait(&self) -> Result<Value, Error> {
        let mut inner = self.host.lock();
        loop {
            if let Some(answer) = inner.asked.get(&self.id).and_then(|asked| asked.answer.clone()) {
                return answer;
            }
            assert!(!inner.ended, "the plugin ended without an answer to call {}", self.id);
            inner = self.host.wait(inner, "an answer");
        }
    }
}
