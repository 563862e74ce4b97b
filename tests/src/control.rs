//! A plain client of `control.sock`: JSON-RPC by HTTP, one request a connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::{Value, json};

use crate::clock::hang_bound;

/// Calls a method of the management API.
///
/// # Errors
///
/// Its error answer, as it came.
///
/// # Panics
///
/// When there is no answer within [`hang_bound`], or what comes is no HTTP.
#[track_caller]
pub fn call(socket: &Path, method: &str, params: &Value) -> Result<Value, Value> {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
    let mut stream =
        UnixStream::connect(socket).unwrap_or_else(|error| panic!("{}: {error}", socket.display()));
    stream.set_read_timeout(Some(hang_bound())).unwrap();
    let length = body.len();
    let request = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer: Value = serde_json::from_slice(&read_answer(stream)).unwrap();
    match answer.get_mut("result") {
        Some(result) => Ok(result.take()),
        None => Err(answer["error"].take()),
    }
}

fn read_answer(stream: UnixStream) -> Vec<u8> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).unwrap_or_else(|error| panic!("control.sock: {error}"));
    assert!(line.starts_with("HTTP/1.1 200"), "control.sock answered: {line}");
    let mut length = 0;
    while line != "\r\n" {
        line.clear();
        assert_ne!(stream.read_line(&mut line).unwrap(), 0, "the head of the answer has no end");
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    body
}
