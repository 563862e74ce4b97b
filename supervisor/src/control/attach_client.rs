//! The client of the attach socket: newline JSON-RPC straight to one plugin.
//!
//! Parameters and results pass as raw text, byte for byte: digits of large numbers and lone surrogates survive.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::client::{ClientError, connect_error};
use super::{ATTACH_SOCKET, MAX_MESSAGE, socket};

/// How long the supervisor may take to answer the first line: the plugin need not run for it.
const OPENING: Duration = Duration::from_secs(10);

/// What is waited beyond a call's own deadline, which the supervisor keeps: after it, the supervisor is the one that
/// does not answer.
const GRACE: Duration = Duration::from_secs(2);

/// A connection to one plugin.
#[derive(Debug)]
pub struct AttachClient {
    stream: BufReader<UnixStream>,
    state_dir: PathBuf,
    deadline: Option<Duration>,
    next_id: u64,
    attached: Attached,
}

/// What the supervisor says of the plugin when a client attaches.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Attached {
    pub plugin: String,
    pub dialect: String,
    pub generation: u64,
    pub state: String,
}

/// An error that the plugin, or the supervisor in its place, answered with.
#[derive(Clone, Debug, Deserialize)]
pub struct CallError {
    pub code: i64,
    pub message: String,
    /// As it came.
    #[serde(default)]
    pub data: Option<Box<RawValue>>,
}

/// The members of an error's `data` that errors made by the supervisor have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CallErrorData {
    pub plugin: Option<String>,
    pub class: Option<String>,
    /// `host` or `plugin`: who made the error.
    pub source: Option<String>,
    pub retryable: Option<bool>,
    pub retry_after_ms: Option<u64>,
    /// Some of the call was written before it failed.
    pub sent: Option<bool>,
    /// The last lines of stderr of a plugin that crashed.
    pub stderr: Vec<String>,
    /// The nearest name that exists.
    pub nearest: Option<String>,
}

impl CallError {
    /// The members that errors made by the supervisor have; empty when `data` is anything else.
    #[must_use]
    pub fn details(&self) -> CallErrorData {
        self.data
            .as_ref()
            .and_then(|data| serde_json::from_str(data.get()).ok())
            .unwrap_or_default()
    }
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The plugin, or the supervisor in its place, answered with an error.
    #[error("{} ({})", .0.message, .0.code)]
    Call(CallError),
    /// The deadline and a little more have passed without a word.
    #[error("no answer in {}", super::words::span(*after))]
    Silent { after: Duration },
    /// The supervisor ended the connection, and said why.
    #[error("{message}")]
    Ended {
        /// `changed`, `removed`.
        class: String,
        message: String,
    },
    #[error(transparent)]
    Client(#[from] ClientError),
}

#[derive(Serialize)]
struct Request<'a> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    method: &'a str,
    params: &'a RawValue,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AttachParams<'a> {
    plugin: &'a str,
    caller: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline_ms: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    bounded: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    while_restarting: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_ms: Option<u64>,
}

/// An answer. `result` is kept apart from absence: a plugin may answer `null`.
#[derive(Deserialize)]
struct Response<'a> {
    #[serde(default, borrow)]
    id: Option<&'a RawValue>,
    #[serde(default)]
    method: Option<serde::de::IgnoredAny>,
    #[serde(default, borrow, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<CallError>,
}

