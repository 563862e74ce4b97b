//! The parent's half of a start.

use std::ffi::{CStr, c_char};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr::null;
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{pipe2, read};

use super::child::{self, ChildPlan, FAILURE_SIZE, failure};
use super::poller::Source;
use super::run::Server;
use super::slot::{Exec, Slot};
use super::stock::Way;
use crate::blueprint::{self, Blueprint};
use crate::cgroup::Leaf;
use crate::order::{Orphans, Rlimit, Step};
use crate::protocol::FromKeeper;
use crate::switches;
use crate::sys::process::{Loan, signal, start};
use crate::sys::sealed::unseal;

type Failure = (Step, Errno);

/// A child that has been born.
struct Born {
    pid: i32,
    pidfd: OwnedFd,
    pipe: OwnedFd,
    loan: Loan<ChildPlan>,
    leaf: Option<Leaf>,
    orphans: Orphans,
    linger: std::time::Duration,
}

impl Server {
    /// Starts it and goes on: the outcome of `exec` comes through the poll.
    pub(super) fn spawn(&mut self, key: u64, inline: &[u8], fds: Vec<OwnedFd>, all_arrived: bool) {
        let outcome = match all_arrived {
            _ if self.slots.of_key(key).is_some() => Err((Step::Order, Errno::EEXIST)),
            true => self.give_birth(inline, fds),
            false => Err((Step::Order, Errno::EMFILE)),
        };
        match outcome {
            Ok(born) => self.enter(key, born),
            Err((step, errno)) => {
                let errno = errno as i32;
                self.outbox.push(FromKeeper::SpawnFailed { key, step, errno });
            }
        }
    }

