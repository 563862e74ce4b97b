//! A supervisor with its sockets and clients goes over to another process image.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::broadcast::Receiver;
use tokio::sync::mpsc;

use super::attach::{KeptAttach, Leaving, Waiting};
use super::socket::{BindError, BoundSocket};
use super::{AttachServer, ControlServer};
pub use crate::host::upgrade::VERB;
use crate::host::upgrade::{
    Beside, Descriptors, Fd, Frozen, Granted, Image, Rebuilt, Refused, Rehearsed, Request, Thaw,
    Unreadable, VERSION, path_text, rehearse, take_image,
};
use crate::host::{EventRecord, Supervisor};

/// A bound socket, written down.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeptSocket {
    pub(super) listener: Fd,
    #[serde(with = "path_text")]
    pub(super) path: PathBuf,
    /// Device and inode of its file.
    pub(super) identity: Option<(u64, u64)>,
}

/// What goes over beside the host: both sockets and everybody on the attach socket. Connections of the management socket
/// do not.
#[derive(Debug, Serialize, Deserialize)]
struct Sockets {
    control: KeptSocket,
    attach: KeptAttach,
}

/// What there is to be written down beside the host.
#[derive(Clone, Debug)]
pub struct Leave {
    control: Arc<BoundSocket>,
    attach: Leaving,
}

impl Leave {
    /// Of these two servers.
    #[must_use]
    pub fn of(control: &ControlServer, attach: &AttachServer) -> Self {
        Self { control: control.socket(), attach: attach.leaving() }
    }

    fn write(&self, fds: &mut Descriptors) -> io::Result<Box<RawValue>> {
        let sockets = Sockets { control: self.control.kept(fds)?, attach: self.attach.kept(fds)? };
        Ok(to_raw_value(&sockets)?)
    }

    /// For a rehearsal: nothing changes.
    fn rehearsed(self) -> Beside {
        Box::new(move |fds| self.write(fds))
    }

    /// When it is meant: from then on sockets and clients are the next image's.
    fn meant(self) -> Beside {
        Box::new(move |fds| {
            let sockets = self.write(fds)?;
            self.control.leave();
            self.attach.leave();
            Ok(sockets)
        })
    }

    /// Writes everything down, for another image to go on with. Nothing goes on here afterwards.
    ///
    /// # Errors
    /// Why not, in words. Everything goes on.
    pub async fn everything(self, supervisor: &Supervisor) -> Result<Frozen, String> {
        let frozen = supervisor.freeze(true, self.meant()).await?;
        frozen.flush().await;
        Ok(frozen)
    }
}

/// Answers those who ask for an upgrade, until one is granted: then the supervisor is to be written down and the program to
/// be executed. Whoever asks meanwhile is refused.
pub async fn grant(
    supervisor: &Supervisor,
    leave: &Leave,
    requests: &mut mpsc::UnboundedReceiver<Request>,
) {
    while let Some(request) = requests.recv().await {
        let judged = judge(supervisor, leave).await;
        while let Ok(other) = requests.try_recv() {
            other.answer(Err(Refused::NotNow("an upgrade is under way".to_owned())));
        }
        match judged {
            Ok(granted) => return request.answer(Ok(granted)),
            Err(refused) => {
                let fields = serde_json::json!({
                    "class": refused.class(),
                    "message": refused.to_string(),
                });
                supervisor.record("supervisor.upgrade_refused", fields);
                request.answer(Err(refused));
            }
        }
    }
    // Nobody can ask any more.
    std::future::pending().await
}

async fn judge(supervisor: &Supervisor, leave: &Leave) -> Result<Granted, Refused> {
    let rehearsed = leave.clone().rehearsed();
    let frozen = supervisor.freeze(false, rehearsed).await.map_err(Refused::NotNow)?;
    let program = supervisor.program().clone();
    let shown = program.path().display().to_string();
    let rehearsal = tokio::task::spawn_blocking(move || rehearse(&program, frozen.image()));
    let rehearsal = rehearsal.await.map_err(|error| Refused::NotNow(error.to_string()))?;
    let Rehearsed { version: to, state, plugins, clients, .. } = rehearsal?;
    let from = env!("CARGO_PKG_VERSION").to_owned();
    let fields = serde_json::json!({
        "from": from,
        "to": to,
        "state_from": VERSION,
        "state_to": state,
        "plugins": plugins,
        "clients": clients,
        "program": shown,
    });
    let seq = supervisor.record("supervisor.upgrade_started", fields);
    Ok(Granted { from, to, seq })
}

