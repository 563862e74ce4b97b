//! `outboard attach`, as a client would start it: its standard input and output are ours.

use std::cell::OnceCell;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};

use serde_json::Value;

use crate::World;
use crate::clock::{Deadline, hang_bound, readable};
use crate::gates::fifo;
use crate::runtimes::bin;
use crate::witness::Ended;

/// One bridge, and the client that started it. Dropped, the client has left, and the bridge has to end for it.
#[derive(Debug)]
pub struct Bridge<'w> {
    world: &'w World,
    pub pid: u32,
    stdin: Option<File>,
    stdout: File,
    stderr: std::path::PathBuf,
    rest: Vec<u8>,
    ended: OnceCell<Ended>,
}

impl<'w> Bridge<'w> {
    /// `outboard attach ARGS` for a state directory of the world.
    #[track_caller]
    #[must_use]
    pub fn start(world: &'w World, state: &str, args: &[&str]) -> Self {
        let state_dir = world.state_dir(state).display().to_string();
        let mut argv = vec![bin("outboard").display().to_string(), "attach".to_owned()];
        argv.extend(args.iter().map(|&arg| arg.to_owned()));
        argv.extend(["--state-dir".to_owned(), state_dir]);
        let mut spawn = world.spawn(argv);
        let stderr = spawn.stderr.clone().unwrap();
        let (input, output) = (stderr.with_extension("to"), stderr.with_extension("from"));
        let (stdin, stdout) = (fifo(&input), fifo(&output));
        spawn.stdin = Some(input.clone());
        spawn.stdout = Some(output);
        let pid = world.witness().spawn(spawn);
        // Its end is known once nobody else can write: until the witness has started it, we hold both ends.
        let writer = OpenOptions::new().write(true).open(input).unwrap();
        drop(stdin);
        let rest = Vec::new();
        Self { world, pid, stdin: Some(writer), stdout, stderr, rest, ended: OnceCell::new() }
    }

    /// Writes one line, as it is.
    #[track_caller]
    pub fn write(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("the client has not left");
        stdin.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Sends a request under an id, which is JSON text.
    #[track_caller]
    pub fn send(&mut self, id: &str, method: &str, params: &str) {
        self.write(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#
        ));
    }

    /// The next line, as it is; `None` when none comes while the bridge lives, or in the time that is called hanging.
    #[track_caller]
    pub fn try_line(&mut self) -> Option<String> {
        let deadline = Deadline::hang();
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Some(String::from_utf8(line).unwrap().trim_end().to_owned());
            }
            if !readable(&self.stdout, deadline) {
                return None;
            }
            let mut chunk = vec![0; 65536];
            let n = self.stdout.read(&mut chunk).unwrap();
            self.rest.extend_from_slice(&chunk[..n]);
        }
    }

    /// The next line.
    ///
    /// # Panics
    ///
    /// When none comes.
    #[track_caller]
    pub fn line(&mut self) -> String {
        self.try_line().unwrap_or_else(|| {
            panic!("no line in {:?}; its stderr: {}", hang_bound(), self.stderr())
        })
    }

    /// The next message, which any parser reads.
    #[track_caller]
    pub fn message(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// The answer to a request, whose id is JSON text; notifications before it are given to `heard`.
    #[track_caller]
    pub fn answer_hearing(&mut self, id: &str, heard: &mut Vec<Value>) -> Value {
        let id: Value = serde_json::from_str(id).unwrap();
        loop {
            let message = self.message();
            if message.get("method").is_none() && message["id"] == id {
                return message;
            }
            assert!(message.get("method").is_some(), "an answer to nobody: {message}");
            heard.push(message);
        }
    }

    /// The answer to a request, whatever comes before it.
    #[track_caller]
    pub fn answer(&mut self, id: &str) -> Value {
        self.answer_hearing(id, &mut Vec::new())
    }

    /// Waits for a notification or request of that method.
    #[track_caller]
    pub fn hears(&mut self, method: &str) -> Value {
        loop {
            let message = self.message();
            if message["method"] == method {
                return message;
            }
        }
    }

    /// Opens an MCP session, as every client does; gives what it was told.
    #[track_caller]
    pub fn open_mcp(&mut self, capabilities: &str) -> Value {
        let params = format!(
            r#"{{"protocolVersion":"2025-11-25","capabilities":{capabilities},"clientInfo":{{"name":"t","version":"1"}}}}"#
        );
        self.send("0", "initialize", &params);
        let answer = self.answer("0");
        self.write(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        answer
    }

    /// The client leaves.
    pub fn close(&mut self) {
        self.stdin = None;
    }

    /// How it ended.
    ///
    /// # Panics
    ///
    /// When it does not.
    #[track_caller]
    pub fn ended(&self) -> Ended {
        *self.ended.get_or_init(|| {
            let ended = self.world.witness().exit(self.pid).try_get();
            ended.unwrap_or_else(|why| panic!("the bridge does not end: {why}; {}", self.stderr()))
        })
    }

    /// What it has complained.
    #[must_use]
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.stderr).unwrap_or_default()).into_owned()
    }
}

impl Drop for Bridge<'_> {
    fn drop(&mut self) {
        self.close();
        if !std::thread::panicking() {
            self.ended();
        }
    }
}
