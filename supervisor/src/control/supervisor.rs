//! A running [`Supervisor`] as what the management API needs.

use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::Arc;

use outboard_core::PluginId;
use tokio::sync::broadcast;

use super::CONTROL_SOCKET;
use super::backend::Backend;
use crate::host::upgrade::{Granted, Refused};
use crate::host::{
    By, Change, Dossier, Drift, EventRecord, LogLine, LogQuery, NoVersion, Outcome, ReloadError,
    ReloadRequest, Reloaded, Supervisor, SupervisorView, Swapped, Which, Whose,
};

impl Backend for Supervisor {
    fn view(&self) -> SupervisorView {
        Supervisor::view(self)
    }

    fn whose(&self, socket: BorrowedFd<'_>) -> Whose {
        Supervisor::whose(self, socket)
    }

    fn why_refused(&self, whose: Whose) -> Option<String> {
        Supervisor::why_refused(self, whose, CONTROL_SOCKET)
    }

    fn panicked(&self, what: &'static str, message: String) {
        Supervisor::panicked(self, what, message);
    }

    async fn check(&self, ids: Vec<PluginId>) {
        self.health_check(&ids).await;
    }

    async fn start(&self, ids: Vec<PluginId>, by: By) -> Vec<Outcome> {
        self.change_by(Change::Start, &ids, by).await
    }

    async fn stop(&self, ids: Vec<PluginId>, now: bool, by: By) -> Vec<Outcome> {
        self.change_by(Change::Stop { now }, &ids, by).await
    }

    async fn restart(&self, ids: Vec<PluginId>, now: bool, by: By) -> Vec<Outcome> {
        self.change_by(Change::Restart { now }, &ids, by).await
    }

    async fn reload(&self, request: ReloadRequest) -> Result<Reloaded, ReloadError> {
        Supervisor::reload(self, request).await
    }

    async fn drift(&self) -> Drift {
        Supervisor::drift(self).await
    }

    async fn swap(&self, id: &str, file: Option<PathBuf>) -> Result<Swapped, NoVersion> {
        self.swap_to(id, file.as_deref()).await
    }

    async fn shutdown(&self, now: bool, by: By) -> Vec<Outcome> {
        self.shutdown_all_by(now, by).await
    }

    async fn upgrade(&self) -> Result<Granted, Refused> {
        Supervisor::upgrade(self).await
    }

    fn why(&self, id: &str) -> Option<Dossier> {
        Supervisor::why(self, id)
    }

    async fn dossier(&self, id: &str, which: Which) -> Option<Dossier> {
        Supervisor::dossier(self, id, which).await
    }

    fn events_since(&self, seq: u64, limit: usize) -> Vec<Arc<EventRecord>> {
        Supervisor::events_since(self, seq, limit)
    }

    fn subscribe_events(&self) -> broadcast::Receiver<Arc<EventRecord>> {
        self.subscribe()
    }

    async fn logs(&self, query: LogQuery) -> Vec<LogLine> {
        Supervisor::logs(self, query).await
    }

    fn subscribe_logs(&self) -> broadcast::Receiver<Arc<LogLine>> {
        Supervisor::subscribe_logs(self)
    }

    fn listen(&self, topics: &[&str]) -> crate::host::TopicStream {
        Supervisor::listen(self, topics)
    }
}
