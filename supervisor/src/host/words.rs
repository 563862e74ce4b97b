//! A plugin's last words: the newest lines of stderr, for `why` and for the calls that die with it.

use std::collections::VecDeque;
use std::sync::Arc;

/// Lines kept.
const LINES: usize = 60;

/// Bytes kept, all lines together.
const BYTES: usize = 32 * 1024;

/// A bounded ring of lines of one generation.
#[derive(Debug, Default)]
pub(crate) struct Words {
    lines: VecDeque<Arc<str>>,
    bytes: usize,
    total: u64,
}

impl Words {
    /// Adds the newest line; the oldest make room.
    pub(crate) fn push(&mut self, line: Arc<str>) {
        self.total += 1;
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.lines.len() > LINES || (self.bytes > BYTES && self.lines.len() > 1) {
            self.bytes -= self.lines.pop_front().map_or(0, |l| l.len());
        }
    }

    /// The last `count` lines, oldest first.
    #[must_use]
    pub(crate) fn last(&self, count: usize) -> Vec<String> {
        let skip = self.lines.len().saturating_sub(count);
        self.lines.iter().skip(skip).map(|l| l.to_string()).collect()
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
        let mut words = Words::default();
        for n in 0..100 {
            words.push(format!("line {n}").into());
        }
        assert_eq!(words.last(2), ["line 98", "line 99"]);
        assert_eq!((words.last(1000).len(), words.total()), (LINES, 100));
        for _ in 0..10 {
            words.push("x".repeat(BYTES / 2).into());
        }
        assert_eq!(words.last(1000).len(), 2);
    }
}
