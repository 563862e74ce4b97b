//! Stdin as frames.

use std::ops::Range;

use crate::json;
use crate::sys;

/// One frame as it came in; members are raw JSON text.
#[derive(Clone, Default)]
pub(crate) struct Frame {
    pub(crate) id: Option<Vec<u8>>,
    pub(crate) method: Vec<u8>,
    pub(crate) params: Vec<u8>,
    /// Of an answer: the member and its value.
    pub(crate) outcome: Option<(&'static str, Vec<u8>)>,
}

impl Frame {
    fn parse(line: &[u8]) -> Self {
        let member = |name| json::member(line, name).map(<[u8]>::to_vec);
        Self {
            id: member("id"),
            method: member("method").map_or_else(Vec::new, |raw| json::unquoted(&raw).to_vec()),
            params: member("params").unwrap_or_else(|| b"{}".to_vec()),
            outcome: ["result", "error"]
                .into_iter()
                .find_map(|name| member(name).map(|value| (name, value))),
        }
    }
}

/// What stdin gave and nobody took yet.
#[derive(Default)]
pub(crate) struct Input {
    bytes: Vec<u8>,
    /// Bytes at the front that are known to hold no LF.
    searched: usize,
    /// Frames come behind headers, as LSP has it; else each is a line.
    pub(crate) headers: bool,
    ended: bool,
}

impl Input {
    /// Whether a whole frame is here.
    pub(crate) fn has_frame(&mut self) -> bool {
        if self.headers { self.behind_header().is_some() } else { self.has_line() }
    }

    /// Where the frame behind the next header is.
    fn behind_header(&self) -> Option<Range<usize>> {
        let blank = self.bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
        let header = std::str::from_utf8(&self.bytes[..blank]).ok()?;
        let length: usize = header.strip_prefix("Content-Length: ")?.parse().ok()?;
        let from = blank + 4;
        (self.bytes.len() >= from + length).then_some(from..from + length)
    }

    fn has_line(&mut self) -> bool {
        let unsearched = &self.bytes[self.searched..];
        let end = unsearched.iter().position(|&byte| byte == b'\n');
        self.searched += end.unwrap_or(unsearched.len());
        end.is_some()
    }

    /// The next whole frame, if it is here.
    pub(crate) fn take(&mut self) -> Option<Frame> {
        if self.headers {
            let body = self.behind_header()?;
            let frame = Frame::parse(&self.bytes[body.clone()]);
            self.bytes.drain(..body.end);
            return Some(frame);
        }
        if !self.has_line() {
            return None;
        }
        let line: Vec<u8> = self.bytes.drain(..=self.searched).collect();
        self.searched = 0;
        Some(Frame::parse(&line))
    }

    /// Reads once, which waits if nothing is there.
    pub(crate) fn read(&mut self) {
        let mut buffer = [0; 64 * 1024];
        let count = sys::read(0, &mut buffer);
        self.ended = count == 0;
        self.bytes.extend_from_slice(&buffer[..count]);
    }

    /// Whether end of file was read. A line cut off by it is never taken.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }
}
