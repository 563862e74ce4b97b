//! A deadline that knows its length, so that it can tell how late it ran.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Time;

/// The least lateness that counts as a stalled host. Scheduling noise stays below it.
const STALL: Duration = Duration::from_millis(250);

/// When something is due, and how long the wait was meant to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Timer {
    due: Time,
    length: Duration,
}

impl Timer {
    pub(crate) fn after(now: Time, length: Duration) -> Self {
        Self { due: now + length, length }
    }

    /// Due at `due`, or now if that has passed.
    pub(crate) fn until(now: Time, due: Time) -> Self {
        Self { due: due.max(now), length: due.since(now) }
    }

    pub(crate) fn due(&self) -> Time {
        self.due
    }

    pub(crate) fn is_due(&self, now: Time) -> bool {
        now >= self.due
    }

    pub(crate) fn left(&self, now: Time) -> Duration {
        self.due.since(now)
    }

    /// How late it is, if that is so late that the host must have stalled: more than 250 ms and more than a
    /// tenth of its length.
    pub(crate) fn stalled_for(&self, now: Time) -> Option<Duration> {
        let late = now.since(self.due);
        (late > STALL.max(self.length / 10)).then_some(late)
    }

    /// Gives back `lost` time, at most the timer's whole length from now.
    ///
    /// A timer that is overdue counts from now: the stall may have begun right after it was set, and then the
    /// plugin has had no time at all.
    pub(crate) fn give_back(&mut self, now: Time, lost: Duration) {
        let moved = (self.due.max(now) + lost).min(now + self.length);
        self.due = self.due.max(moved);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_start(Duration::from_millis(ms))
    }

    #[test]
    fn a_short_timer_stalls_past_a_quarter_second_and_a_long_one_past_a_tenth() {
        let short = Timer::after(at(0), Duration::from_millis(100));
        assert_eq!(short.stalled_for(at(350)), None);
        assert_eq!(short.stalled_for(at(351)), Some(Duration::from_millis(251)));
        let long = Timer::after(at(0), Duration::from_secs(10));
        assert_eq!(long.stalled_for(at(11_000)), None);
        assert_eq!(long.stalled_for(at(11_001)), Some(Duration::from_millis(1001)));
    }

    #[test]
    fn time_given_back_is_bounded_by_the_length() {
        let mut timer = Timer::after(at(0), Duration::from_secs(5));
        timer.give_back(at(8000), Duration::from_secs(3));
        assert_eq!(timer.due(), at(11_000), "overdue: the loss counts from now");
        timer.give_back(at(9000), Duration::from_secs(3600));
        assert_eq!(timer.due(), at(14_000), "never more than its whole length");
        let mut fresh = Timer::after(at(0), Duration::from_secs(5));
        fresh.give_back(at(3000), Duration::from_secs(1));
        assert_eq!(fresh.due(), at(6000), "not yet due: moved by the loss");
    }
}
