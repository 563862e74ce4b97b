//! A link goes over to another process, or to another runtime of this one: everything that it is, and where its pipes are.

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, Weak};

use outboard_core::{PluginId, Report, Seen, Time};
use outboard_manifest::Glob;
use outboard_wire::dialect::Kept as KeptDialect;
use outboard_wire::peer::Turn;
use outboard_wire::{CallError, Framer, Id, Peer};
use serde::{Deserialize, Serialize};
use tokio::net::unix::pipe;
use tokio::sync::Notify;

use super::super::bucket::Bucket;
use super::super::call::{Keeping, Token};
use super::super::noise::Noise;
use super::super::shared::Shared;
use super::super::throttle::Throttle;
use super::super::topics::Subscription;
use super::super::upgrade::{Clients, Descriptors, Fd, KeptMore, KeptPending};
use super::again::Again;
use super::errands::{Events, Outgoing};
use super::pace::Pace;
use super::stderr::{KeptSaid, Said};
use super::timeouts::Timeouts;
use super::{Ahead, Draining, Link, Pending, Probe, State, Stdin, Tally, Unwritten, lock};
use crate::host::caller::Caller;
use crate::host::clock::Clock;
use crate::host::happening::Happenings;
use crate::host::record::Recorder;
use crate::host::slot::Slot;

/// A link, written down.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeptLink {
    generation: u64,
    pid: u32,
    /// `None` once it is closed.
    stdin: Option<Fd>,
    stdout: Fd,
    stderr: Fd,
    framer: Framer,
    words: KeptSaid,
    peer: Peer<KeptPending>,
    dialect: KeptDialect,
    accepting: bool,
    opened: bool,
    again: (Vec<String>, bool),
    #[serde(default)]
    timeouts: Timeouts,
    pace: Pace,
    drains: bool,
    stdin_state: Stdin,
    stdin_broke: bool,
    unwritten: Unwritten,
    dead: bool,
    caller: (String, bool, Turn),
    #[serde(default)]
    questions: Vec<(Time, Id)>,
    /// Its own calls that are open at others, and at whom.
    outgoing: Vec<(Id, PluginId)>,
    published: Bucket,
    events: Events,
    /// The topics that it listens to.
    topics: Option<Vec<String>>,
    idle_from: Time,
    probe: Option<Probe>,
    ahead: Ahead,
    draining: Option<Draining>,
    seen: Seen,
    read: u64,
    written: u64,
    last_life: Option<Time>,
    noise: Noise,
    throttle: Throttle,
    said: Option<Report>,
    progressed: bool,
    tree: u64,
    activity: u64,
    strict: bool,
    max_depth: u32,
    max_frame: usize,
}

/// What a link is given to reach the rest.
pub(crate) struct Surroundings {
    pub slot: Arc<Slot>,
    pub(in crate::host) shared: Weak<Shared>,
    pub recorder: Recorder,
    pub happenings: Happenings,
    pub clock: Clock,
}

impl Link {
    /// Everything that it is. Sound only while none of its tasks runs: they put down what they hold before they wait.
    ///
    /// # Errors
    /// A descriptor cannot be had.
    pub(crate) fn kept(&self, fds: &mut Descriptors) -> io::Result<KeptLink> {
        let stdin = self.stdin.upgrade().map(|pipe| fds.hold(&*pipe)).transpose()?;
        let (stdout, stderr) = (fds.hold(&self.stdout)?, fds.hold(&self.stderr)?);
        let framer = lock(&self.framer).clone();
        let words = lock(&self.said).kept();
        let state = self.state();
        // Named one by one: whoever adds a member decides here whether it goes over.
        let State {
            peer,
            dialect,
            asks: _,
            accepting,
            opened,
            again,
            timeouts,
            pace,
            drains,
            stdin: stdin_state,
            stdin_broke,
            unwritten,
            over: _,
            dead,
            // Carried out as soon as the link is unlocked, so there is none while its reader waits.
            errands: _,
            questions,
            outgoing,
            published,
            events,
            listening,
            idle_from,
            probe,
            ahead,
            checks: _,
            draining,
            seen,
            read,
            // Told by the next read, before any frame of it.
            read_at: _,
            written,
            // The last frames are for the dossier of a failure; the next build begins to keep them anew.
            frames: _,
            last_life,
            noise,
            throttle,
            // Counted for swaps, none of which is handed over.
            tally: _,
            said,
            progressed,
            tree,
            activity,
        } = &*state;
        Ok(KeptLink {
            generation: self.generation,
            pid: self.pid(),
            stdin,
            stdout,
            stderr,
            framer,
            words,
            peer: peer.copy(KeptPending::of),
            dialect: dialect.kept(),
            accepting: *accepting,
            opened: *opened,
            again: again.kept(),
            timeouts: timeouts.clone(),
            pace: pace.clone(),
            drains: *drains,
            stdin_state: *stdin_state,
            stdin_broke: *stdin_broke,
            unwritten: unwritten.clone(),
            dead: *dead,
            caller: self.caller.kept(),
            questions: questions.clone(),
            outgoing: outgoing.iter().map(|it| (it.id.clone(), it.callee.id.clone())).collect(),
            published: published.clone(),
            events: events.clone(),
            topics: listening.as_ref().map(Subscription::wants),
            idle_from: *idle_from,
            probe: *probe,
            ahead: *ahead,
            draining: *draining,
            seen: *seen,
            read: *read,
            written: *written,
            last_life: *last_life,
            noise: noise.clone(),
            throttle: throttle.clone(),
            said: said.clone(),
            progressed: *progressed,
            tree: *tree,
            activity: *activity,
            strict: self.strict,
            max_depth: self.max_depth,
            max_frame: self.max_frame,
        })
    }

