//! A plain client of `attach.sock`: one connection, one plugin, newline JSON-RPC.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::clock::hang_bound;

/// A connection to one plugin. Requests may be sent many at a time; answers are matched by id.
#[derive(Debug)]
pub struct Attach {
    stream: BufReader<UnixStream>,
    next_id: u64,
    early: HashMap<u64, Outcome>,
    /// What the supervisor said of the plugin.
    pub hello: Value,
}

/// A result, as text, or an error.
pub type Outcome = Result<Box<RawValue>, CallError>;

/// An error answer.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct CallError {
    pub code: i64,
    pub message: String,
    #[serde(default)]
    pub data: Value,
}

impl CallError {
    /// `data.class`.
    #[must_use]
    pub fn class(&self) -> &str {
        self.data["class"].as_str().unwrap_or_default()
    }
}

#[derive(Deserialize)]
struct Line {
    id: Option<u64>,
    #[serde(default)]
    result: Option<Box<RawValue>>,
    #[serde(default)]
    error: Option<CallError>,
}

impl Attach {
    /// Attaches to a plugin; `deadline` is for each of its calls.
    ///
    /// # Errors
    ///
    /// What the supervisor answers in place of a welcome.
    ///
    /// # Panics
    ///
    /// When nobody serves the socket.
    pub fn open(
        socket: &Path,
        plugin: &str,
        deadline: Option<Duration>,
    ) -> Result<Self, CallError> {
        let mut more = json!({});
        if let Some(deadline) = deadline {
            more["deadlineMs"] = json!(u64::try_from(deadline.as_millis()).unwrap());
        }
        Self::open_as(socket, plugin, &more)
    }

    /// Attaches to a plugin with more members in the first line.
    ///
    /// # Errors
    ///
    /// What the supervisor answers in place of a welcome.
    ///
    /// # Panics
    ///
    /// When nobody serves the socket.
    pub fn open_as(socket: &Path, plugin: &str, more: &Value) -> Result<Self, CallError> {
        let stream = UnixStream::connect(socket)
            .unwrap_or_else(|error| panic!("{}: {error}", socket.display()));
        stream.set_read_timeout(Some(hang_bound())).unwrap();
        stream.set_write_timeout(Some(hang_bound())).unwrap();
        let stream = BufReader::new(stream);
        let mut client = Self { stream, next_id: 0, early: HashMap::new(), hello: Value::Null };
        let mut params = json!({"plugin": plugin, "caller": "cli"});
        for (name, value) in more.as_object().into_iter().flatten() {
            params[name] = value.clone();
        }
        let id = client.send("outboard/attach", &params);
        let hello = client.answer(id)?;
        client.hello = serde_json::from_str(hello.get()).unwrap();
        Ok(client)
    }

    /// Sends one call and gives its id.
    pub fn send(&mut self, method: &str, params: &Value) -> u64 {
        self.send_raw(method, &params.to_string())
    }

    /// Sends one call whose parameters are this text, and gives its id.
    pub fn send_raw(&mut self, method: &str, params: &str) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.write(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#
        ));
        id
    }

    /// Sends one line as it is.
    pub fn write(&mut self, line: &str) {
        self.stream.get_mut().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Sends text as it is, without an end of line.
    pub fn write_raw(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// Whether something that was sent has not been read by the supervisor: unix(7), `SIOCOUTQ`.
    #[must_use]
    pub fn is_unheard(&self) -> bool {
        let mut bytes = 0;
        // SAFETY: SIOCOUTQ, which is TIOCOUTQ, writes one int.
        unsafe { libc::ioctl(self.stream.get_ref().as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
        bytes > 0
    }

    /// Bytes that have come for this client, and that it has not read.
    #[must_use]
    pub fn unread(&self) -> usize {
        let mut bytes = 0;
        // SAFETY: FIONREAD writes one int.
        unsafe { libc::ioctl(self.stream.get_ref().as_raw_fd(), libc::FIONREAD, &raw mut bytes) };
        self.stream.buffer().len() + usize::try_from(bytes).unwrap()
    }

    /// Waits for the answer to one call, whatever comes before it.
    ///
    /// # Errors
    ///
    /// An error answer.
    ///
    /// # Panics
    ///
    /// When none comes within [`hang_bound`], or one comes twice.
    #[track_caller]
    pub fn answer(&mut self, id: u64) -> Outcome {
        loop {
            if let Some(outcome) = self.early.remove(&id) {
                return outcome;
            }
            let (id, outcome) = self.next_answer();
            assert!(self.early.insert(id, outcome).is_none(), "call {id} was answered twice");
        }
    }

    /// Waits for the answer to one call, which has to be the next one, and gives its line: for answers that not every
    /// JSON parser takes.
    #[track_caller]
    pub fn raw_answer(&mut self, id: u64) -> String {
        let line = self.next_line();
        assert!(line.contains(&format!(r#""id":{id},"#)), "the answer to {id}: {line}");
        line
    }

    /// Waits for the next answer to any call.
    #[track_caller]
    pub fn next_answer(&mut self) -> (u64, Outcome) {
        let text = self.next_line();
        let line: Line =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let id = line.id.unwrap_or_else(|| panic!("an answer to nobody: {text}"));
        let outcome = match (line.result, line.error) {
            (Some(result), None) => Ok(result),
            (None, Some(error)) => Err(error),
            // serde_json reads a null result as absent.
            (None, None) if text.contains(r#""result":null"#) => {
                Ok(RawValue::from_string("null".to_owned()).unwrap())
            }
            _ => panic!("neither result nor error: {text}"),
        };
        (id, outcome)
    }

    #[track_caller]
    fn next_line(&mut self) -> String {
        let mut text = String::new();
        match self.stream.read_line(&mut text) {
            Ok(0) => panic!("the supervisor closed the connection"),
            Ok(_) => text,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("no answer after {:?}", hang_bound())
            }
            Err(error) => panic!("attach.sock: {error}"),
        }
    }

    /// One call and its result.
    ///
    /// # Errors
    ///
    /// An error answer.
    #[track_caller]
    pub fn call(&mut self, method: &str, params: &Value) -> Result<Value, CallError> {
        let id = self.send(method, params);
        let result = self.answer(id)?;
        Ok(serde_json::from_str(result.get()).unwrap())
    }
}
