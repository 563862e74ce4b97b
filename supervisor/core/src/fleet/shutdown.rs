//! The stop of everything: level by level, dependents first, in parallel within a level.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::{Event, StopReason};
use crate::fleet::{Effects, Fleet, Key, Work};
use crate::ladder::{From, LEFTOVERS, Ladder};
use crate::time::Time;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Shutdown {
    levels: Vec<Vec<Key>>,
    level_of: HashMap<Key, usize>,
    /// How many of each level still run.
    remaining: Vec<usize>,
    /// The level being stopped.
    current: usize,
    /// By how much every rung shrinks so that the sum of the levels fits into `shutdown_cap`.
    pub(crate) squeeze: f64,
}

impl Shutdown {
    pub(crate) fn one_is_over(&mut self, key: Key) {
        if let Some(&level) = self.level_of.get(&key) {
            self.remaining[level] = self.remaining[level].saturating_sub(1);
        }
    }

    pub(crate) fn is_down(&self) -> bool {
        self.remaining.iter().all(|&remaining| remaining == 0)
    }
}

impl Fleet {
    /// Stops everything: level by level, dependents first, in parallel within a level, within `shutdown_cap`.
    ///
    /// Nothing starts any more; commands that would start something are ignored. With `kill_now`, in this call
    /// or in a later one, every level goes to the kill at once.
    #[must_use = "an effect nobody runs is a lost order"]
    pub fn shutdown(&mut self, now: Time, kill_now: bool) -> Effects {
        let mut work = Work::new(now);
        if self.shutdown.is_none() {
            self.close(&mut work);
        }
        if kill_now {
            for key in self.keys().collect::<Vec<_>>() {
                if self.is_alive(key) {
                    self.apply(&mut work, key, |plugin, cx| {
                        plugin.step(Event::Stop { now: true, reason: StopReason::HostExit }, cx);
                    });
                }
            }
        }
        self.settle(work)
    }

    /// Whether the shutdown has come to its end: nothing runs, or nothing can be done about what does.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.shutdown.as_ref().is_some_and(Shutdown::is_down)
    }

    fn close(&mut self, work: &mut Work) {
        self.turns.set_open(false);
        let levels = self.levels();
        let squeeze = self.squeeze(work.now, &levels);
        let level_of = levels
            .iter()
            .enumerate()
            .flat_map(|(n, level)| level.iter().map(move |&key| (key, n)))
            .collect();
        let remaining = levels.iter().map(Vec::len).collect();
        self.shutdown = Some(Shutdown { levels, level_of, remaining, current: 0, squeeze });
        for key in self.keys().collect::<Vec<_>>() {
            if self.is_alive(key) {
                // Its turn comes with its level. If it ends before, it stays down.
                self.apply(work, key, |plugin, cx| {
                    plugin.common.want_down();
                    plugin.abandon_swap(false, StopReason::HostExit, cx);
                });
            } else {
                self.apply(work, key, |plugin, cx| {
                    plugin.step(Event::Stop { now: false, reason: StopReason::HostExit }, cx);
                });
            }
        }
        self.stop_level(work, 0);
    }

    fn stop_level(&mut self, work: &mut Work, level: usize) {
        let keys = self
            .shutdown
            .as_ref()
            .and_then(|shutdown| shutdown.levels.get(level))
            .cloned()
            .unwrap_or_default();
        for key in keys {
            if self.is_alive(key) {
                self.apply(work, key, |plugin, cx| {
                    plugin.step(Event::Stop { now: false, reason: StopReason::HostExit }, cx);
                });
            }
        }
    }

    /// On to the next level when the current one is down.
    pub(crate) fn advance_shutdown(&mut self, work: &mut Work) {
        while let Some(shutdown) = &mut self.shutdown
            && shutdown.remaining.get(shutdown.current) == Some(&0)
        {
            shutdown.current += 1;
            let level = shutdown.current;
            self.stop_level(work, level);
        }
    }

    /// What runs, by how far its dependents reach: nobody that runs depends on level 0, only level 0 on level 1.
    fn levels(&self) -> Vec<Vec<Key>> {
        let alive: Vec<Key> = self.keys().filter(|&key| self.is_alive(key)).collect();
        let mut dependents: HashMap<Key, usize> = alive.iter().map(|&key| (key, 0)).collect();
        for &key in &alive {
            for dependency in self.dependencies(key) {
                if let Some(count) = dependents.get_mut(&dependency) {
                    *count += 1;
                }
            }
        }
        let mut levels = Vec::new();
        let mut left = alive;
        while !left.is_empty() {
            let (mut level, rest): (Vec<Key>, Vec<Key>) =
                left.iter().partition(|key| dependents[key] == 0);
            left = rest;
            if level.is_empty() {
                // A circle, which no sound set of manifests has: all at once.
                level = std::mem::take(&mut left);
            }
            for &key in &level {
                for dependency in self.dependencies(key) {
                    if let Some(count) = dependents.get_mut(&dependency) {
                        *count = count.saturating_sub(1);
                    }
                }
            }
            levels.push(level);
        }
        levels
    }

    /// What each level may take at most is the longest ladder in it, and the patience with what outlives a leader. A stop
    /// that is under way keeps the ladder that it began with, whatever its policy says by now.
    fn squeeze(&self, now: Time, levels: &[Vec<Key>]) -> f64 {
        let longest = |level: &Vec<Key>| {
            let ladders = level.iter().filter_map(|&key| self.plugin(key));
            ladders
                .map(|plugin| {
                    let ladder = Ladder::new(&plugin.common.policy.stop, From::Drain, 1.0);
                    ladder.length().max(plugin.stop_left(now))
                })
                .max()
        };
        let ladders: Duration = levels.iter().filter_map(longest).sum();
        let leftovers = LEFTOVERS.saturating_mul(u32::try_from(levels.len()).unwrap_or(u32::MAX));
        if ladders + leftovers <= self.policy.shutdown_cap || ladders.is_zero() {
            return 1.0;
        }
        self.policy.shutdown_cap.saturating_sub(leftovers).as_secs_f64() / ladders.as_secs_f64()
    }
}
