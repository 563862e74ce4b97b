//! The books behind a peer: who is admitted, and what is counted, withdrawn and remembered.

use std::time::Duration;

use serde_json::value::RawValue;

use super::deadlines::nanos;
use super::table::{Call, Place, Slot};
use super::waiting::Turn;
use super::{MAX_ABANDONED, MAX_LATE, NewCall, Peer, Refusal, is_open};
use crate::encode;
use crate::json::depth_within;
use crate::message::{Message, decode};

impl<T> Peer<T> {
    pub(super) fn bytes_of(&mut self, call: &NewCall<'_>) -> usize {
        let id = self.table.next_id();
        encode::request_len(id, call.method, (!call.params.is_empty()).then_some(call.params))
    }

    pub(super) fn accept(&mut self, now: Duration, call: &NewCall<'_>, token: T) -> u32 {
        let id = self.table.next_id();
        let params = (!call.params.is_empty()).then_some(call.params);
        let write = |out: &mut Vec<u8>| encode::request(out, id, call.method, params);
        let place = if call.control {
            Place::Lane(self.control.push(id, write))
        } else {
            self.in_flight += 1;
            self.working += usize::from(call.works);
            if self.released < self.limits.concurrency {
                self.released += 1;
                Place::Lane(self.data.push(id, write))
            } else {
                Place::Waiting(self.waiting.push(call.turn, id, write))
            }
        };
        let deadline = call.deadline.map(nanos);
        if let Some(at) = deadline {
            let table = &self.table;
            self.deadlines.add(at, id, |at, id| is_open(table, at, id));
        }
        self.table.insert(Call {
            id,
            turn: call.turn,
            works: call.works,
            control: call.control,
            place,
            deadline,
            left: call.left,
            since: nanos(now),
            method: self.names.get(call.method),
            token,
        });
        id
    }

    pub(super) fn admit_call(&self, call: &NewCall<'_>, bytes: usize) -> Result<(), Refusal> {
        self.admit_frame(bytes, call.params)?;
        if call.control {
            return Ok(());
        }
        if self.in_flight >= self.limits.in_flight {
            let room = self.in_flight < with_reserve(self.limits.in_flight);
            if !room || !self.is_newcomer(call.turn) {
                return Err(Refusal::Overloaded("pending"));
            }
        }
        if self.released >= self.limits.concurrency && !self.limits.queue_calls {
            return Err(Refusal::Overloaded("concurrency"));
        }
        self.admit_queue(bytes).or_else(|refusal| {
            let room = self.queued_bytes() + bytes <= with_reserve(self.limits.queue_bytes)
                && self.queued_frames() < with_reserve(self.limits.queue_frames);
            if room && self.is_newcomer(call.turn) { Ok(()) } else { Err(refusal) }
        })
    }

    /// This caller has no call open. Looks at all calls: asked only where a bound is reached.
    fn is_newcomer(&self, turn: Turn) -> bool {
        !self.table.calls().any(|call| !call.control && call.turn == turn)
    }

    pub(super) fn admit_frame(&self, bytes: usize, params: &str) -> Result<(), Refusal> {
        if bytes > self.limits.max_send {
            return Err(Refusal::TooLarge { bytes });
        }
        // The frame's outer object is the first level. Short texts cannot be that deep.
        let levels = self.limits.max_depth.saturating_sub(1);
        if params.len() > levels as usize && !depth_within(params.as_bytes(), levels) {
            return Err(Refusal::TooDeep);
        }
        Ok(())
    }

    pub(super) fn admit_queue(&self, bytes: usize) -> Result<(), Refusal> {
        let queued = self.queued_bytes();
        if queued == 0 {
            return Ok(());
        }
        if queued + bytes > self.limits.queue_bytes {
            return Err(Refusal::Overloaded("queue_bytes"));
        }
        if self.queued_frames() >= self.limits.queue_frames {
            return Err(Refusal::Overloaded("queue_frames"));
        }
        Ok(())
    }

    pub(super) fn can_release(&self) -> bool {
        self.released < self.limits.concurrency && !self.waiting.is_empty()
    }

    /// Lets waiting calls into their lane as far as the concurrency limit allows.
    pub(super) fn release(&mut self) {
        while self.can_release() {
            let data = &mut self.data;
            let taken = self
                .waiting
                .take(|id, frame| (id, data.push(id, |out| out.extend_from_slice(frame))));
            let Some((id, ticket)) = taken else { break };
            if let Some(call) = self.table.pending_mut(id) {
                call.place = Place::Lane(ticket);
            }
            self.released += 1;
        }
    }

