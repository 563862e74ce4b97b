//! The way out: whole frames, from any thread, to a host that may not be reading.

use std::io::Write;
use std::os::fd::RawFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::host::lock;
use crate::stdio::takes_a_small_frame;

/// Bytes that may wait for a host that does not read. Beyond that whoever says something waits too.
const WAITING: usize = 16 << 20;

/// Bytes of buffer that are kept from one frame to the next.
const KEEP: usize = 64 << 10;

/// Bytes that a pipe which is ready takes without blocking: `PIPE_BUF`.
pub(crate) const SMALL: usize = 4096;

/// Frames go out in the order in which they were given. A small one is written at once where the pipe has room; the rest
/// is written by a thread of its own, so that reading never depends on writing.
///
/// When the host is gone nothing is sent and nothing fails: the end of stdin is about to end the plugin.
#[derive(Clone)]
pub(crate) struct Outlet {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// `None` before the plugin runs, once the host has gone, and while the writer has it.
    sink: Option<Box<dyn Write + Send>>,
    /// The sink's descriptor, if it has one that can be asked whether it is ready.
    fd: Option<RawFd>,
    /// What waits for the writer; between frames, a buffer that is used again.
    waiting: Vec<u8>,
    writer: Writer,
    closed: bool,
}

#[derive(PartialEq, Eq)]
enum Writer {
    None,
    Idle,
    Writing,
}

impl Outlet {
    /// Leads nowhere until it is [opened](Self::open).
    pub(crate) fn new() -> Self {
        let state =
            State { sink: None, fd: None, waiting: Vec::new(), writer: Writer::None, closed: true };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() }) }
    }

    pub(crate) fn open(&self, sink: Box<dyn Write + Send>, fd: Option<RawFd>) {
        let mut state = self.lock();
        state.sink = Some(sink);
        state.fd = fd;
        state.closed = false;
    }

    /// Writes one frame whole, or leaves it to the writer.
    pub(crate) fn send(&self, encode: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.lock();
        while state.waiting.len() > WAITING && !state.closed {
            state = self.wait(state);
        }
        if state.closed {
            return;
        }
        let State { sink, fd, waiting, .. } = &mut *state;
        let first = waiting.is_empty();
        encode(waiting);
        if first
            && waiting.len() <= SMALL
            && let (Some(open), Some(fd)) = (sink.as_mut(), *fd)
            && takes_a_small_frame(fd)
        {
            let written = open.write_all(waiting).and_then(|()| open.flush());
            waiting.clear();
            if written.is_err() {
                state.give_up();
            }
            return;
        }
        if state.writer == Writer::None {
            let outlet = self.clone();
            let thread = std::thread::Builder::new().name("frames".into());
            if thread.spawn(move || outlet.write()).is_err() {
                // No thread is to be had: then it is written here, however long that takes.
                state.write_here();
                return;
            }
            state.writer = Writer::Idle;
        }
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Sends what waits, for `limit` at most, and nothing after it.
    pub(crate) fn close(&self, limit: Duration) {
        let mut state = self.lock();
        let busy = |state: &mut State| {
            state.writer == Writer::Writing
                || (!state.waiting.is_empty() && state.writer == Writer::Idle)
        };
        state = self
            .shared
            .changed
            .wait_timeout_while(state, limit, busy)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
        state.give_up();
        drop(state);
        self.shared.changed.notify_all();
    }

    fn write(&self) {
        let mut state = self.lock();
        let mut spare = Vec::new();
        loop {
            if state.closed {
                return;
            }
            if state.waiting.is_empty() {
                state = self.wait(state);
                continue;
            }
            let Some(mut sink) = state.sink.take() else { return };
            let frames = std::mem::replace(&mut state.waiting, spare);
            state.writer = Writer::Writing;
            drop(state);
            self.shared.changed.notify_all();
            let written = sink.write_all(&frames).and_then(|()| sink.flush());
            spare = frames;
            spare.clear();
            spare.shrink_to(KEEP);
            state = self.lock();
            state.writer = Writer::Idle;
            if written.is_err() {
                state.give_up();
            } else if !state.closed {
                state.sink = Some(sink);
            }
            self.shared.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.shared.state)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Half a frame may be out, so nothing may follow it.
    fn give_up(&mut self) {
        self.closed = true;
        self.sink = None;
        self.waiting = Vec::new();
    }

    fn write_here(&mut self) {
        let Some(sink) = self.sink.as_mut() else { return };
        let written = sink.write_all(&self.waiting).and_then(|()| sink.flush());
        self.waiting.clear();
        if written.is_err() {
            self.give_up();
        }
    }
}
