//! What a plugin asks of the host: calls of other plugins, events, what there is.
//!
//! A request is taken down while the link is locked and carried out when it is not: a call may come back to the same
//! plugin, and whoever answers it asks nothing of this link either, but leaves the answer where the writer finds it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use outboard_core::Time;
use outboard_wire::dialect::{HOST_NAME, HostRequest};
use outboard_wire::error::Callee;
use outboard_wire::json::text_member;
use outboard_wire::{CallError, Id};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::call::{Address, Answer, Call, More, Token};
use super::super::chain::{Inherited, Open, Trace};
use super::super::permit::{may_call, may_know, may_publish};
use super::super::shared::Shared;
use super::super::slot::Slot;
use super::super::topics::{Listen, Published, is_topic};
use super::{Link, State, lock};
use crate::observe;

/// Events that one plugin may publish in a second, and at once: so that two that answer each other's events end nobody
/// else's.
pub(super) const PUBLISHED: (u32, u32) = (1000, 5000);

/// The longest idempotency key.
const LONGEST_KEY: usize = 128;

/// Something that a plugin asked, to be carried out when its link is not locked.
#[derive(Debug)]
pub(super) enum Errand {
    Request(HostRequest),
    /// It takes back a request of its own.
    Cancel(Id),
}

/// A call of this plugin that is open at another one.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) id: Id,
    pub(super) callee: Arc<Slot>,
}

/// An answer to a call of this plugin, on its way to the writer.
pub(super) type Returned = (Id, Result<Box<str>, CallError>);

impl Answer for Link {
    fn address(&self) -> Address {
        Address::Plugin(self.key, self.generation)
    }

    fn answer(&self, id: &Id, result: Result<&str, &CallError>) {
        let result = result.map(Into::into).map_err(Clone::clone);
        lock(&self.returned).push((id.clone(), result));
        self.has_returned.store(true, Ordering::Release);
        self.kick.notify_one();
    }
}

impl Link {
    /// Puts the answers that have come meanwhile into the queue.
    pub(super) fn take_returned(&self, state: &mut State) {
        if !self.has_returned.load(Ordering::Relaxed)
            || !self.has_returned.swap(false, Ordering::Acquire)
        {
            return;
        }
        let all = std::mem::take(&mut *lock(&self.returned));
        for (id, result) in all {
            let Some(at) = state.outgoing.iter().position(|open| open.id == id) else { continue };
            let callee = state.outgoing.swap_remove(at).callee;
            match result {
                Ok(result) => state.peer.answer(&id, Ok(&result)),
                Err(error) => {
                    state.peer.answer_error(&id, &error.with_callee(&callee.id).to_json());
                }
            }
            state.peer.end_request();
        }
    }

    /// Carries out what was taken down, the link unlocked.
    pub(super) fn run_errands(&self, errands: Vec<Errand>) {
        for errand in errands {
            match errand {
                Errand::Request(HostRequest::Info { id }) => self.info(&id),
                Errand::Request(HostRequest::Publish { id, topic, data }) => {
                    self.publish(id, topic, &data);
                }
                Errand::Request(HostRequest::Call {
                    id,
                    plugin,
                    method,
                    params,
                    timeout,
                    meta,
                }) => {
                    let call = Asked { plugin, method, params, timeout, meta };
                    if let Err(error) = self.call_other(&id, call) {
                        self.refuse_request(&id, &error);
                    }
                }
                Errand::Cancel(id) => self.cancel_outgoing(Some(&id)),
            }
        }
    }

    fn refuse_request(&self, id: &Id, error: &CallError) {
        self.answer_request(id, Err(error));
    }

    fn answer_request(&self, id: &Id, outcome: Result<&str, &CallError>) {
        let mut state = self.state();
        match outcome {
            Ok(result) => state.peer.answer(id, Ok(result)),
            Err(error) => state.peer.answer_error(id, &error.to_json()),
        }
        state.peer.end_request();
        drop(state);
        self.kick.notify_one();
    }

    fn info(&self, id: &Id) {
        let permissions = self.slot.manifest().permissions.clone();
        let slots = self.shared.upgrade().map(|shared| shared.slots()).unwrap_or_default();
        let known =
            slots.iter().filter(|slot| slot.id != self.slot.id && may_know(&permissions, &slot.id));
        let peers: Vec<_> = known
            .map(|slot| {
                let seen = slot.snapshot();
                let (state, health) = (observe::state(seen.state), observe::health(seen.health));
                json!({"id": &*slot.id, "state": state, "health": health})
            })
            .collect();
        let uptime = u64::try_from(self.clock.now().since_start().as_millis()).unwrap_or(u64::MAX);
        let info = json!({
            "hostInfo": {"name": HOST_NAME, "version": env!("CARGO_PKG_VERSION")},
            "plugin": {
                "id": &*self.slot.id,
                "instance": format!("{}-0", self.slot.id),
                "generation": self.generation,
            },
            "uptimeMs": uptime,
            "peers": peers,
        });
        self.answer_request(id, Ok(&info.to_string()));
    }

