//! A supervisor to measure, in this process or as the `outboard` binary.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use outboard::host::Supervisor;
use tempfile::TempDir;

use crate::floor;

/// The echo of the floor under the MCP dialect; everything else as it is by default.
pub(crate) fn echo_manifest() -> String {
    let echo = floor::dir().join("echo");
    format!("dialect = \"mcp\"\n[process]\ncommand = [\"{}\", \"nl\"]\n", echo.display())
}

/// Folders of one measurement.
pub(crate) struct World {
    pub folder: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        std::fs::create_dir(folder.path().join("manifests")).expect("the folder is new");
        Self { folder }
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn manifests(&self) -> PathBuf {
        self.folder.path().join("manifests")
    }

    pub(crate) fn manifest(&self, id: &str, text: &str) {
        std::fs::write(self.manifests().join(format!("{id}.toml")), text)
            .expect("the folder is ours");
    }

    /// `outboard run` on all manifests, as a process of its own.
    pub(crate) fn outboard(&self) -> Child {
        Command::new(beside("outboard"))
            .arg("run")
            .arg(self.manifests())
            .arg("--state-dir")
            .arg(self.state())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("outboard was built beside this")
    }

    /// A supervisor in this process with all manifests registered.
    pub(crate) async fn supervisor(&self) -> Supervisor {
        let supervisor = Supervisor::builder(self.state())
            .adopt_orphans(true)
            .start()
            .expect("a supervisor can be started here");
        supervisor
            .discover_and_register(&[self.manifests()])
            .await
            .expect("the manifests are readable");
        supervisor
    }
}

/// A program built beside this one.
pub(crate) fn beside(name: &str) -> PathBuf {
    let me = std::env::current_exe().expect("this program has a path");
    me.parent().unwrap_or(Path::new(".")).join(name)
}
