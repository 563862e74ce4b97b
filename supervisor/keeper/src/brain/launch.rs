//! From settings to a keeper that has greeted.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::client::Keeper;
use crate::cgroup::remove_tree;
use crate::entry;
use crate::error::KeeperError;
use crate::fleets::own_leaf;
use crate::pidfd::Pidfd;
use crate::probe::{Prepared, Shortfall, prepare};
use crate::protocol::{FromKeeper, Malformed, SIZE, ToKeeper};
use crate::reaper::random;
use crate::settings::{
    Containment, ContainmentChoice, Controllers, KeeperProgram, Level, Settings,
};
use crate::switches;
use crate::sys::packet::{Take, pair, receive, send};
use crate::sys::process::reap;

/// How long the greeting may take, in milliseconds.
const GREETING: u16 = 5_000;

pub(super) fn launch(program: KeeperProgram, settings: Settings) -> Result<Keeper, KeeperError> {
    if std::env::var_os(entry::VARIABLE).is_some() {
        // This process was started as a keeper and its program did not ask to become one (a test harness, say). If it
        // started keepers in turn, that would not end.
        return Err(KeeperError::NotAnEntry);
    }
    let choice = switches::containment().unwrap_or(settings.containment);
    let prepared = match prepare(choice, &settings.run) {
        Ok(prepared) => Ok(prepared),
        Err(why) if choice == ContainmentChoice::Cgroup => {
            return Err(KeeperError::Containment(why));
        }
        Err(why) => Err(why),
    };
    let attempt = Attempt::start(program, &settings, prepared.as_ref().ok());
    let greeted = attempt.and_then(|attempt| attempt.greeting().map(|errno| (attempt, errno)));
    let (attempt, cgroup_errno) = match greeted {
        Ok(greeted) => greeted,
        Err(e) => {
            discard(prepared.ok());
            return Err(e);
        }
    };
    let containment = match (prepared, cgroup_errno) {
        (Ok(prepared), 0) => Containment {
            level: Level::Cgroup,
            controllers: prepared.fleet.controllers,
            shortfall: prepared.shortfall,
            fleet: Some(prepared.path),
        },
        (Ok(prepared), errno) => {
            discard(Some(prepared));
            let why = Shortfall::Failed(Errno::from_raw(errno));
            if choice == ContainmentChoice::Cgroup {
                attempt.abandon();
                return Err(KeeperError::Containment(why));
            }
            session_only(why)
        }
        (Err(why), _) => session_only(why),
    };
    let Attempt { socket, pidfd, pid } = attempt;
    Ok(Keeper::new(socket, pidfd, pid, settings.run, containment))
}

fn session_only(why: Shortfall) -> Containment {
    Containment {
        level: Level::Session,
        controllers: Controllers::default(),
        fleet: None,
        shortfall: Some(why),
    }
}

fn discard(prepared: Option<Prepared>) {
    if let Some(prepared) = prepared {
        remove_tree(own_leaf(&prepared.path), 0);
        remove_tree(prepared.path, 0);
    }
}

/// A process that is to become the keeper.
struct Attempt {
    socket: OwnedFd,
    pidfd: Pidfd,
    pid: u32,
}

impl Attempt {
    fn start(
        program: KeeperProgram,
        settings: &Settings,
        prepared: Option<&Prepared>,
    ) -> Result<Attempt, KeeperError> {
        let failed = |what| move |source: io::Error| KeeperError::Start { what, source };
        let (socket, theirs) = pair().map_err(|e| failed("socket")(e.into()))?;
        let me = Pidfd::open(std::process::id()).map_err(|e| failed("own pidfd")(e.into()))?;
        let mut token = [0; 16];
        random(&mut token).map_err(failed("random numbers"))?;
        let hello = ToKeeper::Hello {
            token,
            run: settings.run.bytes(),
            fleet: prepared.is_some(),
            controllers: prepared.map(|p| p.fleet.controllers).unwrap_or_default(),
        };
        let mut fds = vec![me.as_fd().as_raw_fd()];
        fds.extend(prepared.map(|p| p.fleet.dir().as_raw_fd()));
        // It lies in the socket before the keeper runs: a process that finds none there is not meant.
        send(&socket, &hello.encode(), &fds).map_err(|e| failed("greeting")(e.into()))?;
        let mut command = command(program, theirs.as_fd(), token);
        let child = command.spawn().map_err(failed("exec"))?;
        let pid = child.id();
        let pidfd = Pidfd::open(pid).map_err(|e| failed("its pidfd")(e.into()))?;
        Ok(Attempt { socket, pidfd, pid })
    }

