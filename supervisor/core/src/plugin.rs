//! What is wanted of a plugin, and what is remembered of it over its generations: what every state works with.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::{
    Class, Detail, Effect, Event, Exit, Failure, Note, Route, Saying, Settle, Unavailable, Version,
};
use crate::exit::tell_exit;
use crate::fleet::{Effects, Key};
use crate::ladder::From;
use crate::lifecycle::{Failed, Registered, Starting, State, Stopping};
use crate::policy::{PluginId, Policy, RestartWhen, WhileRestarting};
use crate::restart::{After, Facts, GivenUp, Memory, decide};
use crate::rng::Rng;
use crate::snapshot::{StateName, StopRecord};
use crate::time::Time;

/// What an operator wants; observations never change it, but a lazy plugin that has finished rests again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Wanted {
    Down,
    /// Down until the first call.
    OnCall,
    Up,
}

/// Where a step writes its orders, and what it may read besides the plugin.
pub(crate) struct Cx<'a> {
    pub(crate) now: Time,
    pub(crate) key: Key,
    /// Whom the effects are about: the generation of the life that is being changed.
    pub(crate) generation: u64,
    /// The highest generation that this plugin has had.
    pub(crate) highest: u64,
    pub(crate) rng: &'a mut Rng,
    pub(crate) effects: &'a mut Effects,
    /// Everything stops: nothing starts any more.
    pub(crate) closing: bool,
    /// By how much the rungs of a stop that begins now shrink; 1 leaves them alone.
    pub(crate) squeeze: f64,
}

impl<'a> Cx<'a> {
    /// `squeeze` is there once everything stops.
    pub(crate) fn new(
        now: Time,
        key: Key,
        rng: &'a mut Rng,
        effects: &'a mut Effects,
        squeeze: Option<f64>,
    ) -> Self {
        let (closing, squeeze) = (squeeze.is_some(), squeeze.unwrap_or(1.0));
        Self { now, key, generation: 0, highest: 0, rng, effects, closing, squeeze }
    }

    /// For a change of one plugin, about the life that serves.
    pub(crate) fn of(
        plugin: &crate::owner::Plugin,
        now: Time,
        key: Key,
        rng: &'a mut Rng,
        effects: &'a mut Effects,
        squeeze: Option<f64>,
    ) -> Self {
        let cx = Self::new(now, key, rng, effects, squeeze);
        Self { generation: plugin.common.generation, highest: plugin.highest, ..cx }
    }

    pub(crate) fn emit(&mut self, effect: Effect) {
        self.effects.push((self.key, self.generation, effect));
    }

    pub(crate) fn note(&mut self, note: Note) {
        self.emit(Effect::Note(note));
    }
}

/// Factors by which the start budgets have grown after timeouts, as powers of two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stretch {
    pub(crate) spawn: u32,
    pub(crate) first_byte: u32,
    pub(crate) handshake: u32,
    pub(crate) ready: u32,
}

/// What is kept whatever the state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Common {
    pub(crate) id: PluginId,
    pub(crate) policy: Policy,
    pub(crate) wanted: Wanted,
    /// The last generation that was spawned; the running one while one runs.
    pub(crate) generation: u64,
    pub(crate) restart: Memory,
    pub(crate) stretch: Stretch,
    /// It has been active, given up or finished since it was last wanted up: `after` waits for this.
    pub(crate) verdict: bool,
    pub(crate) last_failure: Option<Failure>,
    pub(crate) last_stop: Option<StopRecord>,
    /// Why the state last changed.
    pub(crate) reason: Cow<'static, str>,
    /// Where calls were last sent; `None` for the second life of a swap, which has no route of its own.
    pub(crate) route: Option<Route>,
    pub(crate) part: Part,
    /// What is started.
    pub(crate) version: Version,
}

/// What a swap makes of a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Part {
    /// It serves, and is restarted by its policy.
    Serving,
    /// `exclusive`: the old version makes room or comes back. Calls wait for that, whatever the manifest says.
    Paused,
    /// A new version, not proven yet: its first failure is its end.
    OnTrial,
}

