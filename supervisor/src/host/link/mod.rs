//! One generation's link: its pipes, its pending calls, its dialect.
//!
//! Three tasks serve it: a reader of stdout, a writer that also keeps the deadlines, and a reader of stderr. Its state
//! is behind one mutex that is held for microseconds. The lifecycle hears of it by [`Happening`]s; calls never pass
//! through the dispatcher.

mod again;
mod calls;
mod errands;
mod frames;
mod inbound;
mod junk;
mod kept;
mod ladder;
mod look;
mod outbound;
mod pace;
mod reconfigure;
mod relay;
mod stderr;
mod tasks;
mod timeouts;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use outboard_core::{Event, Key, Report, Seen, Time};
use outboard_manifest::Manifest;
use outboard_wire::dialect::{Ask, Dialect};
use outboard_wire::peer::{Limits, Peer};
use outboard_wire::{Framer, Id};
use serde::{Deserialize, Serialize};
use tokio::net::unix::pipe;
use tokio::sync::{Notify, oneshot};

use super::bucket::Bucket;
use super::call::{Keeping, More, Token};
use super::caller::Caller;
use super::clock::Clock;
use super::happening::{Happening, Happenings};
use super::noise::Noise;
use super::record::Recorder;
use super::shared::Shared;
use super::slot::Slot;
use super::throttle::Throttle;
use super::topics::Subscription;

use again::Again;
use errands::{Errand, Events, Outgoing, PUBLISHED, Returned};
pub(super) use inbound::Pumped;
pub(super) use kept::{KeptLink, Surroundings, Unfilled};
pub(super) use ladder::refuse_all;
use pace::Pace;
pub(crate) use relay::{Askers, KeptRelayed, Relayed};
use timeouts::Timeouts;

/// One generation's link.
pub(crate) struct Link {
    /// For whoever has to find it again, if it still is there.
    me: Weak<Self>,
    pub generation: u64,
    key: Key,
    slot: Arc<Slot>,
    /// Of the version that runs here, which need not be the one in force.
    manifest: Arc<Manifest>,
    recorder: Recorder,
    happenings: Happenings,
    clock: Clock,
    /// The writer owns it: closed, it is gone.
    stdin: Weak<pipe::Sender>,
    stdout: pipe::Receiver,
    stderr: pipe::Receiver,
    framer: Mutex<Framer>,
    said: Mutex<stderr::Said>,
    state: Mutex<State>,
    /// What is kept of calls that may be made again.
    keeping: Keeping,
    /// Something is to be written, or a deadline is nearer than the writer knows.
    kick: Notify,
    /// stdin is to be closed, or the link is over.
    /// Who it is to those that it calls.
    caller: Caller,
    /// It may call others, so what its callers say of their trace is of interest.
    calls_others: bool,
    shared: Weak<Shared>,
    /// Answers to the plugin's own calls, on their way to the writer; never held together with another lock.
    returned: Mutex<Vec<Returned>>,
    has_returned: AtomicBool,
    strict: bool,
    max_depth: u32,
    max_frame: usize,
    pid: std::sync::atomic::AtomicU32,
}

/// What the mutex guards.
struct State {
    peer: Peer<Pending>,
    dialect: Box<dyn Dialect>,
    /// Orders of the dialect, reused.
    asks: Vec<Ask>,
    /// New calls are taken: from the opening until the drain, the death or the break.
    accepting: bool,
    opened: bool,
    /// Which calls may be made again.
    again: Again,
    timeouts: Timeouts,
    /// How fast calls end, for those that are refused.
    pace: Pace,
    /// The plugin said that it supports `drain`.
    drains: bool,
    stdin: Stdin,
    /// Closed by the plugin, and not by this side.
    stdin_broke: bool,
    /// What the writer has put down while the pipe is full.
    unwritten: Unwritten,
    /// The generation is over: whatever still arrives is nobody's.
    over: bool,
    /// The process has ended: nobody is there to be told anything.
    dead: bool,
    /// What the plugin asked of the host, until the link is unlocked.
    errands: Vec<Errand>,
    /// What it asked of clients, each with the time until which that may be answered.
    questions: Vec<(Time, Id)>,
    /// Its own calls that are open at others.
    outgoing: Vec<Outgoing>,
    published: Bucket,
    events: Events,
    listening: Option<Subscription>,
    /// When a call last ended, or a caller last wanted something.
    idle_from: Time,
    probe: Option<Probe>,
    ahead: Ahead,
    /// Who waits for the next answer to a probe.
    checks: Vec<oneshot::Sender<()>>,
    /// Wants to hear when nothing is in flight any more.
    draining: Option<Draining>,
    seen: Seen,
    /// Bytes read from stdout and written to stdin.
    read: u64,
    /// When the last of them were.
    read_at: Time,
    written: u64,
    frames: frames::Frames,
    last_life: Option<Time>,
    noise: Noise,
    throttle: Throttle,
    /// What became of its calls.
    tally: Tally,
    /// The newest word of the plugin about itself that the dispatcher has not fetched.
    said: Option<Report>,
    progressed: bool,
    /// What the tree had used and made at the last look, and how often that, or stderr, has moved.
    tree: u64,
    activity: u64,
}

