//! Level 2: ending a plugin's tree by walking it.
//!
//! The trees of living leaders are skipped, so that one exit among a thousand plugins costs one look at the keeper's own
//! children. Every leader is a child subreaper (unless its orphans are the keeper's), so its orphans stay beneath it,
//! and a child of the keeper that is no leader is the rest of a dead plugin.

use std::collections::HashMap;
use std::time::Duration;

use super::run::{REAPED_AT_ONCE, Server};
use super::slot::{Slots, Stage, Tally};
use crate::blueprint::KEY_VARIABLE;
use crate::book::{AdopteeEntry, SeenEntry};
use crate::order::Orphans;
use crate::protocol::FromKeeper;
use crate::reaper::RunMark;
use crate::sys::proc::{Stat, variable};
use crate::sys::process::signal_group;
use crate::tree::{Node, Phase};

/// Owner of what is left of plugins that are gone already.
const REMNANT: u32 = Slots::LIMIT + 1;

/// What is known between passes.
#[derive(Default)]
pub(super) struct Sweeper {
    /// A pass is needed.
    due: bool,
    /// Passes in a row that found nothing new.
    idle: u32,
    /// Processes that were seen in a plugin's tree: they are still its own when they have landed on the keeper.
    seen: HashMap<i32, Seen>,
    /// The keeper's children that belong to nobody (yet).
    adoptees: HashMap<i32, Adoptee>,
    remnant: Option<Phase>,
}

struct Seen {
    start: u64,
    owner: u32,
    /// Counted as swept.
    struck: bool,
}

struct Adoptee {
    start: u64,
    looks: u8,
}

/// What to do about a child of the keeper that is no leader.
enum Adoption {
    /// It belongs to a plugin that ends, or to the remnants: walk it.
    Owned(u32),
    /// It belongs to a living plugin, or is a known stray.
    Leave,
    /// Not known yet: the next look decides, and nobody is declared gone meanwhile.
    Unknown,
    /// It waits to be reaped.
    Ended {
        /// It may be the rest of a dead plugin, and then it may have left a child after the list was read: who forks
        /// and exits all the time is met like this only. Nobody is declared gone by this look.
        may_have_heirs: bool,
    },
}

/// Between passes that find nothing new; short at first, because a killed process is gone in a moment.
const SHORT: Duration = Duration::from_micros(200);
/// For what does not die: uninterruptible processes are looked at some twenty times a second, for as long as it takes.
const LONG: Duration = Duration::from_millis(50);
/// Idle passes before the pace slows down.
const PATIENCE: u32 = 200;

impl Sweeper {
    pub(super) fn look(&mut self) {
        self.due = true;
        self.idle = 0;
    }

    pub(super) fn is_due(&self) -> bool {
        self.due
    }

    pub(super) fn has_remnants(&self) -> bool {
        self.remnant.is_some()
    }

    /// What is known of the living, for the image that goes on.
    pub(super) fn entries(&self, slots: &Slots) -> (Vec<SeenEntry>, Vec<AdopteeEntry>) {
        let seen = self.seen.iter().filter_map(|(&pid, seen)| {
            let key = slots.get(seen.owner)?.key;
            Some(SeenEntry { pid, start: seen.start, key })
        });
        let adoptees = self.adoptees.iter().map(|(&pid, &Adoptee { start, looks })| AdopteeEntry {
            pid,
            start,
            looks,
        });
        (seen.collect(), adoptees.collect())
    }

    /// What the image before knew. Nobody was being swept.
    pub(super) fn remember_entries(
        &mut self,
        seen: Vec<SeenEntry>,
        adoptees: Vec<AdopteeEntry>,
        slots: &Slots,
    ) {
        for SeenEntry { pid, start, key } in seen {
            if let Some(owner) = slots.of_key(key) {
                self.seen.insert(pid, Seen { start, owner, struck: false });
            }
        }
        for AdopteeEntry { pid, start, looks } in adoptees {
            self.adoptees.insert(pid, Adoptee { start, looks });
        }
    }

    /// How long to wait before the next pass; `None` when none is needed.
    pub(super) fn pace(&self) -> Option<Duration> {
        self.due.then_some(match self.idle {
            0 => Duration::ZERO,
            1..PATIENCE => SHORT,
            PATIENCE.. => LONG,
        })
    }

    /// The number is free again.
    pub(super) fn reaped(&mut self, pid: i32) {
        self.adoptees.remove(&pid);
        self.seen.remove(&pid);
    }