    /// Ends the calls whose callers cannot come along: futures of this process.
    pub(crate) fn part_with_futures(&self) {
        let mut state = self.state();
        self.take_returned(&mut state);
        for id in state.peer.find(|pending| matches!(pending.token, Token::Future(_))) {
            let Some(cancelled) = state.peer.cancel(id, true) else { continue };
            let error = CallError::shutting_down(self.callee(), "upgrade");
            cancelled.token.token.fail(error.with_sent(cancelled.sent));
        }
    }

    /// The link where it was, save for what points to others: see [`Unfilled`]. Must be called within the runtime.
    ///
    /// # Errors
    /// A descriptor is not there, or is no pipe.
    pub(crate) fn restore(
        kept: KeptLink,
        fds: &mut Descriptors,
        around: Surroundings,
    ) -> io::Result<(Arc<Self>, Unfilled)> {
        let Surroundings { slot, shared, recorder, happenings, clock } = around;
        let stdin = kept.stdin.map(|fd| pipe::Sender::from_owned_fd(fds.take(fd)?)).transpose()?;
        let stdin = stdin.map(Arc::new);
        let stdout = pipe::Receiver::from_owned_fd(fds.take(kept.stdout)?)?;
        let stderr = pipe::Receiver::from_owned_fd(fds.take(kept.stderr)?)?;
        let manifest = slot.manifest();
        let state = State {
            peer: Peer::new(kept.peer.limits().clone()),
            dialect: kept.dialect.into_dialect(),
            asks: Vec::new(),
            accepting: kept.accepting,
            opened: kept.opened,
            again: Again::restore(&manifest.calls.idempotent, kept.again),
            timeouts: kept.timeouts,
            pace: kept.pace,
            drains: kept.drains,
            stdin: kept.stdin_state,
            stdin_broke: kept.stdin_broke,
            unwritten: kept.unwritten,
            over: false,
            dead: kept.dead,
            errands: Vec::new(),
            questions: kept.questions,
            outgoing: Vec::new(),
            published: kept.published,
            events: kept.events,
            listening: None,
            idle_from: kept.idle_from,
            probe: kept.probe,
            ahead: kept.ahead,
            checks: Vec::new(),
            draining: kept.draining,
            seen: kept.seen,
            read: kept.read,
            read_at: Time::ZERO,
            written: kept.written,
            frames: super::frames::Frames::default(),
            last_life: kept.last_life,
            noise: kept.noise,
            throttle: kept.throttle,
            tally: Tally::default(),
            said: kept.said,
            progressed: kept.progressed,
            tree: kept.tree,
            activity: kept.activity,
        };
        let said = Said::restore(kept.words, slot.log.redactor());
        let link = Arc::new_cyclic(|me| Self {
            caller: Caller::restore(kept.caller),
            calls_others: !manifest.permissions.call.is_empty(),
            me: me.clone(),
            shared,
            returned: Mutex::default(),
            has_returned: AtomicBool::new(false),
            generation: kept.generation,
            key: slot.key,
            manifest,
            slot,
            recorder,
            happenings,
            clock,
            stdin: stdin.as_ref().map_or_else(Weak::new, Arc::downgrade),
            stdout,
            stderr,
            framer: Mutex::new(kept.framer),
            said: Mutex::new(said),
            state: Mutex::new(state),
            keeping: Keeping::default(),
            kick: Notify::new(),
            strict: kept.strict,
            max_depth: kept.max_depth,
            max_frame: kept.max_frame,
            pid: kept.pid.into(),
        });
        let unfilled =
            Unfilled { peer: kept.peer, outgoing: kept.outgoing, topics: kept.topics, stdin };
        Ok((link, unfilled))
    }

    /// Puts in what points to others, now that they are there, and sets the link's tasks to work.
    pub(in crate::host) fn fill(
        self: &Arc<Self>,
        unfilled: Unfilled,
        clients: &Clients,
        shared: &Shared,
    ) {
        let Unfilled { peer, outgoing, topics, stdin } = unfilled;
        let mut state = self.state();
        state.peer = peer.copy(|pending| pending.back(clients, &self.keeping));
        let callees = outgoing.into_iter();
        state.outgoing = callees
            .filter_map(|(id, callee)| Some(Outgoing { id, callee: shared.slot(&callee)? }))
            .collect();
        if let Some(topics) = topics {
            let wants: Vec<Glob> = topics.iter().map(|topic| Glob::new(topic)).collect();
            let (own, me) = (Some(self.slot.id.clone()), self.me.clone());
            state.listening = Some(shared.topics.subscribe(&wants, own, me));
        }
        let (news, broke) = (state.said.is_some() || state.progressed, state.stdin_broke);
        drop(state);
        self.run(stdin);
        if news {
            self.news();
        }
        if broke {
            self.stdin_ended();
        }
    }
}

/// What of a link points to others: to be put in when all of them are there.
#[derive(Debug)]
pub(crate) struct Unfilled {
    peer: Peer<KeptPending>,
    outgoing: Vec<(Id, PluginId)>,
    topics: Option<Vec<String>>,
    stdin: Option<Arc<pipe::Sender>>,
}

impl KeptPending {
    fn of(pending: &Pending) -> Self {
        let Pending { began, caller, token, more } = pending;
        let more = more.as_deref().map(KeptMore::of);
        Self { began: *began, caller: caller.kept(), token: token.kept(), more }
    }

    fn back(&self, clients: &Clients, keeping: &Keeping) -> Pending {
        let Self { began, caller, token, more } = self.clone();
        Pending {
            began,
            caller: Caller::restore(caller),
            token: token.back(clients),
            more: more.map(|more| Box::new(more.back(keeping))),
        }
    }
}
