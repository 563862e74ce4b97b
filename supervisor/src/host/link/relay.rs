//! What passes between a plugin and the clients that share it, beside calls: notifications, what they want of it, and what
//! an MCP server asks of them (sampling, elicitation).

use std::sync::{Arc, Weak};

use outboard_core::{Key, Time};
use outboard_wire::{Id, RemoteError};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::super::call::{Answer, Token};
use super::super::guests::Guest;
use super::{Link, State};

/// A question of the plugin that a client has been asked. It has to be answered once, by [`Relayed::answer`] or
/// [`Relayed::decline`], and with no lock held.
#[derive(Debug)]
pub(crate) struct Relayed {
    link: Weak<Link>,
    /// The plugin and its generation.
    asker: (Key, u64),
    id: Id,
    otherwise: Result<String, (i64, String)>,
}

/// A [`Relayed`], written down.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeptRelayed {
    asker: (Key, u64),
    id: Id,
    otherwise: Result<String, (i64, String)>,
}

/// Finds the link of a plugin's generation.
pub(crate) type Askers<'a> = dyn Fn((Key, u64)) -> Option<Weak<Link>> + 'a;

impl Relayed {
    #[must_use]
    pub(crate) fn kept(&self) -> KeptRelayed {
        let Self { link: _, asker, id, otherwise } = self;
        KeptRelayed { asker: *asker, id: id.clone(), otherwise: otherwise.clone() }
    }

    /// The question, which is nobody's until [`Relayed::find_asker`].
    #[must_use]
    pub(crate) fn restore(kept: KeptRelayed) -> Self {
        let KeptRelayed { asker, id, otherwise } = kept;
        Self { link: Weak::new(), asker, id, otherwise }
    }

    /// Whoever asks is there again. Where it did not come along the question stays nobody's, as when a process has gone.
    pub(crate) fn find_asker(&mut self, askers: &Askers<'_>) {
        self.link = askers(self.asker).unwrap_or_default();
    }

    /// Of this generation, and if `id` is given, this question of it.
    #[must_use]
    pub(crate) fn is(&self, generation: u64, id: &Id) -> bool {
        self.asker.1 == generation && self.id == *id
    }

    /// Of a generation before this one.
    #[must_use]
    pub(crate) fn is_before(&self, generation: u64) -> bool {
        self.asker.1 < generation
    }

    /// What the client answered. Nobody's when the plugin's process has gone.
    pub(crate) fn answer(self, outcome: Result<&RawValue, &RemoteError<'_>>) {
        let Some(link) = self.link.upgrade() else { return };
        let mut state = link.state();
        state.forget_question(&self.id);
        match outcome {
            Ok(result) => state.peer.answer(&self.id, Ok(result.get())),
            Err(error) => state.peer.answer_error(&self.id, error.raw.get()),
        }
        state.peer.end_request();
        drop(state);
        link.kick.notify_one();
    }

    /// No client answers it: what the plugin is told then.
    pub(crate) fn decline(self) {
        let Some(link) = self.link.upgrade() else { return };
        let mut state = link.state();
        state.forget_question(&self.id);
        link.decline(&mut state, self.id.clone(), &self.otherwise);
        drop(state);
        link.kick.notify_one();
    }
}

impl State {
    /// It waits for no client's answer any more.
    pub(super) fn forget_question(&mut self, id: &Id) {
        self.questions.retain(|(_, question)| question != id);
    }

    /// Until when the writer may wait.
    pub(super) fn next_deadline(&mut self) -> Option<Time> {
        let question = self.questions.iter().map(|(until, _)| *until).min();
        let call = self.peer.next_deadline().map(Time::from_start);
        call.into_iter().chain(question).min()
    }
}

