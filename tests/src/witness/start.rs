//! How the witness starts a process.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::protocol::Spawn;

/// A started process, and the terminal that it has if it has one.
pub(super) struct Started {
    pub(super) pid: u32,
    pub(super) terminal: Option<Terminal>,
}

/// Our end of a terminal, and where what appears on it goes.
pub(super) struct Terminal {
    pub(super) master: File,
    pub(super) screen: Option<File>,
}

/// Starts it.
///
/// # Errors
///
/// A file that cannot be opened, or a program that cannot be started.
#[expect(
    clippy::disallowed_methods,
    reason = "the witness stands outside: it is what starts supervisors"
)]
pub(super) fn start(spawn: &Spawn) -> io::Result<Started> {
    let (program, args) =
        spawn.argv.split_first().ok_or_else(|| io::Error::other("no program is named"))?;
    let mut command = Command::new(program);
    command.args(args).envs(&spawn.env);
    if let Some(cwd) = &spawn.cwd {
        command.current_dir(cwd);
    }
    let mut terminal = None;
    if spawn.terminal {
        let (master, slave) = open_terminal()?;
        let slave = File::from(slave);
        command.stdin(slave.try_clone()?).stdout(slave.try_clone()?).stderr(slave);
        let screen = spawn.stdout.as_deref().map(append).transpose()?;
        terminal = Some(Terminal { master: master.into(), screen });
    } else {
        command.stdin(match &spawn.stdin {
            Some(path) => File::open(path)?.into(),
            None => Stdio::null(),
        });
        command.stdout(output(spawn.stdout.as_deref())?).stderr(output(spawn.stderr.as_deref())?);
    }
    let (block, ignore, on_terminal) = (spawn.block.clone(), spawn.ignore.clone(), spawn.terminal);
    // SAFETY: only async-signal-safe calls, on memory that was allocated before the fork.
    unsafe { command.pre_exec(move || set_up(&block, &ignore, on_terminal)) };
    let child = command.spawn()?;
    // Its exit is collected by number, with all others.
    Ok(Started { pid: child.id(), terminal })
}

fn set_up(block: &[i32], ignore: &[i32], on_terminal: bool) -> io::Result<()> {
    let checked = |result: i32| match result {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    };
    // SAFETY: plain system calls on valid, local memory.
    unsafe {
        checked(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
        if on_terminal {
            checked(libc::setsid())?;
            checked(libc::ioctl(0, libc::TIOCSCTTY, 0))?;
        } else {
            checked(libc::setpgid(0, 0))?;
        }
        for &signal in ignore {
            if libc::signal(signal, libc::SIG_IGN) == libc::SIG_ERR {
                return Err(io::Error::last_os_error());
            }
        }
        let mut mask = std::mem::zeroed();
        checked(libc::sigemptyset(&raw mut mask))?;
        for &signal in block {
            checked(libc::sigaddset(&raw mut mask, signal))?;
        }
        checked(libc::sigprocmask(libc::SIG_SETMASK, &raw const mask, std::ptr::null_mut()))
    }
}

fn output(path: Option<&Path>) -> io::Result<Stdio> {
    Ok(path.map(append).transpose()?.map_or_else(Stdio::null, Stdio::from))
}

fn append(path: &Path) -> io::Result<File> {
    // Not truncated: a device or a FIFO may stand there.
    OpenOptions::new().append(true).create(true).open(path)
}

/// A new terminal: our end, which does not wait, and the other.
fn open_terminal() -> io::Result<(OwnedFd, OwnedFd)> {
    let (mut master, mut slave) = (-1, -1);
    let size = libc::winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: openpty fills two descriptors, which are owned from then on; the other pointers may be null or are valid.
    unsafe {
        if libc::openpty(
            &raw mut master,
            &raw mut slave,
            std::ptr::null_mut(),
            std::ptr::null(),
            &raw const size,
        ) != 0
        {
            return Err(io::Error::last_os_error());
        }
        let (master, slave) = (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave));
        for end in [&master, &slave] {
            libc::fcntl(end.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC);
        }
        libc::fcntl(master.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK);
        Ok((master, slave))
    }
}
