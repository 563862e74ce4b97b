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

/// The last words of the newest generations: two may speak while one version takes over from another.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Words {
    rings: Vec<Ring>,
}

/// Generations whose words are kept.
const GENERATIONS: usize = 2;

/// A bounded ring of lines of one generation, masked before they came here.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Ring {
    generation: u64,
    lines: VecDeque<Line>,
    bytes: usize,
    total: u64,
}

impl Words {
    /// This generation begins to speak. Those of one that still speaks are kept, those of the one before it are not.
    pub(crate) fn begin(&mut self, generation: u64, still: Option<u64>) {
        self.rings.retain(|ring| Some(ring.generation) == still);
        self.rings.truncate(GENERATIONS - 1);
        self.rings.push(Ring { generation, ..Ring::default() });
    }

    /// Adds the newest line of `generation`; the oldest make room. What is left of an earlier one, whose pipe is read
    /// for a while longer, is nobody's.
    pub(crate) fn push(&mut self, generation: u64, at_us: i64, line: &[u8]) {
        if let Some(ring) = self.rings.iter_mut().find(|ring| ring.generation == generation) {
            ring.push(at_us, line);
        }
    }

    /// The last `count` lines of `generation`, oldest first, each put through `mask`.
    #[must_use]
    pub(crate) fn last(
        &self,
        generation: u64,
        count: usize,
        mask: impl Fn(String) -> String,
    ) -> Vec<String> {
        self.ring(generation).map_or_else(Vec::new, |ring| ring.last(count, mask))
    }

    /// When each of the lines of `generation` that are kept was read, oldest first: microseconds since the Unix epoch.
    #[must_use]
    pub(crate) fn times(&self, generation: u64) -> Vec<i64> {
        let ring = self.ring(generation);
        ring.map_or_else(Vec::new, |ring| ring.lines.iter().map(|line| line.at_us).collect())
    }

    /// Lines of `generation`, those that made room included.
    #[must_use]
    pub(crate) fn total(&self, generation: u64) -> u64 {
        self.ring(generation).map_or(0, |ring| ring.total)
    }

    fn ring(&self, generation: u64) -> Option<&Ring> {
        self.rings.iter().find(|ring| ring.generation == generation)
    }
}

impl Ring {
    fn push(&mut self, at_us: i64, line: &[u8]) {
        let line = &line[..line.len().min(LINE)];
        self.total += 1;
        self.bytes += line.len();
        self.lines.push_back(Line { at_us, text: line.into() });
        while self.lines.len() > LINES || (self.bytes > BYTES && self.lines.len() > 1) {
            self.bytes -= self.lines.pop_front().map_or(0, |l| l.text.len());
        }
    }

    fn last(&self, count: usize, mask: impl Fn(String) -> String) -> Vec<String> {
        let skip = self.lines.len().saturating_sub(count);
        self.lines.iter().skip(skip).map(|line| mask(lossless(&line.text))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_stay_within_the_bounds() {
        let mut words = Words::default();
        words.begin(2, None);
        for n in 0..100 {
            words.push(2, n, format!("line {n}").as_bytes());
            words.push(1, n, b"late");
        }
        assert_eq!(words.last(2, 2, |text| text.to_uppercase()), ["LINE 98", "LINE 99"]);
        assert_eq!((words.last(2, 1000, |t| t).len(), words.total(2)), (LINES, 100));
        words.begin(3, Some(2));
        words.push(3, 0, b"beside");
        assert_eq!((words.total(2), words.total(3)), (100, 1));
        for _ in 0..20 {
            words.push(2, 0, &[b'x'; 2 * LINE]);
        }
        assert_eq!(words.last(2, 1000, |t| t).len(), BYTES / LINE);
    }
}
