//! The library's face: a running supervisor and what can be asked of it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use outboard_core::{PluginId, RetryAfter, StateName};
use outboard_manifest::{Glob, LoadError, Manifest, Set};
use outboard_wire::CallError;
use outboard_wire::error::Callee;
use serde_json::value::RawValue;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::builder::Builder;
use super::by::{By, Via};
use super::call::{Call, CallOptions, CallResult, More, Token};
use super::caller::Caller;
use super::clock::Clock;
use super::command::{Change, Command};
use super::happening::Happening;
use super::logbook::LogQuery;
use super::shared::{End, Shared};
use super::slot::Slot;
use super::swap::{SwapOrder, Swapped};
use super::topics::{Listen, Subscription, TopicStream};
use super::upgrade::{Beside, Freeze, Frozen, Granted, Program, Refused, Request};
use super::view::{EventRecord, LogLine, Outcome, PluginView, SupervisorView};

/// A running supervisor. Cheap to clone; all clones are the same one.
///
/// It ends by [`Supervisor::shutdown_all`]. When the last clone is dropped it goes on: processes are not stopped by
/// accident. When this process ends, however it ends, so do all plugins.
#[derive(Clone)]
pub struct Supervisor {
    pub(super) shared: Arc<Shared>,
}

impl Supervisor {
    /// A supervisor to be put together. The state directory has to be named.
    #[must_use]
    pub fn builder(state_dir: impl Into<PathBuf>) -> Builder {
        Builder::new(state_dir.into())
    }

    /// Reads manifests from folders and files and registers what is sound. What is not is registered as `failed`,
    /// class `config`, and hurts nobody else. Nothing is started.
    ///
    /// # Errors
    /// A folder or file that cannot be read at all.
    pub async fn discover_and_register(&self, sources: &[PathBuf]) -> Result<Set, LoadError> {
        let sources = sources.to_vec();
        let read = tokio::task::spawn_blocking(move || crate::discover::load(&sources));
        let set = match read.await {
            Ok(set) => set?,
            // Only with the runtime does the thread end before its work.
            Err(_) => Set::default(),
        };
        self.register(set.manifests.clone(), set.refused.clone()).await;
        Ok(set)
    }

    /// Registers manifests; ids that are registered already stay as they are. Nothing is started.
    pub async fn register(
        &self,
        manifests: Vec<Manifest>,
        refused: Vec<outboard_manifest::Refused>,
    ) {
        let (done, wait) = oneshot::channel();
        self.command(Command::Register { manifests, refused, done });
        wait.await.unwrap_or_default();
    }

    /// Wants every registered plugin up that is enabled and not lazy.
    pub fn start_enabled(&self) {
        self.command(Command::StartEnabled);
    }

    /// Wants one plugin up and waits until it is active, or its start has failed. Dropping the future leaves it
    /// wanted up.
    ///
    /// # Errors
    /// `None` for a plugin that is not registered, else what became of it.
    pub async fn load(&self, id: &str) -> Result<(), Option<Outcome>> {
        let outcome = self.change(Change::Start, &[id.into()]).await.pop();
        match outcome {
            Some(Outcome {
                end: super::view::Ended::Active | super::view::Ended::Unchanged,
                ..
            }) => Ok(()),
            other => Err(other),
        }
    }

    /// Stops one plugin and forgets it until it is registered again. `None` when it is not registered.
    pub async fn unload(&self, id: &str) -> Option<Outcome> {
        let slot = self.shared.slot(id)?;
        let outcome =
            self.change(Change::Stop { now: false }, std::slice::from_ref(&slot.id)).await.pop();
        let (done, wait) = oneshot::channel();
        self.command(Command::Unload { key: slot.key, done });
        wait.await.unwrap_or_default();
        outcome
    }

