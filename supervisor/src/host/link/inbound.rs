//! From stdout to callers and lifecycle: what the plugin says.

use std::cell::RefCell;
use std::io;
use std::sync::{Arc, Weak};

use outboard_core::{Detail, Event, Opening, Report, Saying, Seen};
use outboard_manifest::Glob;
use outboard_wire::dialect::{Inbound, PluginEvent, Reply, Saying as Said, Tag};
use outboard_wire::message::split_batch;
use outboard_wire::peer::{Answered, Resolved};
use outboard_wire::{CallError, Item, JunkKind, Message, RemoteError, decode};
use serde_json::json;
use serde_json::value::RawValue;

use super::super::call::Token;
use super::super::failpoint;
use super::super::happening::Happening;
use super::super::topics::Listen;
use super::super::view::LogSource;
use super::again::Again;
use super::errands::Errand;
use super::junk::error_text;
use super::timeouts::Timeouts;
use super::{Ahead, END_TOGETHER, Link, State, lock, read_now};

/// One buffer for each thread: an idle plugin keeps nothing but an unfinished tail.
const SCRATCH: usize = 64 * 1024;

/// Reads in a row before other plugins get their turn: what one buffer holds takes long enough to digest.
const ROUNDS: usize = 1;

/// Reads in a row when a generation ends: a full pipe of the largest size that is given out, and no more, since a
/// grandchild may write for ever.
const LAST_ROUNDS: usize = 64;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into());
}

/// Where reading stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pumped {
    /// Nothing more now.
    Dry,
    /// There may be more; others have their turn first.
    More,
    /// The pipe has ended.
    End,
}

impl Link {
    pub(super) async fn read_stdout(self: Arc<Self>) {
        loop {
            if self.stdout.readable().await.is_err() || self.is_over() {
                return;
            }
            match self.pump_rounds(ROUNDS, |buffer| self.stdout.try_read(buffer)) {
                Pumped::Dry => {}
                Pumped::More => tokio::task::yield_now().await,
                Pumped::End => {
                    self.pipe_ended("stdout-closed").await;
                    return;
                }
            }
        }
    }

    /// Reads what lies in the pipe now.
    pub(crate) fn pump(&self) -> Pumped {
        self.pump_rounds(LAST_ROUNDS, |buffer| read_now(&self.stdout, buffer))
    }

