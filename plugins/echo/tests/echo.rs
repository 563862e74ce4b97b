//! The bundled plugin as a host meets it: a process with pipes.

#![allow(clippy::unwrap_used, reason = "a test that meets a surprise should stop there")]
#![expect(clippy::disallowed_methods, reason = "the test is the host of this plugin")]

use std::io::Write;
use std::process::{Command, Stdio};

/// What the plugin says to `frames` and then the end of stdin, sorted: calls are answered in any order.
fn session(frames: &[&str]) -> (Vec<String>, Option<i32>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_outboard-echo"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let initialize =
        r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersions":[1]}}"#;
    let initialized = r#"{"jsonrpc":"2.0","method":"initialized","params":{}}"#;
    let text = [&[initialize, initialized][..], frames, &[""]].concat().join("\n");
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let mut lines: Vec<String> =
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    (lines, output.status.code())
}

#[test]
fn it_echoes_sleeps_and_fails() {
    let (lines, status) = session(&[
        r#"{"jsonrpc":"2.0","id":2,"method":"echo","params":{"n":1e400,"s":"\ud800"}}"#,
        r#"{"jsonrpc":"2.0","id":3,"method":"sleep","params":{"ms":1}}"#,
        r#"{"jsonrpc":"2.0","id":4,"method":"sleep","params":{}}"#,
        r#"{"jsonrpc":"2.0","id":5,"method":"fail","params":{"code":7,"message":"out of ink"}}"#,
        r#"{"jsonrpc":"2.0","id":6,"method":"sleep","params":{"ms":600000}}"#,
        r#"{"jsonrpc":"2.0","method":"$/cancel","params":{"id":6,"reason":"deadline"}}"#,
    ]);
    assert_eq!(
        lines[1..],
        [
            r#"{"jsonrpc":"2.0","id":2,"result":{"n":1e400,"s":"\ud800"}}"#,
            r#"{"jsonrpc":"2.0","id":3,"result":{"slept":1}}"#,
            r#"{"jsonrpc":"2.0","id":4,"error":{"code":-32602,"message":"`ms` is a number"}}"#,
            r#"{"jsonrpc":"2.0","id":5,"error":{"code":7,"message":"out of ink","data":{"code":7,"message":"out of ink"}}}"#,
            r#"{"jsonrpc":"2.0","id":6,"error":{"code":-31002,"message":"the deadline has passed"}}"#,
        ]
    );
    assert!(lines[0].contains(r#""name":"echo""#), "{}", lines[0]);
    assert_eq!(status, Some(0));
}
