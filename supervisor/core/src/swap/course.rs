//! The course of a swap: what the states of its two lives mean for it, and what ends it from outside.

use crate::event::{Event, Note, StopReason, Verdict};
use crate::lifecycle::{Starting, State};
use crate::owner::Plugin;
use crate::plugin::{Cx, Part};
use crate::swap::{Stage, Word};

impl Plugin {
    /// Works out what the states of the two lives mean for the swap.
    pub(crate) fn advance(&mut self, cx: &mut Cx<'_>) {
        // Each turn is one stage further, and there are few.
        while self.advance_once(cx) {}
    }

    fn advance_once(&mut self, cx: &mut Cx<'_>) -> bool {
        let Some(swap) = self.swap.as_deref() else { return false };
        match &swap.stage {
            Stage::Beside(canary) => self.judge(canary.is_none(), cx),
            Stage::InPlace(canary) => self.judge(canary.is_none(), cx),
            Stage::Leaving { told } => {
                let told = *told;
                if swap.other.state.is_down() {
                    self.end_swap(told, cx);
                } else if matches!(swap.other.state, State::Unkillable(_)) && !told {
                    self.set_stage(Stage::Leaving { told: true });
                    cx.note(Note::SwapDone { took: self.swap_took(cx.now) });
                }
                false
            }
            Stage::HandingOver => match &self.state {
                State::Starting(Starting::Queued(_)) => {
                    self.set_stage(Stage::InPlace(None));
                    self.exchange();
                    true
                }
                State::Unkillable(_) => {
                    let why = "the old version cannot be stopped".to_owned();
                    self.judged(Verdict::RolledBack { why }, cx);
                    self.end_swap(false, cx);
                    false
                }
                State::Stopping(_) => false,
                // It is not to come back: something has stopped it whose word was more.
                State::Registered(_)
                | State::Starting(Starting::Launched { .. })
                | State::Loaded(_)
                | State::Running(_)
                | State::Backoff(_)
                | State::Failed(_) => {
                    let why = self.common.reason.clone().into_owned();
                    self.judged(Verdict::Abandoned { why }, cx);
                    self.end_swap(false, cx);
                    false
                }
            },
            Stage::HandingBack { told } => match &self.state {
                State::Unkillable(_) => {
                    if !*told {
                        self.set_stage(Stage::HandingBack { told: true });
                        cx.note(Note::SwapDone { took: self.swap_took(cx.now) });
                    }
                    false
                }
                State::Stopping(_)
                | State::Starting(Starting::Launched { .. })
                | State::Loaded(_)
                | State::Running(_) => false,
                State::Registered(_)
                | State::Starting(Starting::Queued(_))
                | State::Backoff(_)
                | State::Failed(_) => {
                    self.set_stage(Stage::Returning { told: *told });
                    self.exchange();
                    self.common.part = Part::Paused;
                    self.common.reason = "the new version was rolled back".into();
                    self.state = self.common.begin(false, cx);
                    true
                }
            },
            Stage::Returning { told } => match &self.state {
                State::Starting(_) | State::Loaded(_) | State::Stopping(_) => false,
                State::Registered(_)
                | State::Running(_)
                | State::Backoff(_)
                | State::Failed(_)
                | State::Unkillable(_) => {
                    self.end_swap(*told, cx);
                    false
                }
            },
        }
    }

    /// Whether the life on trial is still on its way.
    fn judge(&mut self, untried: bool, cx: &mut Cx<'_>) -> bool {
        let on_trial = self.beside().map_or(&self.state, |life| &life.state);
        match on_trial {
            State::Starting(_) | State::Loaded(_) => false,
            State::Running(_) => {
                if untried {
                    self.try_out(Word::Nothing, cx);
                }
                untried
            }
            State::Registered(_)
            | State::Stopping(_)
            | State::Backoff(_)
            | State::Failed(_)
            | State::Unkillable(_) => {
                let common = self.beside().map_or(&self.common, |life| &life.common);
                let why = common.reason.clone().into_owned();
                self.judged(Verdict::RolledBack { why }, cx);
                true
            }
        }
    }

    /// It is stopped: no version is tried any more.
    pub(crate) fn abandon_swap(&mut self, now: bool, reason: StopReason, cx: &mut Cx<'_>) {
        let Some(swap) = self.swap.as_deref() else { return };
        let why = || "it was stopped meanwhile".to_owned();
        match swap.stage {
            Stage::Beside(_) => {
                let stop = Event::Stop { now, reason };
                self.change_beside(cx, |state, common, cx| state.step(common, stop, cx));
                self.judged(Verdict::Abandoned { why: why() }, cx);
            }
            Stage::Leaving { .. } => {
                let stop = Event::Stop { now, reason };
                self.change_beside(cx, |state, common, cx| state.step(common, stop, cx));
            }
            Stage::HandingOver => {
                self.judged(Verdict::Abandoned { why: why() }, cx);
                self.end_swap(false, cx);
            }
            Stage::InPlace(_) => self.judged(Verdict::Abandoned { why: why() }, cx),
            Stage::HandingBack { .. } | Stage::Returning { .. } => {}
        }
    }

    /// Another manifest came meanwhile: what is on trial is taken back, and the old version is what that changes.
    pub(crate) fn withdraw_swap(&mut self, cx: &mut Cx<'_>) {
        let Some(swap) = self.swap.as_deref() else { return };
        let why = || "its manifest changed meanwhile".to_owned();
        match swap.stage {
            Stage::Beside(_) => {
                let stop = Event::Stop { now: false, reason: StopReason::Config };
                self.change_beside(cx, |state, common, cx| state.step(common, stop, cx));
                self.judged(Verdict::Abandoned { why: why() }, cx);
            }
            Stage::HandingOver => {
                self.judged(Verdict::Abandoned { why: why() }, cx);
                self.end_swap(false, cx);
            }
            Stage::InPlace(_) => {
                self.transform(cx, |state, common, cx| {
                    state.step(common, Event::Restart { now: false }, cx)
                });
                self.judged(Verdict::Abandoned { why: why() }, cx);
            }
            Stage::Leaving { .. } | Stage::HandingBack { .. } | Stage::Returning { .. } => {}
        }
    }
}
