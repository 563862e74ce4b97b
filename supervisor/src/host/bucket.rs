//! A token bucket: how many log lines may pass.

use outboard_core::Time;
use serde::{Deserialize, Serialize};

/// At most `rate` a second, with bursts of up to `burst`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Bucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    at: Time,
}

impl Bucket {
    /// Full at `now`.
    #[must_use]
    pub(super) fn new(rate: u32, burst: u32, now: Time) -> Self {
        Self { rate: rate.into(), burst: burst.into(), tokens: burst.into(), at: now }
    }

    /// Takes one token if there is one.
    pub(super) fn take(&mut self, now: Time) -> bool {
        let gained = now.since(self.at).as_secs_f64() * self.rate;
        self.tokens = (self.tokens + gained).min(self.burst);
        self.at = now;
        let granted = self.tokens >= 1.0;
        if granted {
            self.tokens -= 1.0;
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let mut bucket = Bucket::new(10, 3, Time::ZERO);
        let at = |ms| Time::from_start(Duration::from_millis(ms));
        let granted: Vec<bool> = [0, 0, 0, 0, 50, 100, 100].map(|ms| bucket.take(at(ms))).to_vec();
        assert_eq!(granted, [true, true, true, false, false, true, false]);
    }
}
