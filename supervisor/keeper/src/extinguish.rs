//! Ends everything below this process.
//!
//! Works because this process is a child subreaper: whoever loses its parent lands here. A pass over `/proc` that
//! finds nobody proves nothing; the end is the kernel's word, `ECHILD`.

use crate::sys::process::{peek_any, reap};
use crate::tree::{Phase, Walk};

pub(crate) struct Extinguish {
    walk: Walk,
    children: Vec<i32>,
    /// 1 if this process surely has only one thread.
    threads: u32,
    /// Children of this process that are somebody else's business, with all that is below them.
    spare: Vec<i32>,
    phase: Phase,
    killed: u32,
    reaped: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Go on at once.
    Again,
    /// Everybody has been signalled; go on when they have had time to die.
    Wait,
    Done,
}

impl Extinguish {
    pub(crate) fn new(threads: u32, spare: Vec<i32>) -> Extinguish {
        Extinguish {
            walk: Walk::new(),
            children: Vec::new(),
            threads,
            spare,
            phase: Phase::FREEZE,
            killed: 0,
            reaped: 0,
        }
    }

    /// Processes that were sent SIGKILL, those of them that had to be told twice counted twice; an upper bound.
    pub(crate) fn killed(&self) -> u32 {
        self.killed
    }

    pub(crate) fn reaped(&self) -> u32 {
        self.reaped
    }

    /// Those that were alive at the last pass, if it did not end with [`Pass::Done`].
    pub(crate) fn left(&self) -> impl Iterator<Item = u32> {
        self.walk
            .nodes()
            .iter()
            .filter(|node| node.stat.is_some_and(|stat| !stat.is_over()))
            .map(|node| node.pid.cast_unsigned())
    }

    /// One pass: list, signal, reap. Takes some ten system calls for each process below this one.
    pub(crate) fn pass(&mut self) -> Pass {
        self.walk.begin();
        self.walk.own_children(self.threads, &mut self.children);
        for &child in &self.children {
            if !self.spare.contains(&child) {
                self.walk.root(child, 0);
            }
        }
        self.walk.descend();
        let mut running = 0;
        for i in 0..self.walk.nodes().len() {
            let node = self.walk.nodes()[i];
            let Some(stat) = node.stat else {
                running += 1;
                continue;
            };
            let (signal, counts) = self.phase.answer(&stat);
            running += u32::from(counts);
            if let Some(signal) = signal
                && self.walk.strike(node.pid, stat.start, signal)
                && signal == libc::SIGKILL
            {
                self.killed += 1;
            }
        }
        let listed = self.walk.nodes().len();
        let before = self.phase;
        self.phase = self.phase.after(running);
        let reaped = self.reap();
        if self.is_over(listed) {
            Pass::Done
        } else if reaped > 0 || before != Phase::Kill && self.phase == Phase::Kill {
            Pass::Again
        } else {
            Pass::Wait
        }
    }

    fn reap(&mut self) -> u32 {
        let mut reaped = 0;
        if self.spare.is_empty() {
            while let Ok(Some(pid)) = peek_any() {
                reaped += u32::from(matches!(reap(pid), Ok(Some(_))));
            }
        } else {
            // A spared child that has ended would hide all others from a wait for anybody.
            for &child in self.children.iter().filter(|child| !self.spare.contains(child)) {
                reaped += u32::from(matches!(reap(child), Ok(Some(_))));
            }
        }
        self.reaped += reaped;
        reaped
    }

    fn is_over(&self, listed: usize) -> bool {
        if self.spare.is_empty() { peek_any().is_err() } else { listed == 0 }
    }
}
