//! Time, of which tests know only two things: how long is too long, and how long something took.

use std::time::{Duration, Instant};

/// How long any one wait may last before the test is said to hang. Generous: it is no assertion about speed.
#[must_use]
pub fn hang_bound() -> Duration {
    let factor = std::env::var("OUTBOARD_TEST_FACTOR").ok().and_then(|factor| factor.parse().ok());
    Duration::from_secs(30).mul_f64(factor.unwrap_or(1.0_f64).max(0.1))
}

/// Runs from its making.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        clippy::new_without_default,
        reason = "the one clock of the tests"
    )]
    pub fn new() -> Self {
        Self(Instant::now())
    }

    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// The end of one wait.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    began: Stopwatch,
    bound: Duration,
}

impl Deadline {
    /// One [`hang_bound`] from now.
    #[must_use]
    pub fn hang() -> Self {
        Self::after(hang_bound())
    }

    #[must_use]
    pub fn after(bound: Duration) -> Self {
        Self { began: Stopwatch::new(), bound }
    }

    /// What is left; `None` when it has passed.
    #[must_use]
    pub fn left(self) -> Option<Duration> {
        self.bound.checked_sub(self.began.elapsed()).filter(|left| !left.is_zero())
    }

    /// What is left, for `poll`; 0 when it has passed.
    #[must_use]
    pub fn left_ms(self) -> i32 {
        let ms = self.left().map_or(0, |left| left.as_millis() + 1);
        i32::try_from(ms).unwrap_or(i32::MAX)
    }
}

/// Waits until `fd` has something to read. False when the deadline passes first.
pub fn readable(fd: &impl std::os::fd::AsRawFd, deadline: Deadline) -> bool {
    let mut entry = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    loop {
        // SAFETY: one valid entry.
        let ready = unsafe { libc::poll(&raw mut entry, 1, deadline.left_ms()) };
        match ready {
            1 => return true,
            0 if deadline.left().is_none() => return false,
            // A signal, or a little early.
            _ => {}
        }
    }
}

/// Waits for something that the kernel tells nobody about, by looking again and again.
///
/// # Panics
///
/// When it is not so within [`hang_bound`].
#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Deadline::hang();
    while !is_so() {
        assert!(deadline.left().is_some(), "{what}: not within {:?}", hang_bound());
        // SAFETY: no entries; only the time counts.
        unsafe { libc::poll(std::ptr::null_mut(), 0, 1) };
    }
}
