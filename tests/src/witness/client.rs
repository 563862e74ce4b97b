//! The test's end of its witness.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::protocol::{Answer, Ended, Moment, Order, Process, Request, Spawn};
use crate::clock::hang_bound;
use crate::runtimes::bin;

type Result<T> = std::result::Result<T, String>;
type Waiting = Arc<Mutex<HashMap<u64, Sender<Result<Value>>>>>;

/// A running witness. Dropped, it ends everything below it, and then itself.
#[derive(Debug)]
pub struct Witness {
    process: Child,
    orders: Option<Mutex<ChildStdin>>,
    waiting: Waiting,
    next_id: AtomicU64,
}

/// An answer that is on its way.
#[derive(Debug)]
pub struct Later<T> {
    answer: Receiver<Result<Value>>,
    what: String,
    value: std::marker::PhantomData<T>,
}

impl<T: DeserializeOwned> Later<T> {
    /// Waits for it.
    ///
    /// # Panics
    ///
    /// When it does not come within [`hang_bound`], or the order could not be obeyed.
    #[track_caller]
    pub fn get(self) -> T {
        let what = self.what.clone();
        self.try_get().unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    /// It, if it has come.
    ///
    /// # Panics
    ///
    /// When the order could not be obeyed.
    pub fn now(&self) -> Option<T> {
        let answer = self.answer.try_recv().ok()?;
        Some(serde_json::from_value(answer.unwrap()).unwrap())
    }

    /// Waits for it.
    ///
    /// # Errors
    ///
    /// When it does not come within [`hang_bound`], or the order could not be obeyed.
    pub fn try_get(self) -> Result<T> {
        match self.answer.recv_timeout(hang_bound()) {
            Ok(answer) => serde_json::from_value(answer?).map_err(|error| error.to_string()),
            Err(RecvTimeoutError::Timeout) => Err(format!("nothing after {:?}", hang_bound())),
            Err(RecvTimeoutError::Disconnected) => Err("the witness is gone".to_owned()),
        }
    }
}

impl Witness {
    /// Starts one. It lives no longer than the calling thread.
    ///
    /// # Panics
    ///
    /// When it is not built, or cannot be started.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one process that a test starts itself")]
    pub fn start() -> Self {
        let mut command = Command::new(bin("outboard-witness"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // What the surroundings say to a supervisor is not for those of the tests.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("OUTBOARD_") {
                command.env_remove(name);
            }
        }
        let mut process = command.spawn().unwrap();
        let orders = process.stdin.take().map(Mutex::new);
        let answers = process.stdout.take().unwrap();
        let waiting = Waiting::default();
        let theirs = waiting.clone();
        std::thread::spawn(move || hand_out(answers, &theirs));
        Self { process, orders, waiting, next_id: AtomicU64::new(1) }
    }

    /// Starts a process and gives its pid.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[track_caller]
    pub fn spawn(&self, spawn: Spawn) -> u32 {
        self.order(Order::Spawn(spawn)).get()
    }

    /// Everything that lives below the witness, zombies included.
    #[track_caller]
    pub fn below(&self) -> Vec<Process> {
        self.order(Order::Below).get()
    }

    /// The end of a process that was started here, once it comes.
    pub fn exit(&self, pid: u32) -> Later<Ended> {
        self.order(Order::WaitExit { pid })
    }

    /// The moment at which nothing lives below any more, once it comes: the kernel says so, not a walk.
    pub fn empty(&self) -> Later<Moment> {
        self.order(Order::WaitEmpty)
    }

    /// Signals a process below.
    ///
    /// # Panics
    ///
    /// When it is not there.
    #[track_caller]
    pub fn signal(&self, pid: u32, signal: i32) -> Moment {
        self.signal_after(pid, signal, Duration::ZERO).get()
    }

    /// Signals a process below after a time by the witness' clock: gives the moment at which it did.
    pub fn signal_after(&self, pid: u32, signal: i32, after: Duration) -> Later<Moment> {
        let after_us = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        self.order(Order::Signal { pid, signal, after_us })
    }

    /// Types on the terminal of a process that was started with one.
    #[track_caller]
    pub fn type_on(&self, pid: u32, text: &str) {
        self.order::<()>(Order::Type { pid, text: text.to_owned() }).get();
    }

    fn order<T>(&self, order: Order) -> Later<T> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let what = format!("{order:?}");
        let (sender, answer) = mpsc::channel();
        self.waiting.lock().unwrap().insert(id, sender);
        let mut line = serde_json::to_vec(&Request { id, order }).unwrap();
        line.push(b'\n');
        if let Some(orders) = &self.orders {
            // A witness that is gone drops every answer, and that says so.
            drop(orders.lock().unwrap().write_all(&line));
        }
        Later { answer, what, value: std::marker::PhantomData }
    }
}

fn hand_out(answers: ChildStdout, waiting: &Waiting) {
    for line in BufReader::new(answers).lines().map_while(std::result::Result::ok) {
        let Ok(Answer { id, result }) = serde_json::from_str(&line) else { break };
        if let Some(waits) = waiting.lock().unwrap().remove(&id) {
            // Whoever asked may have given up.
            drop(waits.send(result));
        }
    }
    waiting.lock().unwrap().clear();
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.orders = None;
        let ended = self.process.wait();
        if !std::thread::panicking() {
            assert!(ended.unwrap().success(), "the witness could not end everything below it");
        }
    }
}