/// What became of the calls of one link.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Tally {
    /// By the plugin, with a result or an error.
    pub answered: u64,
    /// By the host, in its place.
    pub failed: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Stdin {
    Open,
    /// To be closed once what is queued is written, or at once when the pipe is full.
    Closing,
    Closed,
}

/// The first probe goes out with the word that ends the opening, in one write, and is ahead of the order for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Ahead {
    No,
    /// It is out; the order is still to come.
    Out,
    /// It was answered, and nobody has been told.
    Answered,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Probe {
    id: u32,
    written: Option<Time>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Draining {
    /// The answer to the dialect's `drain` is still out.
    asked: bool,
}

/// Bytes that the peer has given out, and how many of them are in the pipe.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Unwritten {
    #[serde(with = "outboard_wire::octets")]
    bytes: Vec<u8>,
    written: usize,
}

/// What the peer keeps for a pending call.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) began: Time,
    pub(crate) caller: Caller,
    pub(crate) token: Token,
    pub(crate) more: Option<Box<More>>,
}

/// The pieces a link is made of.
pub(crate) struct Parts {
    pub key: Key,
    pub generation: u64,
    pub slot: Arc<Slot>,
    pub(in crate::host) shared: Weak<Shared>,
    pub manifest: Arc<Manifest>,
    pub recorder: Recorder,
    pub happenings: Happenings,
    pub clock: Clock,
    pub stdin: pipe::Sender,
    pub stdout: pipe::Receiver,
    pub stderr: pipe::Receiver,
    pub dialect: Box<dyn Dialect>,
    pub limits: Limits,
    pub strict: bool,
}

impl Link {
    /// Makes the link and starts its tasks. The opening is written by [`Link::open`].
    ///
    /// Must be called within the runtime. The tasks end by themselves after [`Link::retire`].
    #[must_use]
    pub(crate) fn start(parts: Parts) -> Arc<Self> {
        let Parts {
            key,
            generation,
            slot,
            shared,
            manifest,
            recorder,
            happenings,
            clock,
            stdin,
            stdout,
            stderr,
            dialect,
            limits,
            strict,
        } = parts;
        let (max_depth, max_frame) = (limits.max_depth, limits.max_frame);
        let framing = dialect.framing();
        let framer = Framer::new(framing, limits.max_frame);
        let state = State {
            peer: Peer::framed(limits, framing),
            dialect,
            asks: Vec::new(),
            accepting: false,
            opened: false,
            again: Again::default(),
            timeouts: Timeouts::default(),
            pace: Pace::default(),
            drains: false,
            stdin: Stdin::Open,
            stdin_broke: false,
            unwritten: Unwritten::default(),
            over: false,
            dead: false,
            errands: Vec::new(),
            questions: Vec::new(),
            outgoing: Vec::new(),
            published: Bucket::new(PUBLISHED.0, PUBLISHED.1, clock.now()),
            events: Events::default(),
            listening: None,
            idle_from: Time::ZERO,
            probe: None,
            ahead: Ahead::No,
            checks: Vec::new(),
            draining: None,
            seen: Seen::Nothing,
            read: 0,
            read_at: Time::ZERO,
            written: 0,
            frames: frames::Frames::default(),
            last_life: None,
            noise: Noise::default(),
            throttle: Throttle::default(),
            tally: Tally::default(),
            said: None,
            progressed: false,
            tree: 0,
            activity: 0,
        };
        let said = stderr::Said::new(slot.log.redactor());
        let stdin = Arc::new(stdin);
        let calls_others = !slot.manifest().permissions.call.is_empty();
        let caller = Caller::plugin(&slot.id);
        let link = Arc::new_cyclic(|me| Self {
            caller,
            calls_others,
            me: me.clone(),
            shared,
            returned: Mutex::default(),
            has_returned: AtomicBool::new(false),
            generation,
            key,
            slot,
            manifest,
            recorder,
            happenings,
            clock,
            stdin: Arc::downgrade(&stdin),
            stdout,
            stderr,
            framer: Mutex::new(framer),
            said: Mutex::new(said),
            state: Mutex::new(state),
            keeping: Keeping::default(),
            kick: Notify::new(),
            strict,
            max_depth,
            max_frame,
            pid: std::sync::atomic::AtomicU32::new(0),
        });
        link.run(Some(stdin));
        link
    }

