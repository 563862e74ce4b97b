//! A peer goes over to the supervisor's next build: everything in it, with tokens that can be written down.

use super::Peer;
use super::names::Names;

impl<T> Peer<T> {
    /// The same ids, queues, deadlines and counts, with what `token` makes of each pending call's token.
    pub fn copy<U>(&self, mut token: impl FnMut(&T) -> U) -> Peer<U> {
        Peer {
            limits: self.limits.clone(),
            framing: self.framing,
            table: self.table.copy(&mut token),
            control: self.control.clone(),
            data: self.data.clone(),
            waiting: self.waiting.clone(),
            taken: self.taken,
            written: self.written,
            deadlines: self.deadlines.clone(),
            names: Names::default(),
            in_flight: self.in_flight,
            released: self.released,
            working: self.working,
            abandoned: self.abandoned,
            abandoned_order: self.abandoned_order.clone(),
            late: self.late.clone(),
            requests: self.requests,
        }
    }
}
