//! Serves `attach.sock`: newline JSON-RPC straight to one plugin for each connection.
//!
//! The first line names the plugin; from then on every request is a call to it, save those that belong to the plugin's one
//! session with the host ([`outboard_wire::session`]): these the host answers, also while the plugin does not run. Ids and
//! progress tokens are the client's own and come back as they were sent.
//!
//! Many clients share a plugin, each bounded: a client that does not read its answers is not read from either, is told
//! no news, and loses its connection when it is owed too much.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use outboard_core::WhileRestarting;
use outboard_manifest::{Clients, Dialect};
use outboard_wire::error::Callee;
use outboard_wire::session::Speaks;
use outboard_wire::{CallError, DEFAULT_MAX_DEPTH, Item, Message, decode};
use serde::Deserialize;
use serde_json::json;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use self::budget::Budget;
use self::client::{Client, CutOff};
use self::messages::Session;
use self::seat::{Reading, Seat, Seats};
use super::reserve::{self, Reserve, Spent};
use super::socket::{BindError, BoundSocket, peer_uid};
use super::{ATTACH_SOCKET, MAX_MESSAGE, words};
use crate::host::{Answer, Caller, Supervisor, Token, caught};
use crate::nearest::nearest;

mod budget;
mod client;
mod kept;
mod messages;
mod opening;
mod peer;
mod seat;

pub(super) use kept::{KeptAttach, Leaving, Waiting};

/// Connections served at the same time.
const CONNECTIONS: usize = 1024;

/// How long a client may take over its first line.
const FIRST_LINE: Duration = Duration::from_secs(10);

/// How long the answer to the opening of a client's session is held when it does not say.
const OPENING: Duration = Duration::from_secs(25);

/// What a client may send before it is attached: its first line is short.
const FIRST_BYTES: usize = 256 * 1024;

const SCRATCH: usize = 64 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into());
}

/// A running attach server. Dropped, it takes no more clients and lets go of those it has.
#[derive(Debug)]
pub struct AttachServer {
    socket: Arc<BoundSocket>,
    accepting: JoinHandle<()>,
    seats: Arc<Seats>,
}

/// The clients that a server has.
#[derive(Clone, Debug)]
pub struct Attached {
    seats: Arc<Seats>,
}

impl Attached {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.seats.all().len()
    }
}

impl AttachServer {
    /// Binds the attach socket in the state directory and serves it on the current runtime.
    ///
    /// # Errors
    ///
    /// When the socket cannot be bound; what lies at its path is untouched then.
    pub fn start(state_dir: &Path, supervisor: Supervisor) -> Result<Self, BindError> {
        let socket = Arc::new(BoundSocket::bind(state_dir, ATTACH_SOCKET)?);
        Self::serve(socket, Arc::default(), Budget::default(), supervisor)
    }

    /// Serves a socket that is bound already, beside clients that are there already.
    fn serve(
        socket: Arc<BoundSocket>,
        seats: Arc<Seats>,
        budget: Budget,
        supervisor: Supervisor,
    ) -> Result<Self, BindError> {
        let listener =
            socket.try_clone_listener().and_then(UnixListener::from_std).map_err(|source| {
                BindError::Io { action: "serve", path: socket.path().to_owned(), source }
            })?;
        let accepting = caught(accept(listener, supervisor.clone(), Arc::clone(&seats), budget));
        let accepting = tokio::spawn(async move {
            if let Err(message) = accepting.await {
                supervisor.panicked("the attach socket", message);
            }
        });
        Ok(Self { socket, accepting, seats })
    }

