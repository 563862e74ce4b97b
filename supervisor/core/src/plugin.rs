//! One plugin: what is wanted of it, what it is, and what is remembered over its generations.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::{
    Class, Detail, Effect, Event, Exit, Failure, Note, Route, Saying, Settle, Unavailable,
};
use crate::fleet::{Effects, Key};
use crate::ladder::From;
use crate::lifecycle::{Failed, Registered, Starting, State, Stopping};
use crate::policy::{PluginId, Policy, RestartWhen, WhileRestarting};
use crate::restart::{After, Facts, GivenUp, Memory, decide};
use crate::rng::Rng;
use crate::snapshot::{Snapshot, StateName, StopRecord};
use crate::time::Time;
use crate::timer::Timer;

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
        Self { now, key, rng, effects, closing: squeeze.is_some(), squeeze: squeeze.unwrap_or(1.0) }
    }

    pub(crate) fn emit(&mut self, effect: Effect) {
        self.effects.push((self.key, effect));
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
    route: Route,
}

/// What is known of the living generation, from the order to spawn it on.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Run {
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

impl Common {
    /// Sends calls elsewhere, if that is a change.
    pub(crate) fn set_route(&mut self, route: Route, cx: &mut Cx<'_>) {
        if self.route != route {
            self.route = route.clone();
            cx.emit(Effect::Route(route));
        }
    }

    /// Calls wait or are refused, as the manifest has it.
    pub(crate) fn unavailable(&self, why: Unavailable) -> Route {
        match self.policy.while_restarting {
            WhileRestarting::Wait => Route::Hold(why),
            WhileRestarting::Fail => Route::Refuse(why),
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
        if self.wanted != Wanted::Up || cx.closing {
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

/// The class of an end that nobody asked for, and its words.
pub(crate) fn tell_exit(exit: &Exit, run: &Run) -> (Class, Detail) {
    let (class, detail, mut message) = match exit {
        Exit::Code(crate::restart::DO_NOT_RESTART) => {
            (Class::Exit, "do-not-restart", "exit 125".to_owned())
        }
        Exit::Code(code) => (Class::Exit, "unasked", format!("exit {code}")),
        Exit::Signal { name, core: true } => (Class::Signal, *name, format!("{name}, core dumped")),
        Exit::Signal { name, core: false } => (Class::Signal, *name, (*name).to_owned()),
        Exit::Oom => (Class::Oom, "memory", "killed for memory".to_owned()),
        Exit::Unknown => (Class::Exit, "unknown", "ended, nobody knows how".to_owned()),
    };
    if !run.opened {
        message.push_str(" before it answered the opening");
    }
    if let Exit::Code(code) = exit
        && let Some(meaning) = meaning(*code)
    {
        message.push_str(": ");
        message.push_str(&meaning);
    }
    // The signal's name is in the message and in the exit itself.
    let detail = match detail {
        "do-not-restart" => detail,
        _ if run.opened => detail,
        _ => "before-handshake",
    };
    (class, Detail { detail, message })
}

/// What a code means by custom (`sh(1p)`, EXIT STATUS; 125 as s6 has it), so that a wrapper's word is not taken for
/// the plugin's own.
fn meaning(code: i32) -> Option<String> {
    let signal = match code {
        crate::restart::DO_NOT_RESTART => return Some("it asks not to be restarted".to_owned()),
        126 => return Some("so a shell ends that cannot execute what it found".to_owned()),
        127 => return Some("so a shell ends that finds no such command".to_owned()),
        129 => "SIGHUP",
        130 => "SIGINT",
        131 => "SIGQUIT",
        132 => "SIGILL",
        134 => "SIGABRT",
        135 => "SIGBUS",
        136 => "SIGFPE",
        137 => "SIGKILL",
        139 => "SIGSEGV",
        141 => "SIGPIPE",
        143 => "SIGTERM",
        _ => return None,
    };
    Some(format!("so a shell ends when {signal} has ended what it ran"))
}

/// One plugin of the fleet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plugin {
    pub(crate) common: Common,
    pub(crate) state: State,
    /// Since when the state has had its name.
    pub(crate) since: Time,
}

/// What others depend on, or count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// `active` or `degraded`: what `requires` asks for.
    pub(crate) serving: bool,
    /// What `after` waits for has come.
    pub(crate) settled: bool,
    /// Holds one of the turns of `start_concurrency`.
    pub(crate) holds_turn: bool,
    /// Nothing of it runs, or nothing can be done about it.
    pub(crate) over: bool,
    /// Its place in the queue, if it stands there.
    pub(crate) ticket: Option<u64>,
}

impl Plugin {
    pub(crate) fn new(id: PluginId, policy: Policy, generation: u64, now: Time) -> Self {
        let common = Common {
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
            route: Route::Refuse(Unavailable::Down),
        };
        Self { common, state: State::Registered(Registered::Resting), since: now }
    }

    /// Decides one event. Reads no clock, touches no descriptor, never awaits.
    pub(crate) fn step(&mut self, event: Event, cx: &mut Cx<'_>) {
        self.transform(cx, |state, common, cx| state.step(common, event, cx));
    }

    /// Replaces the state by what `change` makes of it.
    pub(crate) fn transform(
        &mut self,
        cx: &mut Cx<'_>,
        change: impl FnOnce(State, &mut Common, &mut Cx<'_>) -> State,
    ) {
        let state = std::mem::replace(&mut self.state, State::Registered(Registered::Resting));
        self.state = change(state, &mut self.common, cx);
    }

    /// Sends calls where the state wants them.
    pub(crate) fn sync_route(&mut self, cx: &mut Cx<'_>) {
        let route = if cx.closing && self.state.is_down() {
            Route::Refuse(Unavailable::Stopping(crate::event::StopReason::HostExit))
        } else {
            self.state.route(&self.common)
        };
        self.common.set_route(route, cx);
    }

    pub(crate) fn standing(&self) -> Standing {
        let serving = matches!(self.state, State::Running(_));
        let unkillable = matches!(self.state, State::Unkillable(_));
        Standing {
            serving,
            settled: self.common.verdict || self.common.wanted != Wanted::Up || unkillable,
            holds_turn: self.state.holds_turn(),
            over: self.state.is_down() || unkillable,
            ticket: self.state.ticket(),
        }
    }

    /// The next deadline of this plugin, and how long the wait was meant to be.
    pub(crate) fn timer(&self) -> Option<Timer> {
        self.state.timer()
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let common = &self.common;
        let (health, health_message) = self.state.health();
        Snapshot {
            id: common.id.clone(),
            wanted_up: common.wanted == Wanted::Up,
            state: self.state.name(),
            since: self.since,
            generation: common.generation,
            pid: self.state.run().and_then(|run| run.pid),
            restarts: common.restart.restarts,
            health,
            health_message,
            last_life: self.state.last_life(),
            phase: self.state.phase(),
            rung: self.state.rung(),
            next_try: self.state.next_try(),
            waiting_for: self.state.waiting_for().to_vec(),
            last_failure: common.last_failure.clone(),
            last_stop: common.last_stop.clone(),
            finished: matches!(self.state, State::Registered(Registered::Finished)),
            half_open: common.restart.half_open,
        }
    }
}
