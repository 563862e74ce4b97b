//! The keeper's own process goes over to another image: same pid, same children, same descriptors.
//!
//! It happens at a quiet moment, so that the book need not tell of anything half done; until then the order waits. What
//! comes meanwhile lies in the socket, in pidfds that stay readable and in children that stay zombies, and is met by the
//! new image as by any keeper's next turn. A failing `execve(2)` changes nothing: the keeper goes on and says why.

use std::convert::Infallible;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

use nix::fcntl::AtFlags;
use nix::unistd::execveat;

use super::outbox::Flushed;
use super::poller::Source;
use super::probe::Proven;
use super::run::Server;
use super::slot::{Exec, Slot};
use crate::book::{self, Book, FleetEntry, PluginEntry};
use crate::cgroup::{Fleet, Leaf};
use crate::entry;
use crate::inherit::{Inheritance, memory_file, outlives_exec};
use crate::protocol::{BUILD, FromKeeper};
use crate::reaper::RunMark;

/// An image that is to be executed.
pub(super) struct Successor {
    image: OwnedFd,
    oldest: u16,
    newest: u16,
}

/// `errno` of a refusal that is none of the kernel's: the image does not read this build's book.
const OTHER_BOOK: i32 = 0;

impl Server {
    /// Of several that wait, the last one counts.
    pub(super) fn plan_succession(&mut self, fds: Vec<OwnedFd>, oldest: u16, newest: u16) {
        match fds.into_iter().next() {
            Some(image) => self.successor = Some(Successor { image, oldest, newest }),
            None => self.outbox.push(FromKeeper::Kept { errno: libc::EMFILE }),
        }
    }

    /// Goes over to the image that waits, unless there is something that has to be finished before. Comes back only if
    /// that cannot be.
    pub(super) fn go_over_when_quiet(&mut self) {
        if self.successor.is_none() || !self.is_quiet() {
            return;
        }
        let Some(successor) = self.successor.take() else { return };
        let errno = match self.go_over(&successor) {
            Ok(never) => match never {},
            Err(errno) => errno,
        };
        self.stock.want();
        self.outbox.push(FromKeeper::Kept { errno });
        self.report();
    }

    /// Nothing is half done, and there is nothing left to say.
    fn is_quiet(&self) -> bool {
        let lives = |slot: &Slot| {
            matches!(slot.exec, Exec::Done)
                && slot.loan.is_none()
                && !slot.ended
                && slot.ending.is_none()
        };
        self.ending.is_empty()
            && self.flushed == Flushed::All
            && !self.unreaped
            // At level 1 nobody sweeps, and it stays due.
            && (self.fleet.is_some() || !self.sweeper.is_due())
            && !self.sweeper.has_remnants()
            && self.slots.iter().all(|(_, slot)| lives(slot))
    }

    fn go_over(&mut self, successor: &Successor) -> Result<Infallible, i32> {
        if !(successor.oldest..=successor.newest).contains(&book::VERSION) {
            return Err(OTHER_BOOK);
        }
        if let Some(proven) = &self.fleet {
            // Nobody lives in them, and the next image makes its own.
            self.stock.clear(proven);
        }
        let number = |e: io::Error| e.raw_os_error().unwrap_or(libc::EIO);
        let memory = memory_file(&self.book().encode()).map_err(number)?;
        let kept = self.descriptors(&memory);
        let executed = kept
            .iter()
            .try_for_each(|fd| outlives_exec(*fd, true))
            .map_err(number)
            .and_then(|()| execute(&successor.image, &memory));
        for fd in kept {
            // It is open: it was marked just now.
            outlives_exec(fd, false).unwrap_or_default();
        }
        executed
    }

    /// Exactly those that the book names, and the book.
    fn descriptors<'a>(&'a self, memory: &'a OwnedFd) -> Vec<BorrowedFd<'a>> {
        let mut all = vec![self.socket.as_fd(), self.brain.as_fd(), memory.as_fd()];
        all.extend(self.fleet.as_ref().map(|proven| proven.fleet.dir().as_fd()));
        all.extend(self.slots.iter().map(|(_, slot)| slot.pidfd.as_fd()));
        all
    }

