//! `active` or `degraded`: it answered a probe after its last start, and calls flow.

use serde::{Deserialize, Serialize};

use crate::event::{Class, Detail, Event, Look, StopReason};
use crate::health::{FLOOD, Health, Judgement};
use crate::ladder::From;
use crate::lifecycle::{State, Stopping};
use crate::plugin::{Common, Cx, Run};
use crate::policy::OnUnhealthy;
use crate::snapshot::StateName;
use crate::time::Time;
use crate::timer::Timer;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Running {
    pub(crate) run: Run,
    pub(crate) health: Health,
    /// When it has run well for long enough to get its restart budget back, if any of that is spent.
    stable: Option<Timer>,
    /// When it may have been idle for long enough to rest, if it is to rest at all.
    idle: Option<Timer>,
}

impl Running {
    pub(crate) fn new(run: Run, health: Health, p: &Common, now: Time) -> Self {
        let stable = p.restart.is_spent().then(|| Timer::after(now, p.policy.restart.reset_after));
        let idle = p.policy.idle_after.map(|span| Timer::after(now, span));
        Self { run, health, stable, idle }
    }

    fn name(&self) -> StateName {
        if self.health.is_degraded() { StateName::Degraded } else { StateName::Active }
    }

    pub(crate) fn step(mut self, p: &mut Common, event: Event, cx: &mut Cx<'_>) -> State {
        match event {
            Event::Start => {
                p.want_up("started");
                self.stable = None;
                State::Running(self)
            }
            Event::Restart { now } => {
                p.want_up("restarted");
                Stopping::for_restart(self.run, if now { From::Kill } else { From::Drain }, p, cx)
            }
            Event::Stop { now, reason } => {
                p.want_down();
                Stopping::asked(self.run, if now { From::Kill } else { From::Drain }, reason, p, cx)
            }
            Event::ProbeAnswered => {
                p.reason = "it answers again".into();
                self.health.answered(p, cx);
                State::Running(self)
            }
            Event::Said(report) => {
                let words = report.message.clone().unwrap_or_else(|| "no reason given".to_owned());
                p.reason = format!("it says: {words}").into();
                let unhealthy = report.state == crate::event::Saying::Unhealthy;
                let too_often = self.health.said(report, p, cx);
                if unhealthy { self.unhealthy(too_often, words, p, cx) } else { State::Running(self) }
            }
            Event::Noisy(noisy) => {
                p.reason = if noisy { FLOOD } else { "quiet again" }.into();
                self.run.noisy = noisy;
                self.health.noisy(noisy, cx);
                State::Running(self)
            }
            Event::Spawned { pid } => {
                self.run.pid = Some(pid);
                State::Running(self)
            }
            Event::LinkBroken(detail) => p.fail_living(self.run, Class::Protocol, false, detail, From::Term, cx),
            Event::Died(exit) => p.ended(self.run, exit, cx),
            Event::Gone { swept } => {
                p.surprised(self.name(), &Event::Gone { swept }, cx);
                Stopping::gone_unannounced(self.run, swept, p, cx)
            }
            Event::KeeperLost => p.keeper_lost(&self.run, cx),
            Event::Deadline(look) => self.overdue(&look, p, cx),
            // The keeper's word was slower than the plugin's.
            Event::Execed
            // It came just before the route opened.
            | Event::Called
            | Event::FileLooked { .. }
            // The opening's own progress may still be in the pipe.
            | Event::StartProgress => State::Running(self),
            Event::Refused(_)
            | Event::SpawnFailed { .. }
            | Event::FirstByte
            | Event::Opened(_)
            | Event::OpenFailed { .. }
            | Event::Drained
            | Event::NothingToDrain
            | Event::Asked => {
                p.surprised(self.name(), &event, cx);
                State::Running(self)
            }
        }
    }

    /// Class `unhealthy` beside `degraded`; restarted for it only if that is asked for.
    fn unhealthy(self, too_often: bool, words: String, p: &mut Common, cx: &mut Cx<'_>) -> State {
        let detail = Detail {
            detail: "reported",
            message: format!("it says that it is unhealthy: {words}"),
        };
        if too_often && p.policy.health.on_unhealthy == OnUnhealthy::Restart {
            return p.fail_living(self.run, Class::Unhealthy, false, detail, From::Drain, cx);
        }
        p.last_failure = Some(p.failure(Class::Unhealthy, detail, None, cx.now));
        State::Running(self)
    }

