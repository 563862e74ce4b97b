//! One side of a link: ids, pending calls, lanes, limits and deadlines.
//!
//! A [`Peer`] turns calls into frames to be written and answers into the tokens of those calls. It holds no pipe and
//! reads no clock. The order of use:
//!
//! 1. [`Peer::call`], [`Peer::notify`] and [`Peer::answer`] put frames into lanes;
//! 2. the writer takes them with [`Peer::take_output`], writes, and reports with [`Peer::wrote`];
//! 3. for every answer read, [`Peer::resolve`] gives the token back, once;
//! 4. at [`Peer::next_deadline`], [`Peer::expire`] gives back the tokens that ran out of time;
//! 5. when the link ends, [`Peer::settle_all`] gives back all that is left.
//!
//! Each accepted call's token comes back exactly once, by `resolve`, `cancel`, `expire` or `settle_all`.
//!
//! Two lanes: frames of the control lane go before those of the data lane, never into the middle of one. Within a
//! lane, frames leave in the order they were accepted. A call above the concurrency limit waits before its lane, and
//! is accepted into it when another one ends; answers and notifications pass it by, because the plugin may need just
//! those to end the call it is busy with.

mod deadlines;
mod lane;
mod names;
mod table;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use crate::encode;
use crate::id::Id;
use crate::json::depth_within;
use crate::message::{Message, decode};
use deadlines::{Deadlines, Nanos, nanos};
use lane::Lane;
use names::Names;
use table::{Call, Place, Slot, Table};

/// Bytes of data-lane frames handed to the writer at once, so that the control lane never waits behind more.
const TAKE: usize = 64 << 10;

/// Calls given up by their callers that are remembered until their answer comes.
const MAX_ABANDONED: usize = 1024;

/// Ids remembered as "an answer may still come" without holding their place.
const MAX_LATE: usize = 256;

/// What one side of a link bears. Sizes are bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Inbound frame; for the framer, kept here because it is said to the plugin in the opening.
    pub max_frame: usize,
    /// Outbound frame, without its LF.
    pub max_send: usize,
    /// Nesting, the outer object counted as 1, both directions.
    pub max_depth: u32,
    /// Pending calls, waiting ones included.
    pub in_flight: usize,
    /// Calls that the plugin gets at once.
    pub concurrency: usize,
    /// The outbound queue: what no byte of the pipe holds yet.
    pub queue_bytes: usize,
    pub queue_frames: usize,
    /// Whether calls above `concurrency` wait; else they are refused.
    pub queue_calls: bool,
    /// The plugin's own requests in progress.
    pub plugin_requests: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_frame: crate::DEFAULT_MAX_FRAME,
            max_send: crate::DEFAULT_MAX_SEND,
            max_depth: crate::DEFAULT_MAX_DEPTH,
            in_flight: 1024,
            concurrency: 64,
            queue_bytes: 8 << 20,
            queue_frames: 1024,
            queue_calls: true,
            plugin_requests: 64,
        }
    }
}

/// A call to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewCall<'a> {
    pub method: &'a str,
    /// JSON text, written as it is; empty leaves the member out.
    pub params: &'a str,
    /// A point in time since the host's start.
    pub deadline: Option<Duration>,
    /// It keeps the plugin busy while it is open.
    pub works: bool,
    /// Of the host itself (opening, probe, drain, shutdown): control lane, exempt from all limits but `max_send` and
    /// `max_depth`, not counted as in flight.
    pub control: bool,
}

/// Why nothing was accepted. Nothing of it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The class of the error: `pending`, `concurrency`, `queue_bytes` or `queue_frames`.
    Overloaded(&'static str),
    TooLarge {
        bytes: usize,
    },
    TooDeep,
}

/// A call that was cancelled.
#[derive(Debug)]
pub struct Cancelled<T> {
    pub token: T,
    pub method: Arc<str>,
    /// It went to the writer: the plugin may act on it. Not taken back even while no byte is written yet.
    pub sent: bool,
    /// It was still queued and has been taken out: the plugin never hears of it.
    pub unwritten_removed: bool,
}

/// A call whose deadline passed.
#[derive(Debug)]
pub struct Expired<T> {
    pub id: u32,
    pub token: T,
    pub method: Arc<str>,
    /// As in [`Cancelled`]. An unsent one was taken out of the queue, and its id is free again.
    pub sent: bool,
    /// When it was accepted.
    pub since: Duration,
}

/// A pending call that an answer belongs to.
#[derive(Debug)]
pub struct Answered<T> {
    pub id: u32,
    pub token: T,
    pub method: Arc<str>,
    pub control: bool,
    /// When it was accepted.
    pub since: Duration,
}

