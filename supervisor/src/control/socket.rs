//! Unix sockets in a state directory: bound, connected to, and removed without touching what is not ours.
//!
//! A socket's address ends at 107 bytes (`unix(7)`). A longer path is reached through a descriptor of its
//! directory, `/proc/self/fd/N/NAME`, by servers and clients alike.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind as bind_socket,
    connect as connect_socket, getsockopt, listen, socket, sockopt,
};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::geteuid;

use super::upgrade::KeptSocket;
use crate::host::upgrade::Descriptors;

/// The longest path that fits a socket address, its ending NUL left out (`unix(7)`: `sun_path` is 108 bytes).
const LONGEST_ADDRESS: usize = 107;

/// Why a socket cannot be served. Whatever lies at the path is left as it is.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A living process serves it.
    #[error("{} is served by a running supervisor", path.display())]
    InUse { path: PathBuf },
    /// Something that we did not put there.
    #[error("{} is {what}, not a socket of ours", path.display())]
    Foreign { path: PathBuf, what: &'static str },
    /// The directory is not ours alone, so anybody could put a socket of theirs in the place of ours.
    #[error("{} {what}", path.display())]
    Exposed { path: PathBuf, what: &'static str },
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
}

/// Why a socket cannot be connected to.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is no socket, or nobody behind it: the supervisor is gone.
    #[error("nobody serves {}", path.display())]
    Nobody { path: PathBuf },
    /// It belongs to somebody else, or the kernel does not let us.
    #[error("{} may not be used by this user", path.display())]
    Refused { path: PathBuf },
    /// No socket.
    #[error("{} is {what}, not a socket", path.display())]
    NotASocket { path: PathBuf, what: &'static str },
    #[error("cannot connect to {}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// Makes sure that a directory is there, ours, and closed to everybody else (mode 0700).
///
/// Parents that are missing are made, with the same mode.
///
/// # Errors
///
/// When it cannot be made, is no directory, belongs to another user, or lets others in: it is not silently
/// tightened, as somebody may count on it.
pub fn private_dir(path: &Path) -> Result<(), BindError> {
    let io = |action, source| BindError::Io { action, path: path.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| io("create", e))?;
    let meta = fs::metadata(path).map_err(|e| io("look at", e))?;
    let exposed = |what| Err(BindError::Exposed { path: path.to_owned(), what });
    if !meta.is_dir() {
        return exposed("is no directory");
    }
    if meta.uid() != geteuid().as_raw() {
        return exposed("belongs to another user");
    }
    if meta.permissions().mode() & 0o077 != 0 {
        return exposed("is open to other users (its mode must be 0700)");
    }
    Ok(())
}

/// A listening socket that removes its own file, and only its own, when it is dropped.
#[derive(Debug)]
pub struct BoundSocket {
    listener: UnixListener,
    path: PathBuf,
    identity: Option<(u64, u64)>,
    /// Another process image serves it: its file stays.
    left: AtomicBool,
}

impl BoundSocket {
    /// Binds `name` in `dir` and listens, non-blocking, mode 0600 from the first moment.
    ///
    /// A socket that is there already is removed only if it is ours and a connect to it is refused, so the caller
    /// must hold the state directory's lock: without it two supervisors could both find it stale.
    ///
    /// # Errors
    ///
    /// When the directory is not private, or something else has the place.
    pub fn bind(dir: &Path, name: &str) -> Result<Self, BindError> {
        private_dir(dir)?;
        let path = dir.join(name);
        let io = |action| {
            move |source: io::Error, path: &Path| BindError::Io {
                action,
                path: path.to_owned(),
                source,
            }
        };
        make_room(&path)?;
        let listener = (|| {
            let fd = stream_socket()?;
            // The kernel gives the file the mode of the socket's own inode, less the umask (net/unix/af_unix.c), so
            // there is no moment in which it is open to others, and no process-wide umask has to be changed.
            fchmod(&fd, Mode::S_IRUSR | Mode::S_IWUSR)?;
            with_address(&path, |address| bind_socket(fd.as_raw_fd(), address))?;
            listen(&fd, Backlog::new(128)?)?;
            io::Result::Ok(UnixListener::from(fd))
        })()
        .map_err(|e| io("bind")(e, &path))?;
        let identity = fs::symlink_metadata(&path).ok().map(|meta| (meta.dev(), meta.ino()));
        Ok(Self { listener, path, identity, left: AtomicBool::new(false) })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The socket, written down; whoever has not been accepted yet waits in it.
    ///
    /// # Errors
    ///
    /// When no descriptor is to be had.
    pub(crate) fn kept(&self, fds: &mut Descriptors) -> io::Result<KeptSocket> {
        let listener = fds.hold(&self.listener)?;
        Ok(KeptSocket { listener, path: self.path.clone(), identity: self.identity })
    }

    /// From now on its file is another's to remove.
    pub(crate) fn leave(&self) {
        self.left.store(true, Ordering::Relaxed);
    }

    /// Goes on with a socket that the image before this one has bound.
    ///
    /// # Errors
    ///
    /// When its descriptor is not there.
    pub(crate) fn go_on(kept: KeptSocket, fds: &mut Descriptors) -> io::Result<Self> {
        let KeptSocket { listener, path, identity } = kept;
        let listener = UnixListener::from(fds.take(listener)?);
        Ok(Self { listener, path, identity, left: AtomicBool::new(false) })
    }

    /// A second handle of the listener; the file is still removed with `self`.
    ///
    /// # Errors
    ///
    /// When no descriptor is to be had.
    pub fn try_clone_listener(&self) -> io::Result<UnixListener> {
        self.listener.try_clone()
    }
}

impl Drop for BoundSocket {
    fn drop(&mut self) {
        if self.left.load(Ordering::Relaxed) {
            return;
        }
        let there = fs::symlink_metadata(&self.path).ok().map(|meta| (meta.dev(), meta.ino()));
        if there.is_some()
            && there == self.identity
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::debug!(path = %self.path.display(), %error, "socket not removed");
        }
    }
}

/// Removes a stale socket of ours; refuses everything else.
fn make_room(path: &Path) -> Result<(), BindError> {
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => {
            return Err(BindError::Io { action: "look at", path: path.to_owned(), source });
        }
    };
    let foreign = |what| BindError::Foreign { path: path.to_owned(), what };
    if !meta.file_type().is_socket() {
        return Err(foreign(kind(&meta)));
    }
    if meta.uid() != geteuid().as_raw() {
        return Err(foreign("another user's socket"));
    }
    match try_connect(path) {
        Err(Errno::ECONNREFUSED) => fs::remove_file(path).map_err(|source| BindError::Io {
            action: "remove",
            path: path.to_owned(),
            source,
        }),
        Err(Errno::ENOENT) => Ok(()),
        // A full backlog (EAGAIN) is a sign of life too; what else there may be is not ours to judge.
        Ok(_) | Err(_) => Err(BindError::InUse { path: path.to_owned() }),
    }
}

/// Connects to a socket; the stream is non-blocking.
///
/// # Errors
///
/// When nobody serves it, or it is not for us: the server must be of our own user or root, unless we are root.
pub fn connect(path: &Path) -> Result<std::os::unix::net::UnixStream, ConnectError> {
    let owned = || path.to_owned();
    match try_connect(path) {
        Ok(fd) => {
            let us = geteuid().as_raw();
            match peer_uid(&fd) {
                Some(uid) if us == 0 || uid == us || uid == 0 => Ok(fd.into()),
                _ => Err(ConnectError::Refused { path: owned() }),
            }
        }
        Err(Errno::ENOENT | Errno::ENOTDIR) => Err(ConnectError::Nobody { path: owned() }),
        // A link to a socket is somebody's short name for it; a link to anything else is as good as that.
        Err(Errno::ECONNREFUSED) => match (fs::symlink_metadata(path), fs::metadata(path)) {
            (Ok(meta), Ok(target)) if !target.file_type().is_socket() => {
                Err(ConnectError::NotASocket { path: owned(), what: kind(&meta) })
            }
            _ => Err(ConnectError::Nobody { path: owned() }),
        },
        Err(Errno::EACCES | Errno::EPERM) => Err(ConnectError::Refused { path: owned() }),
        Err(errno) => Err(ConnectError::Io { path: owned(), source: errno.into() }),
    }
}

/// The user on the other end of a connected socket, as it was when it connected (`SO_PEERCRED`, `unix(7)`).
#[must_use]
pub fn peer_uid(stream: &impl std::os::fd::AsFd) -> Option<u32> {
    getsockopt(&stream.as_fd(), sockopt::PeerCredentials).ok().map(|peer| peer.uid())
}

fn stream_socket() -> nix::Result<OwnedFd> {
    socket(
        AddressFamily::Unix,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        None,
    )
}

fn try_connect(path: &Path) -> nix::Result<OwnedFd> {
    let fd = stream_socket()?;
    with_address(path, |address| connect_socket(fd.as_raw_fd(), address))?;
    Ok(fd)
}

/// Calls `f` with the address of `path`, through a descriptor of its directory where the path is too long.
fn with_address(path: &Path, f: impl FnOnce(&UnixAddr) -> nix::Result<()>) -> nix::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    if path.as_os_str().as_bytes().len() <= LONGEST_ADDRESS {
        return f(&UnixAddr::new(path)?);
    }
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Errno::ENAMETOOLONG);
    };
    let dir: File = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC).bits())
        .open(dir)
        .map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(0)))?;
    // `dir` must live until `f` is done: the address names its number.
    f(&UnixAddr::new(&Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string()).join(name))?)
}

