//! Files to be executed, made so that nothing but the test's own fault is wrong with them.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::World;

impl World {
    /// An executable file with this content.
    ///
    /// It is another process that writes it: a descriptor for writing that was open here would be copied into whatever
    /// a neighbouring test forks at that moment, and the file would be busy until that has executed something.
    #[track_caller]
    pub fn executable(&self, name: &str, content: &[u8]) -> PathBuf {
        let file = self.folder().join(name);
        let data = file.with_extension("content");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&data, content).unwrap();
        self.install(&data, &file);
        file
    }

    /// An executable copy of another file.
    #[track_caller]
    pub fn executable_copy(&self, name: &str, of: &Path) -> PathBuf {
        let file = self.folder().join(name);
        self.install(of, &file);
        file
    }

    #[track_caller]
    fn install(&self, from: &Path, to: &Path) {
        let [from, to] = [from, to].map(|path| path.display().to_string());
        let argv = ["install", "-m", "755", &from, &to].map(str::to_owned);
        self.finish(self.spawn(argv.into())).code(0);
    }

    /// What the kernel says to somebody who executes a file: the errno, or `None` when it runs.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "what the kernel says to somebody else's exec")]
    pub fn exec_error(&self, file: &Path) -> Option<i32> {
        match Command::new(file).current_dir(self.folder()).spawn() {
            Ok(mut child) => {
                child.kill().and_then(|()| child.wait()).unwrap();
                None
            }
            Err(error) => Some(error.raw_os_error().unwrap()),
        }
    }
}

/// An executable that is open for writing.
#[derive(Debug)]
pub struct Busy {
    path: PathBuf,
    open: File,
}

impl Busy {
    /// Opens a file for writing and keeps it open.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub fn hold(path: PathBuf) -> io::Result<Self> {
        let open = OpenOptions::new().append(true).open(&path)?;
        Ok(Self { path, open })
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// It is as good as any other again.
    pub fn release(self) {
        drop(self.open);
    }
}
