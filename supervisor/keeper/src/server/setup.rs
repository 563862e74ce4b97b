//! Becoming the keeper: what a process must be before it may have children.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::stat::Mode;
use nix::unistd::setsid;

use super::probe::prove;
use super::run::Server;
use crate::book::Book;
use crate::entry::Invitation;
use crate::inherit::Inheritance;
use crate::order::Rlimit;
use crate::protocol::FromKeeper;
use crate::sys::kin::for_each_number;
use crate::sys::packet::send;
use crate::sys::process::{become_subreaper, leave, set_non_dumpable};
use crate::sys::signals::{self, Disposition};

/// Exit code of a keeper that could not serve.
const CANNOT_SERVE: i32 = 121;

pub(crate) fn serve(invitation: Invitation) -> ! {
    let threads = threads();
    if threads != 1 {
        // PR_SET_PDEATHSIG fires on the death of the spawning thread: with a second one it means nothing.
        send(&invitation.socket, &FromKeeper::Refused { threads }.encode(), &[]).ok();
        leave(CANNOT_SERVE);
    }
    match prepare(invitation) {
        Ok(server) => server.run(),
        // The brain sees the end of the socket.
        Err(_) => leave(CANNOT_SERVE),
    }
}

/// Goes on as the keeper that this process was before it executed this image.
///
/// Without a book it ends, and must not return: the program around it is not to run in a keeper's place. The brain sees
/// the end and sweeps what is left.
pub(crate) fn go_on(written: Option<(Book, Inheritance)>) -> ! {
    let Some((book, inherited)) = written else { leave(CANNOT_SERVE) };
    match prepare_again(book, inherited) {
        Ok(server) => server.run(),
        Err(_) => leave(CANNOT_SERVE),
    }
}

/// What `exec` kept is set again where that costs nothing; descriptors and limits are as they were.
fn prepare_again(book: Book, mut inherited: Inheritance) -> io::Result<Server> {
    // First: plugins of the same user are there already.
    set_non_dumpable()?;
    if threads() != 1 {
        return Err(io::ErrorKind::Unsupported.into());
    }
    take_name_and_place()?;
    let signals = take_signals()?;
    Server::of_book(book, &mut inherited, signals)
}

fn threads() -> u32 {
    let mut threads = 0;
    for_each_number("/proc/self/task", |_| threads += 1);
    threads
}

/// Says which version is spoken here, to a brain of another one.
pub(crate) fn refuse_version(socket: BorrowedFd<'_>) -> ! {
    send(socket, &FromKeeper::Ready { cgroup_errno: 0 }.encode(), &[]).ok();
    leave(CANNOT_SERVE);
}

fn prepare(invitation: Invitation) -> nix::Result<Server> {
    take_name_and_place()?;
    set_non_dumpable()?;
    let signals = take_signals()?;
    let Invitation { socket, brain, run, fleet } = invitation;
    let mut kept = vec![&socket, &brain];
    kept.extend(fleet.as_ref().map(|fleet| fleet.dir()));
    close_others(&kept, &signals)?;
    fill_standard_descriptors()?;
    let inherited = raise_descriptor_limit();
    let (fleet, cgroup_errno) = match fleet.map(prove) {
        Some(Ok(proven)) => (Some(proven), 0),
        Some(Err(errno)) => (None, errno as i32),
        None => (None, 0),
    };
    let server = Server::new(socket, brain, signals, run, fleet, inherited)?;
    server.greet(cgroup_errno)?;
    Ok(server)
}

fn take_name_and_place() -> nix::Result<()> {
    prctl::set_name(c"obkeeper")?;
    // Away from the terminal: its Ctrl-C is for the brain.
    setsid().or_else(|e| if e == Errno::EPERM { Ok(nix::unistd::getpid()) } else { Err(e) })?;
    // A stopped keeper wakes when the brain dies, and does its work. Never SIGKILL.
    prctl::set_pdeathsig(Signal::SIGCONT)?;
    become_subreaper()
}

/// Blocks every signal and gives each its default action: what is blocked does nothing here, and a child is born with
/// the dispositions that its program is to have, so that a SIGTERM that arrives before `exec` is kept, and not lost.
/// An inherited "ignore" would make children vanish without a status.
fn take_signals() -> nix::Result<SignalFd> {
    signals::block_all()?;
    for signal in signals::ALL.filter(|&signal| signals::is_changeable(signal)) {
        // The stops of children are of no interest.
        let disposition = match signal {
            libc::SIGCHLD => Disposition::DefaultWithoutStops,
            _ => Disposition::Default,
        };
        signals::set(signal, disposition)?;
    }
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
}

/// Closes what the brain's program may have left open for every child of its, standard error excepted: a panic's last
/// words go there.
fn close_others(kept: &[&OwnedFd], signals: &SignalFd) -> nix::Result<()> {
    let mut keep: Vec<u32> = kept.iter().map(|fd| fd.as_raw_fd().cast_unsigned()).collect();
    keep.push(signals.as_fd().as_raw_fd().cast_unsigned());
    keep.sort_unstable();
    let mut first = 3;
    for fd in keep.into_iter().chain([u32::MAX]) {
        if first < fd {
            let last = if fd == u32::MAX { fd } else { fd - 1 };
            // SAFETY: none of these belongs to a value of this process: it has just begun, and what it holds is spared.
            Errno::result(unsafe { libc::close_range(first, last, 0) })?;
        }
        first = fd.saturating_add(1);
    }
    for fd in kept {
        // SAFETY: sets a flag of a descriptor that is ours.
        Errno::result(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) })?;
    }
    Ok(())
}

/// Descriptors 0 to 2 are taken, so that none that is received gets such a number.
fn fill_standard_descriptors() -> nix::Result<()> {
    loop {
        let null = open(c"/dev/null", OFlag::O_RDWR, Mode::empty())?;
        if null.as_raw_fd() > 2 {
            return Ok(());
        }
        std::mem::forget(null);
    }
}

/// Room for three descriptors for each plugin. Gives the limit that was, for the children.
fn raise_descriptor_limit() -> Option<Rlimit> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).ok()?;
    Some(Rlimit { resource: libc::RLIMIT_NOFILE, soft, hard })
}
