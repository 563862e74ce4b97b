//! Proof of level 1: a process is put into a leaf and killed by it.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::cgroup::{Fleet, Leaf};
use crate::pidfd::Pidfd;
use crate::sys::process::{Forked, fork, reap};

/// A fleet that works.
pub(super) struct Proven {
    pub(super) fleet: Fleet,
    /// Children can be born in their leaf; else they join it as their first step. (Container runtimes refuse `clone3`.)
    pub(super) born_inside: bool,
}

/// How long the test process may take to die, in milliseconds.
const PATIENCE: u16 = 2_000;

pub(super) fn prove(fleet: Fleet) -> nix::Result<Proven> {
    let leaf = fleet.leaf("probe".to_owned())?;
    let outcome = match kill_one(&fleet, &leaf, true) {
        Err(Errno::ENOSYS) => kill_one(&fleet, &leaf, false).map(|()| false),
        other => other.map(|()| true),
    };
    leaf.remove(&fleet);
    Ok(Proven { born_inside: outcome?, fleet })
}

fn kill_one(fleet: &Fleet, leaf: &Leaf, born_inside: bool) -> nix::Result<()> {
    let dir = born_inside.then(|| leaf.dir(fleet)).transpose()?;
    let door = leaf.door(fleet)?;
    // SAFETY: the keeper has one thread; the child makes a few system calls.
    let (pid, pidfd) = match unsafe { fork(dir.as_ref().map(|dir| dir.as_fd())) }? {
        Forked::Child => wait_to_be_killed(if born_inside { None } else { Some(door) }),
        Forked::Parent { pid, pidfd } => (pid, Pidfd::from(pidfd)),
    };
    let killed = kill_and_watch(fleet, leaf, &pidfd);
    // Dead already, if all is well.
    pidfd.send_signal(libc::SIGKILL).ok();
    wait(&pidfd);
    reap(pid)?;
    killed
}

fn kill_and_watch(fleet: &Fleet, leaf: &Leaf, pidfd: &Pidfd) -> nix::Result<()> {
    // One that has still to join by itself is not in there yet: it is killed once it is.
    for _ in 0..PATIENCE {
        if leaf.population(fleet) > 0 || pidfd.has_ended() {
            break;
        }
        crate::sys::clock::pause(std::time::Duration::from_millis(1));
    }
    leaf.kill(fleet)?;
    if wait(pidfd) { Ok(()) } else { Err(Errno::ETIMEDOUT) }
}

fn wait(pidfd: &Pidfd) -> bool {
    let mut ended = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    matches!(poll(&mut ended, PollTimeout::from(PATIENCE)), Ok(1..))
}

fn wait_to_be_killed(door: Option<OwnedFd>) -> ! {
    let joined = door.is_none_or(|door| nix::unistd::write(&door, b"0").is_ok());
    // SAFETY: system calls without memory; `_exit` runs no destructors.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if !joined {
            libc::_exit(1);
        }
        loop {
            libc::pause();
        }
    }
}