    /// Probes now, or joins the probe that is out; completes with the answer.
    #[must_use]
    pub(crate) fn check(&self) -> oneshot::Receiver<()> {
        let (answered, wait) = oneshot::channel();
        let mut state = self.state();
        state.checks.push(answered);
        let none_out = state.probe.is_none();
        drop(state);
        if none_out {
            self.probe(false);
        }
        wait
    }

    /// Calls accepted and unsettled.
    #[must_use]
    pub(crate) fn in_flight(&self) -> usize {
        self.state().peer.in_flight()
    }

    /// Calls that the plugin takes at once.
    #[must_use]
    pub(crate) fn concurrency(&self) -> usize {
        self.state().peer.limits().concurrency
    }

    /// What became of its calls so far.
    #[must_use]
    pub(crate) fn tally(&self) -> Tally {
        self.state().tally
    }

    /// The process's number, once it is known; 0 before.
    #[must_use]
    pub(crate) fn pid(&self) -> u32 {
        self.pid.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// The process exists.
    pub(crate) fn set_pid(&self, pid: u32) {
        self.pid.store(pid, std::sync::atomic::Ordering::Relaxed);
    }

    /// The plugin's newest word about itself, if there is one that was not fetched.
    #[must_use]
    pub(crate) fn take_said(&self) -> Option<Report> {
        self.state().said.take()
    }

    /// The plugin showed progress in its start since the last time.
    #[must_use]
    pub(crate) fn take_progress(&self) -> bool {
        std::mem::take(&mut self.state().progressed)
    }

    /// Puts an event into the journal that the plugin's own doing has caused: once a second for each name.
    fn say(&self, state: &mut State, event: &'static str, mut fields: serde_json::Value) {
        let Some(unsaid) = state.throttle.may(event, self.clock.now()) else { return };
        if unsaid > 0 {
            fields["unsaid"] = unsaid.into();
        }
        self.recorder.plugin(&self.slot, self.generation, event, fields);
    }

    fn tell(&self, event: Event) {
        self.happenings.tell(Happening::Plugin {
            key: self.key,
            generation: self.generation,
            event,
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("plugin", &self.slot.id)
            .field("generation", &self.generation)
            .finish()
    }
}

/// A task that panicked while it held this has cost the generation its life ([`Link::panicked`]). Until that is over, what
/// is left here serves to end its calls.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads what lies in a pipe now. The runtime knows of readiness what the kernel told it when it last asked; whoever
/// judges by what a pipe holds must not ask the runtime.
fn read_now(pipe: &pipe::Receiver, buffer: &mut [u8]) -> std::io::Result<usize> {
    Ok(nix::unistd::read(pipe, buffer)?)
}

/// How long an end of a pipe may come before the end of its process without being called a break of the protocol.
pub(super) const END_TOGETHER: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hand_11_what_lies_in_a_pipe_is_read_though_the_runtime_has_not_heard_of_it() {
        let (theirs, ours) = {
            let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
            (write, pipe::Receiver::from_owned_fd(read).unwrap())
        };
        let mut buffer = [0; 8];
        assert!(ours.try_read(&mut buffer).is_err(), "empty");
        nix::unistd::write(&theirs, b"answer").unwrap();
        assert!(ours.try_read(&mut buffer).is_err(), "nobody has asked the kernel again");
        assert_eq!(read_now(&ours, &mut buffer).unwrap(), 6);
    }
}
