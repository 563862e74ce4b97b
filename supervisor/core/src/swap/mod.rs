//! One version takes over from another: who is on trial, who serves, and what follows from a verdict.
//!
//! The lifecycle knows of one generation; a swap is the owner above it and holds a second one at most. In `overlap` the
//! new version starts beside the old one, which serves on until the canary probes are answered. In `exclusive` the two
//! follow each other in one place, and calls wait meanwhile. What is on trial has no restarts: its first failure is the
//! verdict. Every swap ends in exactly one [`Verdict`], and then in one `SwapDone`.

mod canary;
mod course;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use canary::Heard;
pub(crate) use canary::{Canary, Word};

use crate::event::{Effect, Event, Note, Route, StopReason, Unavailable, Verdict, Version};
use crate::ladder::From;
use crate::lifecycle::{Registered, Starting, State, Stopping};
use crate::owner::Plugin;
use crate::plugin::{Common, Cx, Part, Wanted};
use crate::policy::{Policy, SwapMode, SwapPolicy};
use crate::snapshot::SwapStage;
use crate::time::Time;

/// A generation with what belongs to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Life {
    pub(crate) common: Common,
    pub(crate) state: State,
}

/// One swap, from its acceptance until nothing of the loser is left.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Swap {
    how: SwapPolicy,
    began: Time,
    /// The generation that served when it began.
    from: u64,
    /// Why the new version did not take over.
    lost: Option<String>,
    /// In `overlap` the life beside; in `exclusive` what is kept of the version that is not in place.
    other: Life,
    stage: Stage,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Stage {
    /// `overlap`: the other one is the new version, on trial beside the serving one.
    Beside(Option<Canary>),
    /// `overlap`: the verdict has fallen; the other one, whichever lost, leaves.
    Leaving { told: bool },
    /// `exclusive`: the old version makes room.
    HandingOver,
    /// `exclusive`: the new version is in place, on trial.
    InPlace(Option<Canary>),
    /// `exclusive`: the verdict was against the new version, which makes room.
    HandingBack { told: bool },
    /// `exclusive`: the old version starts again.
    Returning { told: bool },
}

impl Swap {
    pub(crate) fn stage(&self) -> SwapStage {
        match self.stage {
            Stage::Beside(_) | Stage::HandingOver | Stage::InPlace(_) => SwapStage::Trial,
            Stage::Leaving { .. } | Stage::HandingBack { .. } => SwapStage::Leaving,
            Stage::Returning { .. } => SwapStage::Returning,
        }
    }

    fn is_beside(&self) -> bool {
        matches!(self.stage, Stage::Beside(_) | Stage::Leaving { .. })
    }
}

impl Common {
    /// What belongs to the plugin and not to one version of it goes over to the version that takes its place.
    fn inherit(&mut self, before: &mut Self) {
        self.wanted = before.wanted;
        self.verdict = before.verdict;
        self.route = before.route.take();
        self.last_failure = before.last_failure.clone();
        self.last_stop = before.last_stop.clone();
    }
}

impl Plugin {
    /// Begins to try another version. The plugin serves, and no swap is under way.
    pub(crate) fn begin_swap(&mut self, policy: Policy, how: SwapPolicy, cx: &mut Cx<'_>) {
        let mut common = Common::new(self.common.id.clone(), policy, 0);
        common.wanted = Wanted::Up;
        common.route = None;
        common.part = Part::OnTrial;
        common.version = Version::Next;
        cx.note(Note::SwapStarted { mode: how.mode });
        let (stage, state) = match how.mode {
            SwapMode::Overlap => (Stage::Beside(None), State::Starting(Starting::queued(false))),
            SwapMode::Exclusive => (Stage::HandingOver, State::Registered(Registered::Resting)),
        };
        let from = self.common.generation;
        let other = Life { common, state };
        self.swap = Some(Box::new(Swap { how, began: cx.now, from, lost: None, other, stage }));
        if how.mode == SwapMode::Exclusive {
            self.common.part = Part::Paused;
            self.transform(cx, |state, common, cx| {
                if let State::Running(running) = state {
                    Stopping::for_restart(running.run, From::Drain, common, cx)
                } else {
                    state
                }
            });
        }
    }