    fn overdue(mut self, look: &Look, p: &mut Common, cx: &mut Cx<'_>) -> State {
        if self.stable.is_some_and(|timer| timer.is_due(cx.now)) {
            self.stable = None;
            p.restart.refill();
        }
        if self.is_idle(look, p, cx.now) {
            p.rest_until_called();
            return Stopping::asked(self.run, From::Drain, StopReason::Stop, p, cx);
        }
        match self.health.look(look, p, cx) {
            Judgement::Fine => {
                p.reason = match self.health.message() {
                    Some(message) => message.clone().into(),
                    None => "it answers again".into(),
                };
                State::Running(self)
            }
            // A stopped process can take neither the end of its input nor a signal.
            Judgement::Hung { detail, stopped: true } => {
                p.fail_living(self.run, Class::Hang, false, detail, From::Kill, cx)
            }
            Judgement::Hung { detail, stopped: false } => {
                p.fail_living(self.run, Class::Hang, false, detail, From::Hung, cx)
            }
        }
    }

    /// Whether nobody has called it for as long as it takes. Looked at when that may be so, and else not.
    fn is_idle(&mut self, look: &Look, p: &Common, now: Time) -> bool {
        let Some(span) = p.policy.idle_after else {
            self.idle = None;
            return false;
        };
        let timer = self.idle.get_or_insert_with(|| Timer::after(now, span));
        if !timer.is_due(now) {
            return false;
        }
        let active = self.run.active_since.unwrap_or(now);
        match look.idle_since.map(|since| since.max(active) + span) {
            Some(due) if due <= now => return true,
            Some(due) => *timer = Timer::until(now, due),
            None => *timer = Timer::after(now, span),
        }
        false
    }

    pub(crate) fn timer(&self) -> Timer {
        let others = self.stable.into_iter().chain(self.idle);
        let health = self.health.timer();
        others.fold(health, |first, timer| if timer.due() < first.due() { timer } else { first })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::event::{Event, Exit, Look, Opening};
    use crate::fleet::Fleet;
    use crate::lifecycle::State;
    use crate::policy::{Budget, FleetPolicy};
    use crate::time::Time;

    #[test]
    fn a_stable_time_gives_the_budget_back_while_it_runs() {
        let policy = FleetPolicy {
            start_concurrency: 1,
            shutdown_cap: Duration::from_secs(25),
            storm: Budget { restarts: 50, within: Duration::from_secs(10) },
        };
        let mut fleet = Fleet::new(policy, 0);
        let key = fleet.register(Time::ZERO, "a".into(), crate::table::defaults(), 0);
        drop(fleet.start_enabled(Time::ZERO));
        let start = [Event::Execed, Event::Opened(Opening { ready: true }), Event::ProbeAnswered];
        for event in start.into_iter().chain([Event::Died(Exit::Code(1)), Event::Gone { swept: 0 }])
        {
            drop(fleet.step(Time::ZERO, key, 1, event));
        }
        let mut now = Time::ZERO;
        let mut spent_until = Time::ZERO;
        while now < Time::from_start(Duration::from_secs(90)) {
            now = fleet.next_deadline().expect("it runs");
            drop(fleet.step(now, key, 0, Event::Deadline(Look::default())));
            for event in
                [Event::Execed, Event::Opened(Opening { ready: true }), Event::ProbeAnswered]
            {
                let generation = fleet.generation(key);
                match (fleet.state(key), &event) {
                    (Some(State::Running(_)), Event::ProbeAnswered)
                    | (Some(State::Starting(_) | State::Loaded(_)), _) => {
                        drop(fleet.step(now, key, generation, event));
                    }
                    _ => {}
                }
            }
            if fleet.is_spent(key) {
                spent_until = now;
            }
        }
        // 100 ms of backoff, then `reset_after`.
        let refilled = spent_until.since_start().as_millis();
        assert!((40_000..60_100).contains(&refilled), "{refilled} ms");
        assert!(!fleet.is_spent(key));
    }
}
