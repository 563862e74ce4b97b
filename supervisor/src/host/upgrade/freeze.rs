//! From a running supervisor to a state, in one step.
//!
//! The runtime has one thread, and this runs on it without an await: every other task waits, and what tasks hold while they
//! wait is in links and clients. So what is written down is one moment of everything.

use std::io;
use std::sync::Arc;

use outboard_core::Key;
use outboard_keeper::ContainmentChoice;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use super::image;
use super::keeper::KeptKeeper;
use super::state::{AskedContainment, HostState, KeptInForce, KeptLive, KeptPlugin, LogSizes};
use super::{Descriptors, Program};
use crate::host::dispatch::{Dispatcher, Live};
use crate::host::keeper_line::Word;
use crate::host::sink::Sink;
use crate::host::slot::Slot;

/// The part of a state that the host does not know: sockets and clients.
pub(crate) type Beside = Box<dyn FnOnce(&mut Descriptors) -> io::Result<Box<RawValue>> + Send>;

/// An order to write everything down.
pub(crate) struct Freeze {
    /// Nothing goes on here afterwards; else it is a rehearsal, and nothing is changed.
    pub meant: bool,
    pub beside: Beside,
    pub done: oneshot::Sender<Result<Frozen, String>>,
}

impl std::fmt::Debug for Freeze {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Freeze").field("meant", &self.meant).finish_non_exhaustive()
    }
}

/// A supervisor written down, with its descriptors.
pub struct Frozen {
    /// The image: what another build reads.
    pub(super) bytes: Vec<u8>,
    pub(super) fds: Descriptors,
    pub(super) program: Program,
    /// What was said until now is still on its way to the disk.
    sink: Arc<Sink>,
}

impl std::fmt::Debug for Frozen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frozen").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl Frozen {
    /// The image, and the descriptors that it speaks of.
    pub(crate) fn into_parts(self) -> (Vec<u8>, Descriptors) {
        (self.bytes, self.fds)
    }

    /// The image, for a rehearsal.
    #[must_use]
    pub fn image(&self) -> &[u8] {
        &self.bytes
    }

    /// Waits until all that was said before is written. Dropping the future is harmless.
    pub async fn flush(&self) {
        self.sink.flush().await;
    }
}

impl Dispatcher {
    /// Writes everything down. Gives the dispatcher back when it is to go on: after a rehearsal, or a failure.
    pub(in crate::host) fn freeze(mut self, freeze: Freeze) -> Option<Self> {
        let Freeze { meant, beside, done } = freeze;
        let frozen = match self.why_not() {
            Some(why) => Err(why.to_owned()),
            None => self.write_down(meant, beside).map_err(|error| error.to_string()),
        };
        let over = meant && frozen.is_ok();
        // Whoever asked may have gone; what is over is over all the same, and then nobody executes anything.
        if done.send(frozen).is_err() && over {
            tracing::error!("the supervisor was written down and nobody goes on with it");
        }
        if over {
            self.let_go();
            return None;
        }
        Some(self)
    }

