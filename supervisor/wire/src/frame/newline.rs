//! One object a line.

use memchr::memchr;
use serde::{Deserialize, Serialize};

use super::{Item, first, grow, hard_cap, judge, last, push_tail};
use crate::salvage::{HEAD, TAIL, salvage};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Only LF ends a line. The one CR before it and one BOM at the very start of the stream are not part of the line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Newline {
    max: usize,
    /// The unfinished line; only its head while the line is being skipped.
    #[serde(with = "crate::octets")]
    buf: Vec<u8>,
    /// The last bytes of a line that is being skipped, the last CR included.
    #[serde(with = "crate::octets")]
    tail: Vec<u8>,
    /// The line is beyond the cap.
    skipping: bool,
    /// Bytes of the line that are not in `buf`.
    skipped: u64,
    /// No LF has been seen yet: a BOM may lead.
    at_start: bool,
    runaway: bool,
}

impl Newline {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            buf: Vec::new(),
            tail: Vec::new(),
            skipping: false,
            skipped: 0,
            at_start: true,
            runaway: false,
        }
    }

    pub(super) fn feed(&mut self, mut bytes: &[u8], sink: &mut impl FnMut(Item<'_>)) {
        while let Some(end) = memchr(b'\n', bytes) {
            let line = &bytes[..end];
            bytes = &bytes[end + 1..];
            if self.buf.is_empty() {
                let line = if self.at_start { without_bom(line) } else { line };
                self.at_start = false;
                complete(line, self.max, sink);
            } else {
                self.keep(line);
                self.end_of_line(sink);
            }
        }
        if !bytes.is_empty() {
            self.keep(bytes);
            // One CR more may not count, so the cap is passed for sure only with two bytes more.
            if !self.runaway && self.length() > hard_cap(self.max) + 1 {
                self.runaway = true;
                sink(Item::Runaway { bytes: hard_cap(self.max) });
            }
        }
    }

    pub(super) fn finish(&mut self, sink: &mut impl FnMut(Item<'_>)) {
        if self.mid_frame() {
            sink(Item::Tail { bytes: self.buf.len() as u64 + self.skipped, kept: &self.buf });
        }
        self.reset();
    }

    pub(super) fn mid_frame(&self) -> bool {
        !self.buf.is_empty()
    }

    pub(super) fn relax(&mut self) {
        if self.buf.is_empty() {
            self.buf = Vec::new();
            self.tail = Vec::new();
        }
    }

    pub(super) fn memory(&self) -> usize {
        self.buf.capacity() + self.tail.capacity()
    }

    /// Bytes of the unfinished line so far, a last CR included, a BOM not.
    fn length(&self) -> u64 {
        let bom = if self.at_start && self.buf.starts_with(BOM) { BOM.len() } else { 0 };
        (self.buf.len() - bom) as u64 + self.skipped
    }

    /// Adds to the unfinished line, whole while it may still be within the cap.
    fn keep(&mut self, bytes: &[u8]) {
        const HEAD_AND_BOM: usize = HEAD + BOM.len();
        if !self.skipping {
            // A CR at the end and a BOM at the start may come on top of the cap.
            let limit = self.max + 1 + if self.at_start { BOM.len() } else { 0 };
            if bytes.len() <= limit.saturating_sub(self.buf.len()) {
                grow(&mut self.buf, bytes.len(), limit);
                self.buf.extend_from_slice(bytes);
                return;
            }
            self.skipping = true;
            push_tail(&mut self.tail, last(&self.buf, TAIL + 1), TAIL + 1);
            self.skipped = self.buf.len().saturating_sub(HEAD_AND_BOM) as u64;
            self.buf.truncate(HEAD_AND_BOM);
            self.buf.shrink_to(HEAD_AND_BOM);
        }
        let to_head = first(bytes, HEAD_AND_BOM - self.buf.len());
        grow(&mut self.buf, to_head.len(), HEAD_AND_BOM);
        self.buf.extend_from_slice(to_head);
        self.skipped += (bytes.len() - to_head.len()) as u64;
        push_tail(&mut self.tail, bytes, TAIL + 1);
    }

    fn end_of_line(&mut self, sink: &mut impl FnMut(Item<'_>)) {
        if !self.skipping {
            let line = if self.at_start { without_bom(&self.buf) } else { &self.buf };
            complete(line, self.max, sink);
        } else if !self.runaway {
            let tail = without_cr(&self.tail);
            let bytes = self.length() - (self.tail.len() - tail.len()) as u64;
            let head = if self.at_start { without_bom(&self.buf) } else { &self.buf };
            too_long(bytes, head, tail, self.max, sink);
        }
        self.at_start = false;
        self.reset();
    }

    fn reset(&mut self) {
        self.buf.clear();
        self.tail.clear();
        self.skipping = false;
        self.skipped = 0;
        self.runaway = false;
    }
}

/// A whole line, its LF and a BOM already taken off.
fn complete(line: &[u8], max: usize, sink: &mut impl FnMut(Item<'_>)) {
    let line = without_cr(line);
    if line.len() <= max {
        judge(line, sink);
    } else {
        too_long(line.len() as u64, line, line, max, sink);
    }
}

fn too_long(bytes: u64, head: &[u8], tail: &[u8], max: usize, sink: &mut impl FnMut(Item<'_>)) {
    if bytes > hard_cap(max) {
        return sink(Item::Runaway { bytes: hard_cap(max) });
    }
    // A short head may hold the CR that is not part of the line.
    let head = first(head, HEAD.min(usize::try_from(bytes).unwrap_or(HEAD)));
    let found = salvage(head, last(tail, TAIL));
    sink(Item::TooLong { bytes, id: found.id, request: found.request, head });
}

fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn without_bom(line: &[u8]) -> &[u8] {
    line.strip_prefix(BOM).unwrap_or(line)
}
