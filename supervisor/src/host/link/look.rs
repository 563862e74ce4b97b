//! What the core is told of a generation when a deadline has passed.

use outboard_core::{Look, Time};

use super::super::procfs::{self, ProcessLook};
use super::{Link, State, lock};

impl Link {
    /// What the core looks at when a deadline has passed. The pipe is read until it would block first: what the
    /// plugin wrote in time counts, however late this side is.
    #[must_use]
    pub(crate) fn look(&self, starting: bool) -> Look {
        self.pump();
        let now = self.clock.now();
        let mid_frame = lock(&self.framer).mid_frame();
        let mut state = self.state();
        let heard = state.noise.look(now);
        self.heard(heard, None);
        let pid = self.pid();
        // Only a probe that is out can be missed, and only then the process itself is looked at.
        let process = match state.probe {
            Some(_) => procfs::look(pid),
            None => ProcessLook::default(),
        };
        if starting {
            let tree = procfs::tree(pid);
            if tree != state.tree {
                state.tree = tree;
                state.activity += 1;
            }
        }
        Look {
            last_life: state.last_life,
            probe_written: state.probe.as_ref().and_then(|probe| probe.written),
            working: u32::try_from(state.peer.working()).unwrap_or(u32::MAX),
            latest_deadline: state.peer.latest_deadline().map(Time::from_start),
            idle_since: idle_since(&state),
            traced: process.traced,
            stopped: process.stopped,
            doing: process.doing,
            activity: state.activity,
            mid_frame,
            seen: state.seen,
            read: state.read,
            written: state.written,
        }
    }
}

/// Since when nobody wants anything of the plugin, and it wants nothing of others; `None` while somebody does.
fn idle_since(state: &State) -> Option<Time> {
    let peer = &state.peer;
    let idle = peer.in_flight() == 0 && peer.working() == 0 && peer.requests() == 0;
    idle.then_some(state.idle_from)
}