    /// The clients that it has.
    #[must_use]
    pub fn clients(&self) -> Attached {
        Attached { seats: Arc::clone(&self.seats) }
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

async fn accept(listener: UnixListener, supervisor: Supervisor, seats: Arc<Seats>, budget: Budget) {
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
                let seat = Seat::new(stream, &budget, &supervisor);
                let (supervisor, seats) = (supervisor.clone(), Arc::clone(&seats));
                tokio::spawn(async move {
                    serve(seat, &supervisor, &seats).await;
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Attach {
    plugin: String,
    #[serde(default)]
    caller: Option<String>,
    #[serde(default)]
    deadline_ms: Option<u64>,
    /// Without a deadline of its own, a call has that of calls by hand, and not that of attached clients.
    #[serde(default)]
    bounded: bool,
    #[serde(default)]
    while_restarting: Option<Wish>,
    /// How long the answer to the opening of its session may be held.
    #[serde(default)]
    wait_ms: Option<u64>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wish {
    Fail,
    Wait,
}

async fn serve(seat: Arc<Seat>, supervisor: &Supervisor, seats: &Seats) {
    let client = &seat.client;
    seats.take(&seat);
    let writing = tokio::spawn(client.clone().write());
    let mut going = true;
    while going {
        client.wait_for_room().await;
        let ready = tokio::time::timeout(FIRST_LINE, client.stream().readable());
        match (ready.await, seat.is_attached()) {
            (Ok(Ok(())), _) => {}
            (Ok(Err(_)), _) | (Err(_), false) => break,
            // A client may be silent for as long as it likes once it is attached.
            (Err(_), true) => match client.stream().readable().await {
                Ok(()) => {}
                Err(_) => break,
            },
        }
        if client.is_elsewhere() {
            return;
        }
        let Reading { framer, session, strange } = &mut *seat.reading();
        BUFFER.with_borrow_mut(|buffer| match client.stream().try_read(buffer) {
            Ok(0) => going = false,
            Ok(n) => {
                framer.feed(&buffer[..n], &mut |item| {
                    if going {
                        going = item_of(item, client, session, supervisor);
                    }
                });
                // Nobody that is to be served says so much before it says whom it wants.
                *strange += if session.is_none() { n } else { 0 };
                going &= *strange <= FIRST_BYTES;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => going = false,
        });
    }
    if client.is_elsewhere() {
        return;
    }
    seats.leave(&seat);
    if let Some(session) = seat.leave() {
        leave(client, &session, supervisor);
    }
    client.finish();
    // What it is still owed is written unless it has gone; it cannot hold this up for ever.
    let abort = writing.abort_handle();
    if tokio::time::timeout(FIRST_LINE, writing).await.is_err() {
        abort.abort();
    }
}

/// A client has gone, or has been let go: nobody asks it anything, its calls are taken back, and what the plugin was told
/// on its behalf is told anew.
fn leave(client: &Arc<Client>, session: &Session, supervisor: &Supervisor) {
    let slot = &session.slot;
    slot.guests.leave(&**client);
    let (asked, cut_off) = client.end();
    for relayed in asked {
        relayed.decline();
    }
    let mine = |token: &Token| token.belongs_to(client);
    slot.cancel_where(&mine, "caller");
    // A command that tells the plugin of a document is over at once, and the document is meant to stay.
    let closings = session.speaks.map_or_else(Vec::new, |_| client.session().closings());
    for (method, params) in closings {
        if let Err(error) = slot.notify(method, &params) {
            tracing::debug!(plugin = &*slot.id, %error, "no process has the client's documents open");
        }
    }
    slot.wants_changed();
    let missed = client.take_missed();
    let by = peer::name_of(client.stream());
    if let Some(CutOff { why, owed_bytes, open_calls }) = cut_off {
        let fields = json!({
            "client": by,
            "why": why,
            "owed_bytes": owed_bytes,
            "open_calls": open_calls,
            "missed": missed,
        });
        supervisor.say_of(slot, "client.cut_off", fields);
    } else if missed > 0 {
        supervisor.say_of(slot, "client.missed", json!({"client": by, "n": missed}));
    }
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
                    messages::message(message, client, session, supervisor);
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
        Item::Runaway { .. } | Item::Fatal { .. } => false,
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
    if let Some(why) = supervisor.why_refused(client.whose(), ATTACH_SOCKET) {
        let callee = Callee { plugin: &attach.plugin, generation: 0 };
        client.owe();
        client.answer(&id, Err(&CallError::client_refused(callee, why)));
        return None;
    }
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
    let speaks = match manifest.dialect {
        Dialect::Mcp => Speaks::Mcp,
        Dialect::Lsp => Speaks::Lsp,
        Dialect::Native => Speaks::Native,
    };
    let asked_by = match attach.caller.as_deref() {
        Some("cli") => "cli",
        Some(_) | None => "api:attach",
    };
    // A command that makes one call is no client that shares a session.
    let shares = asked_by != "cli";
    let caller = match client.whose().plugin() {
        Some(plugin) => Caller::plugin_client(plugin),
        None => Caller::client(asked_by),
    };
    *client.session() = outboard_wire::Session::new(speaks);
    if shares {
        let alone = manifest.attach.clients == Clients::One;
        let alone = alone.then(|| peer::name_of(client.stream()));
        if let Err(held) = slot.guests.join(client.clone(), alone) {
            let callee = Callee { plugin: &attach.plugin, generation: snapshot.generation };
            client.owe();
            client.answer(&id, Err(&CallError::held(callee, &held.by)));
            return None;
        }
    }
    let result = json!({
        "plugin": &*slot.id,
        "dialect": manifest.dialect.name(),
        "generation": snapshot.generation,
        "state": crate::observe::state(snapshot.state),
    });
    client.owe();
    client.answer(&id, Ok(&result.to_string()));
    let deadline = match attach.deadline_ms {
        Some(ms) => Some(Duration::from_millis(ms)),
        None if attach.bounded => Some(manifest.calls.deadline),
        None => manifest.calls.attach_deadline,
    };
    let while_restarting = attach.while_restarting.map(|wish| match wish {
        Wish::Fail => WhileRestarting::Fail,
        Wish::Wait => WhileRestarting::Wait,
    });
    let wait = attach.wait_ms.map_or(OPENING, Duration::from_millis);
    let speaks = shares.then_some(speaks);
    Some(Session { slot, speaks, caller, deadline, while_restarting, wait })
}
