//! Junk on stdout and log lines that were dropped, counted: what is loud, and what is due to be said.

use std::time::Duration;

use outboard_core::Time;
use serde::{Deserialize, Serialize};

/// More junk lines than this within a minute is noise.
pub(super) const LOUD_LINES: u64 = 100;

/// More junk bytes than this within a minute is noise.
pub(super) const LOUD_BYTES: u64 = 1 << 20;

const WINDOW: Duration = Duration::from_secs(60);

/// At most one event of a kind within this time.
const SAY_EVERY: Duration = Duration::from_secs(1);

/// The junk of one generation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Noise {
    window_from: Time,
    lines: u64,
    bytes: u64,
    /// Log lines that were dropped.
    lost: u64,
    loud: bool,
    unsaid: u64,
    said_at: Option<Time>,
}

/// What one junk line, or a look, changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// Noisy from now on, or quiet again.
    pub turned: Option<bool>,
    /// So many lines since the last time are to be said now.
    pub say: Option<u64>,
}

impl Noise {
    /// One more line of junk.
    pub(super) fn hear(&mut self, now: Time, bytes: u64) -> Heard {
        let mut heard = self.look(now);
        self.lines += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        self.unsaid += 1;
        heard.turned = heard.turned.or_else(|| self.turn_loud());
        heard.say = heard.say.or_else(|| self.due(now));
        heard
    }

    /// A log line was dropped. Gives whether that has made it noisy.
    pub(super) fn lose(&mut self, now: Time) -> Option<bool> {
        let turned = self.roll(now);
        self.lost += 1;
        turned.or_else(|| self.turn_loud())
    }

    /// Time passes: a quiet window ends the noise, and what was held back is due.
    pub(super) fn look(&mut self, now: Time) -> Heard {
        Heard { turned: self.roll(now), say: self.due(now) }
    }

    fn is_too_much(&self) -> bool {
        self.lines > LOUD_LINES || self.bytes > LOUD_BYTES || self.lost > 0
    }

    fn turn_loud(&mut self) -> Option<bool> {
        let turns = !self.loud && self.is_too_much();
        self.loud |= turns;
        turns.then_some(true)
    }

    /// Begins the next window once this one is over.
    fn roll(&mut self, now: Time) -> Option<bool> {
        if now.since(self.window_from) < WINDOW {
            return None;
        }
        let turns = self.loud && !self.is_too_much();
        self.loud &= !turns;
        self.window_from = now;
        (self.lines, self.bytes, self.lost) = (0, 0, 0);
        turns.then_some(false)
    }

    fn due(&mut self, now: Time) -> Option<u64> {
        let may = self.said_at.is_none_or(|at| now.since(at) >= SAY_EVERY);
        if self.unsaid == 0 || !may {
            return None;
        }
        self.said_at = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_start(Duration::from_millis(ms))
    }

    #[test]
    fn the_first_line_is_said_at_once_and_the_rest_once_a_second_with_the_count() {
        let mut noise = Noise::default();
        assert_eq!(noise.hear(at(0), 5).say, Some(1));
        assert_eq!(noise.hear(at(10), 5).say, None);
        assert_eq!(noise.hear(at(20), 5).say, None);
        assert_eq!(noise.look(at(1000)).say, Some(2));
        assert_eq!(noise.look(at(3000)).say, None);
    }

    #[test]
    fn more_than_the_bound_is_loud_until_a_quiet_minute() {
        let mut noise = Noise::default();
        for _ in 0..LOUD_LINES {
            assert_eq!(noise.hear(at(0), 1).turned, None);
        }
        assert_eq!(noise.hear(at(1), 1).turned, Some(true));
        assert_eq!(noise.look(at(60_000)).turned, None, "the loud minute itself has just ended");
        assert_eq!(noise.look(at(120_000)).turned, Some(false));
        assert_eq!(noise.hear(at(120_001), LOUD_BYTES + 1).turned, Some(true));
    }

    #[test]
    fn one_lost_log_line_is_loud_until_a_minute_without() {
        let mut noise = Noise::default();
        assert_eq!(noise.lose(at(0)), Some(true));
        assert_eq!(noise.lose(at(59_000)), None);
        assert_eq!(noise.lose(at(61_000)), None, "still");
        assert_eq!(noise.look(at(121_000)).turned, None);
        assert_eq!(noise.look(at(181_000)).turned, Some(false));
    }
}