    /// Makes one call. Ends in exactly one result or typed error, by its deadline at the latest. Dropping the future
    /// cancels the call; a plugin whose dialect can is told.
    ///
    /// # Errors
    /// Every way a call can fail: see [`CallError`].
    pub async fn call(
        &self,
        id: &str,
        method: &str,
        params: &RawValue,
        options: CallOptions,
    ) -> CallResult {
        let Some(slot) = self.shared.slot(id) else { return Err(unknown(id)) };
        let (answer, wait) = oneshot::channel();
        let began = self.shared.clock.now();
        let bound = || options.deadline.unwrap_or_else(|| slot.manifest().calls.deadline);
        let deadline = (!options.unbounded || options.deadline.is_some()).then(|| began + bound());
        slot.submit(Call {
            method: method.into(),
            params: params.get().into(),
            deadline,
            began,
            caller: Caller::shared(options.caller),
            token: Token::Future(answer),
            more: more(&options),
        });
        let mut wait = CancelOnDrop { wait: Some(wait), slot };
        let Some(receiver) = wait.wait.as_mut() else { return Err(unknown(id)) };
        let result = receiver.await;
        wait.wait = None;
        // A token that was dropped unanswered would be a bug; the caller still gets a typed end.
        result.unwrap_or_else(|_| {
            Err(CallError::internal(Callee { plugin: id, generation: 0 }, "the call was lost"))
        })
    }

    /// Sends one notification.
    ///
    /// # Errors
    /// No generation takes it now, or a bound is reached: nothing was sent.
    pub fn notify(&self, id: &str, method: &str, params: &RawValue) -> Result<(), CallError> {
        self.shared.slot(id).ok_or_else(|| unknown(id))?.notify(method, params.get())
    }

    /// Probes every plugin that runs, now, and waits for the answers, each at most its `[health] timeout`. Gives all
    /// plugins as they are then.
    pub async fn health_check_all(&self) -> Vec<PluginView> {
        self.health_check(&self.ids()).await;
        self.view().plugins
    }

    /// Probes these plugins, as far as they run, now, and waits for the answers, each at most its `[health] timeout`.
    pub async fn health_check(&self, ids: &[PluginId]) {
        let mut checks = Vec::new();
        for slot in ids.iter().filter_map(|id| self.shared.slot(id)) {
            let link = slot.router().link().cloned();
            if let Some(link) = link {
                let timeout = slot.manifest().policy.health.timeout;
                checks.push((link.check(), timeout));
            }
        }
        for (check, timeout) in checks {
            // No answer in time is what the health rules will judge; here it only ends the wait.
            drop(tokio::time::timeout(timeout, check).await);
        }
        // An answer counts in what is seen once the dispatcher has taken it in.
        let (done, wait) = oneshot::channel();
        self.command(Command::TakeIn { done });
        wait.await.unwrap_or_default();
    }

    /// Ends every plugin, dependents first, then the supervisor. `now` goes straight to the kill; a second call with
    /// `now` shortens the first. Gives each plugin's last word. Dropping the future changes nothing.
    pub async fn shutdown_all(&self, now: bool) -> Vec<Outcome> {
        self.shutdown_all_by(now, By::own(Via::Api)).await
    }

    /// The same, and who wants it.
    pub async fn shutdown_all_by(&self, now: bool, by: By) -> Vec<Outcome> {
        let (done, wait) = oneshot::channel();
        self.command(Command::Shutdown { now, by, done });
        wait.await.unwrap_or_default()
    }

    /// Asks for an upgrade: the file that this process was started from is executed in its place, once it has shown that
    /// it can go on. Answers before that happens.
    ///
    /// # Errors
    /// Why there is none. Nothing has changed.
    pub async fn upgrade(&self) -> Result<Granted, Refused> {
        self.shared.upgrades.ask().await
    }

    /// Offers upgrades: whoever asks for one is heard here. For whoever owns the process, and its one runtime of one
    /// thread.
    pub(crate) fn offer_upgrades(&self) -> mpsc::UnboundedReceiver<Request> {
        self.shared.upgrades.offer()
    }

    /// What an upgrade executes.
    pub(crate) fn program(&self) -> &Program {
        &self.shared.program
    }

    /// Writes everything down. When it is `meant`, nothing goes on here afterwards, and it has to thaw elsewhere, or here.
    ///
    /// # Errors
    /// Why not, in words. Everything goes on.
    pub(crate) async fn freeze(&self, meant: bool, beside: Beside) -> Result<Frozen, String> {
        let (done, wait) = oneshot::channel();
        self.command(Command::Freeze(Freeze { meant, beside, done }));
        wait.await.unwrap_or_else(|_| Err("the supervisor has ended".to_owned()))
    }

