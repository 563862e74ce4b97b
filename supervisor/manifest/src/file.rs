//! Opens files that others may have put there: never blocks, never reads without end, says who could change them.
//!
//! The rule for links: a link is followed, wherever it leads, as long as a regular file is at its end; a circle of
//! links is refused. The folder in which the link stands is the manifest's folder.

use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use nix::fcntl::OFlag;
use nix::unistd::Uid;

use crate::problem::{Place, Problem};
use crate::scalar::write_size;
use crate::source::Source;

/// The longest manifest. The largest real one is some hundred lines.
pub const MAX_FILE: u64 = 1 << 20;

/// Reads a regular file of at most `max` bytes.
///
/// What the path names is looked at before it is opened (opening a device can act on it), opened non-blocking (a FIFO
/// that was put there in between then waits for nobody), and looked at once more through the descriptor.
pub(crate) fn read(path: &Path, max: u64) -> Result<(Vec<u8>, Metadata), String> {
    regular(&fs::metadata(path).map_err(why)?)?;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).bits())
        .open(path)
        .map_err(why)?;
    let metadata = file.metadata().map_err(why)?;
    regular(&metadata)?;
    let expected = metadata.len().min(max);
    let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or(0));
    // The length above may be wrong: files of /proc say 0, and others grow meanwhile. One byte more than allowed tells.
    (&file).take(max + 1).read_to_end(&mut bytes).map_err(why)?;
    if bytes.len() as u64 > max {
        return Err(format!("it is larger than {}", write_size(max)));
    }
    Ok((bytes, metadata))
}

fn regular(metadata: &Metadata) -> Result<(), String> {
    let kind = metadata.file_type();
    let what = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_block_device() || kind.is_char_device() {
        "a device"
    } else {
        "something else"
    };
    Err(format!("it is {what}, not a regular file"))
}

/// An I/O error in words, without its number.
pub(crate) fn why(error: io::Error) -> String {
    match error.raw_os_error().map(nix::errno::Errno::from_raw) {
        Some(nix::errno::Errno::ELOOP) => "its links go round in a circle".to_owned(),
        Some(errno) => errno.desc().to_lowercase(),
        None => error.to_string(),
    }
}

/// Bytes as the text of a file: UTF-8, a byte order mark accepted, no NUL.
pub(crate) fn text(path: &Path, bytes: Vec<u8>) -> Result<Arc<Source>, Box<Problem>> {
    let refuse = |what: &str, text: String, at: usize| {
        let source = Source::new(path, text);
        Box::new(Problem::error(what).at(source.place(&(at..at + 1))))
    };
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            return Err(refuse("not UTF-8", text, at));
        }
    };
    if let Some(at) = text.find('\0') {
        return Err(refuse("not TOML: a NUL byte", text, at));
    }
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    };
    Ok(Source::new(path, text))
}

/// How strictly ownership is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trust {
    /// An error, or a warning.
    pub(crate) refuse: bool,
    /// The user that the supervisor runs as.
    pub(crate) user: u32,
}

impl Trust {
    /// As the process runs: refused when it is root.
    pub(crate) fn of_process() -> Self {
        let user = Uid::effective();
        Self { refuse: user.is_root(), user: user.as_raw() }
    }

    /// Says who else could change a file: whoever can change a manifest decides what is run.
    pub(crate) fn judge(self, path: &Path, metadata: &Metadata) -> Option<Problem> {
        let shown = crate::problem::shown(path, "".as_ref());
        let mode = metadata.mode();
        // In a sticky folder nobody can replace another's files.
        let sticky = metadata.is_dir() && mode & 0o1000 != 0;
        let group_counts = self.refuse && metadata.gid() != 0;
        let (who, help) = if mode & 0o002 != 0 && !sticky {
            ("everybody".to_owned(), format!("chmod o-w {shown}"))
        } else if mode & 0o020 != 0 && group_counts && !sticky {
            (format!("group {}", metadata.gid()), format!("chmod g-w {shown}"))
        } else if metadata.uid() != 0 && metadata.uid() != self.user {
            (format!("user {}", metadata.uid()), format!("chown {} {shown}", self.user))
        } else {
            return None;
        };
        let what = format!("{who} can change this, and so what is run");
        let problem = if self.refuse { Problem::error(what) } else { Problem::warning(what) };
        Some(problem.at(Place::whole(path)).help(help))
    }
}