    /// To be called when nobody is ending: what was seen of trees is of no use any more, but for the living.
    pub(super) fn forget(&mut self, slots: &Slots) {
        self.seen.retain(|_, seen| slots.get(seen.owner).is_some());
    }
}

impl Server {
    /// One pass over everything that ends.
    pub(super) fn pass(&mut self) {
        self.sweeper.due = false;
        self.walk.begin();
        let unknown = self.choose_roots();
        self.walk.descend();
        for &number in &self.ending {
            if let Some(ending) = self.slots.get_mut(number).and_then(|slot| slot.ending.as_mut()) {
                ending.pass = Tally::default();
            }
        }
        let mut remnants = Tally::default();
        let mut news = false;
        for i in 0..self.walk.nodes().len() {
            let node = self.walk.nodes()[i];
            news |= self.meet(node, &mut remnants);
        }
        news |= self.conclude(unknown, remnants);
        self.sweeper.idle = if news { 0 } else { self.sweeper.idle.saturating_add(1) };
    }

    /// Which of the keeper's children to walk. Gives the number of those that nobody can tell yet.
    fn choose_roots(&mut self) -> u32 {
        let mut children = std::mem::take(&mut self.children);
        self.walk.own_children(1, &mut children);
        let mut unknown = 0;
        let mut ended = 0;
        for &child in &children {
            if let Some(number) = self.slots.of_leader(child) {
                if self.slots.get(number).is_some_and(|slot| slot.ending.is_some() && !slot.ended) {
                    self.walk.root(child, number);
                }
                continue;
            }
            match self.adopt(child) {
                Adoption::Owned(owner) => self.walk.root(child, owner),
                Adoption::Leave => {}
                Adoption::Unknown => unknown += 1,
                Adoption::Ended { may_have_heirs } if ended < REAPED_AT_ONCE => {
                    ended += 1;
                    unknown += u32::from(may_have_heirs);
                    self.reap_adoptee(child);
                }
                Adoption::Ended { .. } => unknown += 1,
            }
        }
        self.children = children;
        unknown
    }

    fn adopt(&mut self, pid: i32) -> Adoption {
        // A child that was not waited for cannot vanish.
        let Some(stat) = self.walk.reader().stat(pid) else { return Adoption::Unknown };
        let owner = self.owner(pid, &stat);
        let is_of_living = |owner| self.slots.get(owner).is_some_and(|slot| slot.ending.is_none());
        if stat.is_over() {
            return Adoption::Ended { may_have_heirs: !owner.is_some_and(is_of_living) };
        }
        if let Some(owner) = owner {
            let is_living = is_of_living(owner);
            return if is_living { Adoption::Leave } else { Adoption::Owned(owner) };
        }
        let known = self
            .sweeper
            .adoptees
            .entry(pid)
            .and_modify(|known| known.looks = known.looks.saturating_add(1))
            .or_insert(Adoptee { start: stat.start, looks: 1 });
        if known.start != stat.start {
            *known = Adoptee { start: stat.start, looks: 1 };
        }
        let looks = known.looks;
        if self.slots.iter().any(|(_, slot)| slot.orphans == Orphans::Keeper) {
            // It may be a living plugin's, and then it is not ours to end.
            match looks {
                1 => return Adoption::Unknown,
                2 => self.outbox.push(FromKeeper::Stray { pid: pid.cast_unsigned() }),
                3.. | 0 => {}
            }
            return Adoption::Leave;
        }
        // The rest of a dead plugin. If there are several, it cannot be told whose linger it has, and gets none.
        let is_dead = |&number: &u32| self.slots.get(number).is_some_and(|slot| slot.ended);
        let mut dead = self.ending.iter().copied().filter(is_dead);
        match (dead.next(), dead.next()) {
            (Some(owner), None) => Adoption::Owned(owner),
            // Its leader's death may be in the poll already.
            (None, _) if looks == 1 => Adoption::Unknown,
            (None, _) | (Some(_), Some(_)) => Adoption::Owned(REMNANT),
        }
    }

