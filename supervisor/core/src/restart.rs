//! What follows a failure: the restart budget, backoff, giving up, and careful tries.
//!
//! OTP's intensity and period, systemd's restart steps, and a circuit breaker's half-open try.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::{Class, Effect, Exit, Failure, Note};
use crate::plugin::{Common, Cx, Part, Wanted};
use crate::policy::{Backoff as BackoffPolicy, Budget, RestartWhen, RetryAfter};
use crate::rng::Rng;
use crate::time::Time;
use crate::timer::Timer;

/// The exit code by which a plugin asks not to be restarted (s6's convention).
pub(crate) const DO_NOT_RESTART: i32 = 125;

/// The least wait before a start that failed for a passing reason (a busy file, no process to be had) is tried
/// again. Nothing is charged for such tries, so nothing else bounds their rate.
const TRANSIENT_FLOOR: Duration = Duration::from_millis(100);

/// A plugin's restart history, kept over its generations.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// When restarts were charged, oldest first; those older than the budget's period are forgotten.
    charged: VecDeque<Time>,
    /// Failures since the last long good run: the exponent of the backoff.
    streak: u32,
    /// Careful tries since the budget was last full: the exponent of `retry_after`.
    tries: u32,
    /// Restarts since it was last started by hand.
    pub(crate) restarts: u32,
    /// The start under way is a careful try.
    pub(crate) half_open: bool,
}

impl Memory {
    /// A changed manifest or executable, `start` and `restart` fill the budget up again.
    pub(crate) fn refill(&mut self) {
        self.charged.clear();
        self.streak = 0;
        self.tries = 0;
        self.half_open = false;
    }

    /// Whether a stable time would give anything back.
    pub(crate) fn is_spent(&self) -> bool {
        !self.charged.is_empty() || self.streak > 0 || self.tries > 0
    }

    /// Charges one restart, or says that the budget is spent.
    ///
    /// A restart counts while less than the period has passed since it: at exactly the period it is forgotten.
    fn charge(&mut self, now: Time, budget: Budget) -> bool {
        self.charged.retain(|&at| now.since(at) < budget.within);
        if self.charged.len() >= budget.restarts as usize {
            return false;
        }
        self.charged.push_back(now);
        true
    }

    /// The gap to the next careful try; it doubles from try to try.
    fn retry(&mut self, now: Time, policy: RetryAfter) -> Option<Timer> {
        match policy {
            RetryAfter::Never => None,
            RetryAfter::Growing { initial, max } => {
                let gap = scaled(initial, 2.0, self.tries, max);
                self.tries = self.tries.saturating_add(1);
                Some(Timer::after(now, gap))
            }
        }
    }

    fn backoff(&mut self, policy: &BackoffPolicy, rng: &mut Rng) -> Duration {
        let full = scaled(policy.initial, policy.factor, self.streak, policy.max);
        self.streak = self.streak.saturating_add(1);
        let random = policy.jitter.clamp(0.0, 1.0);
        full.mul_f64(1.0 - random * rng.unit())
    }
}

/// `initial × factor ^ power`, at most `max`, whatever the exponent.
fn scaled(initial: Duration, factor: f64, power: u32, max: Duration) -> Duration {
    let seconds = initial.as_secs_f64() * factor.max(1.0).powi(power.min(1000).cast_signed());
    if seconds.is_finite() && seconds < max.as_secs_f64() {
        Duration::from_secs_f64(seconds)
    } else {
        max
    }
}

/// What comes once nothing of the failed or stopped generation is left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum After {
    /// It rests, as wanted.
    Rest,
    /// It rests because its work is done: exit 0 after `active` under `on-failure`.
    Finished,
    /// Up again at once, and no restart of the plugin's own making.
    Again,
    /// Up again when the timer has passed.
    Backoff(Timer),
    /// Gave up; tried again as `GivenUp` says.
    Failed(GivenUp),
}

/// What may still wake a plugin that failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum GivenUp {
    /// Only a command or a new manifest.
    ForGood,
    /// One careful try when the timer has passed.
    Try(Timer),
    /// When the timer has passed its file is looked at, and it is started if that changed.
    Look(Timer),
}

impl GivenUp {
    pub(crate) fn timer(&self) -> Option<Timer> {
        match self {
            Self::ForGood => None,
            Self::Try(timer) | Self::Look(timer) => Some(*timer),
        }
    }
}

/// What the policy needs to know of a failure besides its class.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    /// The same again is certain until somebody changes something.
    pub(crate) permanent: bool,
    /// It was `active` in this generation.
    pub(crate) was_active: bool,
    /// It was `active` for at least `reset_after`.
    pub(crate) good_run: bool,
}

