//! Late is not dead: stalls of the host and suspends of the machine.

use std::time::Duration;

use crate::event::Note;
use crate::fleet::{Effects, Fleet, Key, Work};
use crate::owner::Plugin;
use crate::time::Time;

impl Fleet {
    /// The machine slept for `by`: boot time jumped against monotonic time. Every deadline that judges a plugin
    /// moves, and the next probes are spread over 5 s.
    #[must_use = "an effect nobody runs is a lost order"]
    pub fn suspended(&mut self, now: Time, by: Duration) -> Effects {
        let mut work = Work::new(now);
        let first = self.keys().next();
        if let Some(key) = first {
            self.stall_told = now;
            self.give_back(&mut work, key, by, true);
        }
        self.settle(work)
    }

    /// The lateness guard: a deadline that ran much too late says that the host stalled, not that a plugin did.
    pub(crate) fn notice_stall(&mut self, work: &mut Work, key: Key) {
        let Some(timer) = self.plugin(key).and_then(Plugin::timer) else {
            return;
        };
        // What was due before the last stall was told belongs to that one.
        if let Some(late) = timer.stalled_for(work.now)
            && timer.due() >= self.stall_told
        {
            self.stall_told = work.now;
            self.give_back(work, key, late, false);
        }
    }

    fn give_back(&mut self, work: &mut Work, noticed_by: Key, lost: Duration, suspended: bool) {
        self.apply(work, noticed_by, |_, cx| cx.note(Note::ClockStalled { late: lost }));
        for key in self.keys().collect::<Vec<_>>() {
            self.apply(work, key, |plugin, cx| plugin.give_back(lost, suspended, cx));
        }
    }
}
