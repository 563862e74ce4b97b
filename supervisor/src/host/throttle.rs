//! Says a kind of thing at most once a second, and how often it was not said.

use std::time::Duration;

use outboard_core::Time;
use outboard_core::word::{self, Word};
use serde::{Deserialize, Serialize};

const EVERY: Duration = Duration::from_secs(1);

/// What one generation may put into the journal of its own accord: each event name on its own clock.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Throttle(Vec<Kind>);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kind {
    #[serde(with = "word")]
    event: Word,
    said_at: Time,
    unsaid: u64,
}

impl Throttle {
    /// Whether `event` may be said now; then with how many of its kind were not said before it.
    pub(crate) fn may(&mut self, event: &'static str, now: Time) -> Option<u64> {
        match self.0.iter_mut().find(|kind| kind.event == event) {
            Some(kind) if now.since(kind.said_at) < EVERY => {
                kind.unsaid += 1;
                None
            }
            Some(kind) => {
                kind.said_at = now;
                Some(std::mem::take(&mut kind.unsaid))
            }
            None => {
                self.0.push(Kind { event, said_at: now, unsaid: 0 });
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_said_once_a_second_with_the_count_of_the_rest() {
        let mut throttle = Throttle::default();
        let at = |ms| Time::from_start(Duration::from_millis(ms));
        assert_eq!(throttle.may("a", at(0)), Some(0));
        assert_eq!(throttle.may("a", at(10)), None);
        assert_eq!(throttle.may("b", at(10)), Some(0));
        assert_eq!(throttle.may("a", at(999)), None);
        assert_eq!(throttle.may("a", at(1000)), Some(2));
    }
}