    /// Waits for the greeting; gives the outcome of its cgroup probe.
    fn greeting(&self) -> Result<i32, KeeperError> {
        let outcome = self.read_greeting();
        if outcome.is_err() {
            self.abandon();
        }
        outcome
    }

    fn read_greeting(&self) -> Result<i32, KeeperError> {
        let mut waiting = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        loop {
            match poll(&mut waiting, PollTimeout::from(GREETING)) {
                Ok(0) => return Err(KeeperError::NoGreeting),
                Ok(_) => break,
                Err(Errno::EINTR) => {}
                Err(e) => return Err(KeeperError::Start { what: "poll", source: e.into() }),
            }
        }
        let mut buffer = [0; SIZE];
        let received = match receive(&self.socket, &mut buffer, Take::Remove) {
            Ok(received) if received.len > 0 => received,
            Ok(_) | Err(Errno::ECONNRESET) => return Err(KeeperError::EndedEarly),
            Err(e) => return Err(KeeperError::Start { what: "greeting", source: e.into() }),
        };
        match FromKeeper::decode(&buffer[..received.len]) {
            Ok(FromKeeper::Ready { cgroup_errno }) => Ok(cgroup_errno),
            Ok(FromKeeper::Refused { threads }) => Err(KeeperError::Threads { count: threads }),
            Err(Malformed::Version(theirs)) => Err(KeeperError::Version { theirs }),
            Ok(_) | Err(Malformed::Length | Malformed::Content) => Err(KeeperError::NoGreeting),
        }
    }

    /// Kills and reaps it. It has started nothing, or ends that by itself at the end of the socket.
    fn abandon(&self) {
        // It may have ended already.
        self.pidfd.send_signal(libc::SIGKILL).ok();
        let mut ended = [PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)];
        poll(&mut ended, PollTimeout::from(GREETING)).ok();
        // An application that ignores SIGCHLD has no zombies.
        reap(self.pid.cast_signed()).ok();
    }
}

#[expect(clippy::disallowed_methods, reason = "the one process that a brain starts is its keeper")]
fn command(program: KeeperProgram, socket: BorrowedFd<'_>, token: [u8; 16]) -> Command {
    let path = match program {
        KeeperProgram::SelfExe => PathBuf::from("/proc/self/exe"),
        KeeperProgram::Path(path) => path,
    };
    let number = socket.as_raw_fd();
    let mut command = Command::new(path);
    command
        .arg0(entry::ARGV0)
        .env_clear()
        .envs(std::env::vars_os().filter(|(name, _)| is_passed_on(name)))
        .env(entry::VARIABLE, entry::invitation_text(number, token))
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let inherit = move || {
        // SAFETY: fcntl is async-signal-safe; the descriptor is open in the child as it is here.
        Errno::result(unsafe { libc::fcntl(number, libc::F_SETFD, 0) })?;
        Ok(())
    };
    // SAFETY: the closure makes one async-signal-safe call and allocates nothing on success.
    unsafe { command.pre_exec(inherit) };
    command
}

/// Its plugins get their environment from their orders; the keeper itself needs what finds its libraries.
fn is_passed_on(name: &OsString) -> bool {
    name == "LD_LIBRARY_PATH"
        || cfg!(feature = "test-switches") && name.as_encoded_bytes().starts_with(b"OUTBOARD_TEST_")
}
