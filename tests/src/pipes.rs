//! What lies in other processes' pipes, by `/proc`.

use std::os::fd::AsRawFd;
use std::path::Path;

/// Bytes that lie unread in the pipes that a process reads from, wherever it has moved them.
#[must_use]
pub fn unread_input(pid: u32) -> i32 {
    let Ok(fds) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return 0 };
    let fds = fds.filter_map(|fd| Some(fd.ok()?.path()));
    fds.filter(|fd| is_input_pipe(pid, fd)).map(|fd| unread(&fd)).sum()
}

fn is_input_pipe(pid: u32, fd: &Path) -> bool {
    let number = fd.file_name().unwrap().to_string_lossy();
    let info = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")).unwrap_or_default();
    // The last octal digit has the access mode: proc_pid_fdinfo(5).
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap_or_default();
    let target = std::fs::read_link(fd).unwrap_or_default();
    target.to_string_lossy().starts_with("pipe:") && flags.trim().ends_with(['0', '4'])
}

fn unread(fd: &Path) -> i32 {
    let Ok(pipe) = std::fs::File::open(fd) else { return 0 };
    let mut bytes = 0;
    // SAFETY: FIONREAD writes one int.
    unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &raw mut bytes) };
    bytes
}