    /// The generation beside the serving one, on trial or leaving.
    pub(crate) fn beside(&self) -> Option<&Life> {
        self.swap.as_deref().filter(|swap| swap.is_beside()).map(|swap| &swap.other)
    }

    pub(crate) fn beside_mut(&mut self) -> Option<&mut Life> {
        let swap = self.swap.as_deref_mut().filter(|swap| swap.is_beside());
        swap.map(|swap| &mut swap.other)
    }

    /// The verdict of a swap has not fallen yet.
    pub(crate) fn is_trying(&self) -> bool {
        self.swap.as_deref().is_some_and(|swap| swap.stage() == SwapStage::Trial)
    }

    pub(crate) fn canary(&self) -> Option<&Canary> {
        match &self.swap.as_deref()?.stage {
            Stage::Beside(canary) | Stage::InPlace(canary) => canary.as_ref(),
            Stage::Leaving { .. }
            | Stage::HandingOver
            | Stage::HandingBack { .. }
            | Stage::Returning { .. } => None,
        }
    }

    /// Decides one event of the life beside.
    pub(crate) fn step_beside(&mut self, event: Event, cx: &mut Cx<'_>) {
        let word = Word::of(&event);
        self.change_beside(cx, |state, common, cx| state.step(common, event, cx));
        if self.beside().is_some() {
            self.try_out(word, cx);
        }
    }

