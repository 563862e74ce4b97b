//! Method names, kept once.

use std::sync::Arc;

const SLOTS: usize = 32;

/// A small cache: a method that is called again costs no allocation, and whatever callers name, memory is bounded.
#[derive(Debug, Default)]
pub(super) struct Names {
    slots: Vec<Option<Arc<str>>>,
}

impl Names {
    pub(super) fn get(&mut self, name: &str) -> Arc<str> {
        if self.slots.is_empty() {
            self.slots.resize(SLOTS, None);
        }
        let slot = &mut self.slots[index(name)];
        match slot {
            Some(known) if **known == *name => Arc::clone(known),
            _ => Arc::clone(slot.insert(Arc::from(name))),
        }
    }
}

/// A collision costs an allocation and nothing else, so a cheap hash will do.
fn index(name: &str) -> usize {
    let mut hash = name.len() as u32;
    for byte in name.bytes() {
        hash = hash.wrapping_mul(31).wrapping_add(u32::from(byte));
    }
    (hash ^ hash >> 15) as usize % SLOTS
}
