//! The vocabulary between brain and keeper: what can be ordered, and what is reported.

use std::ffi::CString;
use std::fmt;
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;

/// What the brain asks of the keeper.
#[derive(Debug)]
pub enum Order {
    /// Start a process. Answered by [`Report::Spawned`] and then [`Report::Execed`], or by [`Report::SpawnFailed`].
    Spawn(Box<SpawnOrder>),
    /// SIGTERM, then SIGCONT, to the plugin's process group: for kernels without the group flag of
    /// `pidfd_send_signal` (before Linux 6.9), and for any kernel until [`Report::Execed`] has come. A child that has
    /// not reached `exec` has no group and nothing to tidy up: it alone is killed.
    Terminate { key: u64 },
    /// Kill the plugin and its whole tree; no linger. Ends with [`Report::Gone`], however long that takes.
    Kill { key: u64 },
    /// Answered by [`Report::Pong`] with the same number. Of several unanswered pings only the last is.
    Ping { n: u32 },
    /// Execute this image (open at least as `O_PATH`) in the keeper's place, once nothing is being started, ended or
    /// swept; until then the keeper goes on. It has to be the program that gives the order, or another of the same build.
    /// Answered by [`Report::Reexecuted`] or [`Report::Kept`]; of several that wait only the last is carried out.
    Reexec { image: OwnedFd },
}

/// Everything needed to start one plugin process.
#[derive(Debug)]
pub struct SpawnOrder {
    /// Opaque; unique for each generation of each plugin for as long as the keeper lives.
    pub key: u64,
    /// The resolved path. `exec` gets it as it is: no search in `PATH`, no shell.
    pub program: CString,
    pub argv: Vec<CString>,
    /// The whole environment, `NAME=value`. The run mark is added by the client and replaces any that is here.
    pub env: Vec<CString>,
    /// Standard input, output, error.
    pub stdio: [OwnedFd; 3],
    /// More descriptors, each with the number it gets in the child (3 or above).
    pub extra_fds: Vec<(OwnedFd, i32)>,
    pub cwd: Option<CString>,
    pub umask: Option<u32>,
    pub rlimits: Vec<Rlimit>,
    pub user: Option<Credentials>,
    /// `PR_SET_NO_NEW_PRIVS`: neither set-user-ID programs nor file capabilities give more rights from here on.
    pub no_new_privs: bool,
    pub orphans: Orphans,
    /// How long what outlives its leader may go on before it is killed.
    pub linger: Duration,
    /// Enforced where level 1 is in force and the controller is enabled; see [`crate::Containment::controllers`].
    pub limits: CgroupLimits,
    /// For people: part of the name of the cgroup leaf. Characters other than `A-Za-z0-9_-` become `_`.
    pub name: String,
}

impl SpawnOrder {
    /// Time that what outlives its leader gets, unless told otherwise.
    pub const DEFAULT_LINGER: Duration = Duration::from_millis(500);

    /// An order with nothing unusual: inherited directory, umask and limits, the keeper's own user and no way to get
    /// more rights than that.
    pub fn new(key: u64, program: CString, stdio: [OwnedFd; 3]) -> SpawnOrder {
        SpawnOrder {
            key,
            argv: vec![program.clone()],
            program,
            env: Vec::new(),
            stdio,
            extra_fds: Vec::new(),
            cwd: None,
            umask: None,
            rlimits: Vec::new(),
            user: None,
            no_new_privs: true,
            orphans: Orphans::Plugin,
            linger: SpawnOrder::DEFAULT_LINGER,
            limits: CgroupLimits::default(),
            name: String::new(),
        }
    }
}

/// One resource limit: `resource` is a `RLIMIT_…` number; `u64::MAX` is "unlimited".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rlimit {
    pub resource: u32,
    pub soft: u64,
    pub hard: u64,
}

/// Whom the plugin runs as. All three are set (real, effective, saved), groups first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups: the whole list, not an addition.
    pub groups: Vec<u32>,
}

/// Who adopts a plugin's orphaned descendants while the plugin lives, at level 2. At level 1 the keeper does in any case:
/// the cgroup says whose they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Orphans {
    /// The plugin itself (a child subreaper), so that everything stays beneath it. Zombies of strangers that it does
    /// not reap stay its own.
    #[default]
    Plugin,
    /// The keeper. It reaps them; which plugin they belong to goes by ancestry, session and mark.
    Keeper,
}

/// Limits of the plugin's cgroup leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct CgroupLimits {
    /// Bytes (`memory.max`).
    pub memory: Option<u64>,
    /// Processes and threads (`pids.max`).
    pub pids: Option<u32>,
    /// Thousandths of one processor (`cpu.max`): 1500 is one and a half.
    pub cpu_millis: Option<u32>,
}

impl CgroupLimits {
    pub fn is_empty(&self) -> bool {
        *self == CgroupLimits::default()
    }
}