/// A state that can go on here, with everything that can be made sure of without its descriptors.
pub struct Handover {
    rebuilt: Rebuilt,
    sockets: Sockets,
    fds: Descriptors,
    /// Why it goes on in the image that wrote it, where it does.
    still_here: Option<String>,
}

impl Handover {
    fn read(bytes: &[u8], fds: Descriptors) -> Result<Self, Unreadable> {
        let image = Image::read(bytes)?;
        let content = |error: serde_json::Error| Unreadable::Content {
            version: image.version,
            why: error.to_string(),
        };
        let sockets: Sockets = serde_json::from_str(image.beside().get()).map_err(content)?;
        Ok(Self { rebuilt: Rebuilt::of(image)?, sockets, fds, still_here: None })
    }

    /// What the image before this one has left to go on with; `None` when this is a start like any other.
    ///
    /// # Errors
    /// There is something, and it cannot be read.
    pub fn inherited() -> Result<Option<Self>, HandoverError> {
        match crate::host::upgrade::inherited()? {
            Some((bytes, fds)) => Ok(Some(Self::read(&bytes, fds)?)),
            None => Ok(None),
        }
    }

    /// The state of this process, which could not be left.
    ///
    /// # Errors
    /// It cannot be read, although this build has just written it.
    pub fn still_here(frozen: Frozen, why: &io::Error) -> Result<Self, HandoverError> {
        let (bytes, fds) = frozen.into_parts();
        let read = Self::read(&bytes, fds)?;
        Ok(Self { still_here: Some(why.to_string()), ..read })
    }

    /// Whether manifests are watched.
    #[must_use]
    pub fn watches(&self) -> bool {
        self.rebuilt.settings().watch
    }

    /// The manifests in force.
    pub fn manifests(&self) -> impl Iterator<Item = &outboard_manifest::Manifest> + Clone {
        self.rebuilt.manifests()
    }

    /// Goes on: supervisor, sockets and clients where they were. Must be called within the runtime, on its one thread.
    ///
    /// # Errors
    /// Something is missing that the image before should have left open; then there is no supervisor any more.
    pub fn go_on(self) -> Result<Resumed, HandoverError> {
        let Self { rebuilt, sockets, mut fds, still_here } = self;
        let Sockets { control, attach } = sockets;
        let waiting: Waiting = attach.back(&mut fds)?;
        let why = still_here.as_deref().map_or(Thaw::Upgraded, Thaw::StillHere);
        let (supervisor, events) = rebuilt.thaw(&mut fds, &waiting.clients(), why)?;
        let control = Arc::new(BoundSocket::go_on(control, &mut fds)?);
        let control = ControlServer::serve(control, supervisor.clone())?;
        let attach = waiting.serve(&supervisor)?;
        Ok(Resumed { supervisor, events, control, attach })
    }
}

/// A supervisor that goes on in this image.
pub struct Resumed {
    pub supervisor: Supervisor,
    /// From the one on that says so.
    pub events: Receiver<Arc<EventRecord>>,
    pub control: ControlServer,
    pub attach: AttachServer,
}

/// Why this image cannot go on where another stopped.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error("what the build before has left open cannot be taken over: {0}")]
    Missing(#[from] io::Error),
    #[error(transparent)]
    Socket(#[from] BindError),
}

/// What a build that is asked to rehearse says of the image that it is given.
///
/// # Errors
/// It cannot be read at all.
pub fn answer(image: impl io::Read) -> io::Result<Rehearsed> {
    take_image(image).map(|image| rehearsed(&image))
}

fn rehearsed(image: &[u8]) -> Rehearsed {
    let of = |read: &Handover| (read.rebuilt.plugins().1, read.sockets.attach.clients());
    let read = Handover::read(image, Descriptors::none());
    let (plugins, clients) = read.as_ref().map(of).unwrap_or_default();
    Rehearsed {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        state: VERSION,
        plugins,
        clients,
        unreadable: read.err().map(|error| error.to_string()),
    }
}
