//! What a keeper is started with, and what it turned out to be able to do.

use std::path::PathBuf;

use crate::reaper::RunMark;

/// Which executable becomes the keeper. It must call [`crate::entry::run_if_keeper`] first thing in `main`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeeperProgram {
    /// `/proc/self/exe`: the running file itself, even if it has been replaced or removed since.
    SelfExe,
    Path(PathBuf),
}

/// How a keeper is to be set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The mark of this run, put into the environment of every plugin and into the names of cgroups.
    pub run: RunMark,
    pub containment: ContainmentChoice,
}

/// Which containment is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ContainmentChoice {
    /// The best that works, proved by a probe.
    #[default]
    Auto,
    /// Level 1 or an error.
    Cgroup,
    /// Level 2; cgroups are left alone.
    Session,
}

/// How a plugin's processes are held together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Level 1: a cgroup v2 leaf for each plugin.
    Cgroup,
    /// Level 2: session, group and descendants.
    Session,
}

impl Level {
    pub fn number(self) -> u8 {
        match self {
            Level::Cgroup => 1,
            Level::Session => 2,
        }
    }
}

/// The containment in force, proved by the keeper with a process of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Containment {
    pub level: Level,
    /// Controllers whose limits are enforced; all `false` at level 2 and on hybrid machines.
    pub controllers: Controllers,
    /// The cgroup that holds the leaves, at level 1. Goes into [`crate::reaper::Record`].
    pub fleet: Option<PathBuf>,
    /// Why it is not more: `None` where everything is in force.
    pub shortfall: Option<crate::probe::Shortfall>,
}

/// cgroup v2 controllers that plugins' leaves have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Controllers {
    pub memory: bool,
    pub pids: bool,
    pub cpu: bool,
}

impl Controllers {
    pub fn any(self) -> bool {
        self.memory || self.pids || self.cpu
    }

    pub fn all(self) -> bool {
        self.memory && self.pids && self.cpu
    }
}
