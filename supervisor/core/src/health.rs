//! Alive, busy, unwell or hung: when to probe, and what an unanswered probe means.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::{Detail, Effect, Look, Note, Report, Saying};
use crate::plugin::{Common, Cx};
use crate::snapshot::HealthName;
use crate::time::Time;
use crate::timer::Timer;

/// A second recovery within this time is not believed at once: `flapping`.
const FLAP_WINDOW: Duration = Duration::from_secs(60);

/// Why a plugin is `degraded` that is too loud.
pub(crate) const FLOOD: &str = "a flood: more junk or log lines than the bounds allow";

/// Share of the probe interval that is random, to either side.
const INTERVAL_JITTER: f64 = 0.1;

/// Over how much time probes are spread after a suspend.
pub(crate) const SPREAD: Duration = Duration::from_secs(5);

/// Sends probes, one at a time, of two kinds by turns until one is answered. Which kind is the usual one the dialect
/// knows and keeps, over generations too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Prober {
    stage: Stage,
    /// Probes without an answer, the one in flight included.
    outstanding: u32,
    /// The next probe is not of the usual kind.
    second: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Stage {
    Resting { since: Time, timer: Timer },
    Out { sent: Time, timer: Timer, second: bool },
}

impl Prober {
    /// Sends the first probe of a generation at once.
    pub(crate) fn begin(p: &Common, cx: &mut Cx<'_>) -> Self {
        let rest = Stage::Resting { since: cx.now, timer: Timer::after(cx.now, Duration::ZERO) };
        let mut prober = Self { stage: rest, outstanding: 0, second: false };
        prober.send(p, cx);
        prober
    }

    pub(crate) fn timer(&self) -> Timer {
        match &self.stage {
            Stage::Resting { timer, .. } | Stage::Out { timer, .. } => *timer,
        }
    }

    /// Sends a probe, unless as many are without an answer as misses would be tolerated: then only waits.
    fn send(&mut self, p: &Common, cx: &mut Cx<'_>) {
        if self.outstanding < p.policy.health.misses.max(1) {
            self.outstanding += 1;
            cx.emit(Effect::Probe { second: self.second });
        }
        let timer = Timer::after(cx.now, p.policy.health.timeout);
        self.stage = Stage::Out { sent: cx.now, timer, second: self.second };
    }

    fn rest(&mut self, now: Time, span: Duration) {
        self.stage = Stage::Resting { since: now, timer: Timer::after(now, span) };
    }

    /// A probe was answered: its kind works, and is the usual one from now on.
    pub(crate) fn answered(&mut self) {
        self.outstanding = 0;
        self.second = false;
    }

    /// Before `active` only an answered probe counts, so silence leads to the other kind at once.
    pub(crate) fn look_while_starting(&mut self, look: &Look, p: &Common, cx: &mut Cx<'_>) {
        if !self.timer().is_due(cx.now) {
            return;
        }
        match self.stage {
            Stage::Resting { .. } => self.send(p, cx),
            Stage::Out { sent, second, .. } => {
                match left_in_pipe(look, sent, p.policy.health.timeout, cx.now) {
                    Some(timer) => self.stage = Stage::Out { sent, timer, second },
                    None => {
                        self.second = !second;
                        self.send(p, cx);
                    }
                }
            }
        }
    }

    /// The host stalled: an answer that is waited for gets the lost time.
    pub(crate) fn give_back(&mut self, now: Time, lost: Duration) {
        match &mut self.stage {
            Stage::Out { timer, .. } => timer.give_back(now, lost),
            Stage::Resting { .. } => {}
        }
    }

    /// The host was suspended: the next probes are spread instead of coming in a burst.
    pub(crate) fn spread(&mut self, cx: &mut Cx<'_>) {
        match self.stage {
            Stage::Out { .. } => {}
            Stage::Resting { .. } => self.rest(cx.now, SPREAD.mul_f64(cx.rng.unit())),
        }
    }
}