impl Link {
    /// Asks the client whose call is open, if it answers such questions. The server does not say for which of its calls
    /// it asks: when several clients could be meant, none is, for none may be shown what is another's.
    pub(super) fn relay(
        &self,
        state: &mut State,
        id: Id,
        (method, params): (&str, Option<&RawValue>),
        otherwise: Result<String, (i64, String)>,
    ) {
        let Some(client) = only_caller(state).filter(|client| client.answers(method)) else {
            return self.decline(state, id, &otherwise);
        };
        let asker = (self.key, self.generation);
        let relayed = Relayed { link: self.me.clone(), asker, id, otherwise };
        let params = params.map_or("", RawValue::get);
        let question = relayed.id.clone();
        match client.ask(method, params, relayed) {
            Ok(()) => {
                let limit = self.manifest.calls.deadline;
                state.questions.push((self.clock.now() + limit, question));
                self.kick.notify_one();
            }
            Err(Relayed { id, otherwise, .. }) => self.decline(state, id, &otherwise),
        }
    }

    /// Clients that were asked and have not answered in `[calls] deadline`: the plugin, which waits with what it has open,
    /// is told what it would be told if there were nobody to ask.
    pub(super) fn give_up_questions(&self) {
        let now = self.clock.now();
        let overdue: Vec<Id> = {
            let mut state = self.state();
            state.questions.extract_if(.., |(until, _)| *until <= now).map(|(_, id)| id).collect()
        };
        for id in overdue {
            let Some((relayed, client)) = self.slot.guests.give_up(self.generation, &id) else {
                continue;
            };
            relayed.decline();
            let after = u64::try_from(self.manifest.calls.deadline.as_millis());
            let fields = json!({"client": client, "after_ms": after.unwrap_or(u64::MAX)});
            self.say(&mut self.state(), "client.silent", fields);
        }
    }

    /// A notification goes to the caller of the call that it belongs to, else to the clients whose it is. Progress of a
    /// call is a sign of life.
    pub(super) fn for_clients(&self, state: &mut State, method: &str, params: &str) {
        let Some(belongs) = state.dialect.belongs(method, params) else {
            // What is on trial has no clients yet.
            if self.slot.told().trial_of(self.generation).is_none() {
                self.slot.guests.hear(method, params);
            }
            return;
        };
        let Some(pending) = state.peer.token(belongs.call) else { return };
        state.last_life = Some(self.clock.now());
        if let Token::Client(client, id) = &pending.token
            && let Some(told) = belongs.told(
                params,
                id,
                pending.more.as_ref().and_then(|more| more.progress.as_deref()),
            )
        {
            client.push(method, &told);
        }
    }

    /// Tells the plugin what its clients want of it beside calls, as far as it has not been told.
    pub(super) fn want(&self, state: &mut State) {
        let State { dialect, asks, .. } = state;
        dialect.want(&self.slot.guests.wants(), asks);
    }

    /// Says what clients had said to the process before: ahead of everything that is still to be written.
    pub(crate) fn say_again(&self, notes: &[(&'static str, String)]) {
        if notes.is_empty() {
            return;
        }
        let mut state = self.state();
        for (method, params) in notes {
            // What was small enough for the process before is so for this one, unless the manifest has changed.
            if let Err(refusal) = state.peer.notify(true, method, Some(params)) {
                tracing::debug!(
                    plugin = &*self.slot.id,
                    ?refusal,
                    "a document was not opened again"
                );
            }
        }
        drop(state);
        self.kick.notify_one();
    }

    /// What clients want of the plugin beside calls has changed.
    pub(crate) fn wants_changed(&self) {
        let mut state = self.state();
        if state.opened && !state.over {
            self.want(&mut state);
            self.run_asks(&mut state);
        }
    }

    fn decline(&self, state: &mut State, id: Id, otherwise: &Result<String, (i64, String)>) {
        let outcome = otherwise.as_deref().map_err(|(code, message)| (*code, &**message, None));
        state.peer.answer(&id, outcome);
        state.peer.end_request();
    }
}

/// The one client that has calls open, or `None` where there are several, or somebody else has one too.
fn only_caller(state: &State) -> Option<Arc<dyn Guest>> {
    let mut only: Option<&Arc<dyn Answer>> = None;
    for pending in state.peer.tokens() {
        match (&pending.token, only) {
            (Token::Tagged(_), _) => {}
            (Token::Future(_), _) => return None,
            (Token::Client(client, _), None) => only = Some(client),
            (Token::Client(client, _), Some(other)) if Arc::ptr_eq(client, other) => {}
            (Token::Client(..), Some(_)) => return None,
        }
    }
    only.cloned()?.guest()
}