    /// An event of the supervisor itself. Gives its number.
    pub(crate) fn record(&self, event: &'static str, fields: serde_json::Value) -> u64 {
        self.shared.recorder.supervisor(event, fields).seq
    }

    /// Waits until the supervisor has ended.
    pub async fn stopped(&self) -> End {
        let mut stopped = self.shared.stopped.subscribe();
        let end = stopped.wait_for(Option::is_some).await.map(|end| *end);
        end.ok().flatten().unwrap_or(End::Stopped)
    }

    /// Every event from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<EventRecord>> {
        self.shared.recorder.journal.listen()
    }

    /// Events that plugins publish from now on, of topics that match one of these patterns (`*`, `net.*`).
    #[must_use]
    pub fn listen(&self, topics: &[&str]) -> TopicStream {
        let wants: Vec<Glob> = topics.iter().map(|topics| Glob::new(topics)).collect();
        TopicStream::new(&self.shared.topics, &wants)
    }

    /// Every stored log line from now on.
    #[must_use]
    pub fn subscribe_logs(&self) -> broadcast::Receiver<Arc<LogLine>> {
        self.shared.recorder.logs.listen()
    }

    /// At most `limit` events with a number above `seq`, oldest first.
    #[must_use]
    pub fn events_since(&self, seq: u64, limit: usize) -> Vec<Arc<EventRecord>> {
        self.shared.recorder.journal.since(seq + 1, limit)
    }

    /// The last `count` events, oldest first.
    #[must_use]
    pub fn last_events(&self, count: usize) -> Vec<Arc<EventRecord>> {
        self.shared.recorder.journal.last(count)
    }

    /// The newest log lines that match, oldest first.
    pub async fn logs(&self, query: LogQuery) -> Vec<LogLine> {
        self.shared.sink.flush().await;
        let logs = self.shared.recorder.logs.clone();
        tokio::task::spawn_blocking(move || logs.read(&query)).await.unwrap_or_default()
    }

    /// Changes what is wanted of some plugins; gives what became of each. Unknown ids are left out.
    pub async fn change(&self, change: Change, ids: &[PluginId]) -> Vec<Outcome> {
        self.change_by(change, ids, By::own(Via::Api)).await
    }

    /// The same, and who wants it.
    pub async fn change_by(&self, change: Change, ids: &[PluginId], by: By) -> Vec<Outcome> {
        let slots: Vec<_> = ids.iter().filter_map(|id| self.shared.slot(id)).collect();
        let keys = slots.iter().map(|slot| slot.key).collect();
        let (done, wait) = oneshot::channel();
        self.command(Command::Change { change, keys, by, done });
        // The dispatcher has ended, with the supervisor or ahead of it, and nobody else would change anything.
        let gone = |slot: &Arc<Slot>| Outcome {
            plugin: slot.id.clone(),
            took: Duration::ZERO,
            end: super::view::Ended::Overtaken,
        };
        wait.await.unwrap_or_else(|_| slots.iter().map(gone).collect())
    }

    /// One look at everything.
    #[must_use]
    pub fn view(&self) -> SupervisorView {
        let shared = &self.shared;
        let now = shared.clock.now();
        SupervisorView {
            pid: std::process::id(),
            uptime: now.since_start(),
            state_dir: shared.state_dir.path().to_owned(),
            sources: shared.sources.clone(),
            revision: shared.revision(),
            containment: shared.containment(),
            keeper_pid: shared.keeper_info().pid,
            isolation: super::whose::ISOLATION,
            now,
            plugins: shared.slots().iter().map(|slot| plugin_view(slot, shared)).collect(),
        }
    }

    /// Lets another version take over from the one that serves, and waits for the end of that. `None` when the plugin
    /// is not registered. Dropping the future changes nothing.
    pub async fn swap(&self, id: &str, order: SwapOrder) -> Option<Swapped> {
        let key = self.shared.slot(id)?.key;
        let (done, wait) = oneshot::channel();
        self.command(Command::Swap { key, order: Box::new(order), done });
        Some(wait.await.unwrap_or(Swapped::Refused(outboard_core::NoSwap::HostExit)))
    }

    /// The shared part of one plugin: for the attach socket.
    pub(crate) fn slot(&self, id: &str) -> Option<Arc<Slot>> {
        self.shared.slot(id)
    }

    /// The ids of all plugins.
    #[must_use]
    pub fn ids(&self) -> Vec<PluginId> {
        self.shared.slots().iter().map(|slot| slot.id.clone()).collect()
    }

    /// Where the sockets lie.
    #[must_use]
    pub fn state_dir(&self) -> &Path {
        self.shared.state_dir.path()
    }

    /// Listens for events that plugins publish, for as long as what is given lives.
    pub(crate) fn listen_for(&self, wants: &[Glob], to: Weak<dyn Listen>) -> Subscription {
        self.shared.topics.subscribe(wants, None, to)
    }

    /// Puts an event of one plugin's clients into the journal.
    pub(crate) fn say_of(&self, slot: &Slot, event: &'static str, fields: serde_json::Value) {
        self.shared.recorder.plugin(slot, slot.snapshot().generation, event, fields);
    }

    /// The clock that every deadline is on.
    pub(crate) fn clock(&self) -> Clock {
        self.shared.clock
    }

    pub(super) fn command(&self, command: Command) {
        self.shared.happenings.tell(Happening::Command(command));
    }
}

