//! The vectors that every SDK passes, by the way that this one's frames go: its loop over stdin, its session, the handle
//! on the host. `content-length` framing is left out: plugins read one JSON object a line.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, Read, Write};
use std::process::ExitCode;
use std::thread::JoinHandle;

use outboard_wire::{Framer, Item};
use serde_json::{Value, json};

use crate::serve::{Taker, read};
use crate::{Error, Host, Plugin};

fn load(file: &str) -> Vec<Value> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../protocol/vectors/");
    let text = std::fs::read_to_string(format!("{folder}{file}")).expect("it is in the repository");
    serde_json::from_str(&text).unwrap()
}

fn bytes(chunk: &Value) -> Vec<u8> {
    if let Some(text) = chunk["text"].as_str() {
        return text.as_bytes().to_vec();
    }
    if let Some(code) = chunk["base64"].as_str() {
        return base64(code);
    }
    let times = usize::try_from(chunk["repeat"]["times"].as_u64().unwrap()).unwrap();
    chunk["repeat"]["text"].as_str().unwrap().repeat(times).into_bytes()
}

fn base64(code: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut out, mut bits, mut count) = (Vec::new(), 0u32, 0);
    for byte in code.bytes().filter(|byte| *byte != b'=') {
        let digit = ALPHABET.iter().position(|known| *known == byte).unwrap();
        bits = (bits << 6 | u32::try_from(digit).unwrap()) & 0xfff;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from(bits >> count & 0xff).unwrap());
        }
    }
    out
}

/// Gives one chunk for each read, and is interrupted before each of them.
struct Chunks {
    left: VecDeque<Vec<u8>>,
    interrupted: bool,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let Some(chunk) = self.left.pop_front() else { return Ok(0) };
        let count = chunk.len().min(buffer.len());
        buffer[..count].copy_from_slice(&chunk[..count]);
        if count < chunk.len() {
            self.left.push_front(chunk[count..].to_vec());
        }
        Ok(count)
    }
}

/// Writes down what it is given, in the words of the vectors.
#[derive(Default)]
struct Items(Vec<Value>);

impl Taker for Items {
    fn take(&mut self, item: Item<'_>) {
        self.0.push(match item {
            Item::Frame(text) => json!({ "frame": text }),
            Item::Junk { kind, bytes, .. } => {
                json!({"junk": {"kind": kind.as_str(), "bytes": bytes}})
            }
            Item::TooLong { bytes, id, .. } => {
                let mut long = json!({"tooLong": {"bytes": bytes}});
                if let Some(id) = id {
                    long["tooLong"]["id"] = id.to_string().parse().unwrap();
                }
                long
            }
            Item::Runaway { bytes } => json!({"runaway": {"bytes": bytes}}),
            Item::Tail { bytes, .. } => json!({"tail": {"bytes": bytes}}),
            Item::Fatal { what, .. } => json!({ "fatal": what }),
        });
    }

    fn has_exited(&self) -> bool {
        false
    }
}

#[test]
fn framing() {
    let cases = load("framing.json");
    let newline = cases.iter().filter(|case| case["framing"] == "newline");
    let mut passed = 0;
    for case in newline {
        // A plugin has no use for what stands at the end without a line feed.
        let said =
            case["expect"].as_array().unwrap().iter().filter(|item| item.get("tail").is_none());
        let want: Vec<_> = said.cloned().collect();
        let max = case["limits"]["maxFrameBytes"].as_u64().unwrap_or(16 << 20);
        let given: Vec<_> = case["chunks"].as_array().unwrap().iter().map(bytes).collect();
        let whole = given.concat();
        let single = whole.iter().map(|byte| vec![*byte]).collect();
        for chunks in [given, vec![whole], single] {
            let mut input = Chunks { left: chunks.into(), interrupted: false };
            let mut items = Items::default();
            read(Framer::newline(usize::try_from(max).unwrap()), &mut input, &mut items);
            assert_eq!(items.0, want, "{}", case["name"]);
        }
        passed += 1;
    }
    assert!(passed > 25, "{passed}");
}

/// A plugin that is open, and has asked its host three things, which are not answered yet.
struct Open {
    input: PipeWriter,
    output: BufReader<PipeReader>,
    asked: Vec<JoinHandle<Result<Value, Error>>>,
    plugin: JoinHandle<ExitCode>,
}

