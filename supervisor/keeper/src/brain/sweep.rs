//! After a keeper's death: nothing of it may live when the next one starts.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::extinguish::{Extinguish, Pass};
use crate::reaper::{Hunt, ReapReport, RunMark, empty_fleet, remove_fleet};
use crate::settings::Containment;
use crate::sys::clock::{now, pause};
use crate::sys::process::{peek_any, reap};
use crate::tree::Walk;

/// What there is to sweep.
#[derive(Clone, Debug)]
pub struct SweepPlan {
    pub run: RunMark,
    /// The dead keeper's [`Containment::fleet`].
    pub fleet: Option<PathBuf>,
    /// This process is a child subreaper (or pid 1), so that the keeper's orphans have landed on it. Everything that
    /// is a child of this process and not spared is then killed with all that is below it.
    pub adopts: bool,
    /// Children that are not the keeper's: an embedding application's own.
    pub spare: Vec<u32>,
    /// The whole sweep takes no longer than this.
    pub limit: Duration,
}

impl SweepPlan {
    /// For a process of which everything below is to go, and that is a child subreaper.
    pub(crate) fn of_children(run: RunMark) -> SweepPlan {
        let limit = Duration::from_secs(10);
        SweepPlan { run, fleet: None, adopts: true, spare: Vec::new(), limit }
    }

    /// For a brain whose one child is its keeper, and that is a child subreaper.
    pub fn new(run: RunMark, containment: &Containment) -> SweepPlan {
        SweepPlan { fleet: containment.fleet.clone(), ..SweepPlan::of_children(run) }
    }
}

/// How a sweep went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Processes that were reaped: the keeper, and whoever landed here.
    pub reaped: u32,
    /// SIGKILLs that were sent.
    pub killed: u32,
    /// Still alive when the time was up. Empty is the promise; anything else is `unkillable`.
    pub left: Vec<u32>,
    pub took: Duration,
}

/// A sweep in steps of a few milliseconds, for an event loop. Dropping it half-way leaves what is not yet swept.
pub struct Sweep {
    plan: SweepPlan,
    began: Instant,
    stage: Stage,
    swept: Swept,
}

enum Stage {
    Fleet,
    Children(Box<Extinguish>),
    Marked(Box<Hunt<'static>>),
    Over,
}

/// What [`Sweep::step`] wants next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SweepStep {
    /// Call again at once, or after other work.
    Again,
    /// Call again in a millisecond or so: the signalled need time to die.
    Wait,
    Done(Swept),
}

impl Sweep {
    pub fn new(plan: SweepPlan) -> Sweep {
        Sweep { plan, began: now(), stage: Stage::Fleet, swept: Swept::default() }
    }

    pub fn step(&mut self) -> SweepStep {
        let until = self.began + self.plan.limit;
        let late = now() >= until;
        match &mut self.stage {
            Stage::Fleet => {
                if let Some(fleet) = &self.plan.fleet {
                    if !empty_fleet(fleet, &self.plan.run) && !late {
                        return SweepStep::Wait;
                    }
                    remove_fleet(fleet, &self.plan.run);
                }
                self.stage = if self.plan.adopts {
                    let spare = self.plan.spare.iter().map(|pid| pid.cast_signed()).collect();
                    Stage::Children(Box::new(Extinguish::new(MANY_THREADS, spare)))
                } else {
                    self.hunt()
                };
                SweepStep::Again
            }
            Stage::Children(below) => match below.pass() {
                Pass::Again if !late => SweepStep::Again,
                Pass::Wait if !late => SweepStep::Wait,
                pass @ (Pass::Again | Pass::Wait | Pass::Done) => {
                    self.swept.reaped = below.reaped();
                    self.swept.killed = below.killed();
                    if pass != Pass::Done {
                        self.swept.left.extend(below.left());
                    }
                    self.stage = self.hunt();
                    SweepStep::Again
                }
            },
            Stage::Marked(hunt) => {
                if hunt.pass() && !late {
                    return SweepStep::Wait;
                }
                let mut report = ReapReport::default();
                hunt.write_into(&mut report);
                self.swept.killed += u32::try_from(report.killed.len()).unwrap_or(u32::MAX);
                self.swept.left.extend(report.left);
                self.swept.left.sort_unstable();
                self.swept.left.dedup();
                if self.plan.adopts {
                    self.swept.reaped += reap_orphans(&self.plan.spare);
                }
                self.stage = Stage::Over;
                self.done()
            }
            Stage::Over => self.done(),
        }
    }

    /// Who carries the mark and is not below this process: nobody, if it adopts. Else this is all that is known.
    fn hunt(&self) -> Stage {
        let mut hunt = Hunt::new(self.plan.run, &[]);
        hunt.spare(&self.plan.spare);
        Stage::Marked(Box::new(hunt))
    }

    fn done(&mut self) -> SweepStep {
        self.swept.took = now().saturating_duration_since(self.began);
        SweepStep::Done(self.swept.clone())
    }
}

/// The brain has more than one thread, or may have.
const MANY_THREADS: u32 = 2;

/// A whole sweep. Blocks its thread, at most for the plan's limit: call it where that is allowed.
pub fn sweep_after_keeper(plan: SweepPlan) -> Swept {
    let mut sweep = Sweep::new(plan);
    loop {
        match sweep.step() {
            SweepStep::Again => {}
            SweepStep::Wait => pause(Duration::from_micros(500)),
            SweepStep::Done(swept) => return swept,
        }
    }
}

/// Children reaped in one call of [`reap_adopted`].
const AT_ONCE: u32 = 64;

/// Reaps ended children of this process except one, the keeper: a brain that is a subreaper, or pid 1, is given
/// strangers. To be called at SIGCHLD. Returns how many were reaped; with 64 there may be more, so call again.
///
/// Not for an application that waits for children of its own.
pub fn reap_adopted(except: u32) -> u32 {
    let except = except.cast_signed();
    let mut reaped = 0;
    while reaped < AT_ONCE {
        match peek_any() {
            // It hides the others, and stays for whoever waits for it.
            Ok(Some(pid)) if pid == except => {
                return reaped + reap_listed(except, AT_ONCE - reaped);
            }
            Ok(Some(pid)) => reaped += u32::from(matches!(reap(pid), Ok(Some(_)))),
            Ok(None) | Err(_) => break,
        }
    }
    reaped
}

fn reap_listed(except: i32, at_most: u32) -> u32 {
    let mut children = Vec::new();
    let mut walk = Walk::new();
    walk.begin();
    walk.own_children(MANY_THREADS, &mut children);
    let ended = children.into_iter().filter(|&pid| pid != except);
    let reaped = ended.filter(|&pid| matches!(reap(pid), Ok(Some(_)))).take(at_most as usize);
    u32::try_from(reaped.count()).unwrap_or(u32::MAX)
}

fn reap_orphans(spare: &[u32]) -> u32 {
    let mut reaped = 0;
    let mut children = Vec::new();
    let mut walk = Walk::new();
    walk.begin();
    walk.own_children(MANY_THREADS, &mut children);
    for pid in children {
        if !spare.contains(&pid.cast_unsigned()) {
            reaped += u32::from(matches!(reap(pid), Ok(Some(_))));
        }
    }
    reaped
}
