//! LSP's base protocol: `Content-Length: N`, a blank line, N bytes.
//!
//! Header names in any case, LF alone accepted, other headers ignored. A block that has begun and brings no good
//! length is fatal: there is no way to find the next message. So is a header behind something else on its line, with a
//! blank line after it: the length before it was wrong, and what was read since is no message. Without that rule a peer
//! that counts characters for bytes would be junk for ever, line by line.

use memchr::memchr;
use serde::{Deserialize, Serialize};

use super::{Item, JunkKind, first, grow, hard_cap, last, push_tail};
use crate::salvage::{HEAD, TAIL, salvage};

/// Bytes of one header block, and what is kept of a junk line.
const BLOCK: usize = 4096;

/// Bytes of the end of a line that are looked at for a header, and shown when the framing is lost.
const LINE_END: usize = 64;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ContentLength {
    max: usize,
    state: State,
    /// The unfinished header line or body; of a body that is skipped, its head.
    #[serde(with = "crate::octets")]
    buf: Vec<u8>,
    #[serde(with = "crate::octets")]
    tail: Vec<u8>,
    /// The end of the line before, if that is a header behind something else.
    #[serde(with = "crate::octets", default)]
    stray: Vec<u8>,
    /// Bytes of the unfinished line that are not in `buf`.
    over: u64,
    /// Bytes taken since the last item.
    since: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    /// Between messages: lines that are no header are junk.
    Between,
    Headers {
        length: Option<u64>,
        block: usize,
    },
    Body {
        length: usize,
    },
    Skip {
        length: u64,
        left: u64,
    },
    Lost,
}

