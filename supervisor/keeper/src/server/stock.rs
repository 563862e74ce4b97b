//! What a start needs and what does not depend on its order, made ahead of time.
//!
//! Making a cgroup takes longer than all the rest of what the keeper does for a start, so a few are kept that nobody lives
//! in; a stack comes back from each child that has left for its program. Whoever finds the shelves empty, as most of a
//! fleet that starts together does, makes its own.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::probe::Proven;
use super::run::Server;
use crate::cgroup::Leaf;
use crate::sys::process::Stack;
use crate::sys::raw::SHARES;

/// Leaves kept, and stacks. Each start that finds one leaves a gap that is filled soon after.
const KEPT: usize = 2;

/// Names tried for a leaf before that is given up: an earlier keeper of this run may have left some.
const NAMES: u64 = 64;

/// The way into a leaf.
pub(super) enum Way {
    /// The child is in no leaf.
    None,
    /// Its directory, to be born into.
    Inside(OwnedFd),
    /// A file that the child writes `0` into, as its first step.
    Door(OwnedFd),
}

impl Way {
    fn into(leaf: &Leaf, proven: &Proven) -> nix::Result<Way> {
        if proven.born_inside {
            leaf.dir(&proven.fleet).map(Way::Inside)
        } else {
            leaf.door(&proven.fleet).map(Way::Door)
        }
    }

    pub(super) fn dir(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Way::Inside(dir) => Some(dir.as_fd()),
            Way::None | Way::Door(_) => None,
        }
    }

    pub(super) fn door(&self) -> Option<&OwnedFd> {
        match self {
            Way::Door(door) => Some(door),
            Way::None | Way::Inside(_) => None,
        }
    }
}

#[derive(Default)]
pub(super) struct Stock {
    leaves: Vec<(Leaf, Way)>,
    stacks: Vec<Stack>,
    /// Something is to be made, once there is nothing else to do.
    wanted: bool,
    named: u64,
}

impl Stock {
    /// A child has left for its program, and what it took is missing. It is made once the keeper has nothing to do.
    pub(super) fn want(&mut self) {
        self.wanted = self.leaves.len() < KEPT;
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// A leaf without limits that nobody has lived in, and the way into it. One that is made for the order has a name
    /// that tells whose it is.
    pub(super) fn leaf(&mut self, proven: &Proven, name: &CStr) -> nix::Result<(Leaf, Way)> {
        match self.leaves.pop() {
            Some(leaf) => Ok(leaf),
            None => furnish(proven.fleet.leaf(name.to_string_lossy().into_owned())?, proven),
        }
    }

    /// Removes the leaves that are kept.
    pub(super) fn clear(&mut self, proven: &Proven) {
        for (leaf, _) in self.leaves.drain(..) {
            leaf.remove(&proven.fleet);
        }
    }

    /// A stack for the child; `None` where children get a copy of the memory.
    pub(super) fn stack(&mut self) -> nix::Result<Option<Stack>> {
        match self.stacks.pop() {
            Some(stack) => Ok(Some(stack)),
            None if SHARES => Stack::new().map(Some),
            None => Ok(None),
        }
    }

    /// Nobody runs on it any more.
    pub(super) fn put_back(&mut self, stack: Option<Stack>) {
        if self.stacks.len() < KEPT {
            self.stacks.extend(stack);
        }
    }

    fn add_leaf(&mut self, proven: &Proven) -> nix::Result<()> {
        let leaf = self.next_leaf(proven)?;
        self.leaves.push(furnish(leaf, proven)?);
        Ok(())
    }

    fn next_leaf(&mut self, proven: &Proven) -> nix::Result<Leaf> {
        for _ in 0..NAMES {
            self.named += 1;
            match proven.fleet.leaf(format!("leaf-{}", self.named)) {
                Err(Errno::EEXIST) => {}
                other => return other,
            }
        }
        Err(Errno::EEXIST)
    }
}

fn furnish(leaf: Leaf, proven: &Proven) -> nix::Result<(Leaf, Way)> {
    match Way::into(&leaf, proven) {
        Ok(way) => Ok((leaf, way)),
        Err(e) => {
            leaf.remove(&proven.fleet);
            Err(e)
        }
    }
}

impl Server {
    /// Makes one thing that is missing: an order that comes meanwhile waits for no more.
    pub(super) fn restock(&mut self) {
        self.stock.wanted = false;
        if let Some(proven) = &self.fleet
            // Whatever is in the way will be told by the start that it concerns.
            && self.stock.add_leaf(proven).is_ok()
        {
            self.stock.want();
        }
    }
}
