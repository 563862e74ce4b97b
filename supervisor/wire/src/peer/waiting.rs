//! Calls above the concurrency limit: a queue for each caller, and callers by turns.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::lane::{Lane, Ticket};

/// Whose call it is, as a number that the host chose. Callers that are not told apart share one.
pub type Turn = u32;

/// Frames that wait until the plugin takes one more call.
///
/// Each caller has a queue of its own, first in, first out; between callers the turn goes round. So whoever has one
/// call to make waits for one call of each other caller, however many those have.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Waiting {
    /// Callers with something to wait for, the next one in front. None of the queues is empty.
    queues: VecDeque<Queue>,
    /// The memory of the queue that ran empty last.
    #[serde(skip)]
    spare: Lane,
    bytes: usize,
    frames: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Queue {
    turn: Turn,
    lane: Lane,
}

impl Waiting {
    /// Appends what `write` writes as one frame of this caller.
    pub(super) fn push(&mut self, turn: Turn, id: u32, write: impl FnOnce(&mut Vec<u8>)) -> Ticket {
        let at = match self.of(turn) {
            Some(at) => at,
            None => {
                let lane = std::mem::take(&mut self.spare);
                self.queues.push_back(Queue { turn, lane });
                self.queues.len() - 1
            }
        };
        let lane = &mut self.queues[at].lane;
        let before = lane.bytes();
        let ticket = lane.push(id, write);
        self.bytes += lane.bytes() - before;
        self.frames += 1;
        ticket
    }

    /// Gives the frame whose turn it is to `put`, with its call; `None` when nobody waits.
    pub(super) fn take<R>(&mut self, put: impl FnOnce(u32, &[u8]) -> R) -> Option<R> {
        let mut queue = self.queues.pop_front()?;
        let taken = queue.lane.pop().map(|(id, range)| {
            self.bytes -= range.len();
            self.frames -= 1;
            put(id, queue.lane.slice(range))
        });
        queue.lane.settle();
        if queue.lane.is_empty() {
            self.keep(queue.lane);
        } else {
            self.queues.push_back(queue);
        }
        taken
    }

    /// The bytes of a frame that waits here.
    pub(super) fn frame(&self, turn: Turn, ticket: Ticket) -> Option<&[u8]> {
        self.queues[self.of(turn)?].lane.frame(ticket)
    }

    /// Takes a frame out of its caller's queue.
    pub(super) fn withdraw(&mut self, turn: Turn, ticket: Ticket) {
        let Some(at) = self.of(turn) else { return };
        let lane = &mut self.queues[at].lane;
        let (bytes, frames) = (lane.bytes(), lane.frames());
        lane.withdraw(ticket);
        self.bytes -= bytes - lane.bytes();
        self.frames -= frames - lane.frames();
        if lane.is_empty()
            && let Some(queue) = self.queues.remove(at)
        {
            self.keep(queue.lane);
        }
    }

    /// Rewrites the queues that hold much withdrawn matter, and tells each call its new ticket.
    pub(super) fn compact(&mut self, mut moved: impl FnMut(u32, Ticket)) {
        for Queue { lane, .. } in &mut self.queues {
            if lane.is_sparse() {
                lane.compact(&mut moved);
            }
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn frames(&self) -> usize {
        self.frames
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames == 0
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Gives back memory that nobody needs.
    pub(super) fn relax(&mut self) {
        self.spare = Lane::default();
        if self.queues.is_empty() {
            self.queues = VecDeque::new();
        }
    }

    fn of(&self, turn: Turn) -> Option<usize> {
        self.queues.iter().position(|queue| queue.turn == turn)
    }

    fn keep(&mut self, lane: Lane) {
        self.spare = lane;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(waiting: &mut Waiting, turn: Turn, id: u32) -> Ticket {
        waiting.push(turn, id, |out| out.extend(id.to_string().bytes()))
    }

    fn order(waiting: &mut Waiting) -> Vec<u32> {
        std::iter::from_fn(|| {
            waiting.take(|id, bytes| {
                assert_eq!(bytes, id.to_string().as_bytes());
                id
            })
        })
        .collect()
    }

    #[test]
    fn callers_go_by_turns_and_each_in_its_own_order() {
        let mut waiting = Waiting::default();
        for id in 10..14 {
            push(&mut waiting, 1, id);
        }
        push(&mut waiting, 2, 20);
        push(&mut waiting, 3, 30);
        push(&mut waiting, 2, 21);
        assert_eq!(waiting.frames(), 7);
        assert_eq!(order(&mut waiting), [10, 20, 30, 11, 21, 12, 13]);
        assert_eq!((waiting.frames(), waiting.bytes()), (0, 0));
    }

    #[test]
    fn who_comes_late_waits_for_one_call_of_each_other() {
        let mut waiting = Waiting::default();
        for id in 100..1000 {
            push(&mut waiting, 1, id);
        }
        assert_eq!(waiting.take(|id, _| id), Some(100));
        push(&mut waiting, 2, 7);
        assert_eq!(waiting.take(|id, _| id), Some(101));
        assert_eq!(waiting.take(|id, _| id), Some(7));
        assert_eq!(waiting.take(|id, _| id), Some(102));
    }

    #[test]
    fn what_is_withdrawn_is_not_counted_and_costs_nobody_a_turn() {
        let mut waiting = Waiting::default();
        let first = push(&mut waiting, 1, 10);
        push(&mut waiting, 1, 11);
        let only = push(&mut waiting, 2, 20);
        push(&mut waiting, 3, 30);
        waiting.withdraw(1, first);
        waiting.withdraw(2, only);
        waiting.withdraw(2, only);
        assert_eq!((waiting.frames(), waiting.bytes()), (2, 4));
        assert_eq!(order(&mut waiting), [11, 30]);
        // The memory of one that ran empty serves the next; its tickets do not.
        let again = push(&mut waiting, 4, 40);
        assert_eq!(waiting.frame(4, again), Some(&b"40"[..]));
        waiting.withdraw(4, only);
        assert_eq!(order(&mut waiting), [40]);
    }
}
