//! Calls by id.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::deadlines::Nanos;
use super::lane::Ticket;
use super::left::Left;
use super::waiting::Turn;

/// The largest id that is ever given out; the next one is 1 again.
const LAST_ID: u32 = i32::MAX as u32;

const FIRST_SLOTS: usize = 16;

/// A power-of-two array of slots, indexed by the low bits of the id. The peer picks the ids, so it passes over those
/// whose slot is taken, and nothing is hashed or chained.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Table<T> {
    slots: Vec<Slot<T>>,
    used: usize,
    /// The next id to be tried.
    next: u32,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Slot<T> {
    Free,
    Pending(Call<T>),
    /// Given up by its caller, while an answer may still come.
    Abandoned {
        id: u32,
        works: bool,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Call<T> {
    pub(super) id: u32,
    pub(super) turn: Turn,
    pub(super) works: bool,
    pub(super) control: bool,
    pub(super) place: Place,
    pub(super) deadline: Option<Nanos>,
    /// Where its frame says how much time is left.
    #[serde(default)]
    pub(super) left: Option<Left>,
    pub(super) since: Nanos,
    pub(super) method: Arc<str>,
    pub(super) token: T,
}

/// How far a call's frame has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Place {
    /// Held back by the concurrency limit.
    Waiting(Ticket),
    /// In its lane.
    Lane(Ticket),
    /// With the writer, as positions in the byte stream.
    Out { start: u64, end: u64 },
}

impl<T> Table<T> {
    pub(super) fn new() -> Self {
        Self { slots: Vec::new(), used: 0, next: 1 }
    }

    #[cfg(test)]
    pub(super) fn starting_at(next: u32) -> Self {
        Self { slots: Vec::new(), used: 0, next }
    }

    /// The id that the next call gets. It stays the same until [`Table::insert`].
    pub(super) fn next_id(&mut self) -> u32 {
        if self.used * 2 >= self.slots.len() {
            self.resize((self.slots.len() * 2).max(FIRST_SLOTS));
        }
        // At most half of the slots are taken, so this ends.
        while !matches!(self.slots[self.index(self.next)], Slot::Free) {
            self.next = after(self.next);
        }
        self.next
    }

    /// Enters a call under the id that [`Table::next_id`] gave.
    pub(super) fn insert(&mut self, call: Call<T>) {
        let at = self.index(call.id);
        self.next = after(call.id);
        self.slots[at] = Slot::Pending(call);
        self.used += 1;
    }

    pub(super) fn slot(&self, id: u32) -> &Slot<T> {
        match self.slots.get(self.index(id)) {
            Some(slot) if slot.id() == Some(id) => slot,
            _ => &Slot::Free,
        }
    }

    pub(super) fn pending(&self, id: u32) -> Option<&Call<T>> {
        match self.slot(id) {
            Slot::Pending(call) => Some(call),
            _ => None,
        }
    }

    pub(super) fn pending_mut(&mut self, id: u32) -> Option<&mut Call<T>> {
        let at = self.index(id);
        match self.slots.get_mut(at) {
            Some(Slot::Pending(call)) if call.id == id => Some(call),
            _ => None,
        }
    }

    /// Frees the id and gives what stood there.
    pub(super) fn remove(&mut self, id: u32) -> Slot<T> {
        let at = self.index(id);
        match self.slots.get_mut(at) {
            Some(slot) if slot.id() == Some(id) => {
                self.used -= 1;
                std::mem::replace(slot, Slot::Free)
            }
            _ => Slot::Free,
        }
    }

    /// Marks a pending call as given up and hands it out; its id stays taken.
    pub(super) fn abandon(&mut self, id: u32) -> Option<Call<T>> {
        let at = self.index(id);
        let slot = self.slots.get_mut(at).filter(|s| s.id() == Some(id))?;
        let Slot::Pending(call) = slot else { return None };
        let works = call.works && !call.control;
        match std::mem::replace(slot, Slot::Abandoned { id, works }) {
            Slot::Pending(call) => Some(call),
            _ => None,
        }
    }

    /// The same calls, each with another token.
    pub(super) fn copy<U>(&self, token: &mut impl FnMut(&T) -> U) -> Table<U> {
        let slots = self.slots.iter().map(|slot| match slot {
            Slot::Free => Slot::Free,
            Slot::Abandoned { id, works } => Slot::Abandoned { id: *id, works: *works },
            Slot::Pending(call) => Slot::Pending(Call {
                id: call.id,
                turn: call.turn,
                works: call.works,
                control: call.control,
                place: call.place,
                deadline: call.deadline,
                left: call.left,
                since: call.since,
                method: call.method.clone(),
                token: token(&call.token),
            }),
        });
        Table { slots: slots.collect(), used: self.used, next: self.next }
    }

    pub(super) fn calls(&self) -> impl Iterator<Item = &Call<T>> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Pending(call) => Some(call),
            _ => None,
        })
    }

    pub(super) fn calls_mut(&mut self) -> impl Iterator<Item = &mut Call<T>> {
        self.slots.iter_mut().filter_map(|slot| match slot {
            Slot::Pending(call) => Some(call),
            _ => None,
        })
    }

    /// Gives back memory that a burst of calls left behind.
    pub(super) fn relax(&mut self) {
        let fits = (self.used * 2 + 1).next_power_of_two().max(FIRST_SLOTS);
        if self.used == 0 {
            self.slots = Vec::new();
        } else if fits * 2 < self.slots.len() && self.distinct_in(fits) {
            self.resize(fits);
        }
    }

    fn distinct_in(&self, slots: usize) -> bool {
        let mut taken = vec![false; slots];
        self.slots.iter().filter_map(Slot::id).all(|id| {
            let at = id as usize & (slots - 1);
            !std::mem::replace(&mut taken[at], true)
        })
    }

    /// Ids that differ in few low bits differ in more low bits too, so growing never collides.
    fn resize(&mut self, slots: usize) {
        let old = std::mem::take(&mut self.slots);
        self.slots.reserve_exact(slots);
        self.slots.resize_with(slots, || Slot::Free);
        for slot in old {
            if let Some(id) = slot.id() {
                let at = self.index(id);
                self.slots[at] = slot;
            }
        }
    }

    fn index(&self, id: u32) -> usize {
        // An empty table has no slots, and then every index is out of bounds.
        id as usize & self.slots.len().wrapping_sub(1)
    }
}

impl<T> Slot<T> {
    fn id(&self) -> Option<u32> {
        match self {
            Self::Free => None,
            Self::Pending(call) => Some(call.id),
            Self::Abandoned { id, .. } => Some(*id),
        }
    }
}

fn after(id: u32) -> u32 {
    if id >= LAST_ID { 1 } else { id + 1 }
}
