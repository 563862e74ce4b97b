//! Another version is asked for: what that means in each state.

use crate::event::{Effect, Event};
use crate::fleet::{Effects, Fleet, Key, Work};
use crate::lifecycle::{Registered, State};
use crate::owner::Plugin;
use crate::plugin::{Cx, Wanted};
use crate::policy::{PluginId, Policy, SwapPolicy};
use crate::restart::After;
use crate::time::Time;

/// What a swap leads to, once it is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swapping {
    /// The new version is on trial; the verdict follows as a [`Note::SwapJudged`](crate::Note::SwapJudged).
    Begun,
    /// Nothing served, so nothing is tried: the new version is in force, with a full budget, and starts where the
    /// plugin is wanted up.
    InForce,
}

/// Why a swap is not accepted; nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoSwap {
    /// One is under way: never three generations.
    UnderWay,
    /// It is being stopped.
    Stopping,
    /// A process of it survived SIGKILL.
    Unkillable,
    /// The new version requires what does not serve.
    Requires(Vec<PluginId>),
    /// Everything stops.
    HostExit,
}

impl Fleet {
    /// Replaces the version that serves by the one that `policy` belongs to, as `how` says.
    ///
    /// What calls it keeps the new version as the next one until it is told to [`Effect::Adopt`] or
    /// [`Effect::Discard`] it, one of which comes exactly once for each swap that is accepted.
    ///
    /// # Errors
    /// [`NoSwap`]: nothing has changed.
    pub fn swap(
        &mut self,
        now: Time,
        key: Key,
        policy: Policy,
        how: SwapPolicy,
    ) -> Result<(Swapping, Effects), NoSwap> {
        if self.shutdown.is_some() {
            return Err(NoSwap::HostExit);
        }
        let Some(plugin) = self.plugin(key) else { return Err(NoSwap::Stopping) };
        if plugin.swap.is_some() {
            return Err(NoSwap::UnderWay);
        }
        let begun = match &plugin.state {
            State::Running(_) => true,
            State::Stopping(_) if plugin.common.wanted == Wanted::Down => {
                return Err(NoSwap::Stopping);
            }
            State::Unkillable(_) => return Err(NoSwap::Unkillable),
            State::Registered(_)
            | State::Starting(_)
            | State::Loaded(_)
            | State::Stopping(_)
            | State::Backoff(_)
            | State::Failed(_) => false,
        };
        let mut work = Work::new(now);
        if begun {
            let missing: Vec<PluginId> =
                policy.requires.iter().filter(|id| !self.serves(id)).cloned().collect();
            if !missing.is_empty() {
                return Err(NoSwap::Requires(missing));
            }
            self.depend(key, &policy);
            self.apply(&mut work, key, |plugin, cx| plugin.begin_swap(policy, how, cx));
            return Ok((Swapping::Begun, self.settle(work)));
        }
        let old = plugin.common.policy.clone();
        self.forget_dependencies(key, &old);
        self.depend(key, &policy);
        self.apply(&mut work, key, |plugin, cx| plugin.put_in_force(policy, cx));
        work.recheck([key]);
        Ok((Swapping::InForce, self.settle(work)))
    }

    /// Whether a new version is on trial, so that nothing else may be asked of the plugin but to stop or start.
    #[must_use]
    pub fn is_on_trial(&self, key: Key) -> bool {
        self.plugin(key).is_some_and(Plugin::is_trying)
    }
}

impl Plugin {
    /// Nothing serves: the new version is the one in force, and starts where it is wanted.
    fn put_in_force(&mut self, policy: Policy, cx: &mut Cx<'_>) {
        self.common.policy = policy;
        self.common.restart.refill();
        self.common.restart.restarts = 0;
        self.common.reason = "another version".into();
        cx.emit(Effect::Adopt);
        if self.state.run().is_some() && !matches!(self.state, State::Stopping(_)) {
            return self.step(Event::Restart { now: false }, cx);
        }
        self.transform(cx, |state, common, cx| match state {
            State::Registered(Registered::Resting | Registered::Finished)
            | State::Backoff(_)
            | State::Failed(_)
                if common.wanted == Wanted::Up =>
            {
                common.begin(false, cx)
            }
            State::Stopping(mut stopping) => {
                if common.wanted == Wanted::Up {
                    stopping.set_after(After::Again);
                }
                State::Stopping(stopping)
            }
            State::Registered(_)
            | State::Starting(_)
            | State::Loaded(_)
            | State::Running(_)
            | State::Backoff(_)
            | State::Failed(_)
            | State::Unkillable(_) => state,
        });
    }
}
