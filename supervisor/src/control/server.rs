//! Serves the management API on its Unix socket.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jsonrpsee::server::{
    BatchRequestConfig, HttpRequest, Methods as RpcMethods, Server, ServerConfig, ServerHandle,
    StopHandle, serve_with_graceful_shutdown, stop_channel,
};
use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::geteuid;
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tower::util::MapRequest;

use super::backend::Backend;
use super::methods::Methods;
use super::reserve::{self, Reserve, Spent};
use super::rpc::register;
use super::socket::{BindError, BoundSocket, peer_uid};
use super::{CLI_AGENT, CONTROL_SOCKET, MAX_MESSAGE};
use crate::host::{By, Via};

/// Connections served at the same time.
const CONNECTIONS: usize = 128;

/// Messages that wait for one connection's reader. A subscription that is behind by more than this and the
/// broadcast channel is told how many it missed.
const QUEUED_MESSAGES: u32 = 256;

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
    socket: BoundSocket,
    handle: ServerHandle,
    /// Turns true when answers under way have had their time.
    ending: watch::Sender<bool>,
    accepting: JoinHandle<()>,
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
        let socket = BoundSocket::bind(state_dir, CONTROL_SOCKET)?;
        let listener =
            socket.try_clone_listener().and_then(UnixListener::from_std).map_err(|source| {
                BindError::Io { action: "serve", path: socket.path().to_owned(), source }
            })?;
        let (stop, handle) = stop_channel();
        let (ending, end) = watch::channel(false);
        let methods = register(Methods::new(backend, end)).into();
        let accepting = tokio::spawn(accept(listener, methods, stop));
        Ok(Self { socket, handle, ending, accepting })
    }

    /// Where the socket is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.socket.path()
    }

    /// Takes no more requests, waits a moment for answers under way, turns the rest into errors, and removes the
    /// socket.
    pub async fn stop(mut self) {
        if self.handle.stop().is_err() || (&mut self.accepting).await.is_err() {
            tracing::debug!("the management server had ended already");
        }
        // `stopped` waits for every clone of the stop handle, and each call under way holds one.
        if tokio::time::timeout(LAST_ANSWERS, self.handle.clone().stopped()).await.is_ok() {
            return;
        }
        self.ending.send_replace(true);
        if tokio::time::timeout(LAST_ERRORS, self.handle.clone().stopped()).await.is_err() {
            tracing::debug!("management clients that do not read their answers are left behind");
        }
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: UnixListener, methods: RpcMethods, stop: StopHandle) {
    let service = Server::builder().set_config(config()).to_service_builder();
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let reserve = Reserve::of(IN_NEED + 1);
    let stopped = stop.clone().shutdown();
    tokio::pin!(stopped);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stopped => return,
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
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            refuse(stream, "too many management connections").await;
            continue;
        };
        let whose = peer(&stream);
        let service = service.clone().build(methods.clone(), stop.clone());
        let served = serve_with_graceful_shutdown(
            stream,
            MapRequest::new(service, move |request| told(request, whose)),
            stop.clone().shutdown(),
        );
        let reserve = reserve.clone();
        tokio::spawn(async move {
            if let Err(error) = served.await {
                tracing::debug!(%error, "a management connection ended");
            }
            // Its descriptor is free now, and nobody else has had a turn since.
            reserve.refill();
            drop(permit);
        });
    }
}

fn config() -> ServerConfig {
    ServerConfig::builder()
        .max_request_body_size(MAX_MESSAGE)
        .max_response_body_size(MAX_MESSAGE)
        // The same bound once more: a connection that was upgraded to WebSocket gives its permit of ours back.
        .max_connections(CONNECTIONS as u32)
        .max_subscriptions_per_connection(16)
        .set_message_buffer_capacity(QUEUED_MESSAGES)
        .set_batch_request_config(BatchRequestConfig::Disabled)
        .build()
}

/// Whether the other end is of our own user or root; a peer whose credentials cannot be read is neither.
fn may_connect(stream: &UnixStream) -> bool {
    peer_uid(stream).is_some_and(|uid| uid == geteuid().as_raw() || uid == 0)
}

/// Who is on the other end, for whoever is told of a change that it asks for.
fn peer(stream: &UnixStream) -> By {
    let peer = getsockopt(stream, sockopt::PeerCredentials).ok();
    let pid = peer.and_then(|peer| u32::try_from(peer.pid()).ok());
    By { via: Via::Api, uid: peer.map(|peer| peer.uid()), pid }
}

/// The request with the word of who sends it. The command line says that it is one: nobody gains by saying so.
fn told<B>(mut request: HttpRequest<B>, by: By) -> HttpRequest<B> {
    let agent = request.headers().get("user-agent");
    let via = match agent.is_some_and(|agent| agent.as_bytes() == CLI_AGENT.as_bytes()) {
        true => Via::Cli,
        false => Via::Api,
    };
    request.extensions_mut().insert(By { via, ..by });
    request
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
