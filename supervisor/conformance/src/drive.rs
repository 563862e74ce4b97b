//! Tells one story to one process, and writes down what it does.

use std::collections::HashSet;
use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use outboard_wire::{Dialect, Framer, Item, Message, decode};

use crate::clock::Clock;
use crate::crew::{Crew, Process, read_now};
use crate::host::{self, Host};
use crate::launch::Launch;
use crate::record::{Answer, Ended, Record, Seen, What};
use crate::run::Error;
use crate::script::{Script, Step};
use crate::subject::Subject;

/// Bytes of a frame that are kept: the longest that a judge reads is far shorter.
const KEPT: usize = 64 << 10;
/// Bytes of stderr that are kept: the last ones.
const KEPT_STDERR: usize = 4 << 10;
/// A process that writes more than this on stdout is not listened to any more.
const FLOOD_BYTES: u64 = 256 << 20;
const FLOOD_ITEMS: usize = 200_000;

/// Starts a process, tells it the story, and ends it if it has not ended.
///
/// # Errors
/// It could not be started.
pub(crate) fn drive(
    crew: &Crew,
    launch: &Launch,
    subject: &Subject,
    script: &Script<'_>,
) -> Result<Record, Error> {
    let process = crew.spawn(launch)?;
    let mut drive = Drive {
        process,
        clock: Clock::start(),
        framer: Framer::new(subject.host.framing, subject.max_frame),
        notes: Notes::new(subject),
        out: Vec::new(),
        written: 0,
        stdout_open: true,
        stderr_open: true,
        buffer: vec![0; 64 << 10],
    };
    drive.tell(script);
    Ok(drive.finish())
}

struct Drive<'s> {
    process: Process,
    clock: Clock,
    framer: Framer,
    notes: Notes<'s>,
    /// For stdin; what of it is written has left.
    out: Vec<u8>,
    written: usize,
    stdout_open: bool,
    stderr_open: bool,
    buffer: Vec<u8>,
}

/// What is written down while frames are cut.
struct Notes<'s> {
    record: Record,
    host: &'s Host,
    /// Answers the plugin's own requests.
    dialect: Box<dyn Dialect>,
    max_depth: u32,
    now: Duration,
    /// Ids of ours that are answered.
    answered: HashSet<u32>,
    opening: Option<bool>,
    /// When something last came.
    last: Duration,
    /// The answers to its own requests, as frames.
    replies: Vec<u8>,
}

/// When to stop listening.
enum Until {
    Time,
    Opening,
    Answers(RangeInclusive<u32>),
    Flushed,
    End,
}

