//! Bytes into frames.
//!
//! A [`Framer`] is fed whatever was read and yields, in order, frames and everything that is none. Its output does
//! not depend on how the bytes were cut into reads, its memory is bounded by `max_frame` + 4 KiB, and after anything
//! unreadable it carries on behind the next line feed. A frame that lies whole in the bytes fed is yielded from there
//! without a copy; only an unfinished rest is kept.

mod content_length;
mod newline;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::id::Id;
use content_length::ContentLength;
use newline::Newline;

/// What a [`Framer`] found. Sizes are bytes of the line without its LF, one CR before that, and an initial BOM.
#[derive(Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// Text that begins with `{`, blanks around it trimmed. Whether it is a message is for
    /// [`decode`](crate::message::decode) to say.
    Frame(&'a str),
    /// A line that is no frame. Blank lines are nothing, not junk.
    Junk { kind: JunkKind, bytes: u64, line: &'a [u8] },
    /// A line beyond `max_frame`, skipped without being kept. `request` tells whether the id, if one could be made
    /// out, is that of the peer's own request rather than of an answer. `head` is its first 4 KiB at most.
    TooLong { bytes: u64, id: Option<Id>, request: bool, head: &'a [u8] },
    /// A line went past the hard cap of 4 × `max_frame`: nobody writes that by mistake of size. Said once, as soon
    /// as it is known; `bytes` is the cap, and the line yields nothing else.
    Runaway { bytes: u64 },
    /// Bytes without an end at end of file: kept to be shown, never to be acted upon.
    Tail { bytes: u64, kept: &'a [u8] },
    /// The framing is lost for good; nothing follows. Newline framing never loses it. `near`: the bytes that show it.
    Fatal { what: &'static str, near: &'a [u8] },
}

/// Why a line is no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JunkKind {
    /// Its first byte is not `{`.
    Text,
    /// `[` followed by `{` or `]`: a JSON-RPC batch, which this protocol does not have.
    Batch,
    /// It is not UTF-8.
    Utf8,
}

impl JunkKind {
    /// `text`, `batch`, `utf8`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Batch => "batch",
            Self::Utf8 => "utf8",
        }
    }
}

/// How messages are told apart on a byte stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Framing {
    /// One JSON object on one line, ended by LF.
    #[default]
    Newline,
    /// LSP's base protocol: headers, a blank line, and as many bytes as `Content-Length` says.
    ContentLength,
}

/// Cuts a byte stream into frames. What it holds of an unfinished one goes over to the supervisor's next build with it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Framer(Inner);

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Inner {
    Newline(Newline),
    ContentLength(ContentLength),
}

impl Framer {
    /// Frames of at most `max_frame` bytes.
    #[must_use]
    pub fn new(framing: Framing, max_frame: usize) -> Self {
        Self(match framing {
            Framing::Newline => Inner::Newline(Newline::new(max_frame)),
            Framing::ContentLength => Inner::ContentLength(ContentLength::new(max_frame)),
        })
    }

    /// A framer for one object a line.
    #[must_use]
    pub fn newline(max_frame: usize) -> Self {
        Self::new(Framing::Newline, max_frame)
    }

    /// A framer for LSP's base protocol.
    #[must_use]
    pub fn content_length(max_frame: usize) -> Self {
        Self::new(Framing::ContentLength, max_frame)
    }

    /// Takes what was read and hands every complete item to `sink`.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut impl FnMut(Item<'_>)) {
        match &mut self.0 {
            Inner::Newline(f) => f.feed(bytes, sink),
            Inner::ContentLength(f) => f.feed(bytes, sink),
        }
    }

    /// End of file: what is left is yielded as a [`Item::Tail`].
    pub fn finish(&mut self, sink: &mut impl FnMut(Item<'_>)) {
        match &mut self.0 {
            Inner::Newline(f) => f.finish(sink),
            Inner::ContentLength(f) => f.finish(sink),
        }
    }

    /// Whether an unfinished frame or line is being kept.
    #[must_use]
    pub fn mid_frame(&self) -> bool {
        match &self.0 {
            Inner::Newline(f) => f.mid_frame(),
            Inner::ContentLength(f) => f.mid_frame(),
        }
    }

    /// Gives back the memory that large frames left behind. For a link that has gone quiet; does nothing mid-frame.
    pub fn relax(&mut self) {
        match &mut self.0 {
            Inner::Newline(f) => f.relax(),
            Inner::ContentLength(f) => f.relax(),
        }
    }

    /// Bytes of heap memory held now.
    #[must_use]
    pub fn memory(&self) -> usize {
        match &self.0 {
            Inner::Newline(f) => f.memory(),
            Inner::ContentLength(f) => f.memory(),
        }
    }
}

/// Lines past this multiple of `max_frame` end the link.
const HARD_CAP: u64 = 4;

fn hard_cap(max: usize) -> u64 {
    (max as u64).saturating_mul(HARD_CAP)
}

/// Yields a complete text that is within the cap: a frame, junk, or nothing when it is blank.
fn judge(line: &[u8], sink: &mut impl FnMut(Item<'_>)) {
    let trimmed = trim(line);
    let Some(&first) = trimmed.first() else { return };
    let kind = match (std::str::from_utf8(trimmed), first) {
        (Ok(text), b'{') => return sink(Item::Frame(text)),
        (Ok(_), b'[') if matches!(trimmed.get(1), Some(b'{' | b']')) => JunkKind::Batch,
        (Ok(_), _) => JunkKind::Text,
        (Err(_), _) => JunkKind::Utf8,
    };
    sink(Item::Junk { kind, bytes: line.len() as u64, line });
}

/// Without spaces and tabs around.
fn trim(mut line: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = line {
        line = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = line {
        line = rest;
    }
    line
}

/// Makes room for `more` bytes, doubling as a vector does but never past `limit`.
fn grow(buf: &mut Vec<u8>, more: usize, limit: usize) {
    let need = buf.len() + more;
    if need > buf.capacity() {
        let capacity = need.max((buf.capacity() * 2).min(limit));
        buf.reserve_exact(capacity - buf.len());
    }
}

/// Appends to a window of the last bytes seen, which stays below twice `keep`.
fn push_tail(tail: &mut Vec<u8>, bytes: &[u8], keep: usize) {
    if bytes.len() >= keep {
        tail.clear();
        tail.extend_from_slice(&bytes[bytes.len() - keep..]);
        return;
    }
    if tail.len() + bytes.len() >= 2 * keep {
        tail.drain(..tail.len() + bytes.len() - keep);
    }
    tail.extend_from_slice(bytes);
}

fn last(bytes: &[u8], count: usize) -> &[u8] {
    &bytes[bytes.len().saturating_sub(count)..]
}

fn first(bytes: &[u8], count: usize) -> &[u8] {
    &bytes[..bytes.len().min(count)]
}
