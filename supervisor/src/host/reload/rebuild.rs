//! A plugin whose author has written something: built, where its manifest says how, and made anew.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use outboard_core::{PluginId, StateName};
use serde_json::json;

use crate::discover::bounded::{self, Said, Silent};
use crate::host::by::{By, Via};
use crate::host::command::Change;
use crate::host::launch;
use crate::host::slot::Slot;
use crate::host::supervisor::Supervisor;
use crate::host::view::LogSource;

/// How long a build may take. One that takes longer waits for something that will not come.
const PATIENCE: Duration = Duration::from_mins(10);

/// Lines of a failed build that are kept, the last ones.
const KEPT_LINES: usize = 100;

/// A plugin to be made anew, and which generation served when its build began.
pub(super) struct Built {
    slot: Arc<Slot>,
    before: u64,
}

impl Supervisor {
    /// Builds these plugins, one after the other. Those whose build failed are left as they are, which is said.
    pub(super) async fn build(&self, ids: impl Iterator<Item = &PluginId>) -> Vec<Built> {
        let mut built = Vec::new();
        for slot in ids.filter_map(|id| self.shared.slot(id)) {
            let before = slot.snapshot().generation;
            if self.build_one(&slot, before).await {
                built.push(Built { slot, before });
            }
        }
        built
    }

    async fn build_one(&self, slot: &Arc<Slot>, generation: u64) -> bool {
        let manifest = slot.manifest();
        let Ok(launch) = launch::prepare(&manifest) else { return true };
        let words: Vec<String> = manifest.build.iter().map(|word| word.value.clone()).collect();
        let [program, arguments @ ..] = words.as_slice() else { return true };
        let recorder = &self.shared.recorder;
        recorder.plugin(slot, generation, "build.started", json!({"command": words}));
        let mut command = program_of_a_build(program);
        command.args(arguments).current_dir(&launch.cwd).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let began = self.shared.clock.now();
        let run = tokio::task::spawn_blocking(move || bounded::run(&mut command, PATIENCE)).await;
        let took = u64::try_from(self.shared.clock.now().since(began).as_millis());
        let took = took.unwrap_or(u64::MAX);
        let Ok(run) = run else { return false };
        let why = match run {
            Ok(said) if said.status.success() => {
                recorder.plugin(slot, generation, "build.finished", json!({"took_ms": took}));
                return true;
            }
            Ok(said) => {
                self.print(slot, generation, &said);
                said.status.to_string()
            }
            Err(Silent::NotStarted(error)) => format!("`{program}` cannot be run: {error}"),
            Err(Silent::Late) => format!("not done within {} minutes", PATIENCE.as_secs() / 60),
            Err(Silent::Babbles) => "it wrote without end".to_owned(),
        };
        recorder.plugin(slot, generation, "build.failed", json!({"message": why, "took_ms": took}));
        false
    }

    /// What the compiler said.
    fn print(&self, slot: &Slot, generation: u64, said: &Said) {
        let text = [&*said.stdout, &*said.stderr].map(String::from_utf8_lossy).concat();
        let lines: Vec<&str> = text.lines().collect();
        for line in &lines[lines.len().saturating_sub(KEPT_LINES)..] {
            if self.shared.recorder.admits(slot, generation) {
                let line = slot.log.mask((*line).to_owned());
                self.shared.recorder.log(slot, generation, LogSource::Err, None, line);
            }
        }
    }

    /// Lets what was built take over, unless a reload has seen to that. What did not run for a failure is tried again;
    /// what rests, or was stopped by hand, is left.
    pub(super) async fn renew(&self, built: Vec<Built>) {
        for Built { slot, before } in built {
            let seen = slot.snapshot();
            if seen.generation != before {
                continue;
            }
            match seen.state {
                StateName::Active | StateName::Degraded => {
                    drop(self.swap_to(&slot.id, None).await);
                }
                StateName::Failed | StateName::Backoff => {
                    let ids = [slot.id.clone()];
                    drop(self.change_by(Change::Start, &ids, By::own(Via::Watch)).await);
                }
                StateName::Registered
                | StateName::Starting
                | StateName::Loaded
                | StateName::Stopping
                | StateName::Unkillable => {}
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a build is no plugin: it ends within its time, or with this process"
)]
fn program_of_a_build(program: &str) -> Command {
    Command::new(program)
}
