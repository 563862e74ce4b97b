//! Passes over `/proc`: stop what is ours until nobody new is found, then kill until nobody is.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;

use super::identity::{Environ, Evidence, Verdict, judge};
use super::record::{Leader, Record, RunMark};
use crate::cgroup::{Fleet, members, remove_tree};
use crate::fleets::{fleet_name, open_fleet, own_leaf};
use crate::pidfd::Pidfd;
use crate::sys::clock::{now, pause};
use crate::sys::kin::for_each_number;
use crate::sys::proc::{Reader, Stat};
use crate::tree::Phase;

/// What was found and done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReapReport {
    /// Processes that were killed.
    pub killed: Vec<u32>,
    /// Processes that the record points at, and that are not ours after all. Never signalled.
    pub skipped: Vec<Skipped>,
    /// Still there when the time was up: uninterruptible, or not ours to signal.
    pub left: Vec<u32>,
    /// The run's cgroup was found, emptied by the kernel in one step, and removed.
    pub fleet_removed: bool,
    pub took: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Skipped {
    pub pid: u32,
    pub reason: SkipReason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SkipReason {
    /// The number, or the session's, belongs to another process now.
    NumberReused,
    /// In a leader's session, with an environment that is whole and does not carry the mark.
    OtherMark,
    /// It is an ancestor of this process: we were started from within the leftover.
    Ancestor,
}

/// Removes the leftovers of the run that `record` describes, within `limit`. Blocks its thread for that long at most.
///
/// To be called before anything is spawned. A record of another boot or machine is taken note of and nothing else.
pub fn reap_leftovers(record: &Record, limit: Duration) -> ReapReport {
    let began = now();
    let mut report = ReapReport::default();
    if record.is_of_this_boot() {
        if let Some(fleet) = &record.fleet {
            if fleet_of(fleet, &record.run).is_some() {
                report.killed = members(fleet, 0);
            }
            while !empty_fleet(fleet, &record.run) && now() < began + limit {
                pause(BETWEEN_LOOKS);
            }
            // A leaf is busy for a moment longer than it is populated.
            report.fleet_removed = remove_fleet(fleet, &record.run);
            while !report.fleet_removed
                && fleet_of(fleet, &record.run).is_some()
                && now() < began + limit
            {
                pause(BETWEEN_LOOKS);
                report.fleet_removed = remove_fleet(fleet, &record.run);
            }
        }
        let mut hunt = Hunt::new(record.run, &record.leaders);
        while hunt.pass() && now() < began + limit {
            pause(BETWEEN_LOOKS);
        }
        hunt.write_into(&mut report);
    }
    report.took = now().saturating_duration_since(began);
    report
}

/// Time that signals have to act before the next look.
const BETWEEN_LOOKS: Duration = Duration::from_micros(500);

/// Kills what is in a run's cgroup; says whether nobody is.
pub(crate) fn empty_fleet(path: &Path, run: &RunMark) -> bool {
    fleet_of(path, run).is_none_or(|fleet| {
        // One that cannot be killed or read any more is no fleet of ours.
        fleet.kill().is_err() || fleet.is_populated() != Ok(true)
    })
}

/// Removes a run's cgroup and the leaf of its brain and keeper, as far as they are empty; says whether it did.
pub(crate) fn remove_fleet(path: &Path, run: &RunMark) -> bool {
    let Some(fleet) = fleet_of(path, run) else { return false };
    fleet.remove();
    remove_tree(own_leaf(path), 0);
    !path.exists()
}

/// The path comes from a file: the name must be the one that this run gave it.
fn fleet_of(path: &Path, run: &RunMark) -> Option<Fleet> {
    if path.file_name()? != fleet_name(run).as_str() {
        return None;
    }
    open_fleet(path).ok()
}

/// A search for everything that can be proven to be of one run.
pub(crate) struct Hunt<'a> {
    run: RunMark,
    leaders: &'a [Leader],
    reader: Reader,
    /// Never signalled: this process and those above it.
    ancestors: HashSet<u32>,
    phase: Phase,
    /// Number and start of each. One that is on its way out has given up its environment before its files, and proves
    /// nothing any more; it is waited for all the same.
    killed: HashMap<u32, u64>,
    skipped: HashSet<Skipped>,
    left: Vec<u32>,
}