    /// A call of another plugin: on its way, or refused.
    fn call_other(&self, id: &Id, asked: Asked) -> Result<(), CallError> {
        let Asked { plugin, method, params, timeout, meta } = asked;
        let nobody = Callee { plugin: &plugin, generation: 0 };
        if !may_call(&self.slot.manifest().permissions, &plugin, &method) {
            return Err(CallError::permission_denied(nobody, "call", &method));
        }
        let shared = self.shared.upgrade();
        let callee = shared.and_then(|shared: Arc<Shared>| shared.slot(&plugin));
        let Some(callee) = callee else {
            return Err(CallError::unavailable(nobody, "not_found"));
        };
        let meta = meta.as_deref().unwrap_or("{}");
        let inherited = self.inherited(Trace::of(meta));
        if inherited.closes_circle(&callee.id, callee.takes_one()) {
            return Err(CallError::overloaded(nobody, "call_cycle"));
        }
        let began = self.clock.now();
        let deadline =
            lowest(began, [timeout, Some(callee.manifest().calls.deadline)], inherited.deadline);
        let key = text_member(meta, "idempotencyKey").filter(|key| key.len() <= LONGEST_KEY);
        let more = More {
            key: key.map(|key| key.into()),
            origin: Some(Arc::new(inherited.origin)),
            ..More::default()
        };
        let Some(me) = self.me.upgrade() else { return Ok(()) };
        {
            let mut state = self.state();
            if state.outgoing.iter().any(|open| open.id == *id) {
                return Err(CallError::invalid_params(
                    self.callee(),
                    "the id of a call that is open",
                ));
            }
            state.outgoing.push(Outgoing { id: id.clone(), callee: callee.clone() });
        }
        callee.submit(Call {
            method: method.into(),
            params: params.into(),
            deadline: Some(deadline),
            began,
            caller: self.caller.clone(),
            token: Token::Client(me, id.clone()),
            more: Some(Box::new(more)),
        });
        // It may have ended while its call was on the way.
        if self.state().dead {
            self.cancel_outgoing(None);
        }
        Ok(())
    }

    /// What led to a call that the plugin makes now.
    fn inherited(&self, own: Trace) -> Inherited {
        let mut open = Vec::new();
        self.state().peer.each_sent(|pending, deadline| {
            let more = pending.more.as_deref();
            open.push(Open {
                origin: more.and_then(|more| more.origin.clone()),
                trace: more.and_then(|more| more.trace.as_deref().cloned()).unwrap_or_default(),
                deadline: deadline.map(Time::from_start),
            });
        });
        Inherited::from(&self.slot.id, &open, own)
    }

    /// Takes back the plugin's own calls, or the one of this id: nobody waits for them any more.
    pub(super) fn cancel_outgoing(&self, only: Option<&Id>) {
        let Some(me) = self.me.upgrade() else { return };
        let mut callees: Vec<Arc<Slot>> = Vec::new();
        for open in &self.state().outgoing {
            let wanted = only.is_none_or(|id| *id == open.id);
            if wanted && !callees.iter().any(|known| known.id == open.callee.id) {
                callees.push(open.callee.clone());
            }
        }
        let mine = |token: &Token| {
            let id = only.is_none_or(|id| matches!(token, Token::Client(_, own) if own == id));
            id && token.belongs_to(&me)
        };
        for callee in callees {
            callee.cancel_where(&mine, "caller");
        }
    }

    fn publish(&self, id: Option<Id>, topic: String, data: &str) {
        let delivered = self.try_publish(topic, data);
        match (id, delivered) {
            (Some(id), Ok(n)) => self.answer_request(&id, Ok(&format!("{{\"delivered\":{n}}}"))),
            (Some(id), Err(error)) => self.refuse_request(&id, &error),
            (None, Ok(_)) => {}
            // A notification has no answer: it is counted and said.
            (None, Err(error)) => {
                let fields = json!({"what": error.message()});
                self.say(&mut self.state(), "wire.violation", fields);
            }
        }
    }

    fn try_publish(&self, topic: String, data: &str) -> Result<usize, CallError> {
        if !is_topic(&topic) {
            return Err(CallError::invalid_params(
                self.callee(),
                "nothing can be a topic of that name",
            ));
        }
        if !may_publish(&self.slot.manifest().permissions, &topic) {
            return Err(CallError::permission_denied(self.callee(), "publish", &topic));
        }
        if !self.state().published.take(self.clock.now()) {
            let message = format!(
                "plugin {} publishes more than {} events a second",
                self.slot.id, PUBLISHED.0
            );
            return Err(CallError::overloaded(self.callee(), "rate").with_message(message));
        }
        let Some(shared) = self.shared.upgrade() else { return Ok(0) };
        Ok(shared.topics.publish(&Arc::new(Published {
            topic,
            source: self.slot.id.clone(),
            time_ms: self.clock.wall_us() / 1000,
            data: data.into(),
        })))
    }
}

/// What a plugin wants of another one.
struct Asked {
    plugin: String,
    method: String,
    params: String,
    timeout: Option<Duration>,
    meta: Option<String>,
}

/// The lowest of some spans from now, and a point in time.
fn lowest(now: Time, spans: [Option<Duration>; 2], at: Option<Time>) -> Time {
    let ends = spans.into_iter().flatten().map(|span| now + span);
    ends.chain(at).min().unwrap_or(now)
}

impl Listen for Link {
    /// Half of the queue is for events: what more comes is dropped, newest first, and the next one says how many.
    fn hear(&self, event: &Arc<Published>) -> bool {
        let mut state = self.state();
        if !state.accepting || state.dead {
            return false;
        }
        state.events.seq += 1;
        let params = event.params(state.events.seq, state.events.missed);
        let limits = state.peer.limits();
        let queued = state.peer.queued_bytes();
        let room = queued == 0
            || (queued + params.len() <= limits.queue_bytes / 2
                && state.peer.queued_frames() < limits.queue_frames.div_ceil(2));
        if room && state.peer.notify(false, "event", Some(&params)).is_ok() {
            state.events.missed = 0;
            drop(state);
            self.kick.notify_one();
            return true;
        }
        state.events.missed += 1;
        self.say(&mut state, "event.dropped", json!({"topic": event.topic}));
        false
    }
}

/// What this generation was told of events.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Events {
    /// Counts every event that it wanted, from 1.
    seq: u64,
    /// Dropped since the last one that was delivered.
    missed: u64,
}
