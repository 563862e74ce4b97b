//! A plain client of `control.sock` over a WebSocket (RFC 6455), for subscriptions, and for clients that mean no good.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::{Value, json};

use crate::clock::hang_bound;

/// One connection.
#[derive(Debug)]
pub struct WebSocket {
    pub stream: UnixStream,
    next_id: u64,
    /// What came while an answer was waited for.
    unread: Vec<Value>,
}

impl WebSocket {
    /// Connects and shakes hands.
    ///
    /// # Errors
    ///
    /// What the server says in place of switching protocols.
    ///
    /// # Panics
    ///
    /// When there is no socket.
    #[track_caller]
    pub fn open(socket: &Path) -> Result<Self, String> {
        let mut stream = UnixStream::connect(socket)
            .unwrap_or_else(|error| panic!("{}: {error}", socket.display()));
        stream.set_read_timeout(Some(hang_bound())).unwrap();
        stream.set_write_timeout(Some(hang_bound())).unwrap();
        // The key is a nonce of sixteen bytes; nobody is to be deceived here.
        let sent = stream.write_all(
            b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
              sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        );
        // Who is refused may be hung up on before that is written; the reason is there all the same.
        drop(sent);
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read(&mut byte) {
                Ok(1..) => head.push(byte[0]),
                Ok(0) => break,
                Err(error) => return Err(error.to_string()),
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        if !head.starts_with("HTTP/1.1 101") {
            return Err(head);
        }
        Ok(Self { stream, next_id: 0, unread: Vec::new() })
    }

    /// Sends a request; gives its id.
    ///
    /// # Errors
    ///
    /// When it is not taken.
    pub fn send(&mut self, method: &str, params: &Value) -> io::Result<u64> {
        self.next_id += 1;
        let request =
            json!({"jsonrpc": "2.0", "id": self.next_id, "method": method, "params": params});
        self.stream.write_all(&frame(request.to_string().as_bytes()))?;
        Ok(self.next_id)
    }

    /// Calls a method; what else comes meanwhile is kept for [`Self::notification`].
    ///
    /// # Errors
    ///
    /// Its error answer.
    ///
    /// # Panics
    ///
    /// When the connection breaks.
    #[track_caller]
    pub fn call(&mut self, method: &str, params: &Value) -> Result<Value, Value> {
        let id = self.send(method, params).unwrap();
        loop {
            let mut message = self.read().unwrap();
            if message["id"] == id {
                return match message.get_mut("result") {
                    Some(result) => Ok(result.take()),
                    None => Err(message["error"].take()),
                };
            }
            self.unread.push(message);
        }
    }

    /// The next message that is no answer.
    ///
    /// # Panics
    ///
    /// When the connection breaks.
    #[track_caller]
    pub fn notification(&mut self) -> Value {
        if self.unread.is_empty() { self.read().unwrap() } else { self.unread.remove(0) }
    }

    /// The next message.
    ///
    /// # Errors
    ///
    /// At the end of the connection, or when none comes within [`hang_bound`].
    pub fn read(&mut self) -> io::Result<Value> {
        let mut text = Vec::new();
        loop {
            let mut head = [0; 2];
            self.stream.read_exact(&mut head)?;
            let mut length = u64::from(head[1] & 0x7f);
            if length == 126 {
                let mut bytes = [0; 2];
                self.stream.read_exact(&mut bytes)?;
                length = u16::from_be_bytes(bytes).into();
            } else if length == 127 {
                let mut bytes = [0; 8];
                self.stream.read_exact(&mut bytes)?;
                length = u64::from_be_bytes(bytes);
            }
            let begin = text.len();
            text.resize(begin + usize::try_from(length).unwrap(), 0);
            self.stream.read_exact(&mut text[begin..])?;
            let (whole, kind) = (head[0] & 0x80 != 0, head[0] & 0x0f);
            match kind {
                8 => return Err(io::ErrorKind::UnexpectedEof.into()),
                // Pings and pongs are not messages.
                9 | 10 => text.truncate(begin),
                _ if whole => return Ok(serde_json::from_slice(&text)?),
                _ => {}
            }
        }
    }
}

/// One masked text frame, as a client has to send it. The mask is nothing.
#[must_use]
pub fn frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | u8::try_from(length).unwrap()),
        length @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}