/// What is known of the living generation, from the order to spawn it on.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Run {
    /// When it was ordered.
    pub(crate) ordered: Option<Time>,
    pub(crate) pid: Option<u32>,
    /// Its last report of itself.
    pub(crate) said: Option<(Saying, Option<String>)>,
    pub(crate) noisy: bool,
    pub(crate) last_life: Option<Time>,
    /// The opening was answered.
    pub(crate) opened: bool,
    /// Since when it has been active.
    pub(crate) active_since: Option<Time>,
}

impl Run {
    /// From the order until it was active.
    pub(crate) fn start_took(&self) -> Option<Duration> {
        Some(self.active_since?.since(self.ordered?))
    }
}

impl Common {
    pub(crate) fn new(id: PluginId, policy: Policy, generation: u64) -> Self {
        Self {
            id,
            policy,
            wanted: Wanted::Down,
            generation,
            restart: Memory::default(),
            stretch: Stretch::default(),
            verdict: false,
            last_failure: None,
            last_stop: None,
            reason: Cow::Borrowed(""),
            route: Some(Route::Refuse(Unavailable::Down)),
            part: Part::Serving,
            version: Version::InForce,
        }
    }

    /// Sends calls elsewhere, if that is a change.
    pub(crate) fn set_route(&mut self, route: Route, cx: &mut Cx<'_>) {
        if let Some(before) = &mut self.route
            && *before != route
        {
            before.clone_from(&route);
            cx.emit(Effect::Route(route));
        }
    }

    /// Calls wait or are refused, as the manifest has it.
    pub(crate) fn unavailable(&self, why: Unavailable) -> Route {
        match (self.part, self.policy.while_restarting) {
            (Part::Paused | Part::OnTrial, _) | (Part::Serving, WhileRestarting::Wait) => {
                Route::Hold(why)
            }
            (Part::Serving, WhileRestarting::Fail) => Route::Refuse(why),
        }
    }

    /// Wanted up by a command: with a full budget, and with a verdict still to come if it was not wanted before.
    pub(crate) fn want_up(&mut self, why: &'static str) {
        self.restart.refill();
        self.restart.restarts = 0;
        self.reason = Cow::Borrowed(why);
        if self.wanted != Wanted::Up {
            self.wanted = Wanted::Up;
            self.verdict = false;
        }
    }

    pub(crate) fn want_down(&mut self) {
        self.wanted = Wanted::Down;
        self.restart.half_open = false;
        self.reason = Cow::Borrowed("stopped");
    }

    /// Nobody has called it for long enough; the next call starts it.
    pub(crate) fn rest_until_called(&mut self) {
        self.wanted = Wanted::OnCall;
        let span = self.policy.idle_after.unwrap_or_default();
        self.reason = Cow::Owned(format!("nobody has called it for {span:.0?}"));
    }

    /// Waits for its turn to start, or rests if nothing starts any more.
    pub(crate) fn begin(&mut self, restart: bool, cx: &Cx<'_>) -> State {
        if cx.closing || self.wanted != Wanted::Up {
            return State::Registered(Registered::Resting);
        }
        State::Starting(Starting::queued(restart))
    }

    /// Nothing of a generation is left: on to what was decided, if it is still wanted.
    pub(crate) fn resume(&mut self, after: After, cx: &mut Cx<'_>) -> State {
        if self.wanted != Wanted::Up || cx.closing || self.part == Part::OnTrial {
            return State::Registered(Registered::Resting);
        }
        match after {
            After::Rest | After::Again => self.begin(false, cx),
            After::Finished => {
                self.verdict = true;
                if self.policy.lazy {
                    self.wanted = Wanted::OnCall;
                }
                State::Registered(Registered::Finished)
            }
            After::Backoff(timer) if timer.is_due(cx.now) => self.begin(true, cx),
            After::Backoff(timer) => State::Backoff(crate::lifecycle::Backoff { timer }),
            After::Failed(given_up) => self.failed(given_up),
        }
    }

