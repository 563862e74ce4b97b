//! The process's own stdin and stdout, taken away from everybody else, and SIGTERM as the end of the one.

#![expect(
    unsafe_code,
    reason = "putting another file under a descriptor's number, and a signal's handler"
)]

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, OnceLock};

use crate::host::lock;

/// Where frames come from and go to.
pub(crate) struct Stdio {
    pub(crate) input: File,
    pub(crate) output: File,
}

/// Under a supervisor: takes the descriptors, so that nothing which runs later can print between the frames.
pub(crate) fn take_if_supervised() {
    if std::env::var_os("OUTBOARD_PROTOCOL").is_some() {
        taken();
    }
}

/// Private close-on-exec descriptors for frames, once in a process. What else reads number 0 from then on finds end of
/// file, and what else writes to number 1 writes to stderr: print macros, C libraries, children.
///
/// # Errors
///
/// A descriptor is closed, there is none left, or a terminal is where the host should be; or somebody has them already.
pub(crate) fn take() -> io::Result<Stdio> {
    lock(taken()).take().unwrap_or_else(|| Err(io::Error::other("another plugin has them")))
}

fn taken() -> &'static Mutex<Option<io::Result<Stdio>>> {
    static TAKEN: OnceLock<Mutex<Option<io::Result<Stdio>>>> = OnceLock::new();
    TAKEN.get_or_init(|| Mutex::new(Some(open())))
}

fn open() -> io::Result<Stdio> {
    let number = std::env::var("OUTBOARD_RPC_FD").ok().and_then(|number| number.parse().ok());
    if let Some(number) = number.filter(|number: &RawFd| *number > libc::STDERR_FILENO) {
        // SAFETY: the host opened this number for the frames and told nobody else. It is looked at once.
        let socket = unsafe { OwnedFd::from_raw_fd(number) };
        let output = socket.try_clone()?;
        // SAFETY: setting a flag of a descriptor that is ours.
        if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
            return Err(io::Error::last_os_error());
        }
        return Ok(Stdio { input: socket.into(), output: output.into() });
    }
    if io::stdin().is_terminal() {
        return Err(io::Error::other(
            "this is an outboard plugin; a supervisor starts it and speaks to it on stdin.\nName its command in a \
             manifest, then type: outboard run FOLDER-OF-THE-MANIFEST",
        ));
    }
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    let nothing = OwnedFd::from(File::open("/dev/null")?);
    replace(nothing.as_raw_fd(), libc::STDIN_FILENO)?;
    replace(libc::STDERR_FILENO, libc::STDOUT_FILENO)?;
    Ok(Stdio { input: input.into(), output: output.into() })
}

fn replace(source: RawFd, target: RawFd) -> io::Result<()> {
    // SAFETY: `dup2` on any two numbers is defined. `target` is a standard stream, which no Rust value owns and
    // which the standard library expects to be open; it stays open.
    if unsafe { libc::dup2(source, target) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Whether a write of [`SMALL`](crate::outlet::SMALL) bytes would not block: what a pipe that is ready promises.
pub(crate) fn takes_a_small_frame(fd: RawFd) -> bool {
    let mut ask = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one entry, which lives as long as the call. A number that is closed is said to be invalid.
    let ready = unsafe { libc::poll(&raw mut ask, 1, 0) };
    ready == 1 && ask.revents & libc::POLLOUT != 0
}

/// The plugin's stdin, which ends at SIGTERM too.
///
/// The signal's handler puts `/dev/null` under the descriptor's number, and wakes the thread that reads: whether it is
/// in `read` or just before it, the next thing that it reads is the end. Nothing is paid for it while frames flow.
pub(crate) struct Input {
    file: File,
}

/// What the handler needs: the descriptors, and who reads. −1 is nobody.
static READ: AtomicI32 = AtomicI32::new(-1);
static NOTHING: AtomicI32 = AtomicI32::new(-1);
static READER: AtomicI32 = AtomicI32::new(-1);

impl Input {
    /// For the thread that will read, unless the author has a handler for SIGTERM or ignores it.
    pub(crate) fn new(file: File) -> io::Result<Self> {
        let nothing = OwnedFd::from(File::open("/dev/null")?);
        // SAFETY: the three calls take no memory but `current` and `handler`, which live as long as each call. The
        // handler makes system calls that are safe in one, and keeps errno.
        unsafe {
            let mut current = std::mem::zeroed::<libc::sigaction>();
            if libc::sigaction(libc::SIGTERM, std::ptr::null(), &raw mut current) == 0
                && current.sa_sigaction == libc::SIG_DFL
            {
                READ.store(file.as_raw_fd(), Ordering::SeqCst);
                READER.store(libc::gettid(), Ordering::SeqCst);
                // Kept open for as long as the handler may want it: for ever.
                NOTHING.store(std::os::fd::IntoRawFd::into_raw_fd(nothing), Ordering::SeqCst);
                let mut handler = std::mem::zeroed::<libc::sigaction>();
                handler.sa_sigaction = end_of_input as *const () as libc::sighandler_t;
                // Without SA_RESTART: the `read` in progress has to end.
                if libc::sigaction(libc::SIGTERM, &raw const handler, std::ptr::null_mut()) < 0 {
                    return Err(io::Error::last_os_error());
                }
            }
        }
        Ok(Self { file })
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        // The number may soon be somebody else's, and SIGTERM is to end the process again.
        if READ.swap(-1, Ordering::SeqCst) >= 0 {
            // SAFETY: the default disposition takes no memory of ours.
            unsafe { libc::signal(libc::SIGTERM, libc::SIG_DFL) };
        }
    }
}

extern "C" fn end_of_input(_: libc::c_int) {
    let read = READ.load(Ordering::SeqCst);
    let nothing = NOTHING.load(Ordering::SeqCst);
    if read < 0 || nothing < 0 {
        return;
    }
    // SAFETY: all of these may be called in a handler. `read` is open until `Input` is dropped, which takes the number
    // away first. The thread is one of this process, or has ended: then nobody is woken.
    unsafe {
        let errno = *libc::__errno_location();
        libc::dup3(nothing, read, libc::O_CLOEXEC);
        let reader = READER.load(Ordering::SeqCst);
        if reader != libc::gettid() {
            libc::syscall(libc::SYS_tgkill, libc::getpid(), reader, libc::SIGTERM);
        }
        *libc::__errno_location() = errno;
    }
}