    fn give_birth(&mut self, inline: &[u8], fds: Vec<OwnedFd>) -> Result<Born, Failure> {
        let broken = |errno| (Step::Order, errno);
        let mut fds = fds.into_iter();
        let bytes = if inline.is_empty() {
            let sealed = fds.next().ok_or(broken(Errno::EBADMSG))?;
            unseal(sealed, blueprint::LIMIT).map_err(|e| broken(crate::cgroup::errno(e)))?
        } else {
            inline.to_vec()
        };
        let blueprint = blueprint::decode(&bytes).ok_or(broken(Errno::EBADMSG))?;
        let fds: Vec<OwnedFd> = fds.collect();
        let [stdin, stdout, stderr, extra @ ..] = &fds[..] else {
            return Err(broken(Errno::EBADMSG));
        };
        if extra.len() != blueprint.targets.len() || blueprint.targets.iter().any(|&to| to < 3) {
            return Err(broken(Errno::EBADMSG));
        }
        let (pipe, theirs) =
            pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).map_err(|e| (Step::Pipe, e))?;
        let stack = self.stock.stack().map_err(|e| (Step::Fork, e))?;
        let (leaf, way) = match &self.fleet {
            Some(proven) => {
                let at_cgroup = |e| (Step::Cgroup, e);
                let (leaf, way) = self.stock.leaf(proven, blueprint.name).map_err(at_cgroup)?;
                if let Err(e) = leaf.limit(&proven.fleet, &blueprint.limits) {
                    leaf.remove(&proven.fleet);
                    return Err(at_cgroup(e));
                }
                (Some(leaf), way)
            }
            None => (None, Way::None),
        };
        let (orphans, linger) = (blueprint.orphans, blueprint.linger);
        let extra = extra.iter().map(|fd| fd.as_raw_fd()).zip(blueprint.targets.iter().copied());
        let plan = Box::new(ChildPlan {
            parent: std::process::id().cast_signed(),
            pipe: theirs.as_raw_fd(),
            door: way.door().map(|fd| fd.as_raw_fd()),
            // At level 1 the cgroup holds the tree together.
            subreaper: leaf.is_none() && orphans == Orphans::Plugin,
            stdio: [stdin, stdout, stderr].map(|fd| fd.as_raw_fd()),
            extra: extra.collect(),
            cwd: blueprint.cwd.map(CStr::as_ptr),
            umask: blueprint.umask,
            rlimits: rlimits(&blueprint, self.inherited_nofile),
            no_new_privs: blueprint.no_new_privs,
            program: blueprint.program.as_ptr(),
            argv: pointers(&blueprint.argv),
            envp: pointers(&blueprint.env),
            hold: switches::hold(&blueprint.env),
            user: blueprint.user,
            texts: bytes,
        });
        // SAFETY: the keeper has one thread (it refuses to serve otherwise) and blocks every signal. `run` gets the plan
        // it expects, whose pointers are into its own texts.
        match unsafe { start(way.dir(), child::run, plan, stack) } {
            Ok((pid, pidfd, loan)) => Ok(Born { pid, pidfd, pipe, loan, leaf, orphans, linger }),
            Err(e) => {
                if let (Some(proven), Some(leaf)) = (&self.fleet, leaf) {
                    leaf.remove(&proven.fleet);
                }
                Err((Step::Fork, e))
            }
        }
    }

    fn enter(&mut self, key: u64, born: Born) {
        let Born { pid, pidfd, pipe, loan, leaf, orphans, linger } = born;
        let pidfd = Rc::new(pidfd);
        let slot = Slot {
            key,
            pid,
            pidfd: Rc::clone(&pidfd),
            exec: Exec::Pending(pipe),
            loan: Some(loan),
            orphans,
            linger,
            leaf,
            ended: false,
            ending: None,
        };
        let number = self.slots.insert(slot);
        if let Err(errno) = self.watch(number) {
            // The kernel has no memory for more watches (fs.epoll.max_user_watches), and what nobody watches may not
            // run. It is no leader any more, so it is reaped with the adoptees.
            signal(pid, libc::SIGKILL);
            if let Some(slot) = self.slots.remove(number) {
                self.poller.remove(&*slot.pidfd);
            }
            let (step, errno) = (Step::Fork, errno as i32);
            self.outbox.push(FromKeeper::SpawnFailed { key, step, errno });
            return;
        }
        let pid = pid.cast_unsigned();
        self.outbox.push_with(FromKeeper::Spawned { key, pid }, pidfd);
    }

    fn watch(&self, number: u32) -> nix::Result<()> {
        let Some(slot) = self.slots.get(number) else { return Ok(()) };
        self.poller.add(&*slot.pidfd, Source::Leader(number))?;
        match &slot.exec {
            Exec::Pending(pipe) => self.poller.add(pipe, Source::Exec(number)),
            Exec::Done | Exec::Never { .. } => Ok(()),
        }
    }

    /// Reads what the pipe says by now.
    pub(super) fn look_at_exec(&mut self, number: u32) {
        let Some(slot) = self.slots.get_mut(number) else { return };
        let Exec::Pending(pipe) = &slot.exec else { return };
        let mut bytes = [0; FAILURE_SIZE];
        let outcome = read(pipe.as_fd(), &mut bytes);
        if matches!(outcome, Err(Errno::EAGAIN | Errno::EINTR)) {
            return;
        }
        self.poller.remove(pipe.as_fd());
        let (key, pid) = (slot.key, slot.pid);
        // Closed without a word by `exec`, or by a death before it. A zombie still tells which.
        let mut execed = || self.walk.reader().stat(pid).is_none_or(|stat| stat.has_execed());
        slot.exec = match outcome {
            Ok(FAILURE_SIZE) => {
                let (step, errno) = failure(bytes);
                self.outbox.push(FromKeeper::SpawnFailed { key, step, errno });
                Exec::Never { reported: true }
            }
            _ if execed() => {
                self.outbox.push(FromKeeper::Execed { key });
                // SAFETY: it runs its own program.
                self.stock.put_back(unsafe { slot.return_loan() });
                Exec::Done
            }
            _ => Exec::Never { reported: false },
        };
        self.stock.want();
    }
}

/// The order's limits; and the limit of open files that the keeper itself was started with, which it has raised.
fn rlimits(blueprint: &Blueprint<'_>, inherited: Option<Rlimit>) -> Vec<Rlimit> {
    let mut limits = blueprint.rlimits.clone();
    if let Some(inherited) = inherited
        && !limits.iter().any(|limit| limit.resource == inherited.resource)
    {
        limits.push(inherited);
    }
    limits
}

fn pointers(texts: &[&CStr]) -> Vec<*const c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([null()]).collect()
}