    pub(crate) fn failed(&mut self, given_up: GivenUp) -> State {
        self.verdict = true;
        self.restart.half_open = false;
        State::Failed(Failed { given_up })
    }

    /// A failure of the current generation.
    pub(crate) fn failure(
        &self,
        class: Class,
        detail: Detail,
        exit: Option<Exit>,
        now: Time,
    ) -> Failure {
        Failure { class, detail, exit, generation: self.generation, at: now }
    }

    /// The start failed and left nothing behind.
    pub(crate) fn nothing_spawned(
        &mut self,
        class: Class,
        permanent: bool,
        detail: Detail,
        cx: &mut Cx<'_>,
    ) -> State {
        self.reason = Cow::Owned(detail.message.clone());
        let failure = self.failure(class, detail, None, cx.now);
        let after = decide(self, cx, failure, Facts { permanent, ..Facts::default() });
        cx.emit(Effect::Retire { generation: self.generation });
        self.resume(after, cx)
    }

    /// The living generation failed: calls are settled, and it is made to leave from rung `from` on.
    pub(crate) fn fail_living(
        &mut self,
        run: Run,
        class: Class,
        permanent: bool,
        detail: Detail,
        from: From,
        cx: &mut Cx<'_>,
    ) -> State {
        self.reason = Cow::Owned(detail.message.clone());
        let facts = self.facts(&run, permanent, cx.now);
        let failure = self.failure(class, detail, None, cx.now);
        let settle = Settle::Crashed { class, exit: None };
        let after = decide(self, cx, failure, facts);
        Stopping::after_failure(run, after, from, settle, self, cx)
    }

    /// The leader ended and nobody had asked it to.
    pub(crate) fn ended(&mut self, run: Run, exit: Exit, cx: &mut Cx<'_>) -> State {
        let (class, detail) = tell_exit(&exit, &run);
        self.reason = Cow::Owned(detail.message.clone());
        let settle = Settle::Crashed { class, exit: Some(exit.clone()) };
        let facts = self.facts(&run, false, cx.now);
        let after = if exit == Exit::Code(0)
            && facts.was_active
            && self.policy.restart.policy == RestartWhen::OnFailure
        {
            self.reason = Cow::Borrowed("finished, exit 0");
            After::Finished
        } else {
            let failure = self.failure(class, detail, Some(exit.clone()), cx.now);
            decide(self, cx, failure, facts)
        };
        Stopping::after_exit(run, exit, after, settle, self, cx)
    }

    /// The keeper died and took the process with it; up again when there is a keeper.
    pub(crate) fn keeper_lost(&mut self, run: &Run, cx: &mut Cx<'_>) -> State {
        let detail = Detail {
            detail: "keeper-lost",
            message: "the keeper died and took it along".to_owned(),
        };
        self.reason = Cow::Borrowed("the keeper died and took it along");
        let facts = self.facts(run, false, cx.now);
        let failure = self.failure(Class::Keeper, detail, None, cx.now);
        let after = decide(self, cx, failure, facts);
        let state = self.resume(after, cx);
        self.set_route(state.route(self), cx);
        cx.emit(Effect::Settle(Settle::Crashed { class: Class::Keeper, exit: None }));
        cx.emit(Effect::Retire { generation: self.generation });
        state
    }

    fn facts(&self, run: &Run, permanent: bool, now: Time) -> Facts {
        let good = |since: Time| now.since(since) >= self.policy.restart.reset_after;
        Facts {
            permanent,
            was_active: run.active_since.is_some(),
            good_run: run.active_since.is_some_and(good),
        }
    }

    /// A budget of a start phase, doubled for each time it ran out, up to `first_byte_cap` and never shortened.
    pub(crate) fn stretched(&self, budget: Duration, doublings: u32) -> Duration {
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        budget.saturating_mul(factor).min(self.policy.start.first_byte_cap.max(budget))
    }

    /// A pair of state and event that cannot happen did; said, and nothing else.
    pub(crate) fn surprised(&self, state: StateName, event: &Event, cx: &mut Cx<'_>) {
        cx.note(Note::Surprised { state, event: event.name() });
    }
}
