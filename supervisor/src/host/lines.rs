//! Cuts a byte stream that nobody trusts into log lines: bounded, lossless in what it keeps, never two records from one.

use serde::{Deserialize, Serialize};

/// A line longer than this is cut here and goes on as a continuation.
pub(super) const LINE_CAP: usize = 16 * 1024;

/// Cuts stderr into lines of at most [`LINE_CAP`] bytes.
///
/// Memory: at most one unfinished line. A line that never ends is yielded in pieces, each but the last marked as cut.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct LineCutter {
    cap: usize,
    #[serde(with = "outboard_wire::octets")]
    tail: Vec<u8>,
    /// The tail continues a line whose first part was already yielded.
    continues: bool,
}

/// One line, or one piece of an over-long line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub bytes: &'a [u8],
    /// A part of the same line was yielded before this one.
    pub continues: bool,
    /// The line goes on in the next piece.
    pub cut: bool,
}

impl Default for LineCutter {
    fn default() -> Self {
        Self::with_cap(LINE_CAP)
    }
}

impl LineCutter {
    /// Cuts at `cap` bytes, one at least.
    pub(super) fn with_cap(cap: usize) -> Self {
        Self { cap: cap.max(1), tail: Vec::new(), continues: false }
    }

    /// Feeds `bytes`; `sink` gets each line without its LF and CR.
    pub(super) fn feed(&mut self, mut bytes: &[u8], sink: &mut impl FnMut(Line<'_>)) {
        while !bytes.is_empty() {
            let room = self.cap - self.tail.len();
            let window = &bytes[..bytes.len().min(room + 1)];
            match memchr::memchr(b'\n', window) {
                Some(end) => {
                    let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
                    self.yield_line(line, false, sink);
                    bytes = rest;
                }
                None if window.len() > room => {
                    let (part, rest) = bytes.split_at(room);
                    self.yield_line(part, true, sink);
                    bytes = rest;
                }
                None => {
                    self.tail.extend_from_slice(bytes);
                    return;
                }
            }
        }
    }

    /// End of the stream: what is left without LF is a line too (last words before an abort seldom end in one).
    pub(super) fn finish(&mut self, sink: &mut impl FnMut(Line<'_>)) {
        if !self.tail.is_empty() {
            self.yield_line(&[], false, sink);
        }
        self.tail = Vec::new();
    }

    fn yield_line(&mut self, end: &[u8], cut: bool, sink: &mut impl FnMut(Line<'_>)) {
        let continues = std::mem::replace(&mut self.continues, cut);
        let mut give = |mut bytes: &[u8]| {
            if !cut && bytes.last() == Some(&b'\r') {
                bytes = &bytes[..bytes.len() - 1];
            }
            sink(Line { bytes, continues, cut });
        };
        if self.tail.is_empty() {
            give(end);
        } else {
            self.tail.extend_from_slice(end);
            give(&self.tail);
            self.tail.clear();
            self.tail.shrink_to(1024);
        }
    }
}

/// The bytes as text: what is not UTF-8 becomes `\xNN`, so nothing is lost and nothing is replaced in silence.
/// Control characters stay as they are; whoever shows the text makes them visible.
#[must_use]
pub(super) fn lossless(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            write!(text, "\\x{byte:02x}").expect("writing to a string cannot fail");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(chunks: &[&[u8]], finish: bool) -> Vec<(String, bool, bool)> {
        let mut cutter = LineCutter::default();
        let mut lines = Vec::new();
        let mut sink = |l: Line<'_>| lines.push((lossless(l.bytes), l.continues, l.cut));
        for chunk in chunks {
            cutter.feed(chunk, &mut sink);
        }
        if finish {
            cutter.finish(&mut sink);
        }
        lines
    }

    #[test]
    fn lines_do_not_depend_on_the_cuts() {
        let text = b"one\ntwo\r\n\nlast";
        let whole = cut(&[text], true);
        let bytewise: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(whole, cut(&bytewise, true));
        let texts: Vec<_> = whole.into_iter().map(|l| l.0).collect();
        assert_eq!(texts, ["one", "two", "", "last"]);
    }

    #[test]
    fn an_endless_line_is_cut_and_every_byte_is_kept() {
        let long = vec![b'x'; LINE_CAP * 2 + 5];
        let lines = cut(&[&long, b"\nnext\n"], false);
        let flags: Vec<_> = lines.iter().map(|(t, c, k)| (t.len(), *c, *k)).collect();
        assert_eq!(
            flags,
            [(LINE_CAP, false, true), (LINE_CAP, true, true), (5, true, false), (4, false, false)]
        );
    }

    #[test]
    fn a_line_of_exactly_the_cap_is_not_cut() {
        let mut line = vec![b'y'; LINE_CAP];
        line.push(b'\n');
        let lines = cut(&[&line], true);
        assert_eq!(lines.len(), 1);
        assert_eq!((lines[0].0.len(), lines[0].2), (LINE_CAP, false));
    }

    #[test]
    fn invalid_utf8_is_escaped_without_loss() {
        assert_eq!(lossless(b"a\xffb\xc3"), "a\\xffb\\xc3");
    }
}