fn kind(meta: &fs::Metadata) -> &'static str {
    let kind = meta.file_type();
    if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_file() {
        "a plain file"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn private() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        dir
    }

    /// What is at the path, in one comparable line.
    fn look(path: &Path) -> String {
        let meta = fs::symlink_metadata(path).unwrap();
        format!("{} {} {}", meta.ino(), kind(&meta), meta.len())
    }

    #[test]
    fn sup_08_only_a_stale_socket_of_ours_makes_room() {
        /// Puts something at the path; a listener that must stay is given back.
        type Plant = fn(&Path) -> Option<UnixListener>;
        let table: [(&str, Plant, &str); 6] = [
            ("nothing", |_| None, "bound"),
            (
                "stale socket",
                |at| {
                    drop(UnixListener::bind(at).unwrap());
                    None
                },
                "bound",
            ),
            (
                "live socket",
                |at| Some(UnixListener::bind(at).unwrap()),
                "served by a running supervisor",
            ),
            (
                "plain file",
                |at| {
                    fs::write(at, "precious").unwrap();
                    None
                },
                "a plain file",
            ),
            (
                "directory",
                |at| {
                    fs::create_dir(at).unwrap();
                    None
                },
                "a directory",
            ),
            (
                "symlink to a stale socket",
                |at| {
                    let target = at.with_extension("target");
                    drop(UnixListener::bind(&target).unwrap());
                    symlink(&target, at).unwrap();
                    None
                },
                "a symbolic link",
            ),
        ];
        for (name, plant, expected) in table {
            let dir = private();
            let path = dir.path().join("control.sock");
            let _held = plant(&path);
            let before = (expected != "bound").then(|| look(&path));
            match BoundSocket::bind(dir.path(), "control.sock") {
                Ok(_) => assert_eq!("bound", expected, "{name}"),
                Err(e) => assert!(e.to_string().contains(expected), "{name}: {e}"),
            }
            if let Some(before) = before {
                assert_eq!(before, look(&path), "{name}: what was there is as it was");
            }
        }
    }

    #[test]
    fn sup_08_a_socket_of_another_user_is_left_alone() {
        let dir = private();
        let path = dir.path().join("control.sock");
        drop(UnixListener::bind(&path).unwrap());
        if std::os::unix::fs::chown(&path, Some(65_534), None).is_err() {
            eprintln!("skipped: only root can plant another user's socket");
            return;
        }
        let before = look(&path);
        let refused = BoundSocket::bind(dir.path(), "control.sock").unwrap_err();
        assert!(
            matches!(refused, BindError::Foreign { what: "another user's socket", .. }),
            "{refused}"
        );
        assert_eq!(before, look(&path));
    }

    #[test]
    fn sup_08_a_full_backlog_is_a_sign_of_life() {
        let dir = private();
        let path = dir.path().join("control.sock");
        let fd = stream_socket().unwrap();
        with_address(&path, |address| bind_socket(fd.as_raw_fd(), address)).unwrap();
        listen(&fd, Backlog::new(0).unwrap()).unwrap();
        let _queued: Vec<_> = std::iter::from_fn(|| try_connect(&path).ok()).take(64).collect();
        assert_eq!(try_connect(&path).unwrap_err(), Errno::EAGAIN);
        assert!(matches!(
            BoundSocket::bind(dir.path(), "control.sock"),
            Err(BindError::InUse { .. })
        ));
    }

    #[test]
    fn sec_09_the_file_is_closed_to_others_from_the_first_moment() {
        let dir = private();
        let socket = BoundSocket::bind(dir.path(), "control.sock").unwrap();
        assert_eq!(fs::metadata(socket.path()).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn sec_09_a_directory_that_lets_others_in_is_refused() {
        let dir = private();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(
            BoundSocket::bind(dir.path(), "control.sock"),
            Err(BindError::Exposed { .. })
        ));
        assert!(!dir.path().join("control.sock").exists());
    }

    #[test]
    fn sup_09_the_loser_does_not_remove_the_winners_socket() {
        let dir = private();
        let first = BoundSocket::bind(dir.path(), "control.sock").unwrap();
        // The first one's file is gone, and another supervisor has bound the name since.
        fs::remove_file(first.path()).unwrap();
        let second = BoundSocket::bind(dir.path(), "control.sock").unwrap();
        drop(first);
        assert!(connect(second.path()).is_ok(), "the second one still serves");
        let path = second.path().to_owned();
        drop(second);
        assert!(!path.exists(), "and removes its own file when it goes");
    }

    #[test]
    fn sup_10_a_path_longer_than_an_address_works_for_both_ends() {
        let dir = private();
        let deep = dir.path().join("d".repeat(120)).join("e".repeat(120));
        private_dir(&deep).unwrap();
        let socket = BoundSocket::bind(&deep, "control.sock").unwrap();
        assert!(socket.path().as_os_str().len() > LONGEST_ADDRESS);
        assert!(connect(socket.path()).is_ok());
        // And it is found in use, not stale.
        assert!(matches!(BoundSocket::bind(&deep, "control.sock"), Err(BindError::InUse { .. })));
        let path = socket.path().to_owned();
        drop(socket);
        assert!(matches!(connect(&path), Err(ConnectError::Nobody { .. })));
    }

    #[test]
    fn connecting_tells_nobody_from_not_a_socket() {
        let dir = private();
        let path = dir.path().join("control.sock");
        assert!(matches!(connect(&path), Err(ConnectError::Nobody { .. })), "no file");
        drop(UnixListener::bind(&path).unwrap());
        assert!(matches!(connect(&path), Err(ConnectError::Nobody { .. })), "stale");
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        assert!(matches!(
            connect(&path),
            Err(ConnectError::NotASocket { what: "a plain file", .. })
        ));
        let link = dir.path().join("link.sock");
        symlink(&path, &link).unwrap();
        assert!(matches!(
            connect(&link),
            Err(ConnectError::NotASocket { what: "a symbolic link", .. })
        ));
    }
}