impl<'a> Hunt<'a> {
    pub(crate) fn new(run: RunMark, leaders: &'a [Leader]) -> Hunt<'a> {
        let mut reader = Reader::new();
        let mut ancestors = HashSet::new();
        let mut at = std::process::id();
        while at != 0 && ancestors.insert(at) {
            at = reader.stat(at.cast_signed()).map_or(0, |stat| stat.ppid.cast_unsigned());
        }
        Hunt {
            run,
            leaders,
            reader,
            ancestors,
            phase: Phase::FREEZE,
            killed: HashMap::new(),
            skipped: HashSet::new(),
            left: Vec::new(),
        }
    }

    /// Never to be signalled.
    pub(crate) fn spare(&mut self, pids: &[u32]) {
        self.ancestors.extend(pids);
    }

    /// One look at every process; says whether there has to be another.
    pub(crate) fn pass(&mut self) -> bool {
        self.left.clear();
        let mut pids = Vec::new();
        for_each_number("/proc", |pid| pids.push(pid.cast_unsigned()));
        let mut running = 0;
        for pid in pids {
            running += u32::from(self.look(pid));
        }
        let was = self.phase;
        self.phase = self.phase.after(running);
        !self.left.is_empty() || was != Phase::Kill
    }

    /// Whether it is ours and still counts as running in this phase.
    fn look(&mut self, pid: u32) -> bool {
        // First the descriptor, then the check: whatever is found out is about the process that would be signalled.
        let Ok(pidfd) = Pidfd::open(pid) else { return false };
        let Some(stat) = self.reader.stat(pid.cast_signed()) else { return false };
        if stat.is_over() {
            return false;
        }
        match self.judge(pid, &stat) {
            Verdict::NotOurs if self.killed.get(&pid) == Some(&stat.start) => {
                self.left.push(pid);
                false
            }
            Verdict::NotOurs => false,
            Verdict::Skip(reason) => {
                self.skipped.insert(Skipped { pid, reason });
                false
            }
            Verdict::Ours if self.ancestors.contains(&pid) => {
                self.skipped.insert(Skipped { pid, reason: SkipReason::Ancestor });
                false
            }
            Verdict::Ours => {
                let (signal, running) = self.phase.answer(&stat);
                if let Some(signal) = signal {
                    let sent = pidfd.send_signal(signal);
                    if sent.is_ok() && signal == libc::SIGKILL {
                        self.killed.insert(pid, stat.start);
                    }
                }
                self.left.push(pid);
                running
            }
        }
    }

    fn judge(&mut self, pid: u32, stat: &Stat) -> Verdict {
        // Looked at first: the environment's text stays in the reader's buffer until the next file.
        let leaders = self.leaders;
        let session = stat.session.cast_unsigned();
        let reused = leaders.iter().find(|leader| leader.pid == session).is_some_and(|leader| {
            self.reader.stat(stat.session).is_some_and(|now| now.start != leader.start)
        });
        let environ = match self.reader.environ(pid.cast_signed()) {
            Ok(block) => Environ::Readable(block),
            Err(Errno::EACCES | Errno::EPERM) => Environ::Closed,
            Err(_) => return Verdict::NotOurs,
        };
        let evidence = Evidence { run: self.run, leaders, number_reused: &|_| reused };
        judge(&evidence, pid, stat, environ)
    }

    pub(crate) fn write_into(&mut self, report: &mut ReapReport) {
        report.killed.extend(self.killed.drain().map(|(pid, _)| pid));
        report.skipped.extend(self.skipped.drain());
        report.left.append(&mut self.left);
        report.killed.sort_unstable();
        report.killed.dedup();
        report.skipped.sort_unstable_by_key(|skipped| skipped.pid);
    }
}