/// What the keeper says.
///
/// For each key, in this order: `Spawned`, then `Execed` or `SpawnFailed`, then `Died`, then `Gone`. `SpawnFailed` is
/// the last word for its key. A child that is killed before it reaches `exec` has neither `Execed` nor `SpawnFailed`.
#[derive(Debug)]
pub enum Report {
    /// The process exists. Its number is not used again before `Gone` (or `SpawnFailed`).
    Spawned {
        key: u64,
        pid: u32,
        pidfd: OwnedFd,
    },
    /// `exec` succeeded.
    Execed {
        key: u64,
    },
    /// No program runs. A `Spawned` may have come before.
    SpawnFailed {
        key: u64,
        step: Step,
        errno: i32,
    },
    /// The leader ended; known without reaping it, and said at once. Others of its tree may live.
    Died {
        key: u64,
        exit: ExitStatus,
    },
    /// The leader is reaped and nothing of its tree is left. The last word for this key. (At level 1 a zombie of the
    /// tree may be reaped a moment later: a cgroup that holds only zombies counts as empty.)
    Gone {
        key: u64,
        /// Processes other than the leader that had to be killed.
        swept: u32,
        /// Of the leader and those of its descendants that were waited for.
        rusage: Rusage,
        /// From the leader's end, or the order to kill, whichever came first.
        took: Duration,
    },
    /// A process that landed on the keeper and belongs to no plugin that can be named. It is ended with the keeper.
    Stray {
        pid: u32,
    },
    Pong {
        n: u32,
    },
    /// The image that was ordered goes on as the keeper: same process, same children.
    Reexecuted {
        /// Major, minor, patch of the image.
        version: [u16; 3],
    },
    /// The image that was ordered does not run; the keeper goes on as it was.
    Kept {
        /// Of `execveat(2)` or of what comes before it. `None`: the image does not read what this keeper writes down.
        errno: Option<i32>,
    },
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    Code(i32),
    Signal {
        /// The number; [`ExitStatus::signal_name`] has the name.
        signal: i32,
        /// A core was dumped.
        core: bool,
        /// Killed for memory, with evidence: `oom_kill` of its cgroup leaf rose. Never a guess.
        oom: bool,
    },
}

impl ExitStatus {
    /// `"SIGSEGV"`, or `None` for an exit by code and for real-time signals.
    pub fn signal_name(&self) -> Option<&'static str> {
        match self {
            ExitStatus::Code(_) => None,
            ExitStatus::Signal { signal, .. } => Signal::try_from(*signal).ok().map(Signal::as_str),
        }
    }
}

/// Resources used, from `wait4(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Rusage {
    pub user: Duration,
    pub system: Duration,
    pub max_rss_kib: u64,
}

macro_rules! steps {
    ($($(#[$doc:meta])* $variant:ident = $number:literal $name:literal,)*) => {
        /// The step of a start that failed; the order is that of the child's set-up.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Step { $($(#[$doc])* $variant = $number,)* }

        impl Step {
            /// Every step, in order.
            pub const ALL: &'static [Step] = &[$(Step::$variant,)*];

            /// The step's name in messages and events.
            pub fn name(self) -> &'static str {
                match self { $(Step::$variant => $name,)* }
            }

            pub(crate) fn from_number(number: i64) -> Option<Step> {
                match number { $($number => Some(Step::$variant),)* _ => None }
            }
        }
    };
}

steps! {
    /// The order could not be read, or its descriptors did not all arrive (the keeper is out of descriptors).
    Order = 1 "order",
    /// The pipe that carries the outcome of `exec`.
    Pipe = 2 "pipe",
    /// The cgroup leaf or one of its limits.
    Cgroup = 3 "cgroup",
    Fork = 4 "fork",
    Session = 5 "session",
    Subreaper = 6 "subreaper",
    Stdio = 7 "stdio",
    Signals = 8 "signals",
    Cwd = 9 "cwd",
    Umask = 10 "umask",
    Rlimits = 11 "rlimits",
    Groups = 12 "groups",
    Gid = 13 "gid",
    Uid = 14 "uid",
    NoNewPrivs = 15 "no_new_privs",
    /// `PR_SET_PDEATHSIG`, or the keeper was already gone.
    Pdeathsig = 16 "pdeathsig",
    /// Marking every other descriptor close-on-exec.
    CloseFds = 17 "close_fds",
    Exec = 18 "exec",
}

impl Step {
    /// Whether it comes before there is a process, and so before [`Report::Spawned`].
    pub(crate) fn is_before_spawned(self) -> bool {
        matches!(self, Step::Order | Step::Pipe | Step::Cgroup | Step::Fork)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Report {
    /// The text of a `SpawnFailed`'s errno, for people.
    pub fn errno_text(errno: i32) -> &'static str {
        Errno::from_raw(errno).desc()
    }
}
