//! What a version was started from, kept so that it can come back: by then its file may be gone or another one.
//!
//! A descriptor keeps the content whatever happens to the name. It is copied into the state directory only when it is
//! needed. What a script reads beside itself is not kept, and neither are its interpreter and its arguments.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::diagnose::FileIdentity;
use super::state_dir::StateDir;

/// Where the copies lie in the state directory.
pub(super) const FOLDER: &str = "pinned";

/// Nothing that is started from now on is a version that comes back.
pub(super) fn forget_all(state_dir: &StateDir) {
    fs::remove_dir_all(state_dir.file(FOLDER)).unwrap_or_default();
}

/// The executable of a version.
#[derive(Debug)]
pub(super) struct Pin {
    file: Option<File>,
    identity: FileIdentity,
}

impl Pin {
    /// Keeps what `program` was when it was started as the process `pid`. What has been replaced meanwhile is still to
    /// be had through the process, unless a script is what was started.
    pub(super) fn of(program: &Path, pid: u32, identity: FileIdentity) -> Self {
        let image = PathBuf::from(format!("/proc/{pid}/exe"));
        let places = [program, &image];
        let file = places.into_iter().find_map(|place| {
            let file = File::open(place).ok()?;
            is_same(&file, identity).then_some(file)
        });
        Self { file, identity }
    }

    /// Where the version can be started from now: its own place while that holds the same file, else a copy at `copy`.
    ///
    /// # Errors
    /// Nothing was kept, or the copy cannot be written.
    pub(super) fn place(&self, program: &Path, copy: &Path) -> io::Result<PathBuf> {
        if File::open(program).is_ok_and(|file| is_same(&file, self.identity)) {
            return Ok(program.to_owned());
        }
        let Some(file) = &self.file else {
            return Err(io::Error::other("the file that it was started from is gone"));
        };
        if let Some(folder) = copy.parent() {
            fs::DirBuilder::new().recursive(true).create(folder)?;
        }
        // A copy that runs cannot be written to, but its name can be given away.
        fs::remove_file(copy).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        let mut from = file.try_clone()?;
        io::Seek::rewind(&mut from)?;
        let mut to = OpenOptions::new().write(true).create_new(true).mode(0o700).open(copy)?;
        io::copy(&mut from, &mut to)?;
        Ok(copy.to_owned())
    }
}

/// The inode, whatever has become of its name: losing that changes its time as well.
fn is_same(file: &File, identity: FileIdentity) -> bool {
    file.metadata().is_ok_and(|meta| {
        (meta.dev(), meta.ino(), meta.size()) == (identity.device, identity.inode, identity.size)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_that_is_gone_comes_back_as_a_copy_and_one_that_stays_is_used_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let (program, copy) = (dir.path().join("p"), dir.path().join("pinned/p"));
        fs::write(&program, b"old").unwrap();
        let pin = Pin::of(&program, std::process::id(), FileIdentity::of(&program).unwrap());
        assert_eq!(pin.place(&program, &copy).unwrap(), program);
        fs::write(dir.path().join("new"), b"new").unwrap();
        fs::rename(dir.path().join("new"), &program).unwrap();
        for _ in 0..2 {
            assert_eq!(pin.place(&program, &copy).unwrap(), copy);
            assert_eq!(fs::read(&copy).unwrap(), b"old");
            assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn what_was_replaced_before_it_was_kept_is_not_taken_for_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("p");
        fs::write(&program, b"#!/bin/sh\n").unwrap();
        let identity = FileIdentity::of(&program).unwrap();
        fs::write(dir.path().join("new"), b"#!/bin/false\n").unwrap();
        fs::rename(dir.path().join("new"), &program).unwrap();
        let pin = Pin::of(&program, std::process::id(), identity);
        assert!(pin.place(&program, &dir.path().join("copy")).is_err());
    }
}
