//! Which file an upgrade executes, and how.

use std::ffi::{CString, OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use outboard_keeper::inherit::{Inheritance, memory_file, outlives_exec};

use super::{Descriptors, Frozen};

/// Names the memory file to the next image; its value is a descriptor's number.
const VARIABLE: &str = "OUTBOARD_UPGRADE";

/// The file by which this process was started, as it was named: a link that has been turned since leads to the new build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program(PathBuf);

impl Program {
    /// Looks for it the way `execvp(3)` did. To be called at the start, before the file is replaced.
    #[must_use]
    pub fn of_process() -> Self {
        let running = fs::metadata("/proc/self/exe").map(|meta| (meta.dev(), meta.ino())).ok();
        let is_running = |path: &PathBuf| {
            fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino())) == running
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        let named = std::env::args_os().next().and_then(|word| named(&word, &path, is_running));
        Self(named.or_else(|| std::env::current_exe().ok()).unwrap_or_default())
    }

    /// As the image before this one knew it.
    pub(super) fn at(path: PathBuf) -> Self {
        Self(path)
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// The file that `word` named, if it is the one that is meant.
fn named(word: &OsStr, path: &OsStr, is_meant: impl Fn(&PathBuf) -> bool) -> Option<PathBuf> {
    if word.as_bytes().contains(&b'/') {
        return std::path::absolute(word).ok().filter(is_meant);
    }
    std::env::split_paths(path)
        .filter_map(|folder| std::path::absolute(folder.join(word)).ok())
        .find(is_meant)
}

impl Frozen {
    /// Executes the program in place of this process, with all descriptors, and the arguments that this process has.
    ///
    /// To be called on the main thread, with no runtime left and the signals blocked whose handlers are gone with this
    /// image. Gives the state back with the error, when there is one.
    #[must_use]
    pub fn execute(self) -> (Self, io::Error) {
        let error = match self.try_to_execute() {
            Ok(never) => match never {},
            Err(error) => error,
        };
        (self, error)
    }

    fn try_to_execute(&self) -> io::Result<std::convert::Infallible> {
        let state = memory_file(&self.bytes)?;
        let program = c_string(self.program.path().as_os_str())?;
        let arguments = std::env::args_os().map(|word| c_string(&word));
        let arguments: Vec<CString> = arguments.collect::<io::Result<_>>()?;
        let mut environment = Vec::new();
        for (name, value) in std::env::vars_os().filter(|(name, _)| name != VARIABLE) {
            environment.push(variable(&name, &value)?);
        }
        let number = state.as_raw_fd().to_string();
        environment.push(variable(OsStr::new(VARIABLE), OsStr::new(&number))?);
        outlives_exec(std::os::fd::AsFd::as_fd(&state), true)?;
        let executed = self.fds.outlive_exec(true).and_then(|()| {
            nix::unistd::execve(&program, &arguments, &environment).map_err(io::Error::from)
        });
        // Still here: a plugin that is started now must not inherit any of these.
        self.fds.outlive_exec(false)?;
        executed
    }
}

/// What the image before this one has left, if one has. To be called before any descriptor is opened.
///
/// # Errors
/// It left something, and that is no state.
pub(crate) fn inherited() -> io::Result<Option<(Vec<u8>, Descriptors)>> {
    let Some(number) = std::env::var(VARIABLE).ok() else { return Ok(None) };
    let number: RawFd = number.parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    let (bytes, inheritance) = Inheritance::begin(number)?;
    Ok(Some((bytes, Descriptors::Inherited(inheritance))))
}

fn variable(name: &OsStr, value: &OsStr) -> io::Result<CString> {
    let mut pair = OsString::from(name);
    pair.push("=");
    pair.push(value);
    c_string(&pair)
}

fn c_string(text: &OsStr) -> io::Result<CString> {
    CString::new(text.to_owned().into_vec()).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_found_as_it_was_named_and_only_if_it_is_the_one_that_runs() {
        let meant = |path: &PathBuf| path == Path::new("/opt/bin/outboard");
        let path = OsStr::new("/usr/bin:/opt/bin");
        let find = |word: &str| named(OsStr::new(word), path, meant);
        assert_eq!(find("outboard"), Some("/opt/bin/outboard".into()));
        assert_eq!(find("/opt/bin/outboard"), Some("/opt/bin/outboard".into()));
        assert_eq!(find("/tmp/outboard"), None, "another file of that name");
        assert_eq!(find("other"), None);
    }
}
