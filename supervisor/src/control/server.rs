//! Serves the management API on its Unix socket.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::header::USER_AGENT;
use jsonrpsee::Methods as RpcMethods;
use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::geteuid;
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::answer::MAX_ANSWER;
use super::backend::Backend;
use super::crowd::Crowd;
use super::methods::Methods;
use super::reserve::{self, Reserve, Spent};
use super::rpc::register;
use super::socket::{BindError, BoundSocket, peer_uid};
use super::{CLI_AGENT, CONTROL_SOCKET, http};
use crate::host::{By, Via, caught};

/// Connections served at the same time.
const CONNECTIONS: usize = 128;

/// Bytes kept for all connections together, beside what each may be in the middle of sending: requests in work, and answers
/// that wait to be read. More than one of the longest answers.
const KEPT: usize = 24 * 1024 * 1024;

const _: () = assert!(KEPT > MAX_ANSWER);

/// How long answers under way are waited for when the server stops, before they become errors.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// How long those errors may take to reach their clients.
const LAST_ERRORS: Duration = Duration::from_millis(100);

/// Connections that are served when no other descriptor is left: whoever mends the trouble has to get in. One more is told
/// that there is none for it.
const IN_NEED: usize = 4;

/// A running server of the management API. Dropped, it ends without waiting for answers under way.
#[derive(Debug)]
pub struct ControlServer {
    socket: Arc<BoundSocket>,
    /// Turns true when no more requests are taken.
    stop: watch::Sender<bool>,
    /// Says why once answers under way have had their time.
    ending: watch::Sender<Option<Ending>>,
    /// Gives the connections that were open at the stop.
    accepting: JoinHandle<JoinSet<()>>,
}

impl ControlServer {
    /// Binds the management socket in `state_dir` and serves `backend` on the current runtime (one thread is enough).
    ///
    /// The caller holds the state directory's lock, see [`BoundSocket::bind`].
    ///
    /// # Errors
    ///
    /// When the socket cannot be bound; what lies at its path is untouched then.
    pub fn start<B: Backend>(state_dir: &Path, backend: B) -> Result<Self, BindError> {
        Self::serve(Arc::new(BoundSocket::bind(state_dir, CONTROL_SOCKET)?), backend)
    }

    /// Serves `backend` on a socket that is bound already.
    ///
    /// # Errors
    ///
    /// When the runtime refuses the socket.
    pub(crate) fn serve<B: Backend>(
        socket: Arc<BoundSocket>,
        backend: B,
    ) -> Result<Self, BindError> {
        let listener =
            socket.try_clone_listener().and_then(UnixListener::from_std).map_err(|source| {
                BindError::Io { action: "serve", path: socket.path().to_owned(), source }
            })?;
        let (stop, stopped) = watch::channel(false);
        let (ending, end) = watch::channel(None);
        let methods = register(Methods::new(backend.clone(), end)).into();
        let asked = backend.clone();
        let asker = move |stream: &UnixStream| of(&asked, stream);
        let accepting = caught(accept(listener, methods, asker, stopped));
        let accepting = tokio::spawn(async move {
            accepting.await.unwrap_or_else(|message| {
                backend.panicked("the management socket", message);
                JoinSet::new()
            })
        });
        Ok(Self { socket, stop, ending, accepting })
    }

    /// Where the socket is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.socket.path()
    }

    /// The socket that it serves.
    pub(crate) fn socket(&self) -> Arc<BoundSocket> {
        Arc::clone(&self.socket)
    }

    /// Takes no more requests, waits a moment for answers under way, turns the rest into errors, and removes the
    /// socket.
    pub async fn stop(self) {
        self.end(Ending::HostExit).await;
    }

    /// The same, save that the socket stays: who connects from now on waits for whoever serves it next.
    pub(crate) async fn leave(self) {
        let socket = self.socket();
        self.end(Ending::Upgrade).await;
        drop(socket);
    }

    async fn end(mut self, why: Ending) {
        self.stop.send_replace(true);
        let Ok(mut open) = (&mut self.accepting).await else {
            tracing::debug!("the management server had ended already");
            return;
        };
        if tokio::time::timeout(LAST_ANSWERS, all_closed(&mut open)).await.is_ok() {
            return;
        }
        self.ending.send_replace(Some(why));
        if tokio::time::timeout(LAST_ERRORS, all_closed(&mut open)).await.is_err() {
            tracing::debug!("management clients that do not read their answers are left behind");
        }
    }
}