/// The timeout counts from the last byte of the probe entering the pipe: what is left of it then.
fn left_in_pipe(look: &Look, sent: Time, timeout: Duration, now: Time) -> Option<Timer> {
    let written = look.probe_written.filter(|&written| written >= sent)?;
    let due = written + timeout;
    (due > now).then(|| Timer::until(now, due))
}

/// The health of a generation that is `active` or `degraded`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Health {
    prober: Prober,
    /// Counted misses in a row.
    misses: u32,
    /// Misses in a row, the excused ones included.
    unanswered: u32,
    excused: bool,
    last_life: Time,
    said: Option<(Saying, Option<String>)>,
    unhealthy_in_a_row: u32,
    noisy: bool,
    flaps: Flaps,
    name: HealthName,
    message: Option<String>,
}

/// Hysteresis: a recovery soon after another one is held back.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
struct Flaps {
    recovered: Option<Time>,
    held: Option<Timer>,
}

/// What a look at the plugin came to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Judgement {
    Fine,
    Hung { detail: Detail, stopped: bool },
}

impl Health {
    /// Health from the first answered probe on.
    pub(crate) fn new(
        mut prober: Prober,
        said: Option<(Saying, Option<String>)>,
        noisy: bool,
        p: &Common,
        cx: &mut Cx<'_>,
    ) -> Self {
        prober.answered();
        // At random, so that a thousand plugins that started together are not probed together for ever.
        prober.rest(cx.now, p.policy.health.interval.mul_f64(cx.rng.unit()));
        let mut health = Self {
            prober,
            misses: 0,
            unanswered: 0,
            excused: false,
            last_life: cx.now,
            said,
            unhealthy_in_a_row: 0,
            noisy,
            flaps: Flaps::default(),
            name: HealthName::Unknown,
            message: None,
        };
        health.refresh(cx);
        health
    }

    pub(crate) fn name(&self) -> HealthName {
        self.name
    }

    pub(crate) fn message(&self) -> Option<&String> {
        self.message.as_ref()
    }

    pub(crate) fn last_life(&self) -> Time {
        self.last_life
    }

    /// Lifecycle `degraded`; `ok` and `busy` are `active`.
    pub(crate) fn is_degraded(&self) -> bool {
        match self.name {
            HealthName::Degraded | HealthName::Suspect | HealthName::Hung => true,
            HealthName::Unknown | HealthName::Ok | HealthName::Busy => false,
        }
    }

    pub(crate) fn timer(&self) -> Timer {
        let probe = self.prober.timer();
        match self.flaps.held {
            Some(held) if held.due() < probe.due() => held,
            Some(_) | None => probe,
        }
    }

    pub(crate) fn answered(&mut self, p: &Common, cx: &mut Cx<'_>) {
        self.prober.answered();
        self.alive(cx.now);
        let interval = jittered(p.policy.health.interval, cx);
        self.prober.rest(cx.now, interval);
        self.refresh(cx);
    }

    /// `$/status` is a sign of life, unlike other notifications. True when it has called itself unhealthy often
    /// enough in a row to be restarted for it, if that is asked for.
    pub(crate) fn said(&mut self, report: Report, p: &Common, cx: &mut Cx<'_>) -> bool {
        self.alive(cx.now);
        self.unhealthy_in_a_row = match report.state {
            Saying::Unhealthy => self.unhealthy_in_a_row.saturating_add(1),
            Saying::Ready | Saying::Degraded | Saying::Busy => 0,
        };
        self.said = Some((report.state, report.message));
        self.refresh(cx);
        self.unhealthy_in_a_row >= p.policy.health.unhealthy_after.max(1)
    }

    pub(crate) fn noisy(&mut self, noisy: bool, cx: &mut Cx<'_>) {
        self.noisy = noisy;
        self.refresh(cx);
    }