/// Records a failure, decides what follows, and says both.
pub(crate) fn decide(p: &mut Common, cx: &mut Cx<'_>, failure: Failure, facts: Facts) -> After {
    let class = failure.class;
    let exit = failure.exit.clone();
    p.last_failure = Some(failure.clone());
    cx.note(Note::Failed(failure));
    if p.wanted != Wanted::Up || p.part == Part::OnTrial {
        return After::Rest;
    }
    match class {
        Class::Keeper | Class::Dependency => return After::Again,
        Class::Config => return After::Failed(GivenUp::ForGood),
        Class::Spawn if facts.permanent => return give_up(p, cx, Way::Look),
        Class::Handshake if facts.permanent => return give_up(p, cx, Way::Look),
        Class::Spawn => {
            // Nothing ran, so nothing is charged; a careful try stays one.
            let after = p.restart.backoff(&p.policy.restart.backoff, cx.rng).max(TRANSIENT_FLOOR);
            return backoff(p, cx, after);
        }
        Class::Handshake
        | Class::Protocol
        | Class::Exit
        | Class::Signal
        | Class::Oom
        | Class::Hang
        | Class::Unhealthy => {}
    }
    if exit == Some(Exit::Code(DO_NOT_RESTART)) || p.policy.restart.policy == RestartWhen::Never {
        return give_up(p, cx, Way::Nothing);
    }
    if p.restart.half_open && !facts.was_active {
        return give_up(p, cx, Way::Try);
    }
    if facts.good_run {
        p.restart.refill();
    }
    if !p.restart.charge(cx.now, p.policy.restart.budget) {
        return give_up(p, cx, Way::Try);
    }
    let after = if facts.good_run {
        Duration::ZERO
    } else {
        p.restart.backoff(&p.policy.restart.backoff, cx.rng)
    };
    backoff(p, cx, after)
}

fn backoff(p: &mut Common, cx: &mut Cx<'_>, after: Duration) -> After {
    p.restart.restarts = p.restart.restarts.saturating_add(1);
    cx.note(Note::RestartScheduled { after, attempt: p.restart.restarts });
    After::Backoff(Timer::after(cx.now, after))
}

#[derive(Clone, Copy)]
enum Way {
    Nothing,
    Try,
    Look,
}

fn give_up(p: &mut Common, cx: &mut Cx<'_>, way: Way) -> After {
    let policy = &p.policy.restart;
    let timer = match way {
        Way::Nothing => None,
        Way::Try | Way::Look => p.restart.retry(cx.now, policy.retry_after),
    };
    cx.note(Note::GaveUp {
        restarts: p.restart.restarts,
        within: policy.budget.within,
        retry_after: timer.map(|timer| timer.left(cx.now)),
    });
    After::Failed(match (way, timer) {
        (Way::Nothing, _) | (_, None) => GivenUp::ForGood,
        (Way::Try, Some(timer)) => GivenUp::Try(timer),
        (Way::Look, Some(timer)) => GivenUp::Look(timer),
    })
}

/// Asks for a look at the file of a plugin that failed for good, and says when the next one is due.
pub(crate) fn look_at_file(p: &mut Common, cx: &mut Cx<'_>) -> GivenUp {
    cx.emit(Effect::LookAtFile);
    p.restart.retry(cx.now, p.policy.restart.retry_after).map_or(GivenUp::ForGood, GivenUp::Look)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_start(Duration::from_millis(ms))
    }

    const BUDGET: Budget = Budget { restarts: 2, within: Duration::from_secs(300) };

    #[test]
    fn a_restart_is_forgotten_at_exactly_the_period() {
        let mut memory = Memory::default();
        assert!(memory.charge(at(0), BUDGET));
        assert!(memory.charge(at(299_999), BUDGET), "the second of two");
        assert!(!memory.clone().charge(at(299_999), BUDGET), "a third within the period");
        assert!(memory.charge(at(300_000), BUDGET), "the first one is forgotten");
        assert!(!memory.charge(at(300_000), BUDGET));
    }

    #[test]
    fn the_backoff_grows_to_its_maximum_and_jitter_only_shortens_it() {
        let policy = BackoffPolicy {
            initial: Duration::from_millis(100),
            max: Duration::from_secs(30),
            factor: 2.0,
            jitter: 0.2,
        };
        let mut memory = Memory::default();
        let mut rng = Rng::new(7);
        let mut full = Duration::from_millis(100);
        for _ in 0..2000 {
            let wait = memory.backoff(&policy, &mut rng);
            assert!(wait <= full && wait >= full.mul_f64(0.8), "{wait:?} of {full:?}");
            full = (full * 2).min(policy.max);
        }
    }

    #[test]
    fn careful_tries_grow_by_two_up_to_their_maximum() {
        let policy =
            RetryAfter::Growing { initial: Duration::from_secs(15), max: Duration::from_secs(300) };
        let mut memory = Memory::default();
        let gaps: Vec<u64> =
            std::iter::repeat_with(|| memory.retry(at(0), policy).expect("growing"))
                .map(|timer| timer.left(at(0)).as_secs())
                .take(7)
                .collect();
        assert_eq!(gaps, [15, 30, 60, 120, 240, 300, 300]);
    }
}