    /// Takes a pending call from its caller, and out of the queue if it is still there. Second: it was sent.
    pub(super) fn give_up(&mut self, id: u32, keep: bool) -> Option<(Call<T>, bool)> {
        let sent = matches!(self.table.pending(id)?.place, Place::Out { .. });
        if sent && keep {
            let call = self.table.abandon(id)?;
            self.uncount(&call);
            self.abandoned += 1;
            self.working += usize::from(call.works && !call.control);
            self.remember_abandoned(id);
            return Some((call, true));
        }
        let Slot::Pending(call) = self.table.remove(id) else { return None };
        self.uncount(&call);
        if sent {
            self.remember_late(id);
        } else {
            self.withdraw(&call);
            self.compact();
        }
        Some((call, sent))
    }

    pub(super) fn uncount(&mut self, call: &Call<T>) {
        if call.deadline.is_some() {
            self.deadlines.close();
        }
        if !call.control {
            self.in_flight -= 1;
            self.working -= usize::from(call.works);
            self.released -= usize::from(!matches!(call.place, Place::Waiting(_)));
        }
    }

    /// The params of a call whose frame still lies in its lane, read back from there.
    pub(super) fn unwritten_params(&self, call: &Call<T>) -> Option<Box<str>> {
        let frame = match call.place {
            Place::Waiting(ticket) => self.waiting.frame(call.turn, ticket),
            Place::Lane(ticket) if call.control => self.control.frame(ticket),
            Place::Lane(ticket) => self.data.frame(ticket),
            Place::Out { .. } => None,
        }?;
        params_in(frame)
    }

    /// The writer can write no more. Visits the calls in what it took, `buffer` being the end of that, of which nothing
    /// is written: with method and params, as they can be made again.
    pub fn each_unwritten(&mut self, buffer: &[u8], mut visit: impl FnMut(&mut T, &str, Box<str>)) {
        let begin = self.taken.saturating_sub(buffer.len() as u64);
        let written = self.written;
        for call in self.table.calls_mut().filter(|call| !call.control) {
            let Place::Out { start, end } = call.place else { continue };
            let within = |at: u64| usize::try_from(at.checked_sub(begin)?).ok();
            let (Some(from), Some(to)) = (within(start), within(end)) else { continue };
            if start < written {
                continue;
            }
            if let Some(params) = buffer.get(from..to).and_then(params_in) {
                visit(&mut call.token, &call.method, params);
            }
        }
    }

    pub(super) fn withdraw(&mut self, call: &Call<T>) {
        match call.place {
            Place::Waiting(ticket) => self.waiting.withdraw(call.turn, ticket),
            Place::Lane(ticket) if call.control => self.control.withdraw(ticket),
            Place::Lane(ticket) => self.data.withdraw(ticket),
            Place::Out { .. } => {}
        }
    }

    pub(super) fn compact(&mut self) {
        let table = &mut self.table;
        let mut moved = |id, place| {
            if let Some(call) = table.pending_mut(id) {
                call.place = place;
            }
        };
        for lane in [&mut self.control, &mut self.data] {
            if lane.is_sparse() {
                lane.compact(|id, ticket| moved(id, Place::Lane(ticket)));
            }
        }
        self.waiting.compact(|id, ticket| moved(id, Place::Waiting(ticket)));
    }

    pub(super) fn remember_abandoned(&mut self, id: u32) {
        self.abandoned_order.push_back(id);
        while self.abandoned > MAX_ABANDONED {
            let Some(oldest) = self.abandoned_order.pop_front() else { break };
            if self.free_abandoned(oldest) {
                self.remember_late(oldest);
            }
        }
        if self.abandoned_order.len() > 2 * MAX_ABANDONED {
            let table = &self.table;
            self.abandoned_order.retain(|id| matches!(table.slot(*id), Slot::Abandoned { .. }));
        }
    }

    /// False when the id is not abandoned, or no longer.
    pub(super) fn free_abandoned(&mut self, id: u32) -> bool {
        let Slot::Abandoned { works, .. } = self.table.slot(id) else { return false };
        self.working -= usize::from(*works);
        self.abandoned -= 1;
        self.table.remove(id);
        true
    }

    /// An answer to this freed id is late for some time yet, and not unknown.
    pub(super) fn remember_late(&mut self, id: u32) {
        if self.late.len() >= MAX_LATE {
            self.late.pop_front();
        }
        self.late.push_back(id);
    }
}

/// A bound, and what is kept beyond it for callers that have nothing open.
fn with_reserve(bound: usize) -> usize {
    bound.saturating_add(bound.div_ceil(8))
}

/// The params of a request's frame, which may stand behind a header; empty for none.
fn params_in(frame: &[u8]) -> Option<Box<str>> {
    let frame = std::str::from_utf8(frame).ok()?.trim_end();
    let frame = &frame[frame.find('{')?..];
    match decode(frame, u32::MAX).ok()? {
        Message::Request { params, .. } => Some(params.map_or("", RawValue::get).into()),
        Message::Notification { .. } | Message::Response { .. } | Message::OrphanError { .. } => {
            None
        }
    }
}