/// Whose answer it is.
#[derive(Debug)]
pub enum Resolved<T> {
    Pending(Answered<T>),
    /// The caller has been told something else already.
    Late,
    /// Never sent, or answered before.
    Unknown,
}

/// A call that ended with its link.
#[derive(Debug)]
pub struct Settled<T> {
    pub id: u32,
    pub token: T,
    pub method: Arc<str>,
    /// A byte of it was written. If not, a retry is safe for any method.
    pub sent: bool,
    /// Its params, where the writer has not taken its frame: it can be made again as it was. Empty for none.
    pub params: Option<Box<str>>,
    pub deadline: Option<Duration>,
    pub control: bool,
    /// When it was accepted.
    pub since: Duration,
}

/// One side of a link. `T` is what completes a call; it is opaque here.
#[derive(Debug)]
pub struct Peer<T> {
    limits: Limits,
    table: Table<T>,
    control: Lane,
    data: Lane,
    /// Calls above the concurrency limit.
    waiting: Lane,
    /// Bytes handed to the writer, and bytes it has written, since the link began.
    taken: u64,
    written: u64,
    deadlines: Deadlines,
    names: Names,
    /// Pending calls that are not the host's own.
    in_flight: usize,
    /// Those of them that passed the concurrency limit.
    released: usize,
    /// Pending calls, the host's own left out, that count as work; and abandoned ones.
    working: usize,
    abandoned: usize,
    /// Abandoned ids, oldest first; answered ones are still in it.
    abandoned_order: VecDeque<u32>,
    late: VecDeque<u32>,
    requests: usize,
}

