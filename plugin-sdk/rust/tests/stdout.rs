//! Prints of a plugin, of its C library and of its children do not reach the frames.

#![allow(clippy::unwrap_used, reason = "a test that meets a surprise should stop there")]
#![expect(clippy::disallowed_methods, reason = "the test is the host of this plugin")]
#![allow(clippy::print_stdout, reason = "stray prints are what it is about")]

use std::io::{Read, Write};
use std::process::{Command, ExitCode, Stdio};

use outboard_plugin::{Plugin, Value};
use serde_json::json;

const SESSION: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersions":[1]}}
{"jsonrpc":"2.0","method":"initialized","params":{}}
{"jsonrpc":"2.0","id":2,"method":"chat","params":{}}
"#;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("as-plugin") {
        return plugin();
    }
    frames_have_stdout_for_themselves();
    println!(
        "test frames_have_stdout_for_themselves ... ok\n\ntest result: ok. 1 passed; 0 failed"
    );
    ExitCode::SUCCESS
}

fn plugin() -> ExitCode {
    let plugin = Plugin::new("chatty", "1");
    println!("after new");
    plugin
        .method("chat", |_: Value, _| {
            println!("in a handler");
            let child = Command::new("sh").args(["-c", "echo from a child; cat"]).output()?;
            let inherited = Command::new("sh").args(["-c", "echo inherited"]).status()?;
            // Not merely at its end: frames that are still to come must not be anybody else's either.
            let stdin = std::fs::read_link("/proc/self/fd/0")?;
            let mut read = String::new();
            std::io::stdin().read_to_string(&mut read)?;
            Ok(json!({
                "child": String::from_utf8_lossy(&child.stdout),
                "inherited": inherited.success(),
                "stdin": stdin,
                "read": read,
            }))
        })
        .run()
}

fn frames_have_stdout_for_themselves() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg("as-plugin")
        .env("OUTBOARD_PROTOCOL", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(SESSION.as_bytes()).unwrap();
    // Stdin is closed now: the call in progress is answered, then the plugin ends.
    let output = child.wait_with_output().unwrap();
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let frames: Vec<Value> =
        stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert_eq!(frames.len(), 2, "{stdout}");
    assert_eq!(
        frames[1]["result"],
        json!({"child": "from a child\n", "inherited": true, "stdin": "/dev/null", "read": ""}),
    );
    for line in ["after new", "in a handler", "inherited"] {
        assert!(stderr.lines().any(|written| written == line), "{line} in {stderr}");
    }
    assert_eq!(output.status.code(), Some(0));
}