impl ContentLength {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            state: State::Between,
            buf: Vec::new(),
            tail: Vec::new(),
            stray: Vec::new(),
            over: 0,
            since: 0,
        }
    }

    pub(super) fn feed(&mut self, mut bytes: &[u8], sink: &mut impl FnMut(Item<'_>)) {
        while !bytes.is_empty() {
            let taken = match self.state {
                State::Between | State::Headers { .. } => self.feed_line(bytes, sink),
                State::Body { length } => self.feed_body(length, bytes, sink),
                State::Skip { length, left } => self.feed_skip(length, left, bytes, sink),
                State::Lost => return,
            };
            bytes = &bytes[taken..];
        }
    }

    pub(super) fn finish(&mut self, sink: &mut impl FnMut(Item<'_>)) {
        if self.mid_frame() {
            sink(Item::Tail { bytes: self.since, kept: &self.buf });
        }
        *self = Self::new(self.max);
        self.state = State::Lost;
    }

    pub(super) fn mid_frame(&self) -> bool {
        self.since > 0 && self.state != State::Lost
    }

    pub(super) fn relax(&mut self) {
        if self.buf.is_empty() {
            self.buf = Vec::new();
            self.tail = Vec::new();
        }
        if self.stray.is_empty() {
            self.stray = Vec::new();
        }
    }

    pub(super) fn memory(&self) -> usize {
        self.buf.capacity() + self.tail.capacity() + self.stray.capacity()
    }

    fn feed_line(&mut self, bytes: &[u8], sink: &mut impl FnMut(Item<'_>)) -> usize {
        let end = memchr(b'\n', bytes);
        let part = &bytes[..end.unwrap_or(bytes.len())];
        let kept = first(part, BLOCK - self.buf.len().min(BLOCK));
        grow(&mut self.buf, kept.len(), BLOCK);
        self.buf.extend_from_slice(kept);
        self.over += (part.len() - kept.len()) as u64;
        push_tail(&mut self.tail, last(part, LINE_END), LINE_END);
        let taken = part.len() + usize::from(end.is_some());
        self.since += taken as u64;
        if end.is_some() {
            self.line(sink);
        } else if self.over > 0 && matches!(self.state, State::Headers { .. }) {
            let buf = std::mem::take(&mut self.buf);
            self.lose(fatal(&buf), sink);
        } else if self.over > hard_cap(self.max) {
            self.lose(Item::Runaway { bytes: hard_cap(self.max) }, sink);
        }
        taken
    }

    /// A whole line is in `buf` (or its beginning, when it is long).
    fn line(&mut self, sink: &mut impl FnMut(Item<'_>)) {
        let buf = std::mem::take(&mut self.buf);
        let over = std::mem::take(&mut self.over);
        let ends_in_cr = self.tail.last() == Some(&b'\r');
        let stray = std::mem::take(&mut self.stray);
        let line = if over == 0 { buf.strip_suffix(b"\r").unwrap_or(&buf) } else { &buf };
        let (length, block) = match self.state {
            State::Headers { length, block } => (length, block + buf.len() + 1),
            _ => (None, buf.len() + 1),
        };
        let begun = self.state != State::Between;
        match (header(line), line.is_empty()) {
            _ if begun && (over > 0 || block > BLOCK) => self.lose(fatal(line), sink),
            (_, true) if begun => self.begin_body(length, sink),
            (_, true) if !stray.is_empty() => self.lose(fatal(&stray), sink),
            (_, true) => self.since = 0,
            (Some(Header::Length(Some(n))), _) if length.is_none() && over == 0 => {
                self.state = State::Headers { length: Some(n), block };
            }
            (Some(Header::Length(_)), _) if over == 0 => self.lose(fatal(line), sink),
            (Some(Header::Type), _) if over == 0 => self.state = State::Headers { length, block },
            (Some(_), _) if begun => self.state = State::Headers { length, block },
            (None, _) if begun => self.lose(fatal(line), sink),
            _ => {
                let bytes = line.len() as u64 + over - u64::from(over > 0 && ends_in_cr);
                let kind =
                    if std::str::from_utf8(line).is_ok() { JunkKind::Text } else { JunkKind::Utf8 };
                self.since = 0;
                if ends_in_header(&self.tail) {
                    self.stray = last(&self.tail, LINE_END).to_vec();
                }
                if bytes > hard_cap(self.max) {
                    self.lose(Item::Runaway { bytes: hard_cap(self.max) }, sink);
                } else {
                    sink(Item::Junk { kind, bytes, line });
                }
            }
        }
        self.buf = buf;
        self.buf.clear();
        self.tail.clear();
    }

    fn begin_body(&mut self, length: Option<u64>, sink: &mut impl FnMut(Item<'_>)) {
        self.state = match length {
            None => return self.lose(fatal(b""), sink),
            Some(n) if n > hard_cap(self.max) => {
                return self.lose(Item::Runaway { bytes: hard_cap(self.max) }, sink);
            }
            Some(0) => {
                self.since = 0;
                State::Between
            }
            Some(n) => match usize::try_from(n) {
                Ok(n) if n <= self.max => State::Body { length: n },
                _ => State::Skip { length: n, left: n },
            },
        };
    }

    fn feed_body(&mut self, length: usize, bytes: &[u8], sink: &mut impl FnMut(Item<'_>)) -> usize {
        let part = first(bytes, length - self.buf.len());
        self.since += part.len() as u64;
        if part.len() == length {
            judge_body(part, sink);
        } else {
            // Grown by what has come, never by what the header announced.
            grow(&mut self.buf, part.len(), length);
            self.buf.extend_from_slice(part);
            if self.buf.len() < length {
                return part.len();
            }
            judge_body(&self.buf, sink);
        }
        self.between();
        part.len()
    }

    fn feed_skip(
        &mut self,
        length: u64,
        left: u64,
        bytes: &[u8],
        sink: &mut impl FnMut(Item<'_>),
    ) -> usize {
        let part = first(bytes, usize::try_from(left).unwrap_or(usize::MAX));
        let head = first(part, HEAD.saturating_sub(self.buf.len()));
        grow(&mut self.buf, head.len(), HEAD);
        self.buf.extend_from_slice(head);
        push_tail(&mut self.tail, part, TAIL);
        self.since += part.len() as u64;
        let left = left - part.len() as u64;
        self.state = State::Skip { length, left };
        if left == 0 {
            let found = salvage(&self.buf, last(&self.tail, TAIL));
            sink(Item::TooLong {
                bytes: length,
                id: found.id,
                request: found.request,
                head: &self.buf,
            });
            self.between();
        }
        part.len()
    }

    fn between(&mut self) {
        self.buf.clear();
        self.tail.clear();
        self.stray.clear();
        self.since = 0;
        self.state = State::Between;
    }

    fn lose(&mut self, last_item: Item<'_>, sink: &mut impl FnMut(Item<'_>)) {
        self.between();
        self.state = State::Lost;
        sink(last_item);
    }
}

fn fatal(near: &[u8]) -> Item<'_> {
    Item::Fatal { what: "header", near: last(near, LINE_END) }
}

/// Whether a line that is no header ends in `Content-Length: N`.
fn ends_in_header(line_end: &[u8]) -> bool {
    let line = line_end.trim_ascii_end();
    let digits = line.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let name = line[..line.len() - digits].trim_ascii_end();
    digits > 0 && last(name, LENGTH.len()).eq_ignore_ascii_case(LENGTH)
}

const LENGTH: &[u8] = b"content-length:";

enum Header {
    /// `None` when the value is no length.
    Length(Option<u64>),
    Type,
    Other,
}

/// A line as `name: value` with a name of HTTP's token characters.
fn header(line: &[u8]) -> Option<Header> {
    let colon = memchr(b':', line)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if name.is_empty()
        || !name.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
    {
        return None;
    }
    Some(if name.eq_ignore_ascii_case(b"content-length") {
        let digits = value.trim_ascii();
        // A sign is no digit; more than 19 digits are no length that anybody means.
        let good =
            !digits.is_empty() && digits.len() <= 19 && digits.iter().all(u8::is_ascii_digit);
        let number = std::str::from_utf8(digits).ok().filter(|_| good).and_then(|d| d.parse().ok());
        Header::Length(number)
    } else if name.eq_ignore_ascii_case(b"content-type") {
        Header::Type
    } else {
        Header::Other
    })
}

/// As for a line, but a body may be pretty-printed over several.
fn judge_body(body: &[u8], sink: &mut impl FnMut(Item<'_>)) {
    let trimmed = body.trim_ascii();
    let kind = match (std::str::from_utf8(trimmed), trimmed) {
        (_, []) => return,
        (Ok(text), [b'{', ..]) => return sink(Item::Frame(text)),
        (Ok(_), [b'[', b'{' | b']', ..]) => JunkKind::Batch,
        (Ok(_), _) => JunkKind::Text,
        (Err(_), _) => JunkKind::Utf8,
    };
    sink(Item::Junk { kind, bytes: body.len() as u64, line: body });
}
