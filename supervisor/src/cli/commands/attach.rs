//! `outboard attach`: be the plugin, for whoever starts us in its place.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use super::Ended;
use crate::cli::args::{AttachArgs, Linger};
use crate::cli::exit::Exit;
use crate::cli::render::{Screen, attach as words};
use crate::control::attach_client::AttachError;
use crate::control::bridge::{self, Setup, Starter};
use crate::control::{ATTACH_SOCKET, ClientError};

/// Between two looks at a supervisor that is coming up.
const LOOK: Duration = Duration::from_millis(25);

pub(super) async fn run(args: &AttachArgs, dir: &Path, screen: &mut Screen) -> Ended {
    let setup = Setup { state_dir: dir.to_owned(), plugin: args.plugin.clone(), wait: args.wait };
    let autostart = Autostart {
        folder: args.autostart.as_ref().map(|folder| absolute(folder)),
        linger: args.linger,
        state_dir: dir.to_owned(),
    };
    match bridge::run(setup, autostart, std::io::stdin(), std::io::stdout()).await {
        Ok(()) => Ok(Exit::Done),
        Err(error) => {
            let exit = Exit::of_attach(&error);
            // Its client shows this beside what other programs say.
            screen.complain(&words::cannot(&args.plugin, &error));
            Ok(exit)
        }
    }
}

/// Starts a supervisor for a bridge that finds none.
struct Autostart {
    folder: Option<PathBuf>,
    linger: Linger,
    state_dir: PathBuf,
}

impl Starter for Autostart {
    /// Two bridges may find none at the same moment: then both start one, and the lock of the state directory lets one of
    /// them be. Whose it is makes no difference.
    async fn ensure(&mut self, within: Duration) -> Result<(), AttachError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let until = Instant::now() + within;
        let mut started: Option<Child> = None;
        while UnixStream::connect(self.state_dir.join(ATTACH_SOCKET)).is_err() {
            let ended = match &mut started {
                None => {
                    started = Some(self.start(folder)?);
                    None
                }
                Some(child) => child.try_wait().ok().flatten(),
            };
            let conflict = Some(Exit::Conflict as i32);
            if let Some(ended) = ended.filter(|ended| ended.code() != conflict) {
                let message =
                    format!("outboard run {} could not start ({ended})", folder.display());
                return Err(AttachError::Ended { class: "no_supervisor".to_owned(), message });
            }
            if Instant::now() >= until {
                let state_dir = self.state_dir.clone();
                return Err(ClientError::NoSupervisor { state_dir }.into());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }
}

impl Autostart {
    #[expect(
        clippy::disallowed_methods,
        reason = "a supervisor is no plugin: it has no keeper yet"
    )]
    fn start(&self, folder: &Path) -> Result<Child, AttachError> {
        let io = |source| ClientError::Io { state_dir: self.state_dir.clone(), source };
        let mut command = Command::new(std::env::current_exe().map_err(io)?);
        command.arg("run").arg(folder).arg("--state-dir").arg(&self.state_dir);
        command.args(["--quiet", "--background"]);
        if let Linger::For(span) = self.linger {
            command.arg("--linger").arg(format!("{}ms", span.as_millis()));
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(command.spawn().map_err(io)?)
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
