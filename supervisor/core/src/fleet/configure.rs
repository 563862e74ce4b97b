//! What manifests ask for: who is wanted up at `run`, and what a changed or refused manifest does.

use crate::event::{Class, Detail, Event, Note, StopReason};
use crate::fleet::{Effects, Fleet, Key, Slot, Work};
use crate::lifecycle::{Registered, State};
use crate::owner::Plugin;
use crate::plugin::{Cx, Wanted};
use crate::policy::{FleetPolicy, Policy};
use crate::restart::{After, GivenUp};
use crate::time::Time;

impl Fleet {
    /// At `run`: what is enabled is wanted up, what is lazy rests until it is called, the rest stays down.
    /// Refused ones ([`refuse`](Self::refuse)) stay `failed`.
    #[must_use = "an effect nobody runs is a lost order"]
    pub fn start_enabled(&mut self, now: Time) -> Effects {
        let keys: Vec<Key> = self.keys().collect();
        self.enable(now, &keys)
    }

    /// The same for one plugin that came later (`reload`).
    #[must_use = "an effect nobody runs is a lost order"]
    pub fn start_if_enabled(&mut self, now: Time, key: Key) -> Effects {
        self.enable(now, &[key])
    }

    fn enable(&mut self, now: Time, keys: &[Key]) -> Effects {
        let mut work = Work::new(now);
        let resting = |fleet: &Self, key: Key| {
            fleet.plugin(key).is_some_and(|plugin| matches!(plugin.state, State::Registered(_)))
        };
        let keys: Vec<Key> = keys.iter().copied().filter(|&key| resting(self, key)).collect();
        if self.shutdown.is_some() {
            return self.settle(work);
        }
        // What is wanted comes first, so that nobody starts before what it is to come after.
        for &key in &keys {
            self.apply(&mut work, key, |plugin, _| plugin.want_as_enabled());
        }
        for key in keys {
            self.apply(&mut work, key, |plugin, cx| {
                if plugin.common.wanted == Wanted::Up {
                    plugin.transform(cx, |_, common, cx| common.begin(false, cx));
                }
            });
        }
        self.settle(work)
    }

    /// Other rules over all plugins, from now on; a shutdown that has begun keeps those that it began with.
    #[must_use = "an effect nobody runs is a lost order"]
    pub fn set_policy(&mut self, now: Time, policy: FleetPolicy) -> Effects {
        self.turns.set_policy(&policy);
        self.policy = policy;
        self.settle(Work::new(now))
    }

    /// The rules over all plugins.
    #[must_use]
    pub fn policy(&self) -> &FleetPolicy {
        &self.policy
    }

    /// A new policy, in place, with a full budget. What runs goes on running; what waits for a retry is tried
    /// now; `enabled` and `lazy` count where they have changed.
    #[must_use = "an effect nobody runs is a lost order"]
    pub fn reconfigure(&mut self, now: Time, key: Key, policy: Policy) -> Effects {
        let mut work = Work::new(now);
        let Some(Slot::Live(plugin)) = self.slots.get_mut(key.index()) else {
            return Effects::new();
        };
        let old = plugin.in_force().policy.clone();
        self.forget_dependencies(key, &old);
        self.depend(key, &policy);
        let closing = self.shutdown.is_some();
        self.apply(&mut work, key, |plugin, cx| {
            plugin.withdraw_swap(cx);
            let common = plugin.in_force();
            common.policy = policy;
            common.restart.refill();
            if !closing {
                plugin.reconfigured(&old, cx);
            }
        });
        work.recheck([key]);
        self.settle(work)
    }

    /// Its manifest was refused: `failed`, class `config`, until it is reconfigured. Only while it is down.
    #[must_use = "an effect nobody runs is a lost order"]
    pub fn refuse(&mut self, now: Time, key: Key, detail: Detail) -> Effects {
        let mut work = Work::new(now);
        if self.plugin(key).is_some_and(|plugin| plugin.state.is_down()) {
            self.apply(&mut work, key, |plugin, cx| {
                plugin.want_as_enabled();
                let common = &mut plugin.common;
                common.reason = detail.message.clone().into();
                let failure = common.failure(Class::Config, detail, None, now);
                common.last_failure = Some(failure.clone());
                cx.note(Note::Failed(failure));
                plugin.transform(cx, |_, common, _| common.failed(GivenUp::ForGood));
            });
        }
        self.settle(work)
    }
}

impl Plugin {
    fn want_as_enabled(&mut self) {
        let common = &mut self.common;
        match (common.policy.enabled, common.policy.lazy) {
            (false, _) => common.wanted = Wanted::Down,
            (true, true) => common.wanted = Wanted::OnCall,
            (true, false) => common.want_up("enabled"),
        }
    }

    /// The policy has been replaced: `old` tells what `enabled` and `lazy` were.
    fn reconfigured(&mut self, old: &Policy, cx: &mut Cx<'_>) {
        let new = &self.common.policy;
        let before = (old.enabled, old.lazy);
        let after = (new.enabled, new.lazy);
        if before.0 && !after.0 {
            let stop = Event::Stop { now: false, reason: StopReason::Config };
            return self.step(stop, cx);
        }
        let newly_enabled = !before.0 && after.0 && self.common.wanted == Wanted::Down;
        if newly_enabled || (self.common.wanted == Wanted::OnCall && !after.1) {
            self.want_as_enabled();
        }
        self.common.reason = "its manifest changed".into();
        self.transform(cx, |state, common, cx| match state {
            State::Registered(Registered::Waiting { on }) => {
                State::Registered(Registered::Waiting { on })
            }
            State::Registered(Registered::Resting) if common.wanted == Wanted::Up => {
                common.begin(false, cx)
            }
            State::Backoff(_) | State::Failed(_) => common.begin(false, cx),
            State::Stopping(mut stopping) => {
                if common.wanted == Wanted::Up {
                    stopping.set_after(After::Again);
                }
                State::Stopping(stopping)
            }
            State::Registered(Registered::Resting | Registered::Finished)
            | State::Starting(_)
            | State::Loaded(_)
            | State::Running(_)
            | State::Unkillable(_) => state,
        });
    }
}
