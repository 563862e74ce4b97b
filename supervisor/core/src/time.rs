//! Time as an argument.

use std::ops::Add;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point on the supervisor's monotonic clock, counted from the supervisor's own start.
///
/// The core never reads a clock: whoever calls [`step`](crate::Fleet::step) says what time it is.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize,
)]
pub struct Time(Duration);

impl Time {
    /// The supervisor's start.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// The point `since_start` after the supervisor's start.
    #[must_use]
    pub const fn from_start(since_start: Duration) -> Self {
        Self(since_start)
    }

    /// How long after the supervisor's start this point lies.
    #[must_use]
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// The span from `earlier` to this point; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }
}