    /// Whose it is, by ancestry (as far as it was seen), session, or mark.
    fn owner(&mut self, pid: i32, stat: &Stat) -> Option<u32> {
        if let Some(seen) = self.sweeper.seen.get(&pid)
            && seen.start == stat.start
            && (self.slots.get(seen.owner).is_some() || seen.owner == REMNANT)
        {
            return Some(seen.owner);
        }
        if let Some(number) = self.slots.of_leader(stat.session) {
            return Some(number);
        }
        let environ = self.walk.reader().environ(pid).ok()?;
        let run = self.run.to_string();
        if variable(environ, format!("{}=", RunMark::VARIABLE).as_bytes())? != run.as_bytes() {
            return None;
        }
        let key = variable(environ, format!("{KEY_VARIABLE}=").as_bytes())?;
        let key = u64::from_str_radix(std::str::from_utf8(key).ok()?, 16).ok()?;
        Some(self.slots.of_key(key).unwrap_or(REMNANT))
    }

    /// Acts on one listed process. Says whether it was somebody new.
    fn meet(&mut self, node: Node, remnants: &mut Tally) -> bool {
        let (stage, leader, tally) = if node.owner == REMNANT {
            let phase = *self.sweeper.remnant.get_or_insert(Phase::FREEZE);
            (Stage::Sweep(phase), 0, remnants)
        } else {
            let Some(slot) = self.slots.get_mut(node.owner) else { return false };
            let Some(ending) = &mut slot.ending else { return false };
            (ending.stage, slot.pid, &mut ending.pass)
        };
        let Some(stat) = node.stat else {
            tally.vanished += 1;
            tally.running += 1;
            return true;
        };
        let is_leader = node.pid == leader;
        if stat.is_over() {
            tally.zombies += u32::from(!is_leader);
            return false;
        }
        tally.others += u32::from(!is_leader);
        let Stage::Sweep(phase) = stage else {
            return self.remember_one(node, &stat, false);
        };
        let (signal, running) = phase.answer(&stat);
        tally.running += u32::from(running);
        let is_new = self.remember_one(node, &stat, true);
        if is_new
            && !is_leader
            && let Some(ending) = self.slots.get_mut(node.owner).and_then(|s| s.ending.as_mut())
        {
            ending.swept += 1;
        }
        if let Some(signal) = signal {
            self.walk.strike(node.pid, stat.start, signal);
        }
        is_new
    }

    /// Says whether it was not known, or not yet counted.
    fn remember_one(&mut self, node: Node, stat: &Stat, struck: bool) -> bool {
        let seen = Seen { start: stat.start, owner: node.owner, struck };
        match self.sweeper.seen.insert(node.pid, seen) {
            Some(before) if before.start == stat.start => struck && !before.struck,
            Some(_) | None => true,
        }
    }

    /// Who is gone, who moves to the next phase, and whether to look again.
    fn conclude(&mut self, unknown: u32, remnants: Tally) -> bool {
        let mut news = false;
        // Any of those may be the rest of any plugin that is about to be declared gone.
        let somebody = unknown > 0 || remnants != Tally::default();
        let mut gone = Vec::new();
        for &number in &self.ending {
            let Some(slot) = self.slots.get_mut(number) else { continue };
            let Some(ending) = &mut slot.ending else { continue };
            let Tally { others, zombies, running, vanished } = ending.pass;
            if slot.ended && others + zombies + vanished == 0 && !somebody {
                gone.push(number);
                continue;
            }
            match ending.stage {
                Stage::Linger { .. } => self.sweeper.due |= vanished + zombies > 0,
                Stage::Sweep(phase) => {
                    let next = phase.after(running);
                    if next == Phase::Kill {
                        // Whoever joined the group since. Its leader is not reaped, so the number is its own.
                        signal_group(slot.pid, libc::SIGKILL);
                    }
                    news |= phase != Phase::Kill && next == Phase::Kill;
                    ending.stage = Stage::Sweep(next);
                    self.sweeper.due = true;
                }
            }
        }
        for number in gone {
            news = true;
            self.finish(number);
        }
        if let Some(phase) = self.sweeper.remnant {
            let over = remnants == Tally::default();
            self.sweeper.remnant = (!over).then(|| phase.after(remnants.running));
        }
        self.sweeper.due |= somebody;
        news
    }

    /// Notes who is beneath a living plugin now, for the time when its orphans have landed on the keeper.
    pub(super) fn remember(&mut self, number: u32) {
        let Some(slot) = self.slots.get(number) else { return };
        let leader = slot.pid;
        self.walk.begin();
        self.walk.root(leader, number);
        self.walk.descend();
        for i in 0..self.walk.nodes().len() {
            let node = self.walk.nodes()[i];
            if let Some(stat) = node.stat
                && node.pid != leader
            {
                self.remember_one(node, &stat, false);
            }
        }
    }
}
