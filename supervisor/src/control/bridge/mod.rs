//! `outboard attach`: a client that speaks over its standard input and output, and the attach socket behind it.
//!
//! The bridge passes messages as they are. What makes it more than a pipe is what it says when it cannot: a client's first
//! request is answered with the reason, and calls that were open when the supervisor went away end with an error. It then
//! opens the same session with the supervisor that comes next, if one comes soon.

mod framing;
mod mirror;
mod stdio;

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use outboard_wire::frame::Framing;
use outboard_wire::{DEFAULT_MAX_DEPTH, Framer, Id, Item, Message, decode, encode};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::Instant;

use self::mirror::{Line, Mirror};
use self::stdio::{Input, Output};
use super::MAX_MESSAGE;
use super::attach_client::{AttachClient, AttachError, Attached, CallError};
use super::client::ClientError;

/// How long what is open may take to be answered after the client has closed its side.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// How long a client may take over its first request when all that it will get is the reason why nothing works, and over
/// another one after that: some try one kind of opening after the other.
const FIRST_REQUEST: Duration = Duration::from_secs(10);
const NEXT_REQUEST: Duration = Duration::from_secs(2);

/// Between two tries to reach a supervisor.
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

const CHUNK: usize = 64 * 1024;

/// What a bridge is to do.
#[derive(Clone, Debug)]
pub struct Setup {
    pub state_dir: PathBuf,
    pub plugin: String,
    /// How long the client's opening is held at most, and how long a supervisor is waited for that went away.
    pub wait: Duration,
}

/// Makes sure that a supervisor is there, for bridges that may start one.
pub trait Starter {
    /// Starts a supervisor if none serves the state directory; returns when one does.
    fn ensure(&mut self, within: Duration) -> impl Future<Output = Result<(), AttachError>>;
}

/// Serves one client until it leaves.
///
/// # Errors
///
/// Why it cannot be served, or not any longer. The client has been told, as far as it asked.
pub async fn run(
    setup: Setup,
    mut starter: impl Starter,
    stdin: impl Read + Send + 'static,
    stdout: impl Write + Send + 'static,
) -> Result<(), AttachError> {
    let io = |source| ClientError::Io { state_dir: setup.state_dir.clone(), source };
    let input = stdio::input(stdin).map_err(io)?;
    let output = stdio::output(stdout).map_err(io)?;
    let mut bridge = Bridge::new(setup, input, output);
    let ended = bridge.serve(&mut starter).await;
    if let Err(error) = &ended {
        bridge.explain(error).await;
    }
    bridge.output.flush().await;
    ended
}

/// How one connection ended.
enum End {
    /// The client has left, and has been answered.
    Left,
    /// The supervisor has gone.
    Lost,
    /// There will be no session: the client has been told why.
    Refused(CallError),
    /// The supervisor has ended it, with a reason.
    Ended { class: String, message: String },
}

struct Bridge {
    setup: Setup,
    input: Input,
    output: Output,
    /// How the client's messages are told apart.
    framing: Framing,
    framer: Framer,
    mirror: Option<Mirror>,
    /// The client has closed its side.
    closed: bool,
}

impl Bridge {
    fn new(setup: Setup, input: Input, output: Output) -> Self {
        let framing = Framing::Newline;
        let framer = Framer::new(framing, MAX_MESSAGE as usize);
        Self { setup, input, output, framing, framer, mirror: None, closed: false }
    }

    /// Nothing of the client has been read yet.
    fn speak(&mut self, framing: Framing) {
        self.framing = framing;
        self.framer = Framer::new(framing, MAX_MESSAGE as usize);
    }

    async fn serve(&mut self, starter: &mut impl Starter) -> Result<(), AttachError> {
        let mut connection = self.connect(starter).await?;
        self.speak(framing::of_dialect(&connection.attached.dialect));
        self.mirror = Some(Mirror::new(&connection.attached.dialect));
        loop {
            match self.pump(&mut connection).await {
                End::Left => return Ok(()),
                End::Refused(error) => return Err(AttachError::Call(error)),
                End::Ended { class, message } => {
                    return Err(AttachError::Ended { class, message });
                }
                End::Lost => {}
            }
            self.settle().await;
            if self.closed || self.output.is_broken() {
                return Ok(());
            }
            connection = self.reconnect(starter).await?;
        }
    }

    async fn connect(&self, starter: &mut impl Starter) -> Result<Connection, AttachError> {
        starter.ensure(self.setup.wait).await?;
        Connection::open(&self.setup).await
    }

    /// Waits for a supervisor and opens the client's session with it as it was.
    async fn reconnect(&mut self, starter: &mut impl Starter) -> Result<Connection, AttachError> {
        let until = Instant::now() + self.setup.wait;
        loop {
            let tried = match self.connect(starter).await {
                Ok(connection) => self.reopen(connection, until).await,
                Err(error) => Err(error),
            };
            match tried {
                Ok(connection) => return Ok(connection),
                Err(error) if Instant::now() >= until || !will_pass(&error) => return Err(error),
                Err(_) => tokio::time::sleep(BETWEEN_TRIES).await,
            }
        }
    }

