//! The client of the management socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jsonrpsee::client_transport::ws::{
    HeaderMap, HeaderValue, Url, WsHandshakeError, WsTransportClientBuilder,
};
use jsonrpsee::core::client::{Client, ClientBuilder, Error as RpcError, Subscription};
use tokio::net::UnixStream;

use super::rpc::Calls;
use super::socket::{self, ConnectError};
use super::{CLI_AGENT, CONTROL_SOCKET, MAX_MESSAGE, api};

/// How long a supervisor may take for what needs no waiting. One that is stopped or starved answers later, or never.
const AT_ONCE: Duration = Duration::from_secs(10);

/// How long a change may take. Every one is bounded by the supervisor, and its end closes the socket: this only
/// keeps the library from giving up first.
const CHANGE: Duration = Duration::from_secs(24 * 3600);

/// Items that a subscription may hold for a reader that is busy printing.
const BUFFERED_ITEMS: usize = 4_096;

/// Why the management API gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody serves the state directory.
    #[error("no supervisor is running for {}", state_dir.display())]
    NoSupervisor { state_dir: PathBuf },
    /// It belongs to another user.
    #[error("the supervisor of {} belongs to another user", state_dir.display())]
    Refused { state_dir: PathBuf },
    /// Something else lies where the socket should be.
    #[error("{} is {what}, not a supervisor's socket", path.display())]
    NotASocket { path: PathBuf, what: &'static str },
    /// It is there and does not answer.
    #[error("the supervisor of {} does not answer", state_dir.display())]
    NotAnswering { state_dir: PathBuf },
    /// It serves as many clients as it may.
    #[error("the supervisor serves too many clients at the moment")]
    Busy,
    /// It went away before it answered.
    #[error("the supervisor went away before it answered")]
    Lost,
    /// It answered with an error.
    #[error("{message}")]
    Answered { code: i32, message: String, data: Option<Box<api::ErrorData>> },
    #[error("cannot reach the supervisor of {}", state_dir.display())]
    Io { state_dir: PathBuf, source: io::Error },
    /// What it said is not understood: most likely another version.
    #[error("the supervisor's answer is not understood ({reason})")]
    Foreign { reason: String },
}

/// Events as they happen.
pub type Events = Subscription<api::EventItem>;

/// A connection to a running supervisor.
#[derive(Debug)]
pub struct ControlClient {
    client: Client,
    state_dir: PathBuf,
    pid: Option<i32>,
}

impl ControlClient {
    /// Connects to the supervisor of a state directory.
    ///
    /// # Errors
    ///
    /// When there is none, it is another user's, or it does not answer within 10 s.
    pub async fn connect(state_dir: &Path) -> Result<Self, ClientError> {
        let dir = || state_dir.to_owned();
        let stream = socket::connect(&state_dir.join(CONTROL_SOCKET))
            .map_err(|e| connect_error(e, state_dir))?;
        let stream = UnixStream::from_std(stream)
            .map_err(|source| ClientError::Io { state_dir: dir(), source })?;
        let pid = stream.peer_cred().ok().and_then(|peer| peer.pid());
        let url = Url::parse("ws://localhost/").expect("a constant URL is well formed");
        let mut headers = HeaderMap::new();
        headers.insert("user-agent", HeaderValue::from_static(CLI_AGENT));
        let transport = WsTransportClientBuilder::default()
            .max_request_size(MAX_MESSAGE)
            .max_response_size(MAX_MESSAGE)
            .set_headers(headers)
            .build_with_stream(url, stream);
        let (sender, receiver) = tokio::time::timeout(AT_ONCE, transport)
            .await
            .map_err(|_| ClientError::NotAnswering { state_dir: dir() })?
            .map_err(|e| handshake_error(&e))?;
        let client = ClientBuilder::default()
            .request_timeout(CHANGE)
            .max_buffer_capacity_per_subscription(BUFFERED_ITEMS)
            .build_with_tokio(sender, receiver);
        Ok(Self { client, state_dir: dir(), pid })
    }

