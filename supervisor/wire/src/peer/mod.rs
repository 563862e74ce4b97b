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
//! is accepted into it when another one ends: by turns between callers, in order within one. Answers and notifications
//! pass it by, because the plugin may need just those to end the call it is busy with.

mod books;
mod copy;
mod deadlines;
mod lane;
mod left;
mod names;
mod output;
mod table;
#[cfg(test)]
mod tests;
mod types;
mod waiting;

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::encode;
use crate::frame::Framing;
use crate::id::Id;
use deadlines::{Deadlines, Nanos, nanos};
use lane::Lane;
pub use left::Left;
use names::Names;
use table::{Call, Place, Slot, Table};
pub use types::{Answered, Cancelled, Expired, Limits, NewCall, Refusal, Resolved, Settled};
pub use waiting::Turn;
use waiting::Waiting;

/// Calls given up by their callers that are remembered until their answer comes.
const MAX_ABANDONED: usize = 1024;

/// Ids remembered as "an answer may still come" without holding their place.
const MAX_LATE: usize = 256;

/// One side of a link. `T` is what completes a call; it is opaque here.
#[derive(Debug, Serialize, Deserialize)]
pub struct Peer<T> {
    limits: Limits,
    /// How frames are set apart for whoever reads them. In the lanes each is a line.
    #[serde(default)]
    framing: Framing,
    table: Table<T>,
    control: Lane,
    data: Lane,
    /// Calls above the concurrency limit.
    waiting: Waiting,
    /// Bytes handed to the writer, and bytes it has written, since the link began.
    taken: u64,
    written: u64,
    deadlines: Deadlines,
    #[serde(skip)]
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
    /// A peer whose frames are lines.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self::framed(limits, Framing::Newline)
    }

    /// A peer whose frames are told apart in this way.
    #[must_use]
    pub fn framed(limits: Limits, framing: Framing) -> Self {
        Self {
            limits,
            framing,
            table: Table::new(),
            control: Lane::default(),
            data: Lane::default(),
            waiting: Waiting::default(),
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

    /// Visits what the writer has of calls, with their deadlines; the host's own left out.
    pub fn each_sent(&self, mut visit: impl FnMut(&T, Option<Duration>)) {
        let sent = |call: &&Call<T>| !call.control && matches!(call.place, Place::Out { .. });
        for call in self.table.calls().filter(sent) {
            visit(&call.token, call.deadline.map(Duration::from_nanos));
        }
    }

    /// The same as [`Peer::token`], to be changed.
    pub fn token_mut(&mut self, id: u32) -> Option<&mut T> {
        self.table.pending_mut(id).map(|call| &mut call.token)
    }

    /// The id that the next call gets.
    #[must_use]
    pub fn next_id(&mut self) -> u32 {
        self.table.next_id()
    }

    /// The tokens of all pending calls. Looks at each.
    pub fn tokens(&self) -> impl Iterator<Item = &T> {
        self.table.calls().map(|call| &call.token)
    }

    /// The ids of the pending calls whose tokens `wanted` names. Looks at each.
    #[must_use]
    pub fn find(&self, wanted: impl Fn(&T) -> bool) -> Vec<u32> {
        self.table.calls().filter(|call| wanted(&call.token)).map(|call| call.id).collect()
    }

    /// Gives back memory that a busy time left behind. For a link that has gone quiet.
    pub fn relax(&mut self) {
        self.control.relax();
        self.data.relax();
        self.waiting.relax();
        self.table.relax();
        self.deadlines.relax();
        self.abandoned_order.shrink_to_fit();
        self.late.shrink_to_fit();
    }
}

fn is_open<T>(table: &Table<T>, at: Nanos, id: u32) -> bool {
    table.pending(id).is_some_and(|call| call.deadline == Some(at))
}
