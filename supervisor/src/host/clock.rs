//! The one clock of the supervisor. Everything else is told what time it is.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};
use outboard_core::Time;

/// Reads the monotonic clock (for decisions), the boot clock (to notice a suspend) and the wall clock (for people).
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock whose [`Time::ZERO`] is now.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// When [`Time::ZERO`] is on the kernel's monotonic clock: the same for every process, and for the next image of this
    /// one.
    #[must_use]
    pub(crate) fn began(&self) -> Duration {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
        now.saturating_sub(self.now().since_start())
    }

    /// The clock whose zero [`Clock::began`] told.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    #[must_use]
    pub(crate) fn since(began: Duration) -> Self {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
        let start = Instant::now();
        Self { start: start.checked_sub(now.saturating_sub(began)).unwrap_or(start) }
    }

    /// Monotonic time since the supervisor's start. It stands still while the machine is suspended.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    #[must_use]
    pub fn now(&self) -> Time {
        Time::from_start(Instant::now().saturating_duration_since(self.start))
    }

    /// The runtime's instant for a point on this clock.
    #[must_use]
    pub fn instant(&self, at: Time) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.start + at.since_start())
    }

    /// Microseconds since the Unix epoch, UTC. Never used for a decision: people and NTP move it.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    #[must_use]
    pub fn wall_us(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }

    /// By how much the boot clock is ahead of the monotonic one: it grows only while the machine is suspended
    /// (`clock_gettime(2)`). Zero where the kernel does not tell.
    #[must_use]
    pub fn suspended_so_far(&self) -> Duration {
        let read = |id| clock_gettime(id).map(Duration::from).unwrap_or_default();
        read(ClockId::CLOCK_BOOTTIME).saturating_sub(read(ClockId::CLOCK_MONOTONIC))
    }
}