impl<T> Peer<T> {
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            table: Table::new(),
            control: Lane::default(),
            data: Lane::default(),
            waiting: Lane::default(),
            taken: 0,
            written: 0,
            deadlines: Deadlines::default(),
            names: Names::default(),
            in_flight: 0,
            released: 0,
            working: 0,
            abandoned: 0,
            abandoned_order: VecDeque::new(),
            late: VecDeque::new(),
            requests: 0,
        }
    }

    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Limits may change at any time; calls that a higher `concurrency` lets through go with the next
    /// [`Peer::take_output`].
    pub fn limits_mut(&mut self) -> &mut Limits {
        &mut self.limits
    }

    /// Accepts a call and gives its id.
    ///
    /// # Errors
    ///
    /// A [`Refusal`], and the token back.
    pub fn call(
        &mut self,
        now: Duration,
        call: NewCall<'_>,
        token: T,
    ) -> Result<u32, (Refusal, T)> {
        let bytes = self.bytes_of(&call);
        self.release();
        if let Err(refusal) = self.admit_call(&call, bytes) {
            return Err((refusal, token));
        }
        Ok(self.accept(now, &call, token))
    }

    /// Accepts a call that waited elsewhere, within other bounds: for the next generation of a plugin. Neither the
    /// number of calls nor the queue refuse it; the size of its frame may.
    ///
    /// # Errors
    ///
    /// A [`Refusal`], and the token back.
    pub fn readmit(
        &mut self,
        now: Duration,
        call: NewCall<'_>,
        token: T,
    ) -> Result<u32, (Refusal, T)> {
        let bytes = self.bytes_of(&call);
        self.release();
        match self.admit_frame(bytes, call.params) {
            Ok(()) => Ok(self.accept(now, &call, token)),
            Err(refusal) => Err((refusal, token)),
        }
    }

    fn bytes_of(&mut self, call: &NewCall<'_>) -> usize {
        let id = self.table.next_id();
        encode::request_len(id, call.method, (!call.params.is_empty()).then_some(call.params))
    }

    fn accept(&mut self, now: Duration, call: &NewCall<'_>, token: T) -> u32 {
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
                Place::Waiting(self.waiting.push(id, write))
            }
        };
        let deadline = call.deadline.map(nanos);
        if let Some(at) = deadline {
            let table = &self.table;
            self.deadlines.add(at, id, |at, id| is_open(table, at, id));
        }
        self.table.insert(Call {
            id,
            works: call.works,
            control: call.control,
            place,
            deadline,
            since: nanos(now),
            method: self.names.get(call.method),
            token,
        });
        id
    }

    /// Accepts a notification. On the control lane only its size can be refused.
    ///
    /// # Errors
    ///
    /// A [`Refusal`].
    pub fn notify(
        &mut self,
        control: bool,
        method: &str,
        params: Option<&str>,
    ) -> Result<(), Refusal> {
        let bytes = encode::notification_len(method, params);
        self.admit_frame(bytes, params.unwrap_or(""))?;
        if !control {
            self.admit_queue(bytes)?;
        }
        let lane = if control { &mut self.control } else { &mut self.data };
        lane.push(0, |out| encode::notification(out, method, params));
        Ok(())
    }

    /// Queues the answer to one of the plugin's own requests: JSON text, or code, message and perhaps data.
    ///
    /// Never refused: the cap on the plugin's requests bounds answers.
    pub fn answer(&mut self, id: &Id, outcome: Result<&str, (i64, &str, Option<&str>)>) {
        self.data.push(0, |out| match outcome {
            Ok(result) => encode::result(out, id, result),
            Err((code, message, data)) => encode::error(out, id, code, message, data),
        });
    }

    /// Queues an error answer whose object is given as JSON text. Never refused.
    pub fn answer_error(&mut self, id: &Id, object: &str) {
        self.data.push(0, |out| encode::error_raw(out, id, object));
    }

    /// Counts a request of the plugin as in progress; false when there are too many, and then nothing is counted.
    #[must_use]
    pub fn begin_request(&mut self) -> bool {
        let free = self.requests < self.limits.plugin_requests;
        self.requests += usize::from(free);
        free
    }

    /// A request that [`Peer::begin_request`] counted has been answered.
    pub fn end_request(&mut self) {
        self.requests = self.requests.saturating_sub(1);
    }

    /// Gives a call up, on its caller's behalf.
    ///
    /// `keep`: its answer will still come, and until then it counts as work. Without it the id is free at once; an
    /// answer that comes all the same is [`Resolved::Late`] for a while. A call that is still queued is taken out and
    /// its id is free either way. On a call already abandoned, `keep = false` frees the id and gives `None`.
    pub fn cancel(&mut self, id: u32, keep: bool) -> Option<Cancelled<T>> {
        if matches!(self.table.slot(id), Slot::Abandoned { .. }) {
            if !keep {
                self.free_abandoned(id);
                self.remember_late(id);
            }
            return None;
        }
        let (call, sent) = self.give_up(id, keep)?;
        self.release();
        Some(Cancelled { token: call.token, method: call.method, sent, unwritten_removed: !sent })
    }

    /// Takes out every call whose deadline is at or before `now`.
    ///
    /// What was sent is abandoned: its answer may still come, and it counts as work until then. Where none will,
    /// follow with [`Peer::cancel`] and `keep = false`.
    pub fn expire(&mut self, now: Duration, out: &mut Vec<Expired<T>>) {
        while let Some((at, id)) = self.deadlines.pop_due(nanos(now)) {
            if !is_open(&self.table, at, id) {
                continue;
            }
            let Some((call, sent)) = self.give_up(id, true) else { continue };
            let since = Duration::from_nanos(call.since);
            out.push(Expired { id, token: call.token, method: call.method, sent, since });
        }
        self.release();
    }

    /// Moves every open deadline: the host was late by this much, and the plugin must not pay for it.
    pub fn defer_deadlines(&mut self, by: Duration) {
        let by = nanos(by);
        let mut all = Vec::new();
        for call in self.table.calls_mut() {
            if let Some(at) = &mut call.deadline {
                *at = at.saturating_add(by);
                all.push((*at, call.id));
            }
        }
        self.deadlines.replace(all.into_iter());
    }

    /// The earliest open deadline.
    pub fn next_deadline(&mut self) -> Option<Duration> {
        let table = &self.table;
        self.deadlines.next(|at, id| is_open(table, at, id)).map(Duration::from_nanos)
    }

    /// Moves what may be written now to the end of `into`: whole frames, the control lane first, then at most 64 KiB
    /// of the data lane, unless one frame alone is larger. False when there is nothing.
    ///
    /// Handed an empty buffer it swaps rather than copies; give the same one back each time.
    pub fn take_output(&mut self, into: &mut Vec<u8>) -> bool {
        self.release();
        if self.control.is_empty() && self.data.is_empty() {
            return false;
        }
        let before = into.len();
        let (base, table) = (self.taken, &mut self.table);
        let mut each = |id, start, len| {
            if let Some(call) = table.pending_mut(id) {
                let start = base + (start - before) as u64;
                call.place = Place::Out { start, end: start + len as u64 };
            }
        };
        self.control.take(into, usize::MAX, &mut each);
        self.data.take(into, TAKE, &mut each);
        self.taken += (into.len() - before) as u64;
        true
    }

    /// The writer has put `bytes` more of what it took into the pipe.
    pub fn wrote(&mut self, bytes: usize) {
        self.written = self.taken.min(self.written + bytes as u64);
    }

    /// Whether anything waits for the writer, or is with it and not written.
    #[must_use]
    pub fn output_pending(&self) -> bool {
        !self.control.is_empty()
            || !self.data.is_empty()
            || self.written < self.taken
            || self.can_release()
    }

    /// Whether the last byte of a pending call's frame has been written.
    #[must_use]
    pub fn is_written(&self, id: u32) -> bool {
        matches!(self.table.pending(id), Some(Call { place: Place::Out { end, .. }, .. }) if *end <= self.written)
    }

    /// Whose answer carries this id. Takes the call out; a waiting one may go in its stead.
    pub fn resolve(&mut self, id: &Id) -> Resolved<T> {
        let Some(id) = id.as_own() else { return Resolved::Unknown };
        match self.table.slot(id) {
            // Nobody can answer what was not handed out: a guessed id ends no call.
            Slot::Pending(Call { place: Place::Out { .. }, .. }) => {}
            Slot::Pending(_) => return Resolved::Unknown,
            Slot::Abandoned { .. } => {
                self.free_abandoned(id);
                return Resolved::Late;
            }
            Slot::Free => {
                return match self.late.iter().position(|late| *late == id) {
                    Some(at) => {
                        self.late.remove(at);
                        Resolved::Late
                    }
                    None => Resolved::Unknown,
                };
            }
        }
        let Slot::Pending(call) = self.table.remove(id) else { return Resolved::Unknown };
        self.uncount(&call);
        self.release();
        Resolved::Pending(Answered {
            id,
            token: call.token,
            method: call.method,
            control: call.control,
            since: Duration::from_nanos(call.since),
        })
    }

    /// Ends calls with their link, in the order they were accepted.
    ///
    /// All of them, and then nothing is left to be written either. With `unsent_only`: those that the writer has not
    /// got, the host's own excepted; the rest goes on (the beginning of a drain).
    pub fn settle_all(&mut self, unsent_only: bool) -> Vec<Settled<T>> {
        let mut ids: Vec<(Nanos, u32)> = self
            .table
            .calls()
            .filter(|call| {
                !unsent_only || (!call.control && !matches!(call.place, Place::Out { .. }))
            })
            .map(|call| (call.since, call.id))
            .collect();
        ids.sort_unstable();
        let written = self.written;
        let mut settled = Vec::with_capacity(ids.len());
        for (_, id) in ids {
            let Slot::Pending(call) = self.table.remove(id) else { continue };
            let params = self.unwritten_params(&call);
            self.withdraw(&call);
            self.uncount(&call);
            settled.push(Settled {
                id,
                sent: matches!(call.place, Place::Out { start, .. } if start < written),
                params,
                deadline: call.deadline.map(Duration::from_nanos),
                control: call.control,
                since: Duration::from_nanos(call.since),
                method: call.method,
                token: call.token,
            });
        }
        if unsent_only {
            self.compact();
        } else {
            for id in std::mem::take(&mut self.abandoned_order) {
                self.free_abandoned(id);
            }
            self.late.clear();
            self.control.clear();
            self.data.clear();
            self.waiting.clear();
            self.taken = self.written;
        }
        settled
    }

    /// Pending calls, waiting ones included, the host's own left out.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Pending calls that the concurrency limit holds back.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.frames()
    }

    /// Calls that keep the plugin busy: pending ones that count as work, and abandoned ones that did.
    #[must_use]
    pub fn working(&self) -> usize {
        self.working
    }

    /// Calls given up whose answer may still come.
    #[must_use]
    pub fn abandoned(&self) -> usize {
        self.abandoned
    }

    /// The plugin's own requests in progress.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.requests
    }

    /// The latest deadline of the pending calls that count as work.
    #[must_use]
    pub fn latest_deadline(&self) -> Option<Duration> {
        let working = self.table.calls().filter(|call| call.works && !call.control);
        working.filter_map(|call| call.deadline).max().map(Duration::from_nanos)
    }

    /// Bytes accepted that are not in the pipe yet.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        let with_writer = usize::try_from(self.taken - self.written).unwrap_or(usize::MAX);
        self.control.bytes() + self.data.bytes() + self.waiting.bytes() + with_writer
    }

    /// Frames accepted that the writer has not taken yet.
    #[must_use]
    pub fn queued_frames(&self) -> usize {
        self.control.frames() + self.data.frames() + self.waiting.frames()
    }

    /// The method of a pending call.
    #[must_use]
    pub fn method(&self, id: u32) -> Option<&str> {
        self.table.pending(id).map(|call| &*call.method)
    }

    /// The token of a pending call, for progress that belongs to it.
    #[must_use]
    pub fn token(&self, id: u32) -> Option<&T> {
        self.table.pending(id).map(|call| &call.token)
    }

    /// The ids of the pending calls whose tokens `wanted` names. Looks at each.
    #[must_use]
    pub fn find(&self, wanted: impl Fn(&T) -> bool) -> Vec<u32> {
        self.table.calls().filter(|call| wanted(&call.token)).map(|call| call.id).collect()
    }

    /// Gives back memory that a busy time left behind. For a link that has gone quiet.
    pub fn relax(&mut self) {
        for lane in [&mut self.control, &mut self.data, &mut self.waiting] {
            lane.relax();
        }
        self.table.relax();
        self.deadlines.relax();
        self.abandoned_order.shrink_to_fit();
        self.late.shrink_to_fit();
    }

    fn admit_call(&self, call: &NewCall<'_>, bytes: usize) -> Result<(), Refusal> {
        self.admit_frame(bytes, call.params)?;
        if call.control {
            return Ok(());
        }
        if self.in_flight >= self.limits.in_flight {
            return Err(Refusal::Overloaded("pending"));
        }
        if self.released >= self.limits.concurrency && !self.limits.queue_calls {
            return Err(Refusal::Overloaded("concurrency"));
        }
        self.admit_queue(bytes)
    }

    fn admit_frame(&self, bytes: usize, params: &str) -> Result<(), Refusal> {
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

    fn admit_queue(&self, bytes: usize) -> Result<(), Refusal> {
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

    fn can_release(&self) -> bool {
        self.released < self.limits.concurrency && !self.waiting.is_empty()
    }

    /// Lets waiting calls into their lane as far as the concurrency limit allows.
    fn release(&mut self) {
        if !self.can_release() {
            return;
        }
        while self.can_release() {
            let Some((id, range)) = self.waiting.pop() else { break };
            let waiting = &self.waiting;
            let ticket = self.data.push(id, |out| out.extend_from_slice(waiting.slice(range)));
            if let Some(call) = self.table.pending_mut(id) {
                call.place = Place::Lane(ticket);
            }
            self.released += 1;
        }
        self.waiting.settle();
    }

    /// Takes a pending call from its caller, and out of the queue if it is still there. Second: it was sent.
    fn give_up(&mut self, id: u32, keep: bool) -> Option<(Call<T>, bool)> {
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

    fn uncount(&mut self, call: &Call<T>) {
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
    fn unwritten_params(&self, call: &Call<T>) -> Option<Box<str>> {
        let frame = match call.place {
            Place::Waiting(ticket) => self.waiting.frame(ticket),
            Place::Lane(ticket) if call.control => self.control.frame(ticket),
            Place::Lane(ticket) => self.data.frame(ticket),
            Place::Out { .. } => None,
        }?;
        let frame = std::str::from_utf8(frame).ok()?.trim_end();
        match decode(frame, u32::MAX).ok()? {
            Message::Request { params, .. } => Some(params.map_or("", RawValue::get).into()),
            Message::Notification { .. }
            | Message::Response { .. }
            | Message::OrphanError { .. } => None,
        }
    }

    fn withdraw(&mut self, call: &Call<T>) {
        match call.place {
            Place::Waiting(ticket) => self.waiting.withdraw(ticket),
            Place::Lane(ticket) if call.control => self.control.withdraw(ticket),
            Place::Lane(ticket) => self.data.withdraw(ticket),
            Place::Out { .. } => {}
        }
    }

    fn compact(&mut self) {
        let table = &mut self.table;
        for (lane, is_waiting) in
            [(&mut self.control, false), (&mut self.data, false), (&mut self.waiting, true)]
        {
            if lane.is_sparse() {
                lane.compact(|id, ticket| {
                    if let Some(call) = table.pending_mut(id) {
                        call.place =
                            if is_waiting { Place::Waiting(ticket) } else { Place::Lane(ticket) };
                    }
                });
            }
        }
    }

    fn remember_abandoned(&mut self, id: u32) {
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
    fn free_abandoned(&mut self, id: u32) -> bool {
        let Slot::Abandoned { works, .. } = self.table.slot(id) else { return false };
        self.working -= usize::from(*works);
        self.abandoned -= 1;
        self.table.remove(id);
        true
    }

    /// An answer to this freed id is late for some time yet, and not unknown.
    fn remember_late(&mut self, id: u32) {
        if self.late.len() >= MAX_LATE {
            self.late.pop_front();
        }
        self.late.push_back(id);
    }
}

fn is_open<T>(table: &Table<T>, at: Nanos, id: u32) -> bool {
    table.pending(id).is_some_and(|call| call.deadline == Some(at))
}