impl Open {
    fn new() -> Self {
        let (theirs, input) = io::pipe().unwrap();
        let (output, written) = io::pipe().unwrap();
        let plugin = Plugin::new("vectors", "1");
        let host = plugin.host();
        let plugin = std::thread::spawn(move || plugin.serve(theirs, written));
        let mut open = Self { input, output: BufReader::new(output), asked: Vec::new(), plugin };
        open.send(
            br#"{"jsonrpc":"2.0","id":77,"method":"initialize","params":{"protocolVersions":[1]}}"#,
        );
        assert_eq!(open.said()["id"], 77);
        for id in 1..=3 {
            open.ask(&host);
            assert_eq!(open.said()["id"], id);
        }
        open
    }

    /// In a thread, which ends with the answer.
    fn ask(&mut self, host: &Host) {
        let host = host.clone();
        self.asked.push(std::thread::spawn(move || host.info()));
    }

    fn send(&mut self, line: &[u8]) {
        self.input.write_all(line).unwrap();
        self.input.write_all(b"\n").unwrap();
    }

    fn said(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// Everything that it says to a line, and what became of its third request.
    fn to(mut self, line: &[u8]) -> (Vec<Value>, Result<Value, Error>) {
        self.send(line);
        self.send(br#"{"jsonrpc":"2.0","id":78,"method":"ping","params":{}}"#);
        let mut said = Vec::new();
        loop {
            let frame = self.said();
            if frame["id"] == 78 {
                break;
            }
            said.push(frame);
        }
        drop(self.input);
        assert_eq!(self.plugin.join().unwrap(), ExitCode::SUCCESS);
        let third = self.asked.pop().unwrap().join().unwrap();
        (said, third)
    }
}

/// What a frame of the plugin says, in a few words.
fn words(frame: &Value) -> String {
    match (&frame["method"], &frame["error"]["code"]) {
        (Value::Null, Value::Null) => format!("{} answered", frame["id"]),
        (Value::Null, code) => format!("{} failed with {code}", frame["id"]),
        (method, _) => format!("{method} {}", frame["params"]["level"]),
    }
}

/// What the plugin has to say to a frame of which the vectors expect this.
fn said_to(expect: &Value, is_request: bool) -> Vec<String> {
    let request = &expect["request"];
    let reject = &expect["reject"];
    match (request["method"].as_str(), reject["reason"].as_str()) {
        (Some("ping"), _) => vec![format!("{} answered", request["id"])],
        (Some(_), _) => vec![format!("{} failed with -32601", request["id"])],
        (None, Some("depth")) if is_request => vec![format!("{} failed with -31005", reject["id"])],
        (None, Some(_)) if is_request && reject.get("id").is_some() => {
            vec![format!("{} failed with -32600", reject["id"])]
        }
        // Junk is never answered: nobody could tell what the answer is to.
        (None, Some(_)) => vec![r#""$/log" "warn""#.to_owned()],
        (None, None) => Vec::new(),
    }
}

/// What becomes of the plugin's request 3.
fn third_after(expect: &Value) -> Result<Value, Error> {
    let response = &expect["response"];
    if let Some(error) = response.get("error") {
        let (code, message) = (error["code"].as_i64().unwrap(), error["message"].as_str().unwrap());
        return Err(Error { data: error.get("data").cloned(), ..Error::new(code, message) });
    }
    match response.get("result") {
        None => Err(Error::new(-31008, "the host has gone")),
        Some(deep) if deep == "@depth127" => {
            Ok(format!("{}{}", "[".repeat(127), "]".repeat(127)).parse().unwrap())
        }
        Some(result) => Ok(result.clone()),
    }
}

#[test]
fn messages() {
    let cases = load("messages.json");
    assert!(cases.len() > 40);
    for case in cases {
        let line: Vec<u8> = case["input"].as_array().unwrap().iter().flat_map(bytes).collect();
        let is_request = String::from_utf8_lossy(&line).contains(r#""method":"#);
        let (said, third) = Open::new().to(&line);
        let said: Vec<_> = said.iter().map(words).collect();
        assert_eq!(said, said_to(&case["expect"], is_request), "{}", case["name"]);
        assert_eq!(third, third_after(&case["expect"]), "{}", case["name"]);
    }
}
