//! The manifests are read again: first a plan of what that would change, then the plan is carried out, whole or not at
//! all.

mod apply;
mod drift;
mod fingerprint;
mod looked;
mod outputs;
mod plan;
mod read;
mod rebuild;
mod watcher;

use std::path::PathBuf;
use std::time::Duration;

use outboard_core::PluginId;
use outboard_core::plan::{Action, Difference};
use outboard_manifest::{LoadError, Set};
use tokio::sync::oneshot;

use super::by::By;
use super::command::Command;
use super::supervisor::Supervisor;
use super::view::Outcome;

pub(super) use apply::InForce;
pub use drift::Drift;
pub(super) use drift::Seen;
pub(super) use fingerprint::Fingerprint;
pub(super) use plan::KnownBad;
pub(crate) use read::Reading;

/// What is asked of a reload.
#[derive(Clone, Debug)]
pub struct ReloadRequest {
    /// Carry the plan out; else it is only made.
    pub apply: bool,
    /// Only on top of this revision.
    pub if_revision: Option<u64>,
    /// These stay as they are, whatever is said about them.
    pub except: Vec<PluginId>,
    pub by: By,
}

impl ReloadRequest {
    /// Everything, now.
    #[must_use]
    pub fn apply(by: By) -> Self {
        Self { apply: true, if_revision: None, except: Vec::new(), by }
    }
}

/// What a configuration changes, compared with what is in force.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// What it was compared with.
    pub revision: u64,
    /// By id; those that nothing changes for are counted in `untouched`.
    pub steps: Vec<Step>,
    /// Of `outboard.toml`: what changed, and whether it counts at once or from the next `run` on.
    pub settings: Vec<(bool, Difference)>,
    pub untouched: usize,
    /// Those that would have changed and were to be left alone.
    pub excepted: Vec<PluginId>,
    /// What deserves a look and refuses nothing.
    pub warnings: Vec<String>,
}

impl Plan {
    /// Nothing is to be done, and no revision comes of it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.settings.is_empty()
    }
}

/// One plugin's part of a plan.
#[derive(Clone, Debug)]
pub struct Step {
    pub id: PluginId,
    pub action: Action,
    /// The manifest that says so; of one that is gone, where it was.
    pub manifest: PathBuf,
    pub changes: Vec<Difference>,
    /// Attached clients that are told.
    pub clients: u32,
    /// For how long it has been stopped by hand.
    pub held_for: Option<Duration>,
    /// Its manifest had been refused, and is sound now.
    pub mended: bool,
    /// Nobody starts it by itself: it is lazy, or not enabled.
    pub rests: bool,
    /// Calls that come while it restarts wait for it.
    pub calls_wait: bool,
    /// How long the start of its living generation took, from the order until it was active.
    pub start_took: Option<Duration>,
}

/// What a reload came to.
#[derive(Debug)]
pub struct Reloaded {
    /// The configuration in force now; it rises only when something changed.
    pub revision: u64,
    pub applied: bool,
    pub plan: Plan,
    outcomes: Vec<apply::Outcomes>,
}

impl Reloaded {
    #[cfg(test)]
    pub(crate) fn of(revision: u64, applied: bool, plan: Plan, done: Vec<Outcome>) -> Self {
        let (tell, outcomes) = oneshot::channel();
        drop(tell.send(done));
        Self { revision, applied, plan, outcomes: vec![outcomes] }
    }

    /// Waits until every plugin that was started, stopped or restarted by it has come to its end of that.
    pub async fn outcomes(self) -> Vec<Outcome> {
        let mut all = Vec::new();
        for outcome in self.outcomes {
            all.extend(outcome.await.unwrap_or_default());
        }
        all.sort_by(|a, b| a.plugin.cmp(&b.plugin));
        all
    }
}

/// Why a reload changed nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReloadError {
    #[error(transparent)]
    Unreadable(#[from] LoadError),
    /// The set has errors. `problems` are sentences, `text` shows each with its place.
    #[error("the manifests have errors: {}", problems.join("; "))]
    Rejected { problems: Vec<String>, text: String, files: Vec<PathBuf> },
    /// Another revision is in force than the one that was meant; the plan is the one for it.
    #[error("revision {} is in force", plan.revision)]
    Conflict { plan: Box<Plan> },
    /// `except` names what there is not.
    #[error("no plugin `{id}`")]
    UnknownId { id: String, known: Vec<String> },
    #[error("the supervisor is going away")]
    Ended,
}

impl Supervisor {
    /// Reads the folders and files that this supervisor was given again, and plans or does what they say now.
    ///
    /// A change of the configuration between the reading and the end is a conflict: what was read may be older than what
    /// is in force.
    ///
    /// # Errors
    /// See [`ReloadError`]; nothing has changed then.
    pub async fn reload(&self, request: ReloadRequest) -> Result<Reloaded, ReloadError> {
        let sources = self.shared.sources.clone();
        let read = move || Reading::of(&sources);
        self.reload_with(request, read).await
    }

    /// The same with a set that somebody else has read.
    ///
    /// # Errors
    /// As [`Self::reload`].
    pub async fn reload_set(
        &self,
        set: Set,
        request: ReloadRequest,
    ) -> Result<Reloaded, ReloadError> {
        self.reload_with(request, move || Ok(Reading::of_set(set))).await
    }

    async fn reload_with(
        &self,
        mut request: ReloadRequest,
        read: impl FnOnce() -> Result<Reading, LoadError> + Send + 'static,
    ) -> Result<Reloaded, ReloadError> {
        let before = self.shared.revision();
        if request.apply {
            request.if_revision.get_or_insert(before);
        }
        let reading = tokio::task::spawn_blocking(read).await.map_err(|_| ReloadError::Ended)?;
        let reading = match reading {
            Ok(reading) => reading,
            Err(error) => {
                if request.apply {
                    self.reject(&error.to_string(), request.by);
                }
                return Err(error.into());
            }
        };
        let (done, wait) = oneshot::channel();
        self.command(Command::Reload { reading: Box::new(reading), request, done });
        wait.await.map_err(|_| ReloadError::Ended)?
    }

    fn reject(&self, why: &str, by: By) {
        let fields = serde_json::json!({"problems": [why], "by": by.to_json()});
        self.shared.recorder.supervisor("config.rejected", fields);
    }
}
