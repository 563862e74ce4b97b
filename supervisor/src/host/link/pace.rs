//! How fast calls end, so that whoever is refused can be told when to come back.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A hint below this would only make callers spin.
const SOONEST: Duration = Duration::from_millis(10);

/// And beyond this nobody knows.
const LATEST: Duration = Duration::from_secs(10);

/// The time that calls have taken of late, their wait in the host included.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Pace {
    /// Moving average in nanoseconds; 0 before the first.
    average: u64,
}

impl Pace {
    /// One call was answered that took so long.
    pub(super) fn one_ended(&mut self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1);
        // An eighth of the way each time.
        self.average =
            if self.average == 0 { took } else { self.average - self.average / 8 + took / 8 };
    }

    /// In how long one of so many open calls will have ended, by the pace so far. `None` when there is none yet.
    #[must_use]
    pub(super) fn until_one_ends(&self, open: usize) -> Option<Duration> {
        let each = self.average / u64::try_from(open.max(1)).unwrap_or(u64::MAX);
        (self.average > 0).then(|| Duration::from_nanos(each).clamp(SOONEST, LATEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_follows_the_pace() {
        let ms = Duration::from_millis;
        let mut pace = Pace::default();
        assert_eq!(pace.until_one_ends(4), None);
        pace.one_ended(ms(400));
        assert_eq!(pace.until_one_ends(4), Some(ms(100)));
        assert_eq!(pace.until_one_ends(0), Some(ms(400)));
        assert_eq!(pace.until_one_ends(1000), Some(SOONEST));
        for _ in 0..100 {
            pace.one_ended(Duration::from_secs(3600));
        }
        assert_eq!(pace.until_one_ends(1), Some(LATEST));
    }
}
