//! The door through which a re-executed process becomes the keeper.

use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;

use nix::fcntl::{FcntlArg, fcntl};

use crate::book::Book;
use crate::cgroup::Fleet;
use crate::inherit::Inheritance;
use crate::protocol::{Malformed, SIZE, ToKeeper};
use crate::reaper::RunMark;
use crate::server;
use crate::sys::packet::{Take, is_seqpacket, receive};

/// The keeper's `argv[0]`, and its name in process lists: `killall outboard` spares it.
pub(crate) const ARGV0: &str = "obkeeper";

/// `<descriptor>:<token>` of the socket to the brain; `book:<descriptor>` in the image that a keeper executes.
pub(crate) const VARIABLE: &str = "OUTBOARD_KEEPER";

/// Becomes the keeper if this process was started to be it, and then never returns; else returns at once.
///
/// To be called first thing in `main`, before any thread is started and any descriptor opened. Whoever only has the
/// name, or only the variable, is not meant: the descriptor must be a packet socket in which a greeting with the same
/// token already lies.
///
/// Likewise the throw-away processes of [`crate::trial`].
pub fn run_if_keeper() {
    crate::trial::run_if_actor();
    if let Some(invitation) = invitation() {
        server::serve(invitation);
    }
    if let Some(number) = value().as_deref().and_then(|value| value.strip_prefix(BOOK)) {
        server::go_on(own_book(number));
    }
}

/// What the brain has handed over.
pub(crate) struct Invitation {
    pub(crate) socket: OwnedFd,
    /// A pidfd.
    pub(crate) brain: OwnedFd,
    pub(crate) run: RunMark,
    pub(crate) fleet: Option<Fleet>,
}

pub(crate) fn invitation_text(fd: RawFd, token: [u8; 16]) -> String {
    format!("{fd}:{}", RunMark::from_bytes(token))
}

pub(crate) fn book_text(fd: RawFd) -> String {
    format!("{BOOK}{fd}")
}

const BOOK: &str = "book:";

/// The variable's value, in a process of the keeper's name.
fn value() -> Option<String> {
    if std::env::args_os().next()?.as_bytes() != ARGV0.as_bytes() {
        return None;
    }
    std::env::var(VARIABLE).ok()
}

/// What this process wrote down before it executed this image: a sealed file that names its number.
fn own_book(number: &str) -> Option<(Book, Inheritance)> {
    let (bytes, inherited) = Inheritance::begin(number.parse().ok()?).ok()?;
    let book = Book::decode(&bytes)?;
    (book.pid == std::process::id()).then_some((book, inherited))
}

fn invitation() -> Option<Invitation> {
    let value = value()?;
    let (fd, token) = value.split_once(':')?;
    let fd: RawFd = fd.parse().ok().filter(|&fd| fd > 2)?;
    let token: RunMark = token.parse().ok()?;
    // SAFETY: borrowed for the checks only; whether it is open at all is the first of them.
    let candidate = unsafe { BorrowedFd::borrow_raw(fd) };
    fcntl(candidate, FcntlArg::F_GETFD).ok()?;
    if !is_seqpacket(candidate) {
        return None;
    }
    let mut buffer = [0; SIZE];
    let peeked = receive(candidate, &mut buffer, Take::Peek).ok()?;
    let hello = match ToKeeper::decode(&buffer[..peeked.len]) {
        Ok(hello) => hello,
        Err(Malformed::Version(_)) => server::refuse_version(candidate),
        Err(Malformed::Length | Malformed::Content) => return None,
    };
    let ToKeeper::Hello { token: theirs, run, fleet, controllers } = hello else { return None };
    if theirs != token.bytes() {
        return None;
    }
    drop(peeked);
    let received = receive(candidate, &mut buffer, Take::Remove).ok()?;
    let mut fds = received.fds.into_iter();
    let brain = fds.next()?;
    let fleet = match (fleet, fds.next()) {
        (true, Some(dir)) => Some(Fleet::new(dir, controllers)),
        (true, None) => return None,
        (false, _) => None,
    };
    // SAFETY: the brain left this descriptor open for us, and nobody else in this process knows it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    Some(Invitation { socket, brain, run: RunMark::from_bytes(run), fleet })
}