/// Ends when it is true, or nobody is left to make it so.
pub(super) async fn turned(flag: &mut watch::Receiver<bool>) {
    drop(flag.wait_for(|flag| *flag).await);
}

async fn all_closed(open: &mut JoinSet<()>) {
    while open.join_next().await.is_some() {}
}

/// Why answers under way are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    HostExit,
    Upgrade,
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(
    listener: UnixListener,
    methods: RpcMethods,
    asker: impl Fn(&UnixStream) -> Asker,
    mut stop: watch::Receiver<bool>,
) -> JoinSet<()> {
    let mut open = JoinSet::new();
    let crowd = Crowd::of(CONNECTIONS, KEPT);
    let reserve = Reserve::of(IN_NEED + 1);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = open.join_next() => continue,
            () = turned(&mut stop) => return open,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) if Reserve::is_for(&error) => match reserve.spend(&listener) {
                Some(Spent::Spare(stream)) => stream,
                last => {
                    if let Some(Spent::Last(stream)) = last {
                        refuse(stream, reserve::WHY).await;
                    }
                    reserve.refill();
                    tokio::time::sleep(reserve::PAUSE).await;
                    continue;
                }
            },
            // What is left concerns the one connection that just went away again (accept(2)).
            Err(error) => {
                tracing::debug!(%error, "a management connection was lost before it was accepted");
                continue;
            }
        };
        if !may_connect(&stream) {
            tracing::warn!("a management connection of another user was refused");
            continue;
        }
        let Some(place) = crowd.enter() else {
            refuse(stream, "too many management connections").await;
            continue;
        };
        let (reserve, asker) = (reserve.clone(), asker(&stream));
        let serving = http::serve(stream, asker, methods.clone(), place, stop.clone());
        open.spawn(async move {
            serving.await;
            // Its descriptor is free now, and nobody else has had a turn since.
            reserve.refill();
        });
        // Who has just been let in says what it wants before the next one takes its place.
        tokio::task::yield_now().await;
    }
}

/// Whether the other end is of our own user or root; a peer whose credentials cannot be read is neither.
fn may_connect(stream: &UnixStream) -> bool {
    peer_uid(stream).is_some_and(|uid| uid == geteuid().as_raw() || uid == 0)
}

/// Who is on the other end of a connection.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    /// For whoever is told of a change that it asks for.
    pub(super) by: By,
    /// Why it gets nothing, if it gets nothing.
    pub(super) refused: Option<Arc<str>>,
}

fn of(backend: &impl Backend, stream: &UnixStream) -> Asker {
    let peer = getsockopt(stream, sockopt::PeerCredentials).ok();
    let pid = peer.and_then(|peer| u32::try_from(peer.pid()).ok());
    let whose = backend.whose(stream.as_fd());
    let by = By { via: Via::Api, uid: peer.map(|peer| peer.uid()), pid, whose };
    Asker { by, refused: backend.why_refused(whose).map(Into::into) }
}

impl Asker {
    /// Who sends this request. The command line says that it is one: nobody gains by saying so.
    pub(super) fn of_request<B>(&self, request: &Request<B>) -> Self {
        let agent = request.headers().get(USER_AGENT);
        let is_cli = agent.is_some_and(|agent| agent.as_bytes() == CLI_AGENT.as_bytes());
        let via = if is_cli { Via::Cli } else { Via::Api };
        Self { by: By { via, ..self.by }, refused: self.refused.clone() }
    }
}

/// Says why, for as long as the kernel takes it at once, and hangs up.
async fn refuse(mut stream: UnixStream, why: &str) {
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{why}\n",
        why.len() + 1
    );
    let written =
        tokio::time::timeout(Duration::from_millis(50), stream.write_all(answer.as_bytes())).await;
    if !matches!(written, Ok(Ok(()))) {
        tracing::debug!("a refused management connection was gone before it was told why");
    }
}