    fn book(&self) -> Book {
        let plugin = |(_, slot): (u32, &Slot)| PluginEntry {
            key: slot.key,
            pid: slot.pid,
            pidfd: slot.pidfd.as_raw_fd(),
            orphans: slot.orphans,
            linger: slot.linger,
            leaf: slot.leaf.as_ref().map(|leaf| leaf.name().to_owned()),
        };
        let (seen, adoptees) = self.sweeper.entries(&self.slots);
        Book {
            pid: std::process::id(),
            run: self.run.bytes(),
            socket: self.socket.as_raw_fd(),
            brain: self.brain.as_raw_fd(),
            inherited_nofile: self.inherited_nofile,
            fleet: self.fleet.as_ref().map(|proven| FleetEntry {
                dir: proven.fleet.dir().as_raw_fd(),
                controllers: proven.fleet.controllers,
                born_inside: proven.born_inside,
            }),
            plugins: self.slots.iter().map(plugin).collect(),
            seen,
            adoptees,
        }
    }

    /// A server that goes on as its book says, in the process that wrote it. It has said so, and nobody is lost: whatever
    /// ended in between is in the poll, or is looked for in the first turn.
    pub(super) fn of_book(
        book: Book,
        inherited: &mut Inheritance,
        signals: nix::sys::signalfd::SignalFd,
    ) -> io::Result<Server> {
        let Book { run, socket, brain, inherited_nofile, fleet, plugins, seen, adoptees, pid: _ } =
            book;
        let (socket, brain) = (inherited.take(socket)?, inherited.take(brain)?);
        let fleet = match fleet {
            Some(FleetEntry { dir, controllers, born_inside }) => {
                let fleet = Fleet::new(inherited.take(dir)?, controllers);
                Some(Proven { fleet, born_inside })
            }
            None => None,
        };
        let run = RunMark::from_bytes(run);
        let mut server = Server::new(socket, brain, signals, run, fleet, inherited_nofile)?;
        for PluginEntry { key, pid, pidfd, orphans, linger, leaf } in plugins {
            let number = server.slots.insert(Slot {
                key,
                pid,
                pidfd: Rc::new(inherited.take(pidfd)?),
                exec: Exec::Done,
                loan: None,
                orphans,
                linger,
                leaf: leaf.map(Leaf::named),
                ended: false,
                ending: None,
            });
            if let Some(slot) = server.slots.get(number) {
                server.poller.add(&*slot.pidfd, Source::Leader(number))?;
            }
        }
        server.sweeper.remember_entries(seen, adoptees, &server.slots);
        // A SIGCHLD that came in between is lost with the action that was set for it.
        server.unreaped = true;
        server.stock.want();
        server.outbox.push(FromKeeper::Reexecuted { version: BUILD });
        Ok(server)
    }
}

/// Executes the image with the book open under the number that its environment names.
fn execute(image: &OwnedFd, memory: &OwnedFd) -> Result<Infallible, i32> {
    let others = std::env::vars_os().filter(|(name, _)| name != OsStr::new(entry::VARIABLE));
    let mut env = Vec::new();
    for (name, value) in others {
        let entry = [name.as_bytes(), b"=", value.as_bytes()].concat();
        // From the kernel, which ends them with the NUL that none can contain.
        env.extend(CString::new(entry));
    }
    let book = format!("{}={}", entry::VARIABLE, entry::book_text(memory.as_raw_fd()));
    env.extend(CString::new(book));
    let argv = CString::new(entry::ARGV0).map_err(|_| libc::EINVAL)?;
    execveat(image, c"", &[argv], &env, AtFlags::AT_EMPTY_PATH).map_err(|errno| errno as i32)
}