    /// Why this is no moment to hand anything over.
    fn why_not(&self) -> Option<&'static str> {
        if self.ending || self.gave_up {
            return Some("the supervisor is shutting down");
        }
        if self.keeper.is_none() {
            return Some("the keeper has just died, and there is no new one yet");
        }
        if self.fleet.keys().any(|key| self.fleet.is_swapping(key)) {
            return Some("a swap is under way");
        }
        None
    }

    fn write_down(&mut self, meant: bool, beside: Beside) -> io::Result<Frozen> {
        let mut fds = if meant { Descriptors::to_hold() } else { Descriptors::none() };
        if meant {
            self.settle_what_stays()?;
        }
        let state = self.state(&mut fds)?;
        let beside = beside(&mut fds)?;
        let bytes = image::write(&state, &beside)?;
        let (program, sink) = (self.shared.program.clone(), self.shared.sink.clone());
        Ok(Frozen { bytes, fds, program, sink })
    }

    /// What cannot go along is brought to its end: what was told and not heard, futures, last words.
    fn settle_what_stays(&mut self) -> io::Result<()> {
        if let Some(keeper) = &mut self.keeper {
            for word in keeper.take_heard() {
                match word {
                    Word::Report(report) => self.reported(report),
                    Word::Dead => return Err(io::Error::other("the keeper has just died")),
                }
            }
        }
        for link in self.fading.drain(..).filter_map(|link| link.upgrade()) {
            link.finish_words();
        }
        for live in self.live.values() {
            live.link.part_with_futures();
        }
        // Until nothing is told any more: what is heard leads to more.
        while let Ok(happening) = self.inbox.try_recv() {
            self.happened(happening);
        }
        if let Some(why) = self.why_not() {
            return Err(io::Error::other(why));
        }
        self.waiters.give_up(self.clock.now());
        self.persist.write_now();
        Ok(())
    }

    fn state(&self, fds: &mut Descriptors) -> io::Result<HostState> {
        let shared = &self.shared;
        let logs = &shared.recorder;
        let keeper = self.keeper.as_ref();
        let keeper =
            keeper.map(|line| KeptKeeper::of(line.keeper(), line.talk(), fds)).transpose()?;
        let mut plugins = Vec::with_capacity(self.slots.len());
        for (key, slot) in &self.slots {
            plugins.push(self.plugin(*key, slot, fds)?);
        }
        let (file_size, file_keep) = logs.logs.limits();
        Ok(HostState {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            began: self.clock.began(),
            froze: self.clock.now(),
            program: shared.program.path().to_owned(),
            state_dir: shared.state_dir.path().to_owned(),
            lock: fds.hold(shared.state_dir.lock())?,
            sources: shared.sources.clone(),
            revision: shared.revision(),
            run: shared.run.to_string(),
            containment: match shared.containment_choice {
                ContainmentChoice::Auto => AskedContainment::Auto,
                ContainmentChoice::Cgroup => AskedContainment::Cgroup,
                ContainmentChoice::Session => AskedContainment::Session,
            },
            adopts: shared.adopts,
            logs: LogSizes { file_size, file_keep, journal: logs.journal.size() },
            next_seq: logs.journal.next_seq(),
            open_files: crate::host::limits::given_open_files(),
            keeper,
            keeper_deaths: self.keeper_deaths.iter().copied().collect(),
            fleet: self.fleet.clone(),
            plugins,
            orders: self.orders.iter().map(|(order, (key, n))| (*order, *key, *n)).collect(),
            next_order: self.next_order,
            persist: self.persist.kept(),
            suspended: self.suspended,
            leaving: self.leaving.iter().copied().collect(),
            in_force: KeptInForce::of(&self.in_force),
            #[cfg(feature = "state-version-next")]
            later: vec![1, 2, 3],
        })
    }

    fn plugin(&self, key: Key, slot: &Slot, fds: &mut Descriptors) -> io::Result<KeptPlugin> {
        let generation = self.fleet.generation(key);
        let live = self.serving(key).map(|live| kept_live(generation, live, fds)).transpose()?;
        Ok(KeptPlugin {
            key,
            manifest: slot.manifest().texts().into(),
            told: slot.told().clone(),
            history: slot.history().clone(),
            words: slot.words().clone(),
            stats: slot.stats.all(),
            log: slot.log.kept(),
            guests: slot.guests.kept(),
            route: slot.router().kept(),
            live,
        })
    }

    /// Others have it all now: nothing that is still here may touch a pipe, or keep what it points to.
    fn let_go(self) {
        for live in self.live.values() {
            live.link.retire();
        }
        for slot in self.slots.values() {
            slot.router().let_go();
        }
    }
}

fn kept_live(generation: u64, live: &Live, fds: &mut Descriptors) -> io::Result<KeptLive> {
    let Live { order, link, pidfd, execed, died, program, cwd, identity } = live;
    Ok(KeptLive {
        generation,
        order: *order,
        link: link.kept(fds)?,
        pidfd: pidfd.as_deref().map(|pidfd| fds.hold(pidfd)).transpose()?,
        execed: *execed,
        died: *died,
        program: program.clone(),
        cwd: cwd.clone(),
        identity: *identity,
    })
}
