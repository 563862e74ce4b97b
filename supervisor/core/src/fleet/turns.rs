//! Whose turn it is to start: `start_concurrency` and the storm guard.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fleet::Key;
use crate::policy::{Budget, FleetPolicy};
use crate::time::Time;

/// While the storm guard holds, one restart goes out in this time, over all plugins.
const STORM_GAP: Duration = Duration::from_secs(1);

/// Two queues in one order: what the storm guard holds back never stands in front of a first start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Turns {
    limit: usize,
    taken: usize,
    next_ticket: u64,
    starts: BTreeMap<u64, Key>,
    restarts: BTreeMap<u64, Key>,
    /// There is a keeper to spawn with, and the fleet is not being shut down.
    open: bool,
    guard: StormGuard,
}

/// What the queue has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// With the ticket that it waited with.
    Start(Key, u64),
    /// The restart of this one tripped the storm guard.
    StormBegan(Key),
    Nobody,
}

/// Past so many restarts within so long, one restart a second, until nobody was held back for that long.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct StormGuard {
    budget: Budget,
    recent: VecDeque<Time>,
    /// When the storm is over unless another restart is held back before.
    calm_at: Option<Time>,
}

impl Turns {
    pub(crate) fn new(policy: &FleetPolicy) -> Self {
        Self {
            limit: policy.start_concurrency.max(1),
            taken: 0,
            next_ticket: 0,
            starts: BTreeMap::new(),
            restarts: BTreeMap::new(),
            open: true,
            guard: StormGuard { budget: policy.storm, recent: VecDeque::new(), calm_at: None },
        }
    }

    /// Turns that are taken stay taken.
    pub(crate) fn set_policy(&mut self, policy: &FleetPolicy) {
        self.limit = policy.start_concurrency.max(1);
        self.guard.budget = policy.storm;
    }

    pub(crate) fn set_open(&mut self, open: bool) {
        self.open = open;
    }

    pub(crate) fn join(&mut self, key: Key, restart: bool) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let queue = if restart { &mut self.restarts } else { &mut self.starts };
        queue.insert(ticket, key);
        ticket
    }

    pub(crate) fn leave(&mut self, ticket: u64) {
        self.starts.remove(&ticket);
        self.restarts.remove(&ticket);
    }

    /// A plugin that held `before` turns holds `after` now.
    pub(crate) fn recount(&mut self, before: usize, after: usize) {
        self.taken = (self.taken + after).saturating_sub(before);
    }

    /// Who may start now. The turn is taken when it does.
    pub(crate) fn next(&mut self, now: Time) -> Next {
        if !self.open || self.taken >= self.limit {
            return Next::Nobody;
        }
        let start = self.starts.first_key_value().map(|(&ticket, &key)| (ticket, key));
        let restart = self.restarts.first_key_value().map(|(&ticket, &key)| (ticket, key));
        if let Some((ticket, key)) = restart
            && start.is_none_or(|(earlier, _)| ticket < earlier)
        {
            match self.guard.admits(now) {
                Admits::Yes => {
                    self.guard.recent.push_back(now);
                    return Next::Start(key, ticket);
                }
                Admits::StormBegan => return Next::StormBegan(key),
                Admits::No => {}
            }
        }
        start.map_or(Next::Nobody, |(ticket, key)| Next::Start(key, ticket))
    }

    /// Until when a restart is held back by nothing but the storm guard.
    pub(crate) fn held_until(&self) -> Option<Time> {
        if !self.open || self.taken >= self.limit || self.guard.calm_at.is_none() {
            return None;
        }
        (!self.restarts.is_empty()).then(|| self.guard.next_gap())
    }
}

enum Admits {
    Yes,
    No,
    StormBegan,
}

impl StormGuard {
    fn admits(&mut self, now: Time) -> Admits {
        let within = self.budget.within;
        self.recent.retain(|&at| now.since(at) < within);
        if self.calm_at.is_some_and(|calm_at| now >= calm_at) {
            self.calm_at = None;
        }
        if self.calm_at.is_some() {
            if now >= self.next_gap() {
                return Admits::Yes;
            }
            self.calm_at = Some(now + within);
            return Admits::No;
        }
        if self.recent.len() < self.budget.restarts as usize {
            return Admits::Yes;
        }
        self.calm_at = Some(now + within);
        Admits::StormBegan
    }

    fn next_gap(&self) -> Time {
        self.recent.back().map_or(Time::ZERO, |&last| last + STORM_GAP)
    }
}