    /// A deadline passed: probe, excuse, count or judge.
    pub(crate) fn look(&mut self, look: &Look, p: &Common, cx: &mut Cx<'_>) -> Judgement {
        if let Some(life) = look.last_life.filter(|&life| life > self.last_life) {
            self.alive(life);
        }
        if self.flaps.held.is_some_and(|held| held.is_due(cx.now)) && !self.is_bad() {
            self.flaps = Flaps::default();
        }
        let judgement = if self.prober.timer().is_due(cx.now) {
            self.probe(look, p, cx)
        } else {
            Judgement::Fine
        };
        match &judgement {
            Judgement::Fine => self.refresh(cx),
            Judgement::Hung { detail, .. } => {
                let message = Some(detail.message.clone());
                self.publish(HealthName::Hung, message, cx);
            }
        }
        judgement
    }

    fn probe(&mut self, look: &Look, p: &Common, cx: &mut Cx<'_>) -> Judgement {
        let policy = &p.policy.health;
        match self.prober.stage {
            Stage::Resting { since, .. } if self.last_life > since => self.rest_after_life(p, cx),
            // Past its excuse as well: one last probe has its whole timeout.
            Stage::Resting { .. } => self.prober.send(p, cx),
            Stage::Out { sent, second, .. } if self.last_life > sent => {
                // It lives but did not answer the probe: the other kind may suit it better.
                self.prober.second = !second;
                self.rest_after_life(p, cx);
            }
            Stage::Out { sent, second, .. } => {
                match left_in_pipe(look, sent, policy.timeout, cx.now) {
                    Some(timer) => self.prober.stage = Stage::Out { sent, timer, second },
                    None => {
                        self.prober.second = !second;
                        self.unanswered = self.unanswered.saturating_add(1);
                        let blocked = look.probe_written.is_none();
                        return self.miss(look, p, cx, blocked);
                    }
                }
            }
        }
        Judgement::Fine
    }

    /// Silence past a probe's timeout, or past its excuse.
    fn miss(&mut self, look: &Look, p: &Common, cx: &mut Cx<'_>, blocked: bool) -> Judgement {
        let policy = &p.policy.health;
        let now = cx.now;
        self.prober.rest(now, policy.suspect_interval);
        if look.traced {
            // A person with a debugger has stopped it; the misses begin anew when they are done.
            self.forgive();
            return Judgement::Fine;
        }
        let until = self.excused_until(look, p);
        if let Some(until) = until.filter(|&until| until > now) {
            self.excused = true;
            let (silent_for, up_to) = (now.since(self.last_life), until.since(self.last_life));
            cx.note(Note::ProbeExcused { silent_for, up_to });
            self.prober.rest(now, policy.suspect_interval.min(until.since(now)));
            return Judgement::Fine;
        }
        let ran_out = self.excused && until.is_some();
        if ran_out {
            // Still at work, and silent for longer than any work excuses: every unanswered probe counts.
            self.misses = self.unanswered;
        } else {
            self.misses = if self.excused { 1 } else { self.misses.saturating_add(1) };
            self.unanswered = self.misses;
        }
        self.excused = false;
        cx.note(Note::ProbeMissed { misses: self.misses, of: policy.misses });
        if self.misses < policy.misses {
            return Judgement::Fine;
        }
        let silent = now.since(self.last_life);
        let (detail, message) = if look.stopped {
            ("stopped-by-signal", format!("stopped by a signal; silent for {silent:.1?}"))
        } else if blocked {
            ("stdin-blocked", format!("it does not read its input; silent for {silent:.1?}"))
        } else if look.mid_frame {
            ("mid-frame", format!("silent for {silent:.1?} in the middle of a message"))
        } else if ran_out {
            ("busy-too-long", format!("at work, and silent for {silent:.1?}"))
        } else {
            (
                "no-answer",
                format!("{} probes without an answer; silent for {silent:.1?}", self.misses),
            )
        };
        let message = match look.doing.filter(|_| !look.stopped) {
            Some(doing) => format!("{message}; its process is {doing}"),
            None => message,
        };
        Judgement::Hung { detail: Detail { detail, message }, stopped: look.stopped }
    }

