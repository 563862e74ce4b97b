//! From callers and dialect to stdin: one writer, whole frames, deadlines kept beside it.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use outboard_core::{Detail, Event, Time};
use outboard_wire::dialect::{Ask, OpenCx, OpenRetry, Tag};
use outboard_wire::peer::{Expired, NewCall, Peer, Refusal};
use outboard_wire::{CallError, Id};
use tokio::net::unix::pipe;

use super::super::call::{More, Token};
use super::super::caller::Caller;
use super::super::failpoint;
use super::errands::Errand;
use super::{Ahead, Link, Pending, Probe, State, Stdin, Unwritten};

/// A writer's buffer larger than this is given back once it is empty.
const KEEP_BUFFER: usize = 256 * 1024;

/// A deadline that ran later than this is this side's fault.
const STALL: Duration = Duration::from_millis(250);

/// What the writer is to do next.
enum Next {
    Write,
    Wait { deadline: Option<Time> },
    Close,
    End,
}

impl Link {
    /// Whenever this waits, what it holds lies in the link: the link can go over to another process then.
    pub(super) async fn write(self: Arc<Self>, mut stdin: Option<Arc<pipe::Sender>>) {
        let Unwritten { bytes: mut buffer, mut written } = self.pick_up();
        let mut armed: Option<Time> = None;
        let mut alarm = pin!(tokio::time::sleep_until(self.clock.instant(Time::ZERO)));
        loop {
            let mut blocked = false;
            let deadline = loop {
                if written == buffer.len() {
                    buffer.clear();
                    written = 0;
                    match self.next(&mut buffer) {
                        Next::Write => {}
                        Next::Wait { deadline } => break deadline,
                        Next::Close => {
                            drop(stdin.take());
                            continue;
                        }
                        Next::End => return,
                    }
                }
                let Some(pipe) = &stdin else {
                    // stdin is closed: what still wanted to be written is nobody's any more.
                    buffer.clear();
                    written = 0;
                    continue;
                };
                match pipe.try_write(&buffer[written..]) {
                    Ok(n) => {
                        written += n;
                        self.wrote(n);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        match self.blocked(&mut buffer, &mut written) {
                            Some(deadline) => {
                                blocked = true;
                                break deadline;
                            }
                            None => {
                                buffer.clear();
                                written = 0;
                            }
                        }
                    }
                    Err(_) => {
                        drop(stdin.take());
                        self.keep_unwritten(&buffer);
                        self.stdin_broken();
                    }
                }
            };
            if buffer.is_empty() && buffer.capacity() > KEEP_BUFFER {
                buffer = Vec::new();
            }
            // The alarm stays where it is while it is early enough: most calls end long before their deadlines, and
            // moving it for each would cost more than a call.
            if let Some(at) = deadline
                && armed.is_none_or(|armed| at < armed)
            {
                alarm.as_mut().reset(self.clock.instant(at));
                armed = Some(at);
            }
            tokio::select! {
                biased;
                () = self.kick.notified() => {}
                _ = writable(stdin.as_deref()), if blocked => {}
                () = &mut alarm, if armed.is_some() => {
                    let due = armed.take();
                    self.expire(due);
                }
            }
            if blocked {
                Unwritten { bytes: buffer, written } = self.pick_up();
            }
        }
    }

    fn pick_up(&self) -> Unwritten {
        std::mem::take(&mut self.state().unwritten)
    }

    fn next(&self, buffer: &mut Vec<u8>) -> Next {
        let mut state = self.state();
        failpoint::reach("writer", Some(&*self.slot.id));
        if state.over {
            return Next::End;
        }
        self.take_returned(&mut state);
        if state.stdin != Stdin::Closed
            && state.peer.take_output(self.clock.now().since_start(), buffer)
        {
            return Next::Write;
        }
        if state.stdin == Stdin::Closing {
            state.stdin = Stdin::Closed;
            return Next::Close;
        }
        Next::Wait { deadline: state.next_deadline() }
    }