/// `Option<&RawValue>` reads `null` as absent; this reads it as `null`.
fn present<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl AttachClient {
    /// Attaches to a plugin. `deadline` is for each call; without one the manifest's holds.
    ///
    /// # Errors
    ///
    /// When there is no supervisor or no such plugin, or it does not answer in 10 s.
    pub async fn connect(
        state_dir: &Path,
        plugin: &str,
        deadline: Option<Duration>,
    ) -> Result<Self, AttachError> {
        Self::connect_with(state_dir, plugin, deadline, None).await
    }

    /// The same; `while_restarting`, `fail` or `wait`, says what each call does while the plugin is not up.
    ///
    /// # Errors
    ///
    /// As [`AttachClient::connect`].
    pub async fn connect_with(
        state_dir: &Path,
        plugin: &str,
        deadline: Option<Duration>,
        while_restarting: Option<&'static str>,
    ) -> Result<Self, AttachError> {
        let deadline_ms = deadline.map(millis);
        let params = AttachParams {
            plugin,
            caller: "cli",
            deadline_ms,
            bounded: deadline_ms.is_none(),
            while_restarting,
            wait_ms: None,
        };
        let mut client = Self::hello(state_dir, &params).await?;
        client.deadline = deadline;
        Ok(client)
    }

    /// Attaches on behalf of somebody else, whose opening may be held for so long.
    pub(super) async fn connect_for(
        state_dir: &Path,
        plugin: &str,
        wait: Duration,
    ) -> Result<Self, AttachError> {
        let params = AttachParams {
            plugin,
            caller: "attach",
            deadline_ms: None,
            bounded: false,
            while_restarting: None,
            wait_ms: Some(millis(wait)),
        };
        Self::hello(state_dir, &params).await
    }

    /// The connection itself, with what has been read of it.
    pub(super) fn into_parts(self) -> (BufReader<UnixStream>, Attached) {
        (self.stream, self.attached)
    }

    async fn hello(state_dir: &Path, params: &AttachParams<'_>) -> Result<Self, AttachError> {
        let dir = || state_dir.to_owned();
        let stream = socket::connect(&state_dir.join(ATTACH_SOCKET))
            .map_err(|e| connect_error(e, state_dir))?;
        let stream = UnixStream::from_std(stream)
            .map_err(|source| ClientError::Io { state_dir: dir(), source })?;
        let mut client = Self {
            stream: BufReader::new(stream),
            state_dir: dir(),
            deadline: None,
            next_id: 1,
            attached: Attached {
                plugin: String::new(),
                dialect: String::new(),
                generation: 0,
                state: String::new(),
            },
        };
        let params = raw(params)?;
        client.write(Some(0), "outboard/attach", &params).await?;
        let answer = match tokio::time::timeout(OPENING, client.read_answer(0)).await {
            Ok(answer) => answer?,
            Err(_) => return Err(ClientError::NotAnswering { state_dir: dir() }.into()),
        };
        client.attached = serde_json::from_str(answer.get()).map_err(|e| foreign(&e))?;
        Ok(client)
    }

    /// What the supervisor said of the plugin.
    #[must_use]
    pub fn attached(&self) -> &Attached {
        &self.attached
    }

    /// One call; the result is as the plugin wrote it. `params` must be on one line.
    ///
    /// Dropping the future leaves the connection without a use: drop the client too, and the call is cancelled.
    ///
    /// # Errors
    ///
    /// When the plugin or the supervisor answers with an error, or goes away. With a deadline, also when neither has
    /// said a word 2 s after it.
    pub async fn call(
        &mut self,
        method: &str,
        params: &RawValue,
    ) -> Result<Box<RawValue>, AttachError> {
        let id = self.next_id;
        self.next_id += 1;
        self.write(Some(id), method, params).await?;
        match self.deadline {
            None => self.read_answer(id).await,
            Some(deadline) => {
                match tokio::time::timeout(deadline.saturating_add(GRACE), self.read_answer(id))
                    .await
                {
                    Ok(answer) => answer,
                    Err(_) => Err(AttachError::Silent { after: deadline.saturating_add(GRACE) }),
                }
            }
        }
    }

    /// One notification. It returns once the supervisor has taken it: the supervisor reads a connection in order and
    /// answers `ping` itself, so its answer proves that what was written before has been read.
    ///
    /// # Errors
    ///
    /// When the supervisor refuses the connection or goes away.
    pub async fn notify(&mut self, method: &str, params: &RawValue) -> Result<(), AttachError> {
        self.write(None, method, params).await?;
        let id = self.next_id;
        self.next_id += 1;
        let nothing = raw(&serde_json::Map::new())?;
        self.write(Some(id), "ping", &nothing).await?;
        match tokio::time::timeout(OPENING, self.read_answer(id)).await {
            // An error too is an answer.
            Ok(Ok(_) | Err(AttachError::Call(_))) => Ok(()),
            Ok(Err(other)) => Err(other),
            Err(_) => Err(ClientError::NotAnswering { state_dir: self.state_dir.clone() }.into()),
        }
    }

    async fn write(
        &mut self,
        id: Option<u64>,
        method: &str,
        params: &RawValue,
    ) -> Result<(), AttachError> {
        let mut line = serde_json::to_vec(&Request { jsonrpc: "2.0", id, method, params })
            .map_err(|e| foreign(&e))?;
        line.push(b'\n');
        match self.stream.get_mut().write_all(&line).await {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Err(ClientError::Lost.into()),
            Err(source) => {
                Err(ClientError::Io { state_dir: self.state_dir.clone(), source }.into())
            }
        }
    }

    /// The answer to `id`; notifications, requests and answers to others are left aside.
    async fn read_answer(&mut self, id: u64) -> Result<Box<RawValue>, AttachError> {
        let mut line = Vec::new();
        loop {
            line.clear();
            // One byte more than a whole message with its line end: more than that is no message.
            let mut bounded = (&mut self.stream).take(u64::from(MAX_MESSAGE) + 2);
            let read = bounded.read_until(b'\n', &mut line).await;
            match read {
                Ok(_) if line.last() == Some(&b'\n') => {}
                Ok(0) => return Err(ClientError::Lost.into()),
                Ok(_) if line.len() > MAX_MESSAGE as usize => {
                    return Err(ClientError::Foreign {
                        reason: "its answer is too long".to_owned(),
                    }
                    .into());
                }
                Ok(_) => return Err(ClientError::Lost.into()),
                Err(e) if e.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(ClientError::Lost.into());
                }
                Err(source) => {
                    return Err(
                        ClientError::Io { state_dir: self.state_dir.clone(), source }.into()
                    );
                }
            }
            let response: Response<'_> = serde_json::from_slice(&line).map_err(|e| foreign(&e))?;
            // An error that answers nobody in particular (a null id) is about the connection: it is for us too.
            let ours = response.id.is_none_or(|given| given.get().parse() == Ok(id));
            if response.method.is_some() || !ours {
                continue;
            }
            match (response.result, response.error) {
                (_, Some(error)) => return Err(AttachError::Call(error)),
                (Some(result), None) => return Ok(result.to_owned()),
                (None, None) => continue,
            }
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn raw(value: &impl Serialize) -> Result<Box<RawValue>, AttachError> {
    serde_json::value::to_raw_value(value).map_err(|e| foreign(&e))
}

fn foreign(error: &serde_json::Error) -> AttachError {
    ClientError::Foreign { reason: error.to_string() }.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::control::socket::BoundSocket;

    /// A supervisor that reads one line for each entry of `script` and answers with it (`""`: no answer). What it
    /// read comes back.
    async fn scripted(
        script: &'static [&'static str],
    ) -> (tempfile::TempDir, tokio::task::JoinHandle<Vec<String>>, BoundSocket) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let socket = BoundSocket::bind(dir.path(), ATTACH_SOCKET).unwrap();
        let listener =
            tokio::net::UnixListener::from_std(socket.try_clone_listener().unwrap()).unwrap();
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let mut heard = Vec::new();
            for answer in script {
                let mut line = String::new();
                stream.read_line(&mut line).await.unwrap();
                heard.push(line.trim_end().to_owned());
                if !answer.is_empty() {
                    stream.get_mut().write_all(format!("{answer}\n").as_bytes()).await.unwrap();
                }
            }
            heard
        });
        (dir, server, socket)
    }

    const HELLO: &str = r#"{"jsonrpc":"2.0","id":0,"result":{"plugin":"geo","dialect":"native","generation":3,"state":"active"}}"#;

    fn json(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[tokio::test]
    async fn a_call_passes_its_params_and_result_byte_for_byte() {
        let (dir, server, _socket) = scripted(&[
            HELLO,
            concat!(
                r#"{"jsonrpc":"2.0","method":"$/progress","params":{}}"#,
                "\n",
                r#"{"jsonrpc":"2.0","id":99,"result":"somebody else's"}"#,
                "\n",
                r#"{"jsonrpc":"2.0","result":{"n":123456789012345678901234567890,"s":"\ud800"},"id":1}"#
            ),
        ])
        .await;
        let mut client =
            AttachClient::connect(dir.path(), "geo", Some(Duration::from_millis(5_000)))
                .await
                .unwrap();
        assert_eq!(client.attached().generation, 3);
        let result = client.call("geo/locate", &json(r#"{"big":1e400}"#)).await.unwrap();
        assert_eq!(result.get(), r#"{"n":123456789012345678901234567890,"s":"\ud800"}"#);
        assert_eq!(
            server.await.unwrap(),
            [
                r#"{"jsonrpc":"2.0","id":0,"method":"outboard/attach","params":{"plugin":"geo","caller":"cli","deadlineMs":5000}}"#,
                r#"{"jsonrpc":"2.0","id":1,"method":"geo/locate","params":{"big":1e400}}"#,
            ]
        );
    }

    #[tokio::test]
    async fn a_null_result_is_a_result() {
        let (dir, _server, _socket) =
            scripted(&[HELLO, r#"{"jsonrpc":"2.0","id":1,"result":null}"#]).await;
        let mut client = AttachClient::connect(dir.path(), "geo", None).await.unwrap();
        assert_eq!(client.call("m", &json("{}")).await.unwrap().get(), "null");
    }

    #[tokio::test]
    async fn an_error_keeps_its_details() {
        let (dir, _server, _socket) = scripted(&[
            r#"{"jsonrpc":"2.0","id":0,"error":{"code":-31001,"message":"no plugin geo","data":{"plugin":"geo","class":"not_found","source":"host","retryable":false}}}"#,
        ])
        .await;
        let AttachError::Call(error) =
            AttachClient::connect(dir.path(), "geo", None).await.unwrap_err()
        else {
            panic!("an answer of the supervisor is a call's error");
        };
        assert_eq!((error.code, error.details().class.as_deref()), (-31001, Some("not_found")));
    }

    #[tokio::test]
    async fn a_supervisor_that_goes_away_is_no_silence() {
        let (dir, server, _socket) = scripted(&[HELLO, ""]).await;
        let mut client = AttachClient::connect(dir.path(), "geo", None).await.unwrap();
        let gone = client.call("m", &json("{}")).await.unwrap_err();
        assert!(matches!(gone, AttachError::Client(ClientError::Lost)), "{gone}");
        assert_eq!(server.await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn a_notification_returns_once_it_has_been_taken() {
        let (dir, server, _socket) =
            scripted(&[HELLO, "", r#"{"jsonrpc":"2.0","id":1,"result":{}}"#]).await;
        let mut client = AttachClient::connect(dir.path(), "geo", None).await.unwrap();
        client.notify("geo/reload", &json("{}")).await.unwrap();
        assert_eq!(
            server.await.unwrap()[1],
            r#"{"jsonrpc":"2.0","method":"geo/reload","params":{}}"#
        );
    }

    #[tokio::test]
    async fn nobody_there_is_told_from_a_refusal() {
        let dir = tempfile::tempdir().unwrap();
        let nobody = AttachClient::connect(dir.path(), "geo", None).await.unwrap_err();
        assert!(
            matches!(nobody, AttachError::Client(ClientError::NoSupervisor { .. })),
            "{nobody}"
        );
    }
}
