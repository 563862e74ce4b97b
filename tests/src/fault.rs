//! What the tests of the fault table (`tests/faults/README.md`) have in common.
//!
//! A row has to show that its fault was really made: [`Row::witness`]. What it saw and measured goes to whoever
//! prints the table, as JSON lines in the file that `OUTBOARD_FAULTS_REPORT` names.

use std::cell::RefCell;
use std::fs::OpenOptions;
use std::io::Write;
use std::ops::Deref;
use std::time::Duration;

use serde_json::json;

use crate::clock::wait_until;
use crate::{Running, World};

/// One row at work, with the [`World`] it happens in.
#[derive(Debug)]
pub struct Row {
    id: &'static str,
    world: World,
    witnesses: RefCell<Vec<String>>,
    measured: RefCell<Vec<String>>,
}

impl Row {
    /// Begins a row of the table.
    #[must_use]
    pub fn new(id: &'static str) -> Self {
        Self {
            id,
            world: World::new(),
            witnesses: RefCell::default(),
            measured: RefCell::default(),
        }
    }

    /// The fault really happened, and this is how it is known: a report of the script, a counter of the kernel, an
    /// errno. Assert first, then say.
    pub fn witness(&self, what: impl std::fmt::Display) {
        self.witnesses.borrow_mut().push(what.to_string());
    }

    /// A figure for the table. Nothing is asserted of it.
    pub fn measured(&self, what: &str, took: Duration) {
        self.measured.borrow_mut().push(format!("{what} {:.1}ms", took.as_secs_f64() * 1e3));
    }

    /// Ends a test whose fault this machine does not let anybody make. It has to be a listed skip.
    ///
    /// # Panics
    ///
    /// When it is not.
    #[track_caller]
    pub fn cannot(&self, why: impl std::fmt::Display) {
        let listed = crate::table::skips().iter().any(|skip| skip.id == self.id);
        assert!(listed, "{}: {why}; that is no listed skip (tests/faults/skips.toml)", self.id);
        crate::say(format_args!("{} is not made whole here: {why}", self.id));
        self.witness(format_args!("not made here: {why}"));
    }

    /// Anything else that the table should say.
    pub fn note(&self, what: impl std::fmt::Display) {
        self.measured.borrow_mut().push(what.to_string());
    }
}

impl Deref for Row {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let witnesses = self.witnesses.take();
        assert!(
            !witnesses.is_empty(),
            "{}: no witness: the fault may never have happened",
            self.id
        );
        let Some(report) = std::env::var_os("OUTBOARD_FAULTS_REPORT") else { return };
        let line = json!({"id": self.id, "witness": witnesses, "measured": self.measured.take()});
        let file = OpenOptions::new().append(true).create(true).open(report);
        // One write a line: rows of several threads do not mix.
        file.unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

/// Makes a row five times in a row, or fifty in the long form: for rows whose outcome hangs on who is first.
pub fn race(mut round: impl FnMut(u32)) {
    for number in 0..if crate::long() { 50 } else { 5 } {
        round(number);
    }
}

/// What a supervisor holds of the machine, to be compared with what it held before.
#[derive(Clone, Copy, Debug)]
pub struct Holds {
    pid: u32,
    /// `None` where only root may count them: a supervisor closes its folder in `/proc` to its own user.
    descriptors: Option<usize>,
    threads: usize,
    resident_kib: u64,
}

/// The most that a row may make a supervisor grow.
const GROWTH_KIB: u64 = 64 * 1024;

impl Holds {
    /// What it holds now. Take it once everything is `active` and quiet.
    #[must_use]
    pub fn of(run: &Running<'_>) -> Self {
        Self::of_pid(run.supervisor_pid())
    }

    fn of_pid(pid: u32) -> Self {
        let count =
            |what: &str| Some(std::fs::read_dir(format!("/proc/{pid}/{what}")).ok()?.count());
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let hwm = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let hwm = hwm.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        let (descriptors, threads) = (count("fd"), count("task").unwrap());
        Self { pid, descriptors, threads, resident_kib: hwm.unwrap() }
    }

    /// Asserts that descriptors and threads come back to what they were, and that memory never grew by more than
    /// 64 MiB.
    ///
    /// # Panics
    ///
    /// When they do not.
    #[track_caller]
    pub fn are_back(self) {
        wait_until("descriptors and threads come back to what they were", || {
            let now = Self::of_pid(self.pid);
            now.descriptors <= self.descriptors && now.threads <= self.threads
        });
        let grown = Self::of_pid(self.pid).resident_kib.saturating_sub(self.resident_kib);
        assert!(grown <= GROWTH_KIB, "it grew by {grown} KiB at its most");
    }
}
