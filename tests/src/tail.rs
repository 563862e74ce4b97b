//! A file, read line by line as it grows. Waits for the kernel to say that it has grown.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::clock::{Deadline, readable};

/// Follows one file, over rotation too: the old one is read to its end before the new one.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    changes: Watch,
    file: Option<File>,
    rest: Vec<u8>,
}

impl Tail {
    /// Follows the file at `path` from its present end, or from its beginning when it is not there yet. Its folder
    /// has to be there.
    ///
    /// # Errors
    ///
    /// When the folder cannot be watched or the file cannot be read.
    pub fn from_end(path: &Path) -> io::Result<Self> {
        let mut tail = Self::from_start(path)?;
        tail.open()?;
        if let Some(file) = &mut tail.file {
            file.seek(SeekFrom::End(0))?;
        }
        Ok(tail)
    }

    /// Follows the file at `path` from its beginning.
    ///
    /// # Errors
    ///
    /// When the folder cannot be watched.
    pub fn from_start(path: &Path) -> io::Result<Self> {
        let changes = Watch::new(path.parent().unwrap_or(Path::new(".")))?;
        Ok(Self { path: path.to_owned(), changes, file: None, rest: Vec::new() })
    }

    /// The next whole line, without its end; `None` when there is none before the deadline.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn line(&mut self, deadline: Deadline) -> io::Result<Option<String>> {
        loop {
            if let Some(line) = self.line_now()? {
                return Ok(Some(line));
            }
            if !self.changes.wait(deadline) {
                return self.line_now();
            }
        }
    }

    /// The next whole line that is there already.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn line_now(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Ok(Some(String::from_utf8_lossy(&line[..end]).into_owned()));
            }
            self.open()?;
            let Some(file) = &mut self.file else { return Ok(None) };
            let mut buffer = Vec::new();
            if file.read_to_end(&mut buffer)? == 0 {
                if self.is_current() {
                    return Ok(None);
                }
                self.file = None;
            }
            self.rest.append(&mut buffer);
        }
    }

    fn open(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            self.file = match File::open(&self.path) {
                Ok(file) => Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
        }
        Ok(())
    }

    /// Whether what is open is what lies at the path; also when nothing lies there any more.
    fn is_current(&self) -> bool {
        let open = self.file.as_ref().and_then(|file| file.metadata().ok());
        let there = std::fs::metadata(&self.path).ok();
        match (open, there) {
            (Some(open), Some(there)) => (open.dev(), open.ino()) == (there.dev(), there.ino()),
            _ => true,
        }
    }
}

/// Tells of changes in a folder. Look at what is there first and wait then: no change in between is missed.
#[derive(Debug)]
pub struct Watch(OwnedFd);

impl Watch {
    /// Begins to watch.
    ///
    /// # Errors
    ///
    /// When the folder is not there, or the kernel watches too much already.
    pub fn new(folder: &Path) -> io::Result<Self> {
        let path = CString::new(folder.as_os_str().as_bytes())?;
        let mask = libc::IN_MODIFY | libc::IN_CREATE | libc::IN_MOVED_TO;
        // SAFETY: plain system calls; the descriptor is owned before anything else can fail.
        unsafe {
            let fd = libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            let changes = Self(OwnedFd::from_raw_fd(fd));
            match libc::inotify_add_watch(fd, path.as_ptr(), mask) {
                -1 => Err(io::Error::last_os_error()),
                _ => Ok(changes),
            }
        }
    }

    /// Waits for a change since the last wait. False when the deadline passes first.
    pub fn wait(&self, deadline: Deadline) -> bool {
        if !readable(&self.0, deadline) {
            return false;
        }
        let mut buffer = [0_u8; 4096];
        // SAFETY: a read into a buffer of that length; the descriptor does not wait.
        while unsafe { libc::read(self.0.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) }
            > 0
        {}
        true
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;

    use super::*;

    #[test]
    fn lines_come_whole_and_over_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let append = |text: &str| {
            let file = OpenOptions::new().append(true).create(true).open(&path);
            file.unwrap().write_all(text.as_bytes()).unwrap();
        };
        append("before\n");
        let mut tail = Tail::from_end(&path).unwrap();
        assert_eq!(tail.line_now().unwrap(), None);
        append("one\ntw");
        assert_eq!(tail.line(Deadline::hang()).unwrap().as_deref(), Some("one"));
        assert_eq!(tail.line_now().unwrap(), None, "half a line is none");
        append("o\nlast of the old\n");
        std::fs::rename(&path, folder.path().join("f.1")).unwrap();
        append("first of the new\n");
        for line in ["two", "last of the old", "first of the new"] {
            assert_eq!(tail.line(Deadline::hang()).unwrap().as_deref(), Some(line));
        }
    }
}
