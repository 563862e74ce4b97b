//! What the management API needs of a supervisor. The host implements it; tests have a fake.

use std::future::Future;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::Arc;

use outboard_core::PluginId;
use tokio::sync::broadcast;

pub use crate::host::LogQuery;
use crate::host::upgrade::{Granted, Refused};
use crate::host::{
    By, Dossier, Drift, EventRecord, LogLine, NoVersion, Outcome, ReloadError, ReloadRequest,
    Reloaded, SupervisorView, Swapped, TopicStream, Which, Whose,
};

/// A running supervisor, as the management API sees it.
///
/// Everything here is bounded in time by the supervisor itself (a stop by its ladder, a start by its phases), so no
/// method takes a deadline. A future that is dropped does not undo what it began.
pub trait Backend: Clone + Send + Sync + 'static {
    /// One consistent look at everything.
    fn view(&self) -> SupervisorView;

    /// Whose the process is that connected this socket.
    fn whose(&self, socket: BorrowedFd<'_>) -> Whose;

    /// Why such a client is not served, if it is not.
    fn why_refused(&self, whose: Whose) -> Option<String>;

    /// A part that serves everybody has panicked: the supervisor ends.
    fn panicked(&self, what: &'static str, message: String);

    /// Probes these, as far as they run, and waits for their answers, each at most its `[health] timeout`.
    fn check(&self, ids: Vec<PluginId>) -> impl Future<Output = ()> + Send;

    /// Wants these up and waits for each one's verdict.
    fn start(&self, ids: Vec<PluginId>, by: By) -> impl Future<Output = Vec<Outcome>> + Send;

    /// Wants these down and waits until nothing of them is left; `now` goes straight to the kill.
    fn stop(
        &self,
        ids: Vec<PluginId>,
        now: bool,
        by: By,
    ) -> impl Future<Output = Vec<Outcome>> + Send;

    /// Stops and starts these.
    fn restart(
        &self,
        ids: Vec<PluginId>,
        now: bool,
        by: By,
    ) -> impl Future<Output = Vec<Outcome>> + Send;

    /// Plans what the manifests on the disk change, or does it.
    fn reload(
        &self,
        request: ReloadRequest,
    ) -> impl Future<Output = Result<Reloaded, ReloadError>> + Send;

    /// What lies on the disk and is not in force.
    fn drift(&self) -> impl Future<Output = Drift> + Send;

    /// Lets another version take over, from this file or from the one in the folder, and waits for the end of that.
    fn swap(
        &self,
        id: &str,
        file: Option<PathBuf>,
    ) -> impl Future<Output = Result<Swapped, NoVersion>> + Send;

    /// Stops every plugin, then the supervisor; answers when all are down.
    fn shutdown(&self, now: bool, by: By) -> impl Future<Output = Vec<Outcome>> + Send;

    /// Goes over to the build that lies where this one was started from; answers before that happens, or why not.
    fn upgrade(&self) -> impl Future<Output = Result<Granted, Refused>> + Send;

    /// The last failure of a plugin; `None` when it has had none (or does not exist).
    fn why(&self, id: &str) -> Option<Dossier>;

    /// One failure of a plugin, of this run or of an earlier one; `None` when it is not kept.
    fn dossier(&self, id: &str, which: Which) -> impl Future<Output = Option<Dossier>> + Send;

    /// At most `limit` events with a number above `seq`, oldest first.
    fn events_since(&self, seq: u64, limit: usize) -> Vec<Arc<EventRecord>>;

    /// Events from now on. A reader that falls behind is told how many it missed.
    fn subscribe_events(&self) -> broadcast::Receiver<Arc<EventRecord>>;

    /// The newest lines that match, oldest first.
    fn logs(&self, query: LogQuery) -> impl Future<Output = Vec<LogLine>> + Send;

    /// Log lines from now on. A reader that falls behind is told how many it missed.
    fn subscribe_logs(&self) -> broadcast::Receiver<Arc<LogLine>>;

    /// What plugins publish from now on, of topics that match one of these patterns.
    fn listen(&self, topics: &[&str]) -> TopicStream;
}