    /// The pipe is full: what is left is put down. Gives the next deadline to wait for beside it, or `None` when what is queued is to be thrown
    /// away because stdin is to be closed: end of file means the same as the frame that cannot be written.
    #[expect(
        clippy::option_option,
        reason = "two questions, two answers: wait at all, and until when"
    )]
    fn blocked(&self, buffer: &mut Vec<u8>, written: &mut usize) -> Option<Option<Time>> {
        let mut state = self.state();
        if state.over || state.stdin == Stdin::Closing {
            return None;
        }
        let (bytes, written) = (std::mem::take(buffer), std::mem::take(written));
        state.unwritten = Unwritten { bytes, written };
        Some(state.next_deadline())
    }

    fn wrote(&self, bytes: usize) {
        let mut state = self.state();
        state.peer.wrote(bytes);
        state.written += bytes as u64;
        let State { peer, probe, .. } = &mut *state;
        if let Some(probe) = probe
            && probe.written.is_none()
            && peer.is_written(probe.id)
        {
            probe.written = Some(self.clock.now());
        }
    }

    /// The pipe takes no more. What was meant for it and did not even begin to go is kept: it may go to the next
    /// generation.
    fn keep_unwritten(&self, buffer: &[u8]) {
        self.keep_calls_in(&mut self.state().peer, buffer);
    }

    /// Keeps the calls in what the writer took of which nothing is written.
    pub(super) fn keep_calls_in(&self, peer: &mut Peer<Pending>, buffer: &[u8]) {
        let bound = peer.limits().queue_bytes;
        peer.each_unwritten(buffer, |pending, method, params| {
            let more = pending.more.get_or_insert_default();
            if more.given.is_none() {
                more.given = self.keeping.keep(method.into(), params, bound);
            }
        });
    }

    fn stdin_broken(self: &Arc<Self>) {
        let mut state = self.state();
        if state.stdin == Stdin::Closed || state.over {
            return;
        }
        state.stdin = Stdin::Closed;
        state.stdin_broke = true;
        drop(state);
        self.stdin_ended();
    }

    pub(super) fn stdin_ended(self: &Arc<Self>) {
        let link = self.clone();
        tokio::spawn(async move { link.pipe_ended("stdin-closed").await });
    }

    /// Deadlines may have passed. Late by more than the guard allows, this side stalled: what lies in the pipe is read
    /// first, and every open deadline moves by the lateness.
    fn expire(&self, due: Option<Time>) {
        let now = self.clock.now();
        let late = due.map(|due| now.since(due)).unwrap_or_default();
        if late > STALL {
            self.pump();
            let mut state = self.state();
            state.peer.defer_deadlines(late);
            state.questions.iter_mut().for_each(|(until, _)| *until = *until + late);
        }
        let mut expired: Vec<Expired<Pending>> = Vec::new();
        let mut state = self.state();
        state.peer.expire(now.since_start(), &mut expired);
        if !expired.is_empty() {
            state.idle_from = now;
        }
        for Expired { id, token: Pending { began, token, more, .. }, sent, method, .. } in expired {
            if let Token::Tagged(tag) = token {
                let State { dialect, asks, .. } = &mut *state;
                dialect.on_tag_timeout(tag, asks);
                continue;
            }
            if sent {
                let cancel = state.dialect.cancel(id, &method, "deadline");
                state.asks.extend(cancel.ask);
                if !cancel.answered {
                    // Nothing more is to come: its id is free, and it keeps the plugin busy no longer.
                    drop(state.peer.cancel(id, false));
                }
            }
            state.tally.failed += 1;
            // What was sent once and died of it counts as sent, wherever the second attempt stands.
            let attempt = More::attempt(more.as_deref());
            let idempotent = more.is_some_and(|more| more.idempotent);
            let error =
                CallError::deadline_exceeded(self.callee(), sent || attempt > 1, idempotent);
            token.fail(error.with_attempt(attempt).with_elapsed(now.since(began)));
        }
        self.run_asks(&mut state);
        self.check_drained(&mut state);
        let asked = !state.questions.is_empty();
        drop(state);
        if asked {
            self.give_up_questions();
        }
    }

    /// Writes the dialect's opening. Called once, before the process is even there: the pipe holds it.
    pub(crate) fn open(&self, cx: &OpenCx<'_>) {
        let mut state = self.state();
        let State { dialect, asks, .. } = &mut *state;
        dialect.open(cx, asks);
        self.run_asks(&mut state);
    }

    /// Sends one health probe; `second` asks for the dialect's other kind.
    pub(crate) fn probe(&self, second: bool) {
        let mut state = self.state();
        match std::mem::replace(&mut state.ahead, Ahead::No) {
            // Its answer will be told as any other.
            Ahead::Out if !second => return,
            Ahead::Answered if !second => return self.tell(Event::ProbeAnswered),
            Ahead::No | Ahead::Out | Ahead::Answered => {}
        }
        let Some(ask) = state.dialect.probe(second) else { return };
        state.asks.push(ask);
        self.run_asks(&mut state);
    }

    /// Sends the first probe before it is ordered, behind what is queued already.
    pub(super) fn probe_ahead(&self, state: &mut State) {
        if let Some(ask) = state.dialect.probe(false) {
            state.ahead = Ahead::Out;
            state.asks.push(ask);
        }
        self.kick.notify_one();
    }

    /// Carries out what the dialect asked for.
    pub(super) fn run_asks(&self, state: &mut State) {
        let mut more = false;
        while !state.asks.is_empty() {
            let asks = std::mem::take(&mut state.asks);
            for ask in asks {
                more = true;
                self.run_ask(state, ask);
            }
        }
        if more {
            self.kick.notify_one();
        }
    }

    fn run_ask(&self, state: &mut State, ask: Ask) {
        match ask {
            Ask::Request { tag, method, params, budget } => {
                self.request(state, tag, &method, &params, budget)
            }
            Ask::Note { method, params } => {
                let params = Some(&*params).filter(|p| !p.is_empty());
                if let Err(refusal) = state.peer.notify(true, &method, params) {
                    self.cannot_send(state, &refusal);
                }
            }
            Ask::Relay { id, method, params, otherwise } => {
                self.relay(state, id, (&method, params.as_deref()), otherwise);
            }
            Ask::Answer { id, outcome } => {
                answer(
                    state,
                    &id,
                    outcome.as_deref().map_err(|(code, message)| (*code, &**message)),
                );
            }
            Ask::CloseStdin => {
                if state.stdin == Stdin::Open {
                    state.stdin = Stdin::Closing;
                }
            }
            Ask::Opened(facts) => self.opened(state, &facts),
            Ask::OpenFailed { detail, message, retry } => {
                self.slot.learn(
                    self.generation,
                    match retry {
                        OpenRetry::Respawn { hint } => Some(hint.to_owned()),
                        OpenRetry::Never | OpenRetry::Backoff => None,
                    },
                );
                let permanent = matches!(retry, OpenRetry::Never);
                let message = self.slot.log.mask(message);
                self.tell(Event::OpenFailed { permanent, detail: Detail { detail, message } });
            }
            Ask::Event(event) => self.understood(state, event),
            Ask::Host(request) => state.errands.push(Errand::Request(request)),
        }
    }

    fn request(
        &self,
        state: &mut State,
        tag: Tag,
        method: &str,
        params: &str,
        budget: Option<Duration>,
    ) {
        let began = self.clock.now();
        let now = began.since_start();
        let deadline = budget.map(|budget| now + budget);
        let call =
            NewCall { method, params, deadline, left: None, turn: 0, works: false, control: true };
        let pending =
            Pending { began, caller: Caller::shared(""), token: Token::Tagged(tag), more: None };
        match state.peer.call(now, call, pending) {
            Ok(id) => {
                if !matches!(tag, Tag::Probe { .. }) {
                    state.frames.sent(began, id, method, params);
                }
                if matches!(tag, Tag::Probe { .. }) {
                    state.probe = Some(Probe { id, written: None });
                }
            }
            Err((refusal, _)) => self.cannot_send(state, &refusal),
        }
    }

    /// The host's own frames are refused for their size alone: a configuration larger than `max_send`.
    fn cannot_send(&self, state: &State, refusal: &Refusal) {
        let message = self.refused(state, refusal).message().to_owned();
        self.tell(Event::LinkBroken(Detail { detail: "outbound", message }));
    }
}

fn answer(state: &mut State, id: &Id, outcome: Result<&str, (i64, &str)>) {
    state.peer.answer(id, outcome.map_err(|(code, message)| (code, message, None)));
    state.peer.end_request();
}

async fn writable(stdin: Option<&pipe::Sender>) -> io::Result<()> {
    match stdin {
        Some(stdin) => stdin.writable().await,
        None => std::future::pending().await,
    }
}