    async fn reopen(
        &mut self,
        mut connection: Connection,
        until: Instant,
    ) -> Result<Connection, AttachError> {
        let Some(mirror) = &mut self.mirror else { return Ok(connection) };
        let Some((id, line)) = mirror.reopen() else { return Ok(connection) };
        connection.write(&line).await?;
        let answer = tokio::time::timeout_at(until, connection.answer(&id));
        let Ok(answer) = answer.await else {
            let state_dir = self.setup.state_dir.clone();
            return Err(ClientError::NotAnswering { state_dir }.into());
        };
        let (up, down) = mirror
            .reopened(&answer?)
            .map_err(|message| AttachError::Ended { class: "changed".to_owned(), message })?;
        connection.write(&up).await?;
        self.output.write(framing::messages(self.framing, down)).await;
        Ok(connection)
    }

    /// Passes messages both ways until one side ends. Neither way waits for the other: whoever writes much before it
    /// reads is served all the same.
    async fn pump(&mut self, connection: &mut Connection) -> End {
        let Self { input, output, framing, framer, mirror, closed, .. } = self;
        let framing = *framing;
        let mut last = None;
        let mut chunk = vec![0; CHUNK];
        let (mut up, mut down) = (Vec::new(), Vec::new());
        let early = std::mem::take(&mut connection.early);
        from_supervisor(&mut connection.framer, mirror, &early, framing, &mut down, &mut last);
        loop {
            if down.is_empty() {
                match last {
                    Some(End::Refused(_) | End::Lost) => return last.unwrap_or(End::Lost),
                    _ if *closed
                        && up.is_empty()
                        && mirror.as_ref().is_none_or(Mirror::is_idle) =>
                    {
                        return End::Left;
                    }
                    _ => {}
                }
            }
            tokio::select! {
                read = connection.reader.read(&mut chunk), if down.is_empty() => match read {
                    Ok(n @ 1..) => {
                        let lines = &mut connection.framer;
                        from_supervisor(
                            lines, mirror, &chunk[..n], framing, &mut down, &mut last,
                        );
                    }
                    Ok(0) | Err(_) => return last.unwrap_or(End::Lost),
                },
                room = output.room(), if !down.is_empty() => match room {
                    Some(room) => room.give(std::mem::take(&mut down)),
                    None => return End::Left,
                },
                ready = connection.writer.writable(), if !up.is_empty() => {
                    match ready.and_then(|()| connection.writer.try_write(&up)) {
                        Ok(n) => drop(up.drain(..n)),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        // A supervisor that has gone shows when it is read from.
                        Err(_) => up.clear(),
                    }
                }
                given = input.recv(), if up.is_empty() && !*closed => match given {
                    Some(bytes) => *closed = from_client(framer, mirror, &bytes, &mut up),
                    None => *closed = true,
                },
                () = tokio::time::sleep(LAST_ANSWERS), if *closed => return End::Left,
            }
        }
    }

    /// The supervisor has gone: nothing that was open will be answered by it.
    async fn settle(&mut self) {
        let Some(mirror) = &mut self.mirror else { return };
        let error = json!({
            "code": -31008,
            "message": "outboard: the supervisor went away during the call",
            "data": {
                "plugin": self.setup.plugin,
                "generation": 0,
                "class": "host_exit",
                "retryable": false,
                "source": "host",
                "sent": true,
            },
        });
        let ends = mirror.settle(&error.to_string());
        self.output.write(framing::messages(self.framing, ends)).await;
    }

    /// A client that has had no answer yet is given the reason: it would show "connection closed", which is none. One whose
    /// session ends is told where its protocol has a way.
    async fn explain(&mut self, why: &AttachError) {
        if self.closed {
            return;
        }
        if let Some(mirror) = self.mirror.as_ref().filter(|mirror| mirror.is_open()) {
            let word = mirror.last_word(&self.setup.plugin, why);
            self.output.write(framing::messages(self.framing, word)).await;
            return;
        }
        if let AttachError::Call(_) = why
            && self.mirror.is_some()
        {
            // It has been passed on as it was.
            return;
        }
        let error = said_to_client(why, &self.setup.plugin);
        let mut patience = FIRST_REQUEST;
        while let Ok(Some(bytes)) = tokio::time::timeout(patience, self.input.recv()).await {
            if patience == FIRST_REQUEST && self.mirror.is_none() {
                self.speak(framing::of_first_words(&bytes));
            }
            patience = NEXT_REQUEST;
            let (mut answers, mut opened) = (Vec::new(), false);
            self.framer.feed(&bytes, &mut |item| {
                let Item::Frame(frame) = item else { return };
                if let Ok(Message::Request { id, method, .. }) = decode(frame, DEFAULT_MAX_DEPTH) {
                    encode::error_raw(&mut answers, &id, &error);
                    opened |= method == "initialize";
                }
            });
            let answers = framing::messages(self.framing, answers);
            if !self.output.write(answers).await || opened {
                return;
            }
        }
    }
}