/// A call whose caller goes away is taken back where it still waits, and cancelled where it was sent.
struct CancelOnDrop {
    wait: Option<oneshot::Receiver<CallResult>>,
    slot: Arc<Slot>,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(wait) = self.wait.take() {
            drop(wait);
            self.slot.cancel_where(
                &|token| matches!(token, Token::Future(answer) if answer.is_closed()),
                "caller",
            );
        }
    }
}

fn more(options: &CallOptions) -> Option<Box<More>> {
    let CallOptions { while_restarting, idempotency_key, .. } = options;
    (while_restarting.is_some() || idempotency_key.is_some()).then(|| {
        let key = idempotency_key.as_deref().map(Into::into);
        Box::new(More { while_restarting: *while_restarting, key, ..More::default() })
    })
}

fn unknown(id: &str) -> CallError {
    CallError::unavailable(Callee { plugin: id, generation: 0 }, "not_found")
}

pub(super) fn plugin_view(slot: &Slot, shared: &Shared) -> PluginView {
    let manifest = slot.manifest();
    let snapshot = slot.snapshot();
    let (in_flight, open) = {
        let router = slot.router();
        (router.held(), router.links())
    };
    let in_flight = in_flight + open.iter().map(|link| link.in_flight()).sum::<usize>();
    let told = slot.told().clone();
    let lives =
        !matches!(snapshot.state, StateName::Registered | StateName::Failed | StateName::Backoff);
    let mut enforced = told.enforced;
    if lives {
        enforced.insert(0, shared.containment().to_owned());
    }
    PluginView {
        dialect: manifest.dialect.name(),
        in_flight: u32::try_from(in_flight).unwrap_or(u32::MAX),
        protocol: told.shown.protocol,
        offers: told.shown.offers,
        command: told.shown.command,
        executable: told
            .shown
            .executable
            .map(|path| slot.log.mask(path.display().to_string()).into()),
        manifest: manifest.source.clone(),
        entry_point: manifest.entry_point.clone(),
        opened_us: told.shown.opened_us.filter(|_| lives),
        lazy: manifest.lazy,
        junk_lines: slot.stats.junk_lines.now(),
        dropped_lines: slot.stats.dropped_lines.now(),
        clients: u32::try_from(slot.guests.count()).unwrap_or(u32::MAX),
        held_since: told.held_since,
        enforced,
        retry_max: retry_max(manifest.policy.restart.retry_after),
        refused: told.refused,
        snapshot,
    }
}

/// The longest gap between careful tries, where they grow at all.
fn retry_max(after: RetryAfter) -> Option<Duration> {
    match after {
        RetryAfter::Growing { initial, max } if max > initial => Some(max),
        RetryAfter::Growing { .. } | RetryAfter::Never => None,
    }
}