    /// The process that serves the socket, as the kernel knows it (`SO_PEERCRED`, unix(7)): another build that goes on in
    /// its place has the same.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.pid
    }

    fn calls(&self) -> Calls<'_> {
        Calls(&self.client)
    }

    async fn at_once<T>(
        &self,
        answer: impl Future<Output = Result<T, RpcError>>,
    ) -> Result<T, ClientError> {
        match tokio::time::timeout(AT_ONCE, answer).await {
            Ok(answer) => answer.map_err(rpc_error),
            Err(_) => Err(ClientError::NotAnswering { state_dir: self.state_dir.clone() }),
        }
    }

    /// Probes the plugins that run, now; answers with them as they are then.
    ///
    /// # Errors
    ///
    /// When an id means nothing (`not_found`).
    pub async fn health(&self, ids: &[String]) -> Result<api::Status, ClientError> {
        // As long as the slowest plugin's own `[health] timeout`.
        self.calls().health(select(ids)).await.map_err(rpc_error)
    }

    /// Everything at a glance; no ids mean every plugin, and globs are allowed.
    ///
    /// # Errors
    ///
    /// When an id means nothing (`not_found`), or there is no answer in 10 s.
    pub async fn status(&self, ids: &[String]) -> Result<api::Status, ClientError> {
        self.at_once(self.calls().status(select(ids))).await
    }

    /// Wants plugins up; with `wait` it lasts until each has had its verdict.
    ///
    /// # Errors
    ///
    /// When an id means nothing (`not_found`), none is given (`nothing_named`), or the supervisor ends.
    pub async fn start(
        &self,
        ids: &[String],
        all: bool,
        wait: bool,
    ) -> Result<api::Change, ClientError> {
        let params = api::Start { ids: given(ids), all: Some(all), wait: Some(wait) };
        self.calls().start(params).await.map_err(rpc_error)
    }

    /// Wants plugins down; with `wait` it lasts as long as the stop.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub async fn stop(
        &self,
        ids: &[String],
        all: bool,
        now: bool,
        wait: bool,
    ) -> Result<api::Change, ClientError> {
        self.calls().stop(stopping(ids, all, now, wait)).await.map_err(rpc_error)
    }

    /// Stops and starts plugins.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub async fn restart(
        &self,
        ids: &[String],
        all: bool,
        now: bool,
        wait: bool,
    ) -> Result<api::Change, ClientError> {
        self.calls().restart(stopping(ids, all, now, wait)).await.map_err(rpc_error)
    }

    /// Plans what the manifests on the disk change, or does it, and then lasts as long as what is started and stopped by it.
    ///
    /// # Errors
    ///
    /// When they have errors (`config_rejected`), another revision is in force (`conflict`), `except` names nobody
    /// (`not_found`), or the supervisor ends.
    pub async fn reload(&self, request: api::Reloading) -> Result<api::Reload, ClientError> {
        self.calls().reload(request).await.map_err(rpc_error)
    }

    /// Lets another version of a plugin take over: from a manifest (a path that the supervisor can read), or from the
    /// plugin's own as it is now. It lasts until there is a verdict and the loser is gone.
    ///
    /// # Errors
    ///
    /// When there is no such plugin (`not_found`), the manifest is wrong, or nothing may be swapped now.
    pub async fn swap(&self, id: &str, manifest: Option<&Path>) -> Result<api::Swap, ClientError> {
        let manifest = manifest.map(|path| path.display().to_string());
        self.calls().swap(api::SwapIn { id: id.to_owned(), manifest }).await.map_err(rpc_error)
    }

    /// Ends the supervisor; lasts until its plugins are down.
    ///
    /// # Errors
    ///
    /// When the supervisor goes away without an answer.
    pub async fn shutdown(&self, now: bool) -> Result<api::Change, ClientError> {
        self.calls().shutdown(api::Shutdown { now: Some(now) }).await.map_err(rpc_error)
    }

    /// Goes over to another build of the supervisor. Once this is answered the connection ends.
    ///
    /// # Errors
    ///
    /// Why there is no upgrade, or when there is no answer in 10 s.
    pub async fn upgrade(&self) -> Result<api::Upgrade, ClientError> {
        self.at_once(self.calls().upgrade(api::Nothing {})).await
    }

    /// The last failure of one plugin.
    ///
    /// # Errors
    ///
    /// When there is no such plugin (`not_found`), or no answer in 10 s.
    pub async fn why(&self, id: &str) -> Result<api::Why, ClientError> {
        self.failure(api::OfFailure { id: id.to_owned(), ..Default::default() }).await
    }

    /// One failure of one plugin.
    ///
    /// # Errors
    ///
    /// As [`Self::why`], and when it is not kept (`not_found`).
    pub async fn failure(&self, of: api::OfFailure) -> Result<api::Why, ClientError> {
        self.at_once(self.calls().why(of)).await
    }

    /// A page of events above `since`, oldest first.
    ///
    /// # Errors
    ///
    /// When there is no answer in 10 s.
    pub async fn events(&self, since: u64) -> Result<Vec<api::Event>, ClientError> {
        self.at_once(self.calls().events(api::EventPage { since: Some(since), limit: None })).await
    }

    /// The newest log lines that match, oldest first.
    ///
    /// # Errors
    ///
    /// When there is no such plugin (`not_found`), or no answer in 10 s.
    pub async fn logs(&self, filter: api::LogFilter) -> Result<Vec<api::LogLine>, ClientError> {
        self.at_once(self.calls().logs(api::LogsOf { filter: Some(filter) })).await
    }

    /// Events as they happen, after those above `since` if given. It ends with the supervisor.
    ///
    /// # Errors
    ///
    /// When there is no answer in 10 s.
    pub async fn subscribe_events(&self, since: Option<u64>) -> Result<Events, ClientError> {
        self.at_once(self.calls().subscribe_events(api::EventsFrom { since })).await
    }

    /// Log lines that match, as they come. It ends with the supervisor.
    ///
    /// # Errors
    ///
    /// When there is no such plugin (`not_found`), or no answer in 10 s.
    pub async fn subscribe_logs(
        &self,
        filter: api::LogFilter,
    ) -> Result<Subscription<api::LogItem>, ClientError> {
        let params = api::LogsOf { filter: Some(filter) };
        self.at_once(self.calls().subscribe_logs(params)).await
    }

    /// What plugins publish, of topics that match one of these patterns; none: of all. It ends with the supervisor.
    ///
    /// # Errors
    ///
    /// When there is no answer in 10 s.
    pub async fn subscribe_topics(
        &self,
        topics: &[String],
    ) -> Result<Subscription<api::TopicItem>, ClientError> {
        let params = api::TopicsOf { topics: given(topics) };
        self.at_once(self.calls().subscribe_topics(params)).await
    }
}