    pub(crate) fn change_beside(
        &mut self,
        cx: &mut Cx<'_>,
        change: impl FnOnce(State, &mut Common, &mut Cx<'_>) -> State,
    ) {
        let Some(swap) = self.swap.as_deref_mut().filter(|swap| swap.is_beside()) else { return };
        let Life { common, state } = &mut swap.other;
        cx.generation = common.generation;
        let before = std::mem::replace(state, State::Registered(Registered::Resting));
        *state = change(before, common, cx);
        cx.generation = self.common.generation;
    }

    /// What the life in place has said, when that is the one on trial.
    pub(crate) fn try_in_place(&mut self, word: Word, cx: &mut Cx<'_>) {
        if self.beside().is_none() {
            self.try_out(word, cx);
        }
    }

    /// The life on trial has said something; once it is active, its canary hears it.
    fn try_out(&mut self, word: Word, cx: &mut Cx<'_>) {
        let Some(swap) = self.swap.as_deref_mut() else { return };
        let (how, began) = (swap.how, swap.began);
        let (canary, common, state) = match &mut swap.stage {
            Stage::Beside(canary) => (canary, &mut swap.other.common, &mut swap.other.state),
            Stage::InPlace(canary) => (canary, &mut self.common, &mut self.state),
            Stage::Leaving { .. }
            | Stage::HandingOver
            | Stage::HandingBack { .. }
            | Stage::Returning { .. } => return,
        };
        if !matches!(state, State::Running(_)) {
            return;
        }
        cx.generation = common.generation;
        let heard = match canary {
            Some(canary) => canary.hear(word, common, cx),
            None => {
                cx.note(Note::SwapActive { after: cx.now.since(began) });
                *canary = Some(Canary::begin(how, common, cx));
                if how.probes == 0 { Heard::Passed } else { Heard::GoesOn }
            }
        };
        match heard {
            Heard::GoesOn => {}
            Heard::Passed => match how.mode {
                SwapMode::Overlap => self.switch(cx),
                SwapMode::Exclusive => self.keep(cx),
            },
            Heard::Failed(class, detail, from) => {
                let before = std::mem::replace(state, State::Registered(Registered::Resting));
                *state = if let State::Running(running) = before {
                    common.fail_living(running.run, class, false, detail, from, cx)
                } else {
                    before
                };
            }
        }
        cx.generation = self.common.generation;
    }

    /// `overlap`: the two change places. The old one drains and leaves.
    fn switch(&mut self, cx: &mut Cx<'_>) {
        let Some(swap) = self.swap.as_deref_mut() else { return };
        swap.other.common.inherit(&mut self.common);
        std::mem::swap(&mut self.common, &mut swap.other.common);
        std::mem::swap(&mut self.state, &mut swap.other.state);
        swap.stage = Stage::Leaving { told: false };
        let from = swap.other.common.generation;
        self.common.part = Part::Serving;
        self.common.version = Version::InForce;
        // Whatever it was, it leads to another process from now on.
        self.common.route = Some(Route::Refuse(Unavailable::Down));
        self.since = cx.now;
        let to = self.common.generation;
        cx.generation = to;
        cx.emit(Effect::Adopt);
        cx.note(Note::SwapJudged(Verdict::Switched { from, to }));
        let stop = Event::Stop { now: false, reason: StopReason::Swap };
        self.change_beside(cx, |state, common, cx| state.step(common, stop, cx));
    }

    /// `exclusive`: the version in place has proven itself.
    fn keep(&mut self, cx: &mut Cx<'_>) {
        let Some(swap) = self.swap.as_deref() else { return };
        let (from, to) = (swap.from, self.common.generation);
        self.common.part = Part::Serving;
        self.common.version = Version::InForce;
        cx.emit(Effect::Adopt);
        cx.note(Note::SwapJudged(Verdict::Switched { from, to }));
        self.end_swap(false, cx);
    }

    /// The old version has given up as well: both reasons are kept.
    fn tell_both(&mut self) {
        if let Some(why) = self.swap.as_deref().and_then(|swap| swap.lost.as_ref())
            && matches!(self.state, State::Failed(_))
            && let Some(failure) = &mut self.common.last_failure
        {
            let both = format!("{}; and the new version: {why}", failure.detail.message);
            failure.detail.message = both;
        }
    }

    /// Says the verdict against the version on trial, and lets it leave.
    fn judged(&mut self, verdict: Verdict, cx: &mut Cx<'_>) {
        let next = if self.beside().is_some() {
            Stage::Leaving { told: false }
        } else {
            Stage::HandingBack { told: false }
        };
        let trial = self.beside().map_or(self.common.generation, |life| life.common.generation);
        if let Some(swap) = self.swap.as_deref_mut() {
            swap.stage = next;
            swap.lost = match &verdict {
                Verdict::RolledBack { why } => Some(why.clone()),
                Verdict::Switched { .. } | Verdict::Abandoned { .. } => None,
            };
        }
        // Without a process of its own it is told of the one that serves.
        cx.generation = if trial == 0 { self.common.generation } else { trial };
        cx.emit(Effect::Discard);
        cx.note(Note::SwapJudged(verdict));
        cx.generation = self.common.generation;
    }

    /// What the version in force works with, wherever that is kept.
    pub(crate) fn in_force(&mut self) -> &mut Common {
        match self.swap.as_deref_mut() {
            Some(swap) if matches!(swap.stage, Stage::InPlace(_) | Stage::HandingBack { .. }) => {
                &mut swap.other.common
            }
            Some(_) | None => &mut self.common,
        }
    }

    /// The host was stalled or suspended: every deadline that judges moves.
    pub(crate) fn give_back(&mut self, lost: Duration, suspended: bool, cx: &mut Cx<'_>) {
        let move_on = |mut state: State, _: &mut Common, cx: &mut Cx<'_>| {
            state.give_back(lost, cx);
            if suspended {
                state.spread(cx);
            }
            state
        };
        self.transform(cx, move_on);
        self.change_beside(cx, move_on);
        if let Some(Stage::Beside(Some(canary)) | Stage::InPlace(Some(canary))) =
            self.swap.as_deref_mut().map(|swap| &mut swap.stage)
        {
            canary.give_back(cx.now, lost);
        }
    }

    /// `exclusive`: the other version takes the place.
    fn exchange(&mut self) {
        let Some(swap) = self.swap.as_deref_mut() else { return };
        swap.other.common.inherit(&mut self.common);
        // Until it has a process of its own.
        swap.other.common.generation = self.common.generation;
        std::mem::swap(&mut self.common, &mut swap.other.common);
    }

    fn set_stage(&mut self, stage: Stage) {
        if let Some(swap) = self.swap.as_deref_mut() {
            swap.stage = stage;
        }
    }

    fn swap_took(&self, now: Time) -> Duration {
        self.swap.as_deref().map_or(Duration::ZERO, |swap| now.since(swap.began))
    }

    /// `told`: its end was said before, when nothing could be done about the loser.
    fn end_swap(&mut self, told: bool, cx: &mut Cx<'_>) {
        self.tell_both();
        let took = self.swap_took(cx.now);
        self.common.part = Part::Serving;
        self.swap = None;
        cx.generation = self.common.generation;
        if !told {
            cx.note(Note::SwapDone { took });
        }
    }
}
