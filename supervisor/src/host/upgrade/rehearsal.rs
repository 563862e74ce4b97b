//! Whether another build can go on: it is started as a child, is given the image on standard input, and has to say so.
//! It gets no descriptor of a plugin or a client, and nothing here stops meanwhile.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use outboard_keeper::inherit::memory_file;
use outboard_keeper::pidfd::Pidfd;
use serde::{Deserialize, Serialize};

use super::Program;

/// The verb by which a build is asked to rehearse; nobody types it.
pub const VERB: &str = "rehearse-upgrade";

/// How long a rehearsal may take. Reading a large state takes a fraction of it.
pub(super) const WITHIN: Duration = Duration::from_secs(5);

/// Bytes of an answer.
const ANSWER: u64 = 16 * 1024;

/// What the other build says: one line of JSON on standard output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsed {
    /// Its version.
    pub version: String,
    /// The version of the states that it writes.
    pub state: u32,
    pub plugins: usize,
    pub clients: usize,
    /// Why it cannot go on; then the rest means nothing.
    #[serde(default)]
    pub unreadable: Option<String>,
}

/// Why a rehearsal did not go well. Nothing has changed by it.
#[derive(Debug, thiserror::Error)]
pub enum NoRehearsal {
    #[error("{path} cannot be executed: {source}")]
    NotStarted { path: String, source: io::Error },
    #[error("{path} did not say within {} s that it can go on", WITHIN.as_secs())]
    Hung { path: String },
    #[error("{path} ended without a word ({how}){last}")]
    Crashed { path: String, how: String, last: String },
    #[error("{path} cannot go on with what runs: {why}")]
    Unreadable { path: String, why: String },
}

impl NoRehearsal {
    /// One word for programs.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::NotStarted { .. } => "upgrade_not_started",
            Self::Hung { .. } => "upgrade_hung",
            Self::Crashed { .. } => "upgrade_crashed",
            Self::Unreadable { .. } => "upgrade_unreadable",
        }
    }
}

/// Starts the build at the program's path, hands it the image, and waits for its word, [`WITHIN`] at most. For a thread
/// that may block.
///
/// # Errors
/// Why it is not to be executed in place of this one.
pub fn rehearse(program: &Program, image: &[u8]) -> Result<Rehearsed, NoRehearsal> {
    let path = program.path().display().to_string();
    let not_started = |source| NoRehearsal::NotStarted { path: path.clone(), source };
    let image = memory_file(image).map_err(not_started)?;
    let mut child = start(program, image).map_err(not_started)?;
    let status = match wait(&mut child) {
        Ok(Some(status)) => status,
        Ok(None) => return Err(NoRehearsal::Hung { path }),
        Err(source) => return Err(not_started(source)),
    };
    let answer = read(child.stdout.take());
    match serde_json::from_str::<Rehearsed>(answer.lines().next_back().unwrap_or_default()) {
        Ok(Rehearsed { unreadable: Some(why), .. }) => Err(NoRehearsal::Unreadable { path, why }),
        Ok(rehearsed) if status.success() => Ok(rehearsed),
        Ok(_) | Err(_) => {
            let said = read(child.stderr.take());
            let last = said.lines().map(str::trim).rfind(|line| !line.is_empty());
            let last = last.map(|line| format!(": {}", shortened(line))).unwrap_or_default();
            Err(NoRehearsal::Crashed { path, how: how(status), last })
        }
    }
}

/// Takes an image to be rehearsed. It holds what plugins were told in confidence, so that from now on this process is open
/// to nobody else of its user.
///
/// # Errors
/// It cannot be read.
pub(crate) fn take_image(from: impl Read) -> io::Result<Vec<u8>> {
    outboard_keeper::set_non_dumpable()?;
    let mut image = Vec::new();
    from.take(outboard_keeper::inherit::LARGEST).read_to_end(&mut image)?;
    Ok(image)
}

#[expect(clippy::disallowed_methods, reason = "the one child beside the keeper, and it ends here")]
fn start(program: &Program, image: OwnedFd) -> io::Result<Child> {
    // A child has the mask of the thread that starts it, and this one is not to hear signals.
    let mask = SigSet::empty().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let child = Command::new(program.path())
        .arg(VERB)
        .stdin(Stdio::from(image))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Whatever it starts ends with it.
        .process_group(0)
        .spawn();
    mask.thread_set_mask()?;
    child
}

/// `None` when the time is over. Nothing of it is left in either case.
fn wait(child: &mut Child) -> io::Result<Option<ExitStatus>> {
    let ended = Pidfd::open(child.id()).map_err(io::Error::from).and_then(|pidfd| {
        let mut polled = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
        let within = PollTimeout::try_from(WITHIN).unwrap_or(PollTimeout::MAX);
        loop {
            match poll(&mut polled, within) {
                Ok(n) => return Ok(n > 0),
                // Signals of this process are for other threads; the time may begin again for one.
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    });
    // Before it is waited for: until then its number is nobody else's. It may have been alone and have ended.
    let group = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
    killpg(group, Signal::SIGKILL).unwrap_or_default();
    let status = child.wait()?;
    // Its own children have come to this process, which adopts.
    while let Ok(status) = waitpid(Pid::from_raw(-group.as_raw()), Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            break;
        }
    }
    Ok(ended?.then_some(status))
}

/// What one that has ended has said. A process that it has left behind may hold the other end, so nothing is waited for.
fn read(pipe: Option<impl Read + AsFd>) -> String {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe
        && fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).is_ok()
    {
        // What a build says that is cut off is no answer; what was read before there was no more stays.
        pipe.take(ANSWER).read_to_end(&mut bytes).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn shortened(line: &str) -> String {
    line.chars().take(200).collect()
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "nobody knows how".to_owned(),
    }
}