impl Drive<'_> {
    fn tell(&mut self, script: &Script<'_>) {
        for step in &script.steps {
            let now = self.clock.now();
            match step {
                Step::Mark(name) => self.notes.push(now, What::Mark(name)),
                Step::Asked(id) => self.notes.push(now, What::Asked(*id)),
                Step::Write(bytes) => {
                    self.out.extend_from_slice(bytes);
                    self.write();
                }
                Step::Opening { within } => {
                    self.listen(*within, *within, false, &Until::Opening);
                    if self.notes.opening != Some(true) {
                        return;
                    }
                }
                Step::Answers { ids, within, idle } => {
                    self.listen(*within, *idle, false, &Until::Answers(ids.clone()));
                }
                Step::Needs(id) if !self.notes.answered.contains(id) => return,
                Step::Needs(_) => {}
                Step::Listen(time) => self.listen(*time, *time, false, &Until::Time),
                Step::Deaf(time) => self.listen(*time, *time, true, &Until::Time),
                Step::Flush { within } => self.listen(*within, *within, false, &Until::Flushed),
                Step::CloseStdin => self.process.stdin = None,
                Step::Terminate => self.process.terminate(),
                Step::End { within } => self.listen(*within, *within, false, &Until::End),
            }
            if self.notes.record.flooded {
                return;
            }
        }
        self.notes.record.whole = true;
    }

    /// Reads and writes until something is so, or the time is up, or nothing has come for `idle`, or the process is gone
    /// and all that it wrote is read.
    fn listen(&mut self, within: Duration, idle: Duration, deaf: bool, until: &Until) {
        let began = self.clock.now();
        self.notes.last = began;
        loop {
            let now = self.clock.now();
            let silent_at = self.notes.last + idle;
            let left = (began + within).min(silent_at).saturating_sub(now);
            if self.is(until) || left.is_zero() || self.notes.record.flooded {
                return;
            }
            if self.notes.record.ended.is_some() {
                return;
            }
            self.wait(left, deaf);
        }
    }

    fn is(&self, until: &Until) -> bool {
        match until {
            Until::Time => false,
            Until::Opening => self.notes.opening.is_some(),
            Until::Answers(ids) => {
                let count = (ids.end() - ids.start()) as usize + 1;
                self.notes.answered.len() >= count
                    && ids.clone().all(|id| self.notes.answered.contains(&id))
            }
            Until::Flushed => self.out.is_empty() || self.process.stdin.is_none(),
            Until::End => self.notes.record.ended.is_some(),
        }
    }

    /// One turn: waits until something can be done, and does it.
    fn wait(&mut self, left: Duration, deaf: bool) {
        let (stdout, stderr) = (self.process.stdout.as_fd(), self.process.stderr.as_fd());
        let mut fds = vec![PollFd::new(self.process.pidfd.as_fd(), PollFlags::POLLIN)];
        let mut stdout_at = None;
        if self.stdout_open && !deaf {
            stdout_at = Some(fds.len());
            fds.push(PollFd::new(stdout, PollFlags::POLLIN));
        }
        if self.stderr_open {
            fds.push(PollFd::new(stderr, PollFlags::POLLIN));
        }
        if let Some(stdin) = self.process.stdin.as_ref().filter(|_| !self.out.is_empty()) {
            fds.push(PollFd::new(stdin.as_fd(), PollFlags::POLLOUT));
        }
        let millis = u16::try_from(left.as_millis()).unwrap_or(u16::MAX).saturating_add(1);
        // Interrupted or not: the caller looks at the clock.
        poll(&mut fds, PollTimeout::from(millis)).ok();
        let ended = fds[0].any().unwrap_or(false);
        let readable = stdout_at.is_some_and(|at| fds[at].any().unwrap_or(false));
        drop(fds);
        self.read_stderr();
        if readable || (ended && !deaf) {
            self.read_stdout(ended);
        }
        self.write();
        if ended {
            let at = self.clock.now();
            if let Some(exit) = self.process.exit() {
                self.notes.record.ended = Some(Ended { at, exit });
            }
        }
    }

    /// Reads once, or all that there is.
    fn read_stdout(&mut self, all: bool) {
        while self.stdout_open && !self.notes.record.flooded {
            match read_now(&mut self.process.stdout, &mut self.buffer) {
                Some(0) => {
                    self.stdout_open = false;
                    let (framer, notes) = (&mut self.framer, &mut self.notes);
                    notes.now = self.clock.now();
                    framer.finish(&mut |item| notes.take(item));
                }
                Some(count) => {
                    let bytes = &self.buffer[..count];
                    let (framer, notes) = (&mut self.framer, &mut self.notes);
                    notes.now = self.clock.now();
                    notes.count(bytes);
                    framer.feed(bytes, &mut |item| notes.take(item));
                    self.out.append(&mut notes.replies);
                }
                None => return,
            }
            if !all {
                return;
            }
        }
    }

    fn read_stderr(&mut self) {
        while self.stderr_open {
            match read_now(&mut self.process.stderr, &mut self.buffer) {
                Some(0) => self.stderr_open = false,
                Some(count) => {
                    let kept = &mut self.notes.record.stderr;
                    kept.extend_from_slice(&self.buffer[..count]);
                    let more = kept.len().saturating_sub(KEPT_STDERR);
                    kept.drain(..more);
                    if count < self.buffer.len() {
                        return;
                    }
                }
                None => return,
            }
        }
    }

    /// Writes what the pipe takes now.
    fn write(&mut self) {
        let Some(stdin) = &mut self.process.stdin else {
            self.out.clear();
            return;
        };
        while self.written < self.out.len() {
            match stdin.write(&self.out[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Nobody reads any more: what that means is for a judge.
                Err(_) => break,
            }
        }
        self.out.clear();
        self.written = 0;
    }

    /// Ends what runs, and what became of it is written down.
    fn finish(mut self) -> Record {
        if self.notes.record.ended.is_some() {
            self.notes.record.gone = self.process.gone();
            // The last of its family may have had something to say.
            self.read_stdout(true);
        }
        self.read_stderr();
        self.notes.record.took = self.clock.now();
        self.notes.record
    }
}

