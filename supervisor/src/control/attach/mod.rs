//! Serves `attach.sock`: newline JSON-RPC straight to one plugin for each connection.
//!
//! The first line names the plugin; from then on every request is a call to it. Ids are the client's own and come
//! back as they were sent. Many clients share a plugin, each bounded: a client that does not read its answers is not
//! read from either.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use outboard_core::{Time, WhileRestarting};
use outboard_wire::error::Callee;
use outboard_wire::{CallError, DEFAULT_MAX_DEPTH, Framer, Id, Item, Message, decode};
use serde::Deserialize;
use serde_json::json;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use self::client::Client;
use super::reserve::{self, Reserve, Spent};
use super::socket::{BindError, BoundSocket, peer_uid};
use super::{ATTACH_SOCKET, MAX_MESSAGE};
use crate::host::{Answer, Call, Caller, More, Slot, Supervisor, Token};
use crate::nearest::nearest;

mod client;

/// Connections served at the same time.
const CONNECTIONS: usize = 1024;

/// How long a client may take over its first line.
const FIRST_LINE: Duration = Duration::from_secs(10);

/// What a client may send before it is attached: its first line is short.
const FIRST_BYTES: usize = 256 * 1024;

const SCRATCH: usize = 64 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into());
}

/// A running attach server. Dropped, it takes no more clients and lets go of those it has.
#[derive(Debug)]
pub struct AttachServer {
    socket: BoundSocket,
    accepting: JoinHandle<()>,
}

impl AttachServer {
    /// Binds the attach socket in the state directory and serves it on the current runtime.
    ///
    /// # Errors
    ///
    /// When the socket cannot be bound; what lies at its path is untouched then.
    pub fn start(state_dir: &Path, supervisor: Supervisor) -> Result<Self, BindError> {
        let socket = BoundSocket::bind(state_dir, ATTACH_SOCKET)?;
        let listener =
            socket.try_clone_listener().and_then(UnixListener::from_std).map_err(|source| {
                BindError::Io { action: "serve", path: socket.path().to_owned(), source }
            })?;
        let accepting = tokio::spawn(accept(listener, supervisor));
        Ok(Self { socket, accepting })
    }

    /// Where the socket is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.socket.path()
    }
}

impl Drop for AttachServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: UnixListener, supervisor: Supervisor) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let me = nix::unistd::geteuid().as_raw();
    let reserve = Reserve::of(1);
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                // The socket's mode keeps others out; this is for a directory that was opened up by hand.
                if !peer_uid(&stream).is_some_and(|uid| uid == me || uid == 0) {
                    continue;
                }
                let supervisor = supervisor.clone();
                tokio::spawn(async move {
                    serve(stream, &supervisor).await;
                    drop(place);
                });
            }
            Err(error) => {
                if Reserve::is_for(&error)
                    && let Some(Spent::Last(stream) | Spent::Spare(stream)) =
                        reserve.spend(&listener)
                {
                    turn_away(&stream);
                    drop(stream);
                    reserve.refill();
                }
                tokio::time::sleep(reserve::PAUSE).await;
            }
        }
    }
}

/// Says why, if the kernel takes it at once. There is no plugin yet that an error could be about.
fn turn_away(stream: &UnixStream) {
    let line = serde_json::json!({
        "jsonrpc": "2.0",
        "id": null,
        "error": {
            "code": -31004,
            "message": reserve::WHY,
            "data": {"class": "descriptors", "retryable": true, "source": "host", "sent": false},
        },
    });
    if stream.try_write(format!("{line}\n").as_bytes()).is_err() {
        tracing::debug!("a refused client was gone before it was told why");
    }
}