/// Messages of the client, on their way up. True when it has left by a word of its own, or can be understood no longer.
fn from_client(
    framer: &mut Framer,
    mirror: &mut Option<Mirror>,
    bytes: &[u8],
    up: &mut Vec<u8>,
) -> bool {
    let mut lost = false;
    framer.feed(bytes, &mut |item| {
        lost |= matches!(item, Item::Fatal { .. });
        // Noise is nobody's: no client means it to be answered.
        let Item::Frame(frame) = item else { return };
        if let (Ok(message), Some(mirror)) = (decode(frame, DEFAULT_MAX_DEPTH), &mut *mirror) {
            mirror.up(&message);
        }
        encode::as_line(up, frame);
    });
    lost || mirror.as_ref().is_some_and(Mirror::has_left)
}

/// Lines of the supervisor, on their way down.
fn from_supervisor(
    framer: &mut Framer,
    mirror: &mut Option<Mirror>,
    bytes: &[u8],
    framing: Framing,
    down: &mut Vec<u8>,
    last: &mut Option<End>,
) {
    let Some(mirror) = mirror else { return };
    framer.feed(bytes, &mut |item| {
        let Item::Frame(frame) = item else { return };
        let line = match decode(frame, DEFAULT_MAX_DEPTH) {
            Ok(message) => {
                let line = mirror.down(&message);
                if line == Line::Refused
                    && let Message::Response { outcome: Err(error), .. } = &message
                {
                    let error = serde_json::from_str(error.raw.get());
                    *last = error.ok().map(End::Refused);
                }
                line
            }
            Err(_) => Line::Pass,
        };
        match line {
            Line::Pass | Line::Refused => framing::message(framing, down, frame),
            Line::Swallow => {}
            Line::Ended { class, message } => *last = Some(End::Ended { class, message }),
        }
    });
}

/// The error object that a client gets in place of its session.
fn said_to_client(why: &AttachError, plugin: &str) -> String {
    if let AttachError::Call(error) = why {
        let message = format!("outboard: {}", error.message);
        return json!({"code": error.code, "message": message, "data": error.data}).to_string();
    }
    let (class, help) = match why {
        AttachError::Client(ClientError::NoSupervisor { .. }) => {
            ("no_supervisor", ". Start it with: outboard run DIR")
        }
        _ => ("no_supervisor", ""),
    };
    let data = json!({
        "plugin": plugin,
        "generation": 0,
        "class": class,
        "retryable": false,
        "source": "host",
        "sent": false,
    });
    json!({"code": -31001, "message": format!("outboard: {why}{help}"), "data": data}).to_string()
}

/// Whether another try may go better.
fn will_pass(error: &AttachError) -> bool {
    match error {
        AttachError::Client(error) => {
            matches!(
                error,
                ClientError::NoSupervisor { .. } | ClientError::Lost | ClientError::Io { .. }
            )
        }
        // A plugin is registered a moment after the sockets are there, and starts after that.
        AttachError::Call(error) => is_passing(error),
        AttachError::Silent { .. } | AttachError::Ended { .. } => false,
    }
}

fn is_passing(error: &CallError) -> bool {
    error.details().retryable == Some(true)
}

/// A connection to the supervisor, attached to the plugin.
struct Connection {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    framer: Framer,
    /// Read before anybody wanted it.
    early: Vec<u8>,
    attached: Attached,
}

impl Connection {
    async fn open(setup: &Setup) -> Result<Self, AttachError> {
        let client = AttachClient::connect_for(&setup.state_dir, &setup.plugin, setup.wait).await?;
        let (stream, attached) = client.into_parts();
        let early = stream.buffer().to_vec();
        let (reader, writer) = stream.into_inner().into_split();
        let framer = Framer::newline(MAX_MESSAGE as usize);
        Ok(Self { reader, writer, framer, early, attached })
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), AttachError> {
        self.writer.write_all(bytes).await.map_err(|_| ClientError::Lost.into())
    }

    /// The result of the bridge's own request of this id. Nothing else is asked meanwhile, and notifications that come
    /// before it are of a session that the client has not yet.
    async fn answer(&mut self, id: &Id) -> Result<String, AttachError> {
        let mut chunk = std::mem::take(&mut self.early);
        loop {
            let mut found = None;
            self.framer.feed(&chunk, &mut |item| {
                let Item::Frame(frame) = item else { return };
                if let Ok(Message::Response { id: answered, outcome }) =
                    decode(frame, DEFAULT_MAX_DEPTH)
                    && answered == *id
                {
                    found = Some(match outcome {
                        Ok(result) => Ok(result.get().to_owned()),
                        Err(error) => Err(error.raw.get().to_owned()),
                    });
                }
            });
            match found {
                None => {
                    chunk.resize(CHUNK, 0);
                    let n = self.reader.read(&mut chunk).await.unwrap_or(0);
                    if n == 0 {
                        return Err(ClientError::Lost.into());
                    }
                    chunk.truncate(n);
                }
                Some(Ok(result)) => return Ok(result),
                Some(Err(error)) => {
                    return Err(match serde_json::from_str(&error) {
                        Ok(error) => AttachError::Call(error),
                        Err(_) => ClientError::Lost.into(),
                    });
                }
            }
        }
    }
}
