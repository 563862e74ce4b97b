//! The keeper's clock. It is a process of its own, so the supervisor's one clock cannot serve it.

use std::time::{Duration, Instant};

use nix::poll::ppoll;
use nix::sys::time::TimeSpec;

#[expect(
    clippy::disallowed_methods,
    reason = "the keeper is another process: its loop has a clock of its own"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Lets others run: for what can only be looked at again and again, because the kernel reports no change of it.
pub(crate) fn pause(time: Duration) {
    let time = TimeSpec::from_duration(time);
    // Nothing to wait for but the time; a signal may end it early, which does no harm.
    ppoll(&mut [], Some(time), None).ok();
}