fn select(ids: &[String]) -> api::Select {
    api::Select { ids: given(ids) }
}

fn stopping(ids: &[String], all: bool, now: bool, wait: bool) -> api::Stopping {
    api::Stopping { ids: given(ids), all: Some(all), now: Some(now), wait: Some(wait) }
}

fn given(ids: &[String]) -> Option<Vec<String>> {
    (!ids.is_empty()).then(|| ids.to_vec())
}

/// A failed connect, in the words of whoever wanted the supervisor of a state directory.
pub(super) fn connect_error(error: ConnectError, state_dir: &Path) -> ClientError {
    let state_dir = state_dir.to_owned();
    match error {
        ConnectError::Nobody { .. } => ClientError::NoSupervisor { state_dir },
        ConnectError::Refused { .. } => ClientError::Refused { state_dir },
        ConnectError::NotASocket { path, what } => ClientError::NotASocket { path, what },
        // A full backlog: it is there, and has not taken a connection for a long time.
        ConnectError::Io { source, .. } if source.kind() == io::ErrorKind::WouldBlock => {
            ClientError::NotAnswering { state_dir }
        }
        ConnectError::Io { source, .. } => ClientError::Io { state_dir, source },
    }
}

fn handshake_error(error: &WsHandshakeError) -> ClientError {
    if let WsHandshakeError::Rejected { status_code: 429 | 503 } = error {
        return ClientError::Busy;
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let lost = |e: &io::Error| {
            use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
            matches!(e.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
        };
        if error.downcast_ref::<io::Error>().is_some_and(lost) {
            return ClientError::Lost;
        }
        cause = error.source();
    }
    ClientError::Foreign { reason: error.to_string() }
}

fn rpc_error(error: RpcError) -> ClientError {
    match error {
        RpcError::Call(error) => ClientError::Answered {
            code: error.code(),
            message: error.message().to_owned(),
            data: error.data().and_then(|data| serde_json::from_str(data.get()).ok()),
        },
        RpcError::Transport(_) | RpcError::RestartNeeded(_) | RpcError::ServiceDisconnect => {
            ClientError::Lost
        }
        other => ClientError::Foreign { reason: other.to_string() },
    }
}