/// What a connection is attached to, once its first line has said so.
struct Session {
    slot: Arc<Slot>,
    caller: Caller,
    /// For calls of this connection; `None` leaves their end to the client.
    deadline: Option<Duration>,
    /// What calls of this connection do while the plugin is not up; `None` leaves it to the manifest.
    while_restarting: Option<WhileRestarting>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Attach {
    plugin: String,
    #[serde(default)]
    caller: Option<String>,
    #[serde(default)]
    deadline_ms: Option<u64>,
    #[serde(default)]
    while_restarting: Option<Wish>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wish {
    Fail,
    Wait,
}

async fn serve(stream: UnixStream, supervisor: &Supervisor) {
    let (reader, writer) = stream.into_split();
    let client = Arc::new(Client::default());
    let writing = tokio::spawn(client.clone().write(writer));
    let mut framer = Framer::newline(MAX_MESSAGE as usize);
    let mut session: Option<Session> = None;
    let mut going = true;
    let mut strange = 0;
    while going {
        client.wait_for_room().await;
        let ready = tokio::time::timeout(FIRST_LINE, reader.readable());
        match (ready.await, &session) {
            (Ok(Ok(())), _) => {}
            (Ok(Err(_)), _) | (Err(_), None) => break,
            // A client may be silent for as long as it likes once it is attached.
            (Err(_), Some(_)) => match reader.readable().await {
                Ok(()) => {}
                Err(_) => break,
            },
        }
        BUFFER.with_borrow_mut(|buffer| match reader.try_read(buffer) {
            Ok(0) => going = false,
            Ok(n) => {
                framer.feed(&buffer[..n], &mut |item| {
                    if going {
                        going = item_of(item, &client, &mut session, supervisor);
                    }
                });
                // Nobody that is to be served says so much before it says whom it wants.
                strange += if session.is_none() { n } else { 0 };
                going &= strange <= FIRST_BYTES;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => going = false,
        });
    }
    if let Some(session) = session {
        session.slot.detach();
        let mine = |token: &Token| token.belongs_to(&client);
        session.slot.cancel_where(&mine, "caller");
    }
    client.end();
    // What it is still owed is written unless it has gone; it cannot hold this up for ever.
    drop(tokio::time::timeout(FIRST_LINE, writing).await);
}

/// Handles one line; false ends the connection.
fn item_of(
    item: Item<'_>,
    client: &Arc<Client>,
    session: &mut Option<Session>,
    supervisor: &Supervisor,
) -> bool {
    match item {
        Item::Frame(frame) => match decode(frame, DEFAULT_MAX_DEPTH) {
            Ok(message) => match session {
                Some(session) => {
                    message_of(message, client, session, supervisor);
                    true
                }
                None => match attach(message, client, supervisor) {
                    Some(begun) => {
                        *session = Some(begun);
                        true
                    }
                    None => false,
                },
            },
            Err(reject) => {
                if let Some(id) = &reject.id {
                    client.refuse(
                        id,
                        -32600,
                        &format!("not a JSON-RPC 2.0 message: {}", reject.reason.as_str()),
                    );
                }
                session.is_some()
            }
        },
        // Noise of a client hurts nobody but itself, and after the first line it may go on.
        Item::Junk { .. } => session.is_some(),
        Item::TooLong { id, .. } => {
            if let Some(id) = id {
                client.refuse(&id, -31005, "the request is larger than any frame may be");
            }
            session.is_some()
        }
        Item::Runaway { .. } | Item::Fatal(_) => false,
        Item::Tail { .. } => true,
    }
}

fn attach(message: Message<'_>, client: &Arc<Client>, supervisor: &Supervisor) -> Option<Session> {
    let Message::Request { id, method, params } = message else { return None };
    if method != "outboard/attach" {
        client.refuse(&id, -32600, "the first line has to be a request `outboard/attach`");
        return None;
    }
    let text = params.map_or("{}", |p| p.get());
    let attach: Attach = match serde_json::from_str(text) {
        Ok(attach) => attach,
        Err(error) => {
            client.refuse(&id, -32602, &format!("outboard/attach: {error}"));
            return None;
        }
    };
    let Some(slot) = supervisor.slot(&attach.plugin) else {
        let callee = Callee { plugin: &attach.plugin, generation: 0 };
        let mut error = CallError::unavailable(callee, "not_found");
        let ids = supervisor.ids();
        if let Some(near) = nearest(&attach.plugin, ids.iter().map(|id| &**id)) {
            let message = format!("{}; did you mean `{near}`?", error.message());
            error = error.with_message(message).with_nearest(near);
        }
        client.owe();
        client.answer(&id, Err(&error));
        return None;
    };
    let snapshot = slot.snapshot();
    let manifest = slot.manifest();
    let result = json!({
        "plugin": &*slot.id,
        "dialect": manifest.dialect.name(),
        "generation": snapshot.generation,
        "state": crate::observe::state(snapshot.state),
    });
    client.owe();
    client.answer(&id, Ok(&result.to_string()));
    slot.attach();
    let caller = match attach.caller.as_deref() {
        Some("cli") => Caller::client("cli"),
        Some(_) | None => Caller::client("api:attach"),
    };
    let deadline = match attach.deadline_ms {
        Some(ms) => Some(Duration::from_millis(ms)),
        None => manifest.calls.attach_deadline,
    };
    let while_restarting = attach.while_restarting.map(|wish| match wish {
        Wish::Fail => WhileRestarting::Fail,
        Wish::Wait => WhileRestarting::Wait,
    });
    Some(Session { slot, caller, deadline, while_restarting })
}

fn message_of(
    message: Message<'_>,
    client: &Arc<Client>,
    session: &Session,
    supervisor: &Supervisor,
) {
    match message {
        // The supervisor answers for itself: whoever asks this wants to know whether anybody is there.
        Message::Request { id, method, .. } if method == "ping" => {
            client.owe();
            client.answer(&id, Ok("{}"));
        }
        Message::Request { id, method, params } => {
            client.owe();
            let began: Time = supervisor.clock().now();
            session.slot.submit(Call {
                method: method.into(),
                params: params.map_or("", |p| p.get()).into(),
                deadline: session.deadline.map(|span| began + span),
                began,
                caller: session.caller.clone(),
                token: Token::Client(client.clone(), id),
                more: session
                    .while_restarting
                    .map(|wish| Box::new(More { while_restarting: Some(wish), ..More::default() })),
            });
        }
        Message::Notification { method, params } => {
            if let Some(id) = cancelled(&method, params) {
                let wanted = |token: &Token| {
                    token.belongs_to(client) && matches!(token, Token::Client(_, own) if *own == id)
                };
                session.slot.cancel_where(&wanted, "caller");
                return;
            }
            // A notification has no answer, so a refusal has nowhere to go but the plugin's log.
            if let Err(error) = session.slot.notify(&method, params.map_or("", |p| p.get())) {
                tracing::debug!(plugin = &*session.slot.id, %error, "a client's notification was not sent");
            }
        }
        // Requests of plugins are answered by the host and never reach a client: nothing to answer.
        Message::Response { .. } | Message::OrphanError { .. } => {}
    }
}

/// The id that a client's cancellation names, in any dialect's words.
fn cancelled(method: &str, params: Option<&serde_json::value::RawValue>) -> Option<Id> {
    let member = match method {
        "$/cancel" | "$/cancelRequest" => "id",
        "notifications/cancelled" => "requestId",
        _ => return None,
    };
    let params: serde_json::Value = serde_json::from_str(params?.get()).ok()?;
    match params.get(member)? {
        serde_json::Value::Number(n) => n.as_i64().map(Id::Num),
        serde_json::Value::String(s) => Some(Id::Str(s.as_str().into())),
        _ => None,
    }
}
