//! Frames on their way to the writer.

use std::time::Duration;

use super::Peer;
use super::deadlines::nanos;
use super::table::Place;
use crate::encode;
use crate::frame::Framing;

/// Bytes of data-lane frames handed to the writer at once, so that the control lane never waits behind more.
const TAKE: usize = 64 << 10;

impl<T> Peer<T> {
    /// Moves what may be written now to the end of `into`: whole frames, the control lane first, then at most 64 KiB
    /// of the data lane, unless one frame alone is larger. False when there is nothing.
    ///
    /// A call that says how much time it has left says it as of `now`; none of those goes behind a header. Handed an empty
    /// buffer it swaps rather than copies; give the same one back each time.
    pub fn take_output(&mut self, now: Duration, into: &mut Vec<u8>) -> bool {
        self.release();
        if self.control.is_empty() && self.data.is_empty() {
            return false;
        }
        let before = into.len();
        match self.framing {
            Framing::Newline => {
                let (base, table) = (self.taken, &mut self.table);
                let mut stamps = Vec::new();
                let mut each = |id, start, len| {
                    if let Some(call) = table.pending_mut(id) {
                        if let (Some(left), Some(deadline)) = (call.left, call.deadline) {
                            stamps.push((left, start..start + len, deadline));
                        }
                        let start = base + (start - before) as u64;
                        call.place = Place::Out { start, end: start + len as u64 };
                    }
                };
                self.control.take(into, usize::MAX, &mut each);
                self.data.take(into, TAKE, &mut each);
                for (left, frame, deadline) in stamps {
                    left.say(&mut into[frame], deadline.saturating_sub(nanos(now)));
                }
            }
            Framing::ContentLength => self.take_with_headers(into),
        }
        self.taken += (into.len() - before) as u64;
        true
    }

    /// The same, each frame behind a header and without its LF. A call's place begins with its header.
    fn take_with_headers(&mut self, into: &mut Vec<u8>) {
        let mut lines = Vec::new();
        let mut frames = Vec::new();
        let mut each = |id, _start, len| frames.push((id, len));
        self.control.take(&mut lines, usize::MAX, &mut each);
        self.data.take(&mut lines, TAKE, &mut each);
        let (base, before) = (self.taken, into.len());
        let mut rest = &lines[..];
        for (id, len) in frames {
            let (line, others) = rest.split_at(len);
            rest = others;
            let start = into.len();
            encode::behind_header(into, line);
            if let Some(call) = self.table.pending_mut(id) {
                let place = |at: usize| base + (at - before) as u64;
                call.place = Place::Out { start: place(start), end: place(into.len()) };
            }
        }
    }
}
