//! The canary: probes that a new version has to answer, one after another, before it may take over.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::{Class, Detail, Effect, Event, Note, Saying};
use crate::ladder::From;
use crate::plugin::{Common, Cx};
use crate::policy::SwapPolicy;
use crate::time::Time;
use crate::timer::Timer;

/// The canary probes of a version on trial: one after another, at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Canary {
    of: u32,
    /// The number of the probe that is out.
    asked: u32,
    sent: Time,
    /// Of this probe.
    probe: Timer,
    /// Of all of them.
    whole: Timer,
}

/// What an event says to a canary.
pub(crate) enum Word {
    Answered,
    Unhealthy(String),
    Overdue,
    Nothing,
}

/// What a canary makes of it.
pub(super) enum Heard {
    GoesOn,
    Passed,
    Failed(Class, Detail, From),
}

impl Word {
    pub(crate) fn of(event: &Event) -> Self {
        if let Event::Said(report) = event
            && report.state == Saying::Unhealthy
        {
            let words = report.message.as_deref().unwrap_or("no reason given");
            Self::Unhealthy(words.to_owned())
        } else if matches!(event, Event::ProbeAnswered) {
            Self::Answered
        } else if matches!(event, Event::Deadline(_)) {
            Self::Overdue
        } else {
            Self::Nothing
        }
    }
}

impl Canary {
    pub(super) fn begin(how: SwapPolicy, p: &Common, cx: &mut Cx<'_>) -> Self {
        let whole = Timer::after(cx.now, how.within);
        let mut canary = Self { of: how.probes, asked: 0, sent: cx.now, probe: whole, whole };
        canary.ask(p, cx);
        canary
    }

    fn ask(&mut self, p: &Common, cx: &mut Cx<'_>) {
        if self.asked < self.of {
            self.asked += 1;
            self.sent = cx.now;
            self.probe = Timer::after(cx.now, p.policy.health.timeout);
            cx.emit(Effect::Probe { second: false });
        }
    }

    pub(super) fn hear(&mut self, word: Word, p: &Common, cx: &mut Cx<'_>) -> Heard {
        let Self { of, asked, .. } = *self;
        let took = cx.now.since(self.sent);
        match word {
            Word::Answered => {
                cx.note(Note::SwapCanary { probe: asked, of, answered: true, took });
                if asked == of {
                    return Heard::Passed;
                }
                self.ask(p, cx);
                Heard::GoesOn
            }
            Word::Unhealthy(words) => {
                let message = format!("it says that it is unhealthy: {words}");
                Heard::Failed(Class::Unhealthy, Detail { detail: "canary", message }, From::Drain)
            }
            Word::Overdue if self.timer().is_due(cx.now) => {
                cx.note(Note::SwapCanary { probe: asked, of, answered: false, took });
                let message =
                    format!("canary probe {asked} of {of} was not answered in {took:.1?}");
                Heard::Failed(Class::Hang, Detail { detail: "canary", message }, From::Hung)
            }
            Word::Overdue | Word::Nothing => Heard::GoesOn,
        }
    }

    pub(crate) fn timer(&self) -> Timer {
        if self.whole.due() < self.probe.due() { self.whole } else { self.probe }
    }

    /// The host was stalled: nothing that was waited for meanwhile counts.
    pub(super) fn give_back(&mut self, now: Time, lost: Duration) {
        self.probe.give_back(now, lost);
        self.whole.give_back(now, lost);
    }
}