    fn pump_rounds(
        &self,
        rounds: usize,
        mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> Pumped {
        let mut framer = lock(&self.framer);
        BUFFER.with_borrow_mut(|buffer| {
            for _ in 0..rounds {
                match read(buffer) {
                    Ok(0) => {
                        framer.finish(&mut |item| self.item(item));
                        return Pumped::End;
                    }
                    Ok(n) => {
                        self.read(n);
                        framer.feed(&buffer[..n], &mut |item| self.item(item));
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Pumped::Dry,
                    Err(_) => return Pumped::End,
                }
            }
            Pumped::More
        })
    }

    /// A pipe has ended. That is the usual first sign of a death; only when the process then lives on is it a break.
    pub(super) async fn pipe_ended(&self, what: &'static str) {
        loop {
            tokio::time::sleep(END_TOGETHER).await;
            if self.is_over() {
                return;
            }
            let process = super::super::procfs::look(self.pid());
            if process.gone {
                return;
            }
            // A process closes its descriptors early on its way out, and a loaded machine may take a while over it.
            if !process.exiting {
                break;
            }
        }
        let (key, generation) = (self.key, self.generation);
        self.happenings.tell(Happening::PipeClosed { key, generation, what });
    }

    fn read(&self, bytes: usize) {
        let mut state = self.state();
        let first = state.read == 0;
        state.read += bytes as u64;
        // One look at the clock for all frames that came together.
        state.read_at = self.clock.now();
        drop(state);
        if first {
            self.tell(Event::FirstByte);
        }
    }

    fn item(&self, item: Item<'_>) {
        match item {
            Item::Frame(frame) => self.frame(frame),
            Item::Junk { kind: JunkKind::Batch, line, bytes } => self.batch(bytes, line),
            Item::Junk { kind, bytes, line } => self.junk(kind.as_str(), bytes, line),
            Item::TooLong { bytes, id, .. } => self.too_long(bytes, id.as_ref()),
            Item::Runaway { bytes } => self.broken(Detail {
                detail: "runaway-frame",
                message: format!("one line on stdout went past {bytes} bytes without an end"),
            }),
            Item::Tail { bytes, kept } => self.fragment(bytes, kept),
            Item::Fatal { near, .. } => self.broken(Detail {
                detail: "framing",
                message: format!(
                    "the frames on stdout cannot be told apart any more: no good Content-Length near `{}`",
                    self.slot.log.mask(near.escape_ascii().to_string())
                ),
            }),
        }
    }

    /// One MCP revision allows batches; everywhere else they are junk.
    fn batch(&self, bytes: u64, line: &[u8]) {
        let unpacks = self.state().dialect.unpacks_batches();
        match split_batch(line, self.max_depth).filter(|_| unpacks) {
            Some(frames) => frames.into_iter().for_each(|frame| self.frame(frame)),
            None => self.junk(JunkKind::Batch.as_str(), bytes, line),
        }
    }

    fn frame(&self, frame: &str) {
        let message = match decode(frame, self.max_depth) {
            Ok(message) => message,
            Err(reject) => return self.reject(frame, &reject),
        };
        match message {
            Message::Response { id, outcome } => {
                let mut state = self.state();
                if state.over {
                    return;
                }
                let now = state.read_at;
                state.last_life = Some(now);
                match state.peer.resolve(&id) {
                    Resolved::Pending(Answered { id, token: pending, method, .. }) => {
                        if !matches!(pending.token, Token::Tagged(Tag::Probe { .. })) {
                            state.frames.read(now, frame);
                        }
                        match pending.token {
                            Token::Tagged(tag) => {
                                self.tagged(&mut state, id, tag, outcome.as_ref().map(|raw| *raw))
                            }
                            token => {
                                state.pace.one_ended(now.since(pending.began));
                                state.idle_from = now;
                                let reply = state.dialect.reply(&method, outcome);
                                let renamed = renamed(&state, &method, &token, &reply);
                                let reply = renamed.as_deref().map_or(reply, Reply::Done);
                                state.tally.answered += 1;
                                self.check_drained(&mut state);
                                let more = state.peer.output_pending();
                                drop(state);
                                if more {
                                    self.kick.notify_one();
                                }
                                self.settle(token, reply);
                            }
                        }
                    }
                    Resolved::Late => {
                        self.check_drained(&mut state);
                        self.late(&mut state, &id);
                    }
                    Resolved::Unknown => {
                        if state.seen != Seen::Frames {
                            state.seen = Seen::OtherId;
                        }
                        drop(state);
                        self.orphan(&id, outcome.err().as_ref());
                    }
                }
            }
            Message::Request { id, method, params } => {
                let mut state = self.state();
                if state.over {
                    return;
                }
                state.seen = Seen::Frames;
                let now = state.read_at;
                state.frames.read(now, frame);
                if !state.peer.begin_request() {
                    let error = CallError::overloaded(self.callee(), "concurrency");
                    state.peer.answer_error(&id, &error.to_json());
                    self.kick.notify_one();
                    return;
                }
                let inbound = Inbound::Request { id, method: &method, params };
                self.to_dialect(&mut state, inbound);
                let errands = std::mem::take(&mut state.errands);
                drop(state);
                self.run_errands(errands);
            }
            Message::Notification { method, params } => {
                failpoint::arm(&method, &self.slot.id);
                failpoint::reach("reader", Some(&*self.slot.id));
                let mut state = self.state();
                if state.over {
                    return;
                }
                state.seen = Seen::Frames;
                self.for_clients(&mut state, &method, params.map_or("", RawValue::get));
                let now = state.read_at;
                state.frames.read(now, frame);
                let inbound = Inbound::Note { method: &method, params };
                self.to_dialect(&mut state, inbound);
                let errands = std::mem::take(&mut state.errands);
                drop(state);
                self.run_errands(errands);
            }
            Message::OrphanError { error } => {
                let text = error_text(&error);
                self.say(&mut self.state(), "wire.orphan_error", json!({"message": text}));
            }
        }
    }

    fn settle(&self, token: Token, reply: Reply<'_>) {
        match reply {
            Reply::Done(result) => token.succeed(result),
            Reply::Failed(error) => token.fail(CallError::remote(&error)),
            Reply::InputRequired(result) => {
                token.fail(CallError::input_required(self.callee(), result))
            }
        }
    }

    fn to_dialect(&self, state: &mut State, inbound: Inbound<'_>) {
        let State { dialect, asks, .. } = state;
        dialect.on_message(inbound, asks);
        self.run_asks(state);
    }

    fn tagged(
        &self,
        state: &mut State,
        id: u32,
        tag: Tag,
        outcome: Result<&RawValue, &RemoteError<'_>>,
    ) {
        state.seen = Seen::Frames;
        let State { dialect, asks, .. } = state;
        dialect.on_tagged(tag, outcome, asks);
        match tag {
            Tag::Probe { .. } => {
                if state.probe.as_ref().is_some_and(|probe| probe.id == id) {
                    state.probe = None;
                }
                self.slot.learn(self.generation, state.dialect.hint());
                if state.ahead == Ahead::Out {
                    state.ahead = Ahead::Answered;
                } else {
                    self.tell(Event::ProbeAnswered);
                }
                // After the dispatcher: whoever asked looks at what that makes of it, and may not wait any more.
                for check in state.checks.drain(..) {
                    check.send(()).unwrap_or_default();
                }
                if state.peer.in_flight() == 0 {
                    // Quiet again: most plugins are, most of the time.
                    state.peer.relax();
                }
            }
            Tag::Shutdown => self.tell(Event::Asked),
            Tag::Drain => {
                if let Some(draining) = &mut state.draining {
                    draining.asked = false;
                }
            }
            Tag::Open(_) | Tag::Config | Tag::LogLevel | Tag::Subscribe | Tag::Listen => {}
        }
        self.run_asks(state);
        self.check_drained(state);
    }

    /// What the dialect understood of a message that is no answer.
    pub(super) fn understood(&self, state: &mut State, event: PluginEvent) {
        match event {
            PluginEvent::Log { level, mut text, logger, fields } => {
                if let Some(logger) = logger {
                    text.insert_str(0, &format!("{logger}: "));
                }
                if let Some(fields) = fields {
                    text.push(' ');
                    text.push_str(&fields);
                }
                let level = Some(level.as_str());
                if self.recorder.admits(&self.slot, self.generation) {
                    self.recorder.log(&self.slot, self.generation, LogSource::Log, level, text);
                } else {
                    self.dropped_line(state);
                }
            }
            PluginEvent::Progress { token, .. } => {
                // A plugin that was given no token names the call by its number.
                if token.as_own().is_some_and(|id| state.peer.token(id).is_some()) {
                    state.last_life = Some(self.clock.now());
                }
                self.progress(state);
            }
            PluginEvent::Status { state: said, message, expected } => {
                state.last_life = Some(self.clock.now());
                let saying = match said {
                    Said::Ready => Saying::Ready,
                    Said::Degraded => Saying::Degraded,
                    Said::Unhealthy => Saying::Unhealthy,
                    Said::Busy => Saying::Busy,
                };
                let message = message.map(|text| self.slot.log.mask(text));
                let first = state.said.is_none();
                state.said = Some(Report { state: saying, message, expected });
                if first {
                    self.news();
                }
                self.progress(state);
            }
            PluginEvent::ListChanged { kind } => {
                self.say(state, "mcp.list_changed", json!({"kind": kind}))
            }
            PluginEvent::ResourceUpdated { uri } => {
                self.say(state, "mcp.resource_updated", json!({"uri": uri}))
            }
            PluginEvent::Note { method, .. } => {
                self.say(state, "wire.note", json!({"method": method}))
            }
            PluginEvent::Violation { what } => {
                self.say(state, "wire.violation", json!({"what": what}))
            }
            PluginEvent::Cancelled { id } => {
                // A question that a client has been asked, or a call to another plugin.
                if self.slot.guests.withdraw(self.generation, &id) {
                    state.forget_question(&id);
                    state.peer.end_request();
                } else {
                    state.errands.push(Errand::Cancel(id));
                }
            }
            PluginEvent::Reconfigured { applied } => {
                let (key, generation) = (self.key, self.generation);
                self.happenings.tell(Happening::Reconfigured { key, generation, applied });
            }
        }
    }

    fn progress(&self, state: &mut State) {
        if !state.progressed {
            state.progressed = true;
            self.news();
        }
    }

    pub(super) fn news(&self) {
        self.happenings.tell(Happening::News { key: self.key, generation: self.generation });
    }

    /// The opening was answered.
    pub(super) fn opened(&self, state: &mut State, facts: &outboard_wire::dialect::Facts) {
        state.opened = true;
        state.accepting = true;
        state.drains = facts.supports.drain;
        let own = u32::try_from(state.peer.limits().concurrency).unwrap_or(u32::MAX);
        let concurrency = facts.concurrency.map_or(own, |n| own.min(n));
        state.peer.limits_mut().concurrency = concurrency as usize;
        state.again = Again::new(&self.manifest.calls.idempotent, facts);
        state.timeouts = Timeouts::of(facts);
        if facts.ready {
            // The writer runs next, and what is done here and for the order goes on beside the plugin's answer.
            self.probe_ahead(state);
        }
        if let Some(shared) = self.shared.upgrade().filter(|_| !facts.subscribe.is_empty()) {
            let wants: Vec<Glob> = facts.subscribe.iter().map(|topics| Glob::new(topics)).collect();
            let me: Weak<dyn Listen> = self.me.clone();
            let own = Some(self.slot.id.clone());
            state.listening = Some(shared.topics.subscribe(&wants, own, me));
        }
        {
            let mut told = self.slot.told();
            let shown = told.of(self.generation);
            shown.protocol = Some(self.slot.log.mask(facts.protocol.clone()));
            shown.offers = facts.offers.clone().map(|text| self.slot.log.mask(text));
            shown.reloads = facts.supports.reload;
            shown.concurrency = facts.concurrency;
            shown.opened_us = Some(self.clock.wall_us());
        }
        let fields = json!({
            "protocol": facts.protocol,
            "offers": facts.offers,
            "name": facts.name,
            "version": facts.version,
        });
        self.recorder.plugin(&self.slot, self.generation, "plugin.opened", fields);
        self.slot.opened(self.generation, facts);
        self.want(state);
        self.tell(Event::Opened(Opening { ready: facts.ready }));
    }
}

/// A client's result that names the call, which the client knows by an id of its own.
fn renamed(state: &State, method: &str, token: &Token, reply: &Reply<'_>) -> Option<Box<RawValue>> {
    let (Token::Client(_, id), Reply::Done(result)) = (token, reply) else { return None };
    RawValue::from_string(state.dialect.renamed(method, result.get(), id)?).ok()
}