    /// Until when work excuses silence; `None` without work.
    fn excused_until(&self, look: &Look, p: &Common) -> Option<Time> {
        let says_busy = self.said.as_ref().is_some_and(|(saying, _)| *saying == Saying::Busy);
        if look.working == 0 && !says_busy {
            return None;
        }
        let cap = self.last_life + p.policy.health.busy_cap;
        let deadline = if look.working > 0 { look.latest_deadline } else { None };
        Some(deadline.map_or(cap, |deadline| deadline.max(cap)))
    }

    fn rest_after_life(&mut self, p: &Common, cx: &mut Cx<'_>) {
        let due = self.last_life + jittered(p.policy.health.interval, cx);
        self.prober.rest(cx.now, due.since(cx.now));
    }

    fn alive(&mut self, at: Time) {
        self.last_life = at;
        self.forgive();
    }

    fn forgive(&mut self) {
        self.misses = 0;
        self.unanswered = 0;
        self.excused = false;
    }

    /// The host stalled: nothing that was missed meanwhile counts.
    pub(crate) fn give_back(&mut self, lost: Duration, cx: &mut Cx<'_>) {
        self.forgive();
        self.prober.give_back(cx.now, lost);
        self.refresh(cx);
    }

    pub(crate) fn spread(&mut self, cx: &mut Cx<'_>) {
        self.prober.spread(cx);
    }

    fn is_bad(&self) -> bool {
        let says_so = self.said.as_ref().is_some_and(|(saying, _)| match saying {
            Saying::Degraded | Saying::Unhealthy => true,
            Saying::Ready | Saying::Busy => false,
        });
        self.misses > 0 || self.noisy || says_so
    }

    /// Works out the name from what is known, and says it if it changed.
    fn refresh(&mut self, cx: &mut Cx<'_>) {
        let bad = self.is_bad();
        if bad {
            if let Some(held) = &mut self.flaps.held {
                *held = Timer::after(cx.now, FLAP_WINDOW);
            }
        } else if self.is_degraded() && self.flaps.held.is_none() {
            // A recovery.
            match self.flaps.recovered {
                Some(at) if cx.now.since(at) < FLAP_WINDOW => {
                    self.flaps.held = Some(Timer::after(cx.now, FLAP_WINDOW));
                }
                Some(_) | None => self.flaps.recovered = Some(cx.now),
            }
        }
        let (said, words) = match &self.said {
            Some((saying, words)) => (Some(*saying), words.clone()),
            None => (None, None),
        };
        let (name, message) = if self.misses > 0 {
            (HealthName::Suspect, Some("did not answer its last probe".to_owned()))
        } else if said == Some(Saying::Degraded) || said == Some(Saying::Unhealthy) {
            (HealthName::Degraded, words)
        } else if self.noisy {
            (HealthName::Degraded, Some(FLOOD.to_owned()))
        } else if self.flaps.held.is_some() {
            (HealthName::Degraded, Some("flapping: well and unwell by turns".to_owned()))
        } else if self.excused || said == Some(Saying::Busy) {
            (HealthName::Busy, words)
        } else {
            (HealthName::Ok, words)
        };
        self.publish(name, message, cx);
    }

    fn publish(&mut self, name: HealthName, message: Option<String>, cx: &mut Cx<'_>) {
        if self.name != name || self.message != message {
            let from = self.name;
            cx.note(Note::HealthChanged { from, to: name, message: message.clone() });
        }
        self.name = name;
        self.message = message;
    }
}

/// The interval, a tenth longer or shorter by chance.
fn jittered(interval: Duration, cx: &mut Cx<'_>) -> Duration {
    interval.mul_f64(1.0 - INTERVAL_JITTER + 2.0 * INTERVAL_JITTER * cx.rng.unit())
}
