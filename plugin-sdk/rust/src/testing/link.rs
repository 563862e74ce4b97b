//! The fake host's end of the pipes.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::sync::{Condvar, Mutex};

use outboard_wire::{DEFAULT_MAX_DEPTH, Message, encode};
use serde_json::{Value, json};

use crate::error::{Error, code};
use crate::host::lock;

pub(super) type Provider = Box<dyn Fn(Value) -> Result<Value, Error> + Send>;

pub(super) struct Shared {
    pub(super) state: Mutex<Inner>,
    pub(super) news: Condvar,
}

#[derive(Default)]
pub(super) struct Inner {
    pub(super) input: Option<PipeWriter>,
    pub(super) last: u32,
    pub(super) seq: u64,
    pub(super) asked: HashMap<u32, Asked>,
    pub(super) logs: Vec<Value>,
    pub(super) statuses: Vec<Value>,
    pub(super) published: Vec<Value>,
    pub(super) called: Vec<Value>,
    pub(super) violations: Vec<String>,
    /// Counts what the plugin has said.
    pub(super) heard: u64,
    pub(super) ended: bool,
}

#[derive(Default)]
pub(super) struct Asked {
    pub(super) answer: Option<Result<Value, Error>>,
    pub(super) progress: Vec<Value>,
    pub(super) wants_progress: bool,
}

impl Shared {
    pub(super) fn read(
        &self,
        output: BufReader<PipeReader>,
        providers: &BTreeMap<String, Provider>,
    ) {
        for line in output.split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            // Without the lock: what provides may take its time.
            let answer = host_request(&line, providers);
            let mut inner = lock(&self.state);
            inner.take(&line, answer);
            inner.heard += 1;
            drop(inner);
            self.news.notify_all();
        }
        lock(&self.state).ended = true;
        self.news.notify_all();
    }
}

/// What the host answers to a request of the plugin.
fn host_request(
    line: &str,
    providers: &BTreeMap<String, Provider>,
) -> Option<Result<Value, Error>> {
    let Ok(Message::Request { method, params, .. }) =
        outboard_wire::decode(line, DEFAULT_MAX_DEPTH)
    else {
        return None;
    };
    let mut params = params.map_or(Value::Null, |params| read(params.get()));
    Some(match &*method {
        "host/call" => {
            let word = |name: &str| params[name].as_str().unwrap_or_default().to_owned();
            let name = format!("{}.{}", word("plugin"), word("method"));
            match providers.get(&name) {
                Some(provide) => provide(params["params"].take()),
                None => Err(Error::new(code::METHOD_NOT_FOUND, format!("nobody provides {name}"))),
            }
        }
        "host/publish" => Ok(json!({ "delivered": 1 })),
        "host/info" => Ok(json!({ "hostInfo": { "name": "fake", "version": "0" }, "peers": [] })),
        _ => Err(Error::new(code::METHOD_NOT_FOUND, "the host has no such method")),
    })
}

impl Inner {
    pub(super) fn new(input: PipeWriter) -> Self {
        Self { input: Some(input), ..Self::default() }
    }

    pub(super) fn send_request(&mut self, method: &str, params: &Value) -> u32 {
        self.last += 1;
        let id = self.last;
        self.asked.insert(id, Asked::default());
        self.send(|out| encode::request(out, id, method, Some(&params.to_string())));
        id
    }

    pub(super) fn send(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        let mut frame = Vec::new();
        encode(&mut frame);
        if let Some(input) = &mut self.input {
            // A plugin that has ended reads nothing; who waits for it is told.
            drop(input.write_all(&frame));
        }
    }

    fn take(&mut self, line: &str, answer: Option<Result<Value, Error>>) {
        match outboard_wire::decode(line, DEFAULT_MAX_DEPTH) {
            Ok(Message::Response { id, outcome }) => {
                let outcome = match outcome {
                    Ok(result) => Ok(read(result.get())),
                    Err(error) => Err(Error {
                        code: error.code,
                        message: error.message.into_owned(),
                        data: error.data.map(|data| read(data.get())),
                    }),
                };
                match id.as_own().and_then(|id| self.asked.get_mut(&id)) {
                    Some(Asked { answer: answer @ None, .. }) => *answer = Some(outcome),
                    _ => self.violations.push(format!("an answer that nobody waits for: {line}")),
                }
            }
            Ok(Message::Request { id, method, params }) => {
                let params = params.map_or(Value::Null, |params| read(params.get()));
                match &*method {
                    "host/call" => self.called.push(params),
                    "host/publish" => self.published.push(params),
                    _ => {}
                }
                self.send(|out| match &answer {
                    Some(Ok(result)) => encode::result(out, &id, &result.to_string()),
                    Some(Err(error)) => {
                        let data = error.data.as_ref().map(Value::to_string);
                        encode::error(out, &id, error.code, &error.message, data.as_deref());
                    }
                    None => {}
                });
            }
            Ok(Message::Notification { method, params }) => {
                let params = params.map_or(Value::Null, |params| read(params.get()));
                match &*method {
                    "$/log" => self.logs.push(params),
                    "$/status" => self.statuses.push(params),
                    "host/publish" => self.published.push(params),
                    "$/progress" => self.progress(params),
                    _ => self.violations.push(format!("an unknown notification: {line}")),
                }
            }
            Ok(Message::OrphanError { .. }) | Err(_) => {
                self.violations.push(format!("not a message: {line}"));
            }
        }
    }

    fn progress(&mut self, params: Value) {
        let id = params["token"].as_str().and_then(|token| token.strip_prefix('t')?.parse().ok());
        let asked = id.and_then(|id: u32| self.asked.get_mut(&id));
        match asked {
            Some(asked) if asked.wants_progress && asked.answer.is_none() => {
                let before = asked.progress.last().and_then(|last| last["progress"].as_f64());
                let rises = before.is_none_or(|before| {
                    params["progress"].as_f64().is_some_and(|now| now > before)
                });
                if !rises {
                    self.violations.push(format!("progress that does not rise: {params}"));
                    return;
                }
                asked.progress.push(params);
            }
            _ => self.violations.push(format!("progress that nobody asked for: {params}")),
        }
    }
}

/// A payload as a value; as a string where no value can hold it.
fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}
