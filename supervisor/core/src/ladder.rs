//! The rungs of a stop and their budgets.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::Rung;
use crate::policy::StopPolicy;
use crate::time::Time;
use crate::timer::Timer;

/// What the kill keeps however small the whole is: it needs that long to be seen to have worked.
pub(crate) const KILL_FLOOR: Duration = Duration::from_millis(500);

/// How long the keeper leaves what outlives its leader before it kills it.
pub(crate) const LEFTOVERS: Duration = Duration::from_millis(500);

/// How long a hung plugin is given to leave before the signal.
const HUNG_LEAVE: Duration = Duration::from_millis(500);

/// The rungs still ahead.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ladder {
    ahead: Vec<(Rung, Duration)>,
    /// The kill's budget, shrunk like the rest: also the patience with what outlives its leader.
    kill: Duration,
}

/// Where a stop begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum From {
    Drain,
    Leave,
    /// It hangs: half a second to leave, then the signal.
    Hung,
    Term,
    Kill,
}

impl Ladder {
    /// The rungs from `from` on, shrunk to the policy's whole and then by `squeeze` (1 leaves them alone).
    pub(crate) fn new(policy: &StopPolicy, from: From, squeeze: f64) -> Self {
        let leave = if from == From::Hung { policy.exit.min(HUNG_LEAVE) } else { policy.exit };
        let all = [
            (Rung::Drain, policy.drain),
            (Rung::Ask, policy.shutdown),
            (Rung::Leave, leave),
            (Rung::Term, policy.term),
            (Rung::Kill, policy.kill),
        ];
        let skip = match from {
            From::Drain => 0,
            From::Leave | From::Hung => 2,
            From::Term => 3,
            From::Kill => 4,
        };
        // Highest first, so that the next rung is popped from the end.
        let mut ladder =
            Self { ahead: all.into_iter().skip(skip).rev().collect(), kill: policy.kill };
        if let Some(total) = policy.total {
            ladder.shrink_to(total);
        }
        if squeeze < 1.0 {
            ladder.shrink_to(ladder.length().mul_f64(squeeze));
        }
        ladder
    }

    /// The next rung. One without a budget is passed over; the kill never is.
    pub(crate) fn next(&mut self) -> Option<(Rung, Duration)> {
        while let Some((rung, budget)) = self.ahead.pop() {
            if rung == Rung::Kill || !budget.is_zero() {
                return Some((rung, budget));
            }
        }
        None
    }

    /// Drops every rung before `rung`.
    pub(crate) fn skip_to(&mut self, rung: Rung) {
        self.ahead.retain(|&(ahead, _)| ahead >= rung);
    }

    /// All rungs ahead, in time.
    pub(crate) fn length(&self) -> Duration {
        self.ahead.iter().map(|&(_, budget)| budget).sum()
    }

    /// How long the tree of a leader that has ended may live: the keeper's patience and a kill's budget.
    pub(crate) fn sweep_timer(&self, now: Time) -> Timer {
        Timer::after(now, LEFTOVERS + self.kill_budget().max(KILL_FLOOR))
    }

    pub(crate) fn kill_budget(&self) -> Duration {
        self.kill
    }

    /// Shrinks the rungs ahead in proportion so that they fit into `total`; the kill keeps its floor.
    pub(crate) fn shrink_to(&mut self, total: Duration) {
        let length = self.length();
        if length <= total {
            return;
        }
        let kill = self
            .kill
            .mul_f64(total.as_secs_f64() / length.as_secs_f64())
            .max(self.kill.min(KILL_FLOOR));
        let others = length.saturating_sub(self.kill);
        let share = if others.is_zero() {
            0.0
        } else {
            (total.saturating_sub(kill).as_secs_f64() / others.as_secs_f64()).min(1.0)
        };
        for (rung, budget) in &mut self.ahead {
            *budget = if *rung == Rung::Kill { kill } else { budget.mul_f64(share) };
        }
        self.kill = kill;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(total: Option<u64>) -> StopPolicy {
        StopPolicy {
            drain: Duration::from_secs(5),
            shutdown: Duration::from_secs(5),
            exit: Duration::from_secs(2),
            term: Duration::from_secs(5),
            kill: Duration::from_secs(2),
            total: total.map(Duration::from_millis),
        }
    }

    fn rungs(mut ladder: Ladder) -> Vec<(Rung, u128)> {
        std::iter::from_fn(|| ladder.next())
            .map(|(rung, budget)| (rung, budget.as_millis()))
            .collect()
    }

    #[test]
    fn a_whole_that_is_large_enough_changes_nothing() {
        let all = [
            (Rung::Drain, 5000),
            (Rung::Ask, 5000),
            (Rung::Leave, 2000),
            (Rung::Term, 5000),
            (Rung::Kill, 2000),
        ];
        assert_eq!(rungs(Ladder::new(&policy(None), From::Drain, 1.0)), all);
        assert_eq!(rungs(Ladder::new(&policy(Some(19_000)), From::Drain, 1.0)), all);
    }

    #[test]
    fn a_smaller_whole_shrinks_every_rung_in_proportion() {
        let rungs = rungs(Ladder::new(&policy(Some(9500)), From::Drain, 1.0));
        let half = [
            (Rung::Drain, 2500),
            (Rung::Ask, 2500),
            (Rung::Leave, 1000),
            (Rung::Term, 2500),
            (Rung::Kill, 1000),
        ];
        assert_eq!(rungs, half);
    }

    #[test]
    fn the_kill_keeps_half_a_second_and_the_whole_still_holds() {
        let ladder = Ladder::new(&policy(Some(1900)), From::Drain, 1.0);
        assert!(ladder.length() <= Duration::from_millis(1901), "{:?}", ladder.length());
        let rungs = rungs(ladder);
        assert_eq!(rungs.last(), Some(&(Rung::Kill, 500)));
        assert_eq!(rungs[0], (Rung::Drain, 411), "1400 ms shared by 17 s of rungs");
    }

    #[test]
    fn a_whole_below_the_floor_leaves_the_kill_alone() {
        assert_eq!(rungs(Ladder::new(&policy(Some(100)), From::Drain, 1.0)), [(Rung::Kill, 500)]);
    }

    #[test]
    fn a_hung_plugin_gets_half_a_second_to_leave() {
        let rungs = rungs(Ladder::new(&policy(None), From::Hung, 1.0));
        assert_eq!(rungs, [(Rung::Leave, 500), (Rung::Term, 5000), (Rung::Kill, 2000)]);
    }
}
