//! A plugin's last words: the newest lines of stderr, for `why` and for the calls that die with it.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::lines::lossless;

/// Lines kept.
const LINES: usize = 60;

/// Bytes kept, all lines together.
const BYTES: usize = 32 * 1024;

/// Bytes kept of one line.
const LINE: usize = 4 * 1024;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Line {
    /// When it was read: microseconds since the Unix epoch.
    at_us: i64,
    #[serde(with = "outboard_wire::octets::boxed")]
    text: Box<[u8]>,
}

/// A bounded ring of lines of one generation, masked before they came here.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Words {
    generation: u64,
    lines: VecDeque<Line>,
    bytes: usize,
    total: u64,
}

impl Words {
    /// None yet, of this generation.
    #[must_use]
    pub(crate) fn of(generation: u64) -> Self {
        Self { generation, ..Self::default() }
    }

    /// Adds the newest line of `generation`; the oldest make room. What is left of an earlier one, whose pipe is read
    /// for a while longer, is not this one's.
    pub(crate) fn push(&mut self, generation: u64, at_us: i64, line: &[u8]) {
        if generation != self.generation {
            return;
        }
        let line = &line[..line.len().min(LINE)];
        self.total += 1;
        self.bytes += line.len();
        self.lines.push_back(Line { at_us, text: line.into() });
        while self.lines.len() > LINES || (self.bytes > BYTES && self.lines.len() > 1) {
            self.bytes -= self.lines.pop_front().map_or(0, |l| l.text.len());
        }
    }

    /// The last `count` lines, oldest first, each put through `mask`.
    #[must_use]
    pub(crate) fn last(&self, count: usize, mask: impl Fn(String) -> String) -> Vec<String> {
        let skip = self.lines.len().saturating_sub(count);
        self.lines.iter().skip(skip).map(|line| mask(lossless(&line.text))).collect()
    }

    /// When each of the lines that are kept was read, oldest first: microseconds since the Unix epoch.
    #[must_use]
    pub(crate) fn times(&self) -> Vec<i64> {
        self.lines.iter().map(|line| line.at_us).collect()
    }

    /// Lines of this generation, those that made room included.
    #[must_use]
    pub(crate) fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_stay_within_the_bounds() {
        let mut words = Words::of(2);
        for n in 0..100 {
            words.push(2, n, format!("line {n}").as_bytes());
            words.push(1, n, b"late");
        }
        assert_eq!(words.last(2, |text| text.to_uppercase()), ["LINE 98", "LINE 99"]);
        assert_eq!((words.last(1000, |t| t).len(), words.total()), (LINES, 100));
        for _ in 0..20 {
            words.push(2, 0, &[b'x'; 2 * LINE]);
        }
        assert_eq!(words.last(1000, |t| t).len(), BYTES / LINE);
    }
}
