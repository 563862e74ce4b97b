//! Who is on the other end of a Unix socket, and where that process stands in the tree.
//!
//! A number alone proves nothing: it may be another process' by the time somebody looks. The kernel hands out a pidfd of
//! the process that connected (`SO_PEERPIDFD`, Linux 6.5), and what was read under the number counts only if that process
//! was still there afterwards, for until then nobody else can have had the number. Before 6.5 there is the number alone
//! (`SO_PEERCRED`): a pidfd is opened of whoever has it *now*, so a process that ended between its `connect` and that
//! moment, and whose number was given out again, is taken for another one.
//!
//! It is the process that called `connect`. Whoever is handed the connected descriptor speaks in that one's name.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

use crate::pidfd::Pidfd;
use crate::sys::proc::{Reader, Stat};

/// Ancestors that are followed; nobody's tree is as deep.
const DEEPEST: usize = 256;

/// The process on the other end of a socket.
#[derive(Debug)]
pub struct Peer {
    pidfd: Pidfd,
    pid: u32,
}

/// Where a process stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// The process, its parent, and so on up to the first that cannot be seen from here.
    pub line: Vec<u32>,
    /// Its session: the number of the process that began it.
    pub session: u32,
    /// Its cgroup v2, as `/proc/PID/cgroup` says it; empty where there is none.
    pub cgroup: String,
}

/// Why it is not known who connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPeer {
    /// It has ended.
    Ended,
    /// It lives in a pid namespace that is not below this one, so that it has no number here.
    Elsewhere,
    /// The kernel does not say.
    Untold,
}

impl Peer {
    /// Who connected, or made the pair.
    ///
    /// # Errors
    ///
    /// See [`NoPeer`].
    pub fn of(socket: impl AsFd) -> Result<Peer, NoPeer> {
        match pidfd_of(&socket) {
            Ok(pidfd) => {
                let pid = number_of(&pidfd)?;
                Ok(Peer { pidfd, pid })
            }
            Err(Errno::ENOPROTOOPT) => {
                let nobody = libc::ucred { pid: -1, uid: 0, gid: 0 };
                let peer = option(&socket, libc::SO_PEERCRED, nobody);
                let pid = peer.map_err(|_| NoPeer::Untold)?.pid;
                let pid = u32::try_from(pid).map_err(|_| NoPeer::Untold)?;
                if pid == 0 {
                    return Err(NoPeer::Elsewhere);
                }
                let pidfd = Pidfd::open(pid).map_err(|_| NoPeer::Ended)?;
                Ok(Peer { pidfd, pid })
            }
            // Before 6.16 there is none of a process that has been waited for.
            Err(Errno::ESRCH | Errno::EINVAL | Errno::ENODATA) => Err(NoPeer::Ended),
            Err(_) => Err(NoPeer::Untold),
        }
    }

    /// Its number in this pid namespace.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Where it stands now.
    ///
    /// Its parents may end meanwhile, and whoever takes over their children is met then: two looks have to see the same.
    ///
    /// # Errors
    ///
    /// It has ended, or `/proc` hides it.
    pub fn lineage(&self) -> Result<Lineage, NoPeer> {
        let mut before = self.look()?;
        for _ in 0..3 {
            let now = self.look()?;
            if now == before {
                return Ok(now);
            }
            before = now;
        }
        Err(NoPeer::Untold)
    }

    fn look(&self) -> Result<Lineage, NoPeer> {
        let seen = lineage_of(self.pid);
        // Of a process that is still there the number is still its own, and so was it above.
        if self.pidfd.has_ended() { Err(NoPeer::Ended) } else { seen.ok_or(NoPeer::Untold) }
    }
}

/// Where the process stands that has this number now; `None` when there is none, or `/proc` hides it.
#[must_use]
pub fn lineage_of(pid: u32) -> Option<Lineage> {
    let mut reader = Reader::new();
    let own = stat(&mut reader, pid)?;
    let mut line = vec![pid];
    let mut parent = own.ppid;
    while let Ok(next @ 1..) = u32::try_from(parent)
        && line.len() < DEEPEST
    {
        line.push(next);
        let Some(stat) = stat(&mut reader, next) else { break };
        parent = stat.ppid;
    }
    Some(Lineage {
        line,
        session: u32::try_from(own.session).unwrap_or(0),
        cgroup: cgroup_of(pid).unwrap_or_default(),
    })
}

fn stat(reader: &mut Reader, pid: u32) -> Option<Stat> {
    reader.stat(i32::try_from(pid).ok()?)
}

/// The cgroup v2 of a process, as `/proc/PID/cgroup` says it (cgroups(7)); `None` where there is none.
#[must_use]
pub fn cgroup_of(pid: u32) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned)
}

/// Whether this kernel hands out pidfds of who connects: tried, with a pair.
///
/// # Errors
///
/// Why not, for people.
pub fn by_pidfd() -> Result<(), Errno> {
    let (ours, _theirs) = std::os::unix::net::UnixStream::pair()
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
    pidfd_of(&ours).map(drop)
}

fn pidfd_of(socket: &impl AsFd) -> nix::Result<Pidfd> {
    let fd: libc::c_int = option(socket, libc::SO_PEERPIDFD, -1)?;
    // SAFETY: the kernel has just made it for us, close-on-exec.
    Ok(Pidfd::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// An option of a socket, of a type without pointers that has room for all that the kernel writes.
fn option<T: Copy>(socket: &impl AsFd, name: libc::c_int, mut value: T) -> nix::Result<T> {
    let mut len = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` and `len` are live, and the kernel writes at most `len` bytes.
    let r = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            name,
            (&raw mut value).cast(),
            &raw mut len,
        )
    };
    Errno::result(r).map(|_| value)
}

/// The number behind a pidfd (pidfd_open(2)): −1 when the process has been waited for, 0 when it has none here.
fn number_of(pidfd: &Pidfd) -> Result<u32, NoPeer> {
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_fd().as_raw_fd());
    let text = std::fs::read_to_string(path).map_err(|_| NoPeer::Untold)?;
    let pid = text.lines().find_map(|line| line.strip_prefix("Pid:"));
    match pid.and_then(|pid| pid.trim().parse::<i64>().ok()) {
        Some(0) => Err(NoPeer::Elsewhere),
        Some(pid) => u32::try_from(pid).map_err(|_| NoPeer::Ended),
        None => Err(NoPeer::Untold),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn who_made_a_pair_is_on_both_ends_of_it() {
        let (ours, _theirs) = UnixStream::pair().expect("pair");
        let peer = Peer::of(&ours).expect("this process");
        assert_eq!(peer.pid(), std::process::id());
        let lineage = peer.lineage().expect("it is here");
        let parent = nix::unistd::getppid().as_raw().cast_unsigned();
        assert_eq!(lineage.line[0], std::process::id());
        assert!(parent == 0 || lineage.line[1] == parent, "{lineage:?}");
        assert_eq!(
            lineage.session,
            nix::unistd::getsid(None).expect("own").as_raw().cast_unsigned()
        );
    }

    #[test]
    fn nobody_has_no_lineage() {
        assert_eq!(lineage_of(u32::MAX >> 1), None);
    }
}
