//! Lines of text through a pipe, with a bound on every wait.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{read, write};

use crate::pidfd::Pidfd;
use crate::sys::clock::now;

/// The reading end.
pub(super) struct Lines {
    from: OwnedFd,
    /// What came behind the last line's end.
    kept: Vec<u8>,
}

impl Lines {
    pub(super) fn new(from: OwnedFd) -> Lines {
        Lines { from, kept: Vec::new() }
    }

    /// The next line without its end; `None` at the end of the pipe, or when none comes within `patience`.
    pub(super) fn next(&mut self, patience: Duration) -> Option<String> {
        let until = now() + patience;
        loop {
            if let Some(end) = self.kept.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.kept.drain(..=end).collect();
                return Some(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            let mut waiting = [PollFd::new(self.from.as_fd(), PollFlags::POLLIN)];
            match poll(&mut waiting, timeout(until.saturating_duration_since(now()))) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(Errno::EINTR) => continue,
                Err(_) => return None,
            }
            let mut buffer = [0; 1024];
            match read(&self.from, &mut buffer) {
                Ok(0) => return None,
                Ok(n) => self.kept.extend_from_slice(&buffer[..n]),
                Err(Errno::EINTR) => {}
                Err(_) => return None,
            }
        }
    }
}

/// Says a line on standard output. Nobody there to hear it is no error: the listener's end ends this process too.
pub(super) fn say(line: &str) {
    let line = format!("{line}\n");
    // A line is shorter than what a pipe takes in one piece (PIPE_BUF).
    write(std::io::stdout().as_fd(), line.as_bytes()).ok();
}

/// Waits until all of these have ended, `patience` at most; gives how many have not.
pub(super) fn wait_for_ends(processes: &[Pidfd], patience: Duration) -> u32 {
    let until = now() + patience;
    let mut left = 0;
    for process in processes {
        loop {
            let mut waiting = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
            match poll(&mut waiting, timeout(until.saturating_duration_since(now()))) {
                Err(Errno::EINTR) => {}
                Ok(1..) => break,
                Ok(_) | Err(_) => {
                    left += 1;
                    break;
                }
            }
        }
    }
    left
}

pub(super) fn timeout(left: Duration) -> PollTimeout {
    // Rounded up: a wait of less than a millisecond must not become a busy loop.
    PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_and_the_end_of_the_pipe_ends_them() {
        let (ours, theirs) = nix::unistd::pipe().expect("a pipe");
        let mut lines = Lines::new(ours);
        write(&theirs, b"one\ntwo\nhal").expect("room");
        assert_eq!(lines.next(Duration::from_secs(1)).as_deref(), Some("one"));
        assert_eq!(lines.next(Duration::from_secs(1)).as_deref(), Some("two"));
        assert_eq!(lines.next(Duration::ZERO), None, "half a line is none");
        write(&theirs, b"f\n").expect("room");
        assert_eq!(lines.next(Duration::from_secs(1)).as_deref(), Some("half"));
        drop(theirs);
        assert_eq!(lines.next(Duration::from_secs(1)), None);
    }
}
