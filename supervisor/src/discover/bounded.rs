//! A program that is run for its output: for a bounded time, with bounded output, and with nothing left of it.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use outboard_keeper::pidfd::Pidfd;

/// The most that is read of either output; what is beyond is a program that does something else than it was asked.
const MOST: usize = 8 << 20;

/// What a program said that ended in time.
#[derive(Debug)]
pub(crate) struct Said {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

/// Why there is nothing to be read.
#[derive(Debug)]
pub(crate) enum Silent {
    NotStarted(io::Error),
    /// It had to be killed.
    Late,
    /// It wrote without end, and was killed.
    Babbles,
}

/// Runs a program to its end, `within` a time at most. Blocks.
///
/// # Errors
/// There is no such program, or it does not come to an end. Nothing of it or of what it has started is left then.
pub(crate) fn run(command: &mut Command, within: Duration) -> Result<Said, Silent> {
    let mut child = start(command).map_err(Silent::NotStarted)?;
    let read = listen(&mut child, within);
    let status = end(&mut child).map_err(Silent::NotStarted)?;
    let (stdout, stderr) = read?;
    Ok(Said { status, stdout, stderr })
}

fn start(command: &mut Command) -> io::Result<Child> {
    outboard_keeper::leash::ends_with_thread(command);
    // A child has the mask of the thread that starts it, and this one may not be one to hear signals.
    let mask = SigSet::empty().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    // Whatever it starts ends with it.
    let child = command.process_group(0).spawn();
    mask.thread_set_mask()?;
    child
}

/// Reads both outputs until the process has ended.
fn listen(child: &mut Child, within: Duration) -> Result<(Vec<u8>, Vec<u8>), Silent> {
    let pidfd = Pidfd::open(child.id()).map_err(|error| Silent::NotStarted(error.into()))?;
    let begun = now();
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let (mut out, mut err) = (Vec::new(), Vec::new());
    loop {
        let mut polled = vec![PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
        let pipes = [stdout.as_ref().map(AsFd::as_fd), stderr.as_ref().map(AsFd::as_fd)];
        polled.extend(pipes.into_iter().flatten().map(|pipe| PollFd::new(pipe, PollFlags::POLLIN)));
        let left = within.saturating_sub(now().duration_since(begun));
        match poll(&mut polled, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
            Ok(0) => return Err(Silent::Late),
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(Silent::NotStarted(error.into())),
        }
        // Looked at first: what it wrote before it ended is read below.
        let ended = polled[0].any().unwrap_or(false);
        read(&mut stdout, &mut out)?;
        read(&mut stderr, &mut err)?;
        if ended {
            return Ok((out, err));
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "it bounds a program, and decides about no plugin")]
fn now() -> Instant {
    Instant::now()
}

/// What is there to be read now. At its end the pipe is closed; one that somebody else holds open is not waited for.
fn read(pipe: &mut Option<impl Read + AsFd>, into: &mut Vec<u8>) -> Result<(), Silent> {
    let Some(from) = pipe else { return Ok(()) };
    fcntl(&*from, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
        .map_err(|error| Silent::NotStarted(error.into()))?;
    let room = (MOST + 1).saturating_sub(into.len());
    match from.take(room as u64).read_to_end(into) {
        Ok(_) if into.len() > MOST => Err(Silent::Babbles),
        Ok(_) => {
            *pipe = None;
            Ok(())
        }
        // What was read before there was no more stays.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => match into.len() > MOST {
            true => Err(Silent::Babbles),
            false => Ok(()),
        },
        Err(error) => Err(Silent::NotStarted(error)),
    }
}

/// Nothing of it is left behind.
fn end(child: &mut Child) -> io::Result<ExitStatus> {
    // Before it is waited for: until then its number is nobody else's. It may have been alone and have ended.
    let group = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
    killpg(group, Signal::SIGKILL).unwrap_or_default();
    let status = child.wait()?;
    // Its own children have come to this process, where that adopts.
    while let Ok(status) = waitpid(Pid::from_raw(-group.as_raw()), Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            break;
        }
    }
    Ok(status)
}