impl<'s> Notes<'s> {
    fn new(subject: &'s Subject) -> Self {
        Self {
            record: Record { secrets: subject.secrets.clone(), ..Record::default() },
            host: &subject.host,
            dialect: subject.host.dialect(),
            max_depth: subject.max_depth,
            now: Duration::ZERO,
            answered: HashSet::new(),
            opening: None,
            last: Duration::ZERO,
            replies: Vec::new(),
        }
    }

    fn push(&mut self, at: Duration, what: What) {
        self.record.seen.push(Seen { at, what });
    }

    fn count(&mut self, bytes: &[u8]) {
        self.last = self.now;
        let room = 3_usize.saturating_sub(self.record.head.len());
        self.record.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.record.bytes += bytes.len() as u64;
        self.record.flooded |=
            self.record.bytes > FLOOD_BYTES || self.record.seen.len() > FLOOD_ITEMS;
    }

    fn take(&mut self, item: Item<'_>) {
        let what = match item {
            Item::Frame(frame) => self.frame(frame),
            Item::Junk { kind, line, .. } => What::Junk { kind, line: kept(line).to_vec() },
            Item::TooLong { bytes, .. } | Item::Runaway { bytes } => What::TooLong { bytes },
            Item::Tail { kept: line, .. } => What::Tail { line: kept(line).to_vec() },
            Item::Fatal { near, .. } => What::Lost { near: near.to_vec() },
        };
        self.push(self.now, what);
    }

    fn frame(&mut self, frame: &str) -> What {
        let text = || String::from_utf8_lossy(kept(frame.as_bytes())).into_owned();
        let opens = self.opening.is_none();
        match decode(frame, self.max_depth) {
            Ok(Message::Response { id, outcome }) => {
                self.opening.get_or_insert(outcome.is_ok());
                self.answered.extend(id.as_own());
                let outcome = match outcome {
                    // An opening is read as a whole, and may be long.
                    Ok(result) if opens => Ok(result.get().to_owned()),
                    Ok(result) => {
                        Ok(String::from_utf8_lossy(kept(result.get().as_bytes())).into_owned())
                    }
                    Err(error) => Err(error.code),
                };
                What::Answer(Answer { id, outcome, text: text() })
            }
            Ok(Message::OrphanError { error }) => {
                self.opening.get_or_insert(false);
                What::Orphan { code: error.code, text: text() }
            }
            Ok(Message::Request { id, method, params }) => {
                let line = host::answer(&mut *self.dialect, id, &method, params);
                if !line.is_empty() {
                    self.host.frame(&mut self.replies, &line);
                }
                What::Request { text: text() }
            }
            Ok(Message::Notification { method, params }) => {
                let params = params.map_or("{}", |params| params.get());
                let params = String::from_utf8_lossy(kept(params.as_bytes())).into_owned();
                What::Note { method: method.into_owned(), params, text: text() }
            }
            Err(reject) => What::Reject { reason: reject.reason, text: text() },
        }
    }
}

fn kept(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(KEPT)]
}
