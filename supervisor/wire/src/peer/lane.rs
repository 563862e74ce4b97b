//! A queue of whole frames in one buffer.

use std::collections::VecDeque;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Frames that wait, in the order they were accepted. A frame can be withdrawn from the middle.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Lane {
    #[serde(with = "crate::octets")]
    bytes: Vec<u8>,
    /// Where the first frame starts in `bytes`.
    head: usize,
    frames: VecDeque<Frame>,
    /// The ticket of the first frame.
    first: u64,
    live_bytes: usize,
    live_frames: usize,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Frame {
    /// The call it belongs to; 0 for everything that is no call.
    id: u32,
    len: u32,
    withdrawn: bool,
}

/// Where a frame stands in its lane.
pub(super) type Ticket = u64;

/// Withdrawn bytes and taken bytes that are borne before the buffer is rewritten.
const SLACK: usize = 64 << 10;

impl Lane {
    /// Appends what `write` writes as one frame.
    pub(super) fn push(&mut self, id: u32, write: impl FnOnce(&mut Vec<u8>)) -> Ticket {
        let before = self.bytes.len();
        write(&mut self.bytes);
        let len = self.bytes.len() - before;
        // Frames are capped far below 4 GiB by `max_send`; an answer is bounded by what its maker holds in memory.
        self.frames.push_back(Frame {
            id,
            len: u32::try_from(len).expect("a frame below 4 GiB"),
            withdrawn: false,
        });
        self.live_bytes += len;
        self.live_frames += 1;
        self.first + self.frames.len() as u64 - 1
    }

    pub(super) fn bytes(&self) -> usize {
        self.live_bytes
    }

    pub(super) fn frames(&self) -> usize {
        self.live_frames
    }

    pub(super) fn is_empty(&self) -> bool {
        self.live_frames == 0
    }

    /// The bytes of a frame that waits here.
    pub(super) fn frame(&self, ticket: Ticket) -> Option<&[u8]> {
        let at = usize::try_from(ticket.checked_sub(self.first)?).ok()?;
        let frame = self.frames.get(at).filter(|frame| !frame.withdrawn)?;
        let start = self.head
            + self.frames.iter().take(at).map(|before| before.len as usize).sum::<usize>();
        self.bytes.get(start..start + frame.len as usize)
    }

    /// Takes a frame out of the queue.
    pub(super) fn withdraw(&mut self, ticket: Ticket) {
        let at = usize::try_from(ticket.wrapping_sub(self.first)).unwrap_or(usize::MAX);
        let Some(frame) = self.frames.get_mut(at).filter(|f| !f.withdrawn) else { return };
        frame.withdrawn = true;
        self.live_bytes -= frame.len as usize;
        self.live_frames -= 1;
        while let Some(frame) = self.frames.back().copied().filter(|f| f.withdrawn) {
            self.frames.pop_back();
            self.bytes.truncate(self.bytes.len() - frame.len as usize);
        }
        self.drop_withdrawn_head();
    }

    /// Whether so much withdrawn matter lies in the middle that [`Lane::compact`] is due.
    pub(super) fn is_sparse(&self) -> bool {
        let dead_bytes = self.bytes.len() - self.head - self.live_bytes;
        let dead_frames = self.frames.len() - self.live_frames;
        dead_bytes > SLACK.max(self.live_bytes) || dead_frames > 256.max(self.live_frames)
    }

    /// Rewrites the queue without what was withdrawn, and tells each call its new ticket.
    pub(super) fn compact(&mut self, mut moved: impl FnMut(u32, Ticket)) {
        let mut next = Self { first: self.first + self.frames.len() as u64, ..Self::default() };
        next.bytes.reserve(self.live_bytes);
        while let Some((id, range)) = self.pop() {
            let ticket = next.push(id, |out| out.extend_from_slice(&self.bytes[range]));
            moved(id, ticket);
        }
        *self = next;
    }

    /// Takes the first frame. Its bytes stay where they are until the lane is changed again.
    pub(super) fn pop(&mut self) -> Option<(u32, Range<usize>)> {
        self.drop_withdrawn_head();
        let frame = self.frames.pop_front()?;
        let start = self.head;
        self.head += frame.len as usize;
        self.first += 1;
        self.live_bytes -= frame.len as usize;
        self.live_frames -= 1;
        Some((frame.id, start..self.head))
    }

    pub(super) fn slice(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    /// Drops the bytes that were taken. To be called after a row of [`Lane::pop`]s.
    pub(super) fn settle(&mut self) {
        if self.frames.is_empty() {
            self.bytes.clear();
            self.head = 0;
        } else if self.head > SLACK && self.head > self.bytes.len() / 2 {
            self.bytes.drain(..self.head);
            self.head = 0;
        }
    }

    /// Moves whole frames to the end of `into`, in order, until `budget` bytes are passed or nothing is left; one
    /// frame at least. `each` is told the call, where its frame starts in `into`, and its length.
    pub(super) fn take(
        &mut self,
        into: &mut Vec<u8>,
        budget: usize,
        mut each: impl FnMut(u32, usize, usize),
    ) {
        self.drop_withdrawn_head();
        let contiguous = self.head == 0 && self.bytes.len() == self.live_bytes;
        if into.is_empty() && contiguous && (self.bytes.len() <= budget || self.frames.len() == 1) {
            let mut start = 0;
            for frame in self.frames.drain(..) {
                each(frame.id, start, frame.len as usize);
                start += frame.len as usize;
                self.first += 1;
            }
            self.live_bytes = 0;
            self.live_frames = 0;
            std::mem::swap(into, &mut self.bytes);
            return;
        }
        let mut taken = 0;
        while let Some(frame) = self.frames.front() {
            if taken > 0 && !frame.withdrawn && taken + frame.len as usize > budget {
                break;
            }
            let Some((id, range)) = self.pop() else { break };
            each(id, into.len(), range.len());
            taken += range.len();
            into.extend_from_slice(&self.bytes[range]);
        }
        self.settle();
    }

    pub(super) fn clear(&mut self) {
        *self = Self { first: self.first + self.frames.len() as u64, ..Self::default() };
    }

    /// Gives back memory that the queue does not need.
    pub(super) fn relax(&mut self) {
        if self.frames.is_empty() {
            self.clear();
        }
    }

    fn drop_withdrawn_head(&mut self) {
        while let Some(frame) = self.frames.front().copied().filter(|f| f.withdrawn) {
            self.frames.pop_front();
            self.head += frame.len as usize;
            self.first += 1;
        }
        if self.frames.is_empty() {
            self.bytes.clear();
            self.head = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lane: &mut Lane, budget: usize) -> String {
        let mut out = Vec::new();
        let mut seen = Vec::new();
        lane.take(&mut out, budget, |id, start, len| seen.push((id, start, len)));
        for (id, start, len) in seen {
            assert!(out[start..start + len].iter().all(|b| u32::from(b - b'0') == id));
        }
        String::from_utf8(out).unwrap()
    }

    fn push(lane: &mut Lane, id: u32, len: usize) -> Ticket {
        lane.push(id, |out| out.extend(std::iter::repeat_n(b'0' + id as u8, len)))
    }

    #[test]
    fn frames_leave_in_order_and_only_whole() {
        let mut lane = Lane::default();
        for id in 1..6 {
            push(&mut lane, id, 3);
        }
        assert_eq!(text(&mut lane, 7), "111222");
        assert_eq!(text(&mut lane, 1), "333");
        assert_eq!((lane.frames(), lane.bytes()), (2, 6));
        assert_eq!(text(&mut lane, 99), "444555");
        assert!(lane.is_empty());
        assert_eq!(text(&mut lane, 99), "");
    }

    #[test]
    fn a_frame_can_be_withdrawn_wherever_it_stands() {
        for gone in 1..=4 {
            let mut lane = Lane::default();
            let tickets: Vec<_> = (1..5).map(|id| push(&mut lane, id, 2)).collect();
            lane.withdraw(tickets[gone - 1]);
            lane.withdraw(tickets[gone - 1]);
            assert_eq!((lane.frames(), lane.bytes()), (3, 6));
            let want: String =
                (1..5).filter(|i| *i != gone).map(|i| i.to_string().repeat(2)).collect();
            assert_eq!(text(&mut lane, 99), want);
        }
    }

    #[test]
    fn withdrawn_matter_between_living_frames_does_not_pile_up() {
        let mut lane = Lane::default();
        push(&mut lane, 1, 10);
        let mut last = push(&mut lane, 2, 1000);
        for _ in 0..10_000 {
            let next = push(&mut lane, 2, 1000);
            lane.withdraw(last);
            last = next;
            if lane.is_sparse() {
                lane.compact(|id, ticket| {
                    if id == 2 {
                        last = ticket;
                    }
                });
            }
            assert!(lane.bytes.len() < 3 * SLACK && lane.frames.len() < 600);
        }
        assert_eq!((lane.frames(), lane.bytes()), (2, 1010));
        lane.withdraw(last);
        assert_eq!(text(&mut lane, 99), "1".repeat(10));
    }
}
