//! What it answers, right and wrong.

use std::process::exit;

use serde_json::{Value, json};

use crate::sys;

/// The highest id of a host.
const HIGHEST: i64 = 2_147_483_647;

pub(crate) struct Plugin {
    /// `C16`, or empty.
    broken: String,
    opened: bool,
    stopping: bool,
    slow: Option<Slow>,
}

/// A call of `slow` that goes on.
struct Slow {
    id: Value,
    token: Option<Value>,
    ticks: u64,
    done: u64,
}

/// One message of the host.
struct Message<'a> {
    id: Option<&'a Value>,
    method: &'a str,
    params: &'a Value,
    text: &'a [u8],
    /// Its place among those that came in one read.
    number: u32,
}

impl Plugin {
    pub(crate) fn new(broken: String) -> Self {
        Self { broken, opened: false, stopping: false, slow: None }
    }

    pub(crate) fn breaks(&self, rule: &str) -> bool {
        self.broken == rule
    }

    pub(crate) fn is_slow(&self) -> bool {
        self.slow.is_some()
    }

    pub(crate) fn started(&self) {
        // It cannot wait to tell that it is there.
        if self.breaks("C07") {
            say(
                &json!({"jsonrpc": "2.0", "method": "$/log", "params": {"level": "info", "message": "here"}}),
            );
        }
    }

    pub(crate) fn end_of_input(&self) -> ! {
        let stays = if self.opened { self.breaks("C35") } else { self.breaks("C37") };
        if stays {
            loop {
                std::thread::park();
            }
        }
        exit(0)
    }

    pub(crate) fn line(&mut self, line: &[u8], number: u32) {
        let Ok(frame) = serde_json::from_slice::<Value>(line) else {
            if self.breaks("C31") {
                sys::complain("that is not JSON");
                exit(1);
            }
            return;
        };
        let null = Value::Null;
        let message = Message {
            id: frame.get("id"),
            method: frame["method"].as_str().unwrap_or_default(),
            params: frame.get("params").unwrap_or(&null),
            text: line,
            number,
        };
        if frame.get("method").is_none() {
            // An answer, and nothing was asked.
            if self.breaks("C14") {
                sys::complain("nobody asked that");
                exit(1);
            }
            return;
        }
        match message.id {
            Some(id) => self.request(id, &message),
            None => self.note(&message),
        }
    }

    fn note(&mut self, message: &Message<'_>) {
        let breaks = |rule| self.broken == rule;
        match message.method {
            "exit" => exit(if breaks("C34") { 3 } else { 0 }),
            "initialized" if breaks("C06") => orphan("what is initialized?"),
            "event" if breaks("C13") => orphan("what event?"),
            "no/such" if breaks("C11") => orphan("no such notification"),
            "$/cancel" => self.cancel(&message.params["id"]),
            _ => {}
        }
    }

    fn cancel(&mut self, id: &Value) {
        if let Some(slow) = self.slow.take_if(|slow| slow.id == *id) {
            let code = if self.breaks("C32") { 1 } else { -32800 };
            fail(&slow.id, code, "cancelled");
        } else if self.breaks("C12") {
            // It answers what it was not asked.
            fail(id, -32800, "cancelled");
        }
    }

    fn request(&mut self, id: &Value, message: &Message<'_>) {
        match message.method {
            "initialize" => self.initialize(id, message.params),
            "ping" => self.ping(id, message),
            "shutdown" => {
                if self.breaks("C33") {
                    exit(0);
                }
                self.stopping = true;
                answer(id, json!({}));
            }
            "config/changed" if self.breaks("C15") => answer(id, json!({})),
            "config/changed" => answer(id, json!({"applied": true})),
            _ if self.stopping => {
                if self.breaks("C39") {
                    sys::complain("it is too late");
                    exit(1);
                }
                fail(id, -31008, "shutting down");
            }
            method => self.call(id, method, message),
        }
    }

    fn initialize(&mut self, id: &Value, params: &Value) {
        let versions = &params["protocolVersions"];
        let offered = versions.as_array().is_some_and(|all| all.contains(&json!(1)));
        if self.breaks("C02") && params.get("future").is_some() {
            return fail(id, -32602, "unknown member `future`");
        }
        // One who takes any version, and one who does not take the only one there is.
        if (!offered && !self.breaks("C04")) || (self.breaks("C01") && *versions == json!([1])) {
            let error =
                json!({"code": -31010, "message": "no common version", "data": {"supported": [1]}});
            return say(&json!({"jsonrpc": "2.0", "id": id, "error": error}));
        }
        self.opened = true;
        if self.breaks("C38") {
            sys::leave_a_child();
        }
        if self.breaks("C24") {
            sys::write(b"\xef\xbb\xbf");
        }
        let number = json!({"type": "number"});
        let add = json!({"params": {"type": "object", "properties": {"a": number, "b": number}, "required": ["a", "b"]}});
        let id = if self.breaks("C03") { json!(id.to_string()) } else { id.clone() };
        answer(
            &id,
            json!({
                "protocolVersion": 1, "name": "wrong", "version": "1.0.0",
                "methods": {"echo": {"idempotent": true}, "add": add, "touchy": {}, "slow": {"timeoutMs": 10_000}},
                "concurrency": if self.breaks("C05") { 0 } else { 8 },
                "supports": {"cancel": true, "progress": true, "meta": true, "configReload": true},
            }),
        );
        if self.breaks("C23") {
            sys::write(b"[info] ready to serve\n");
        }
        if self.breaks("C25") {
            say(&json!({"jsonrpc": "1.0", "method": "$/log", "params": {}}));
        }
    }

    fn ping(&self, id: &Value, message: &Message<'_>) {
        match &*self.broken {
            "C08" => {
                sys::complain("what is a ping?");
                exit(1);
            }
            "C09" => answer(id, json!("pong")),
            // Its buffer has room for so many.
            "C16" if message.number == 60 => {}
            "C17" if id.as_i64() == Some(HIGHEST) => answer(&json!(-HIGHEST), json!({})),
            // It drops what does not fit.
            "C30" if !sys::stdout_has_room() => {}
            _ => answer(id, json!({})),
        }
    }

    fn call(&mut self, id: &Value, method: &str, message: &Message<'_>) {
        let params = message.params;
        match method {
            "echo" => {
                let inner = br#"\"params\":{\"id\":5}"#;
                // It looks for the id from the end.
                if self.breaks("C21") && message.text.windows(inner.len()).any(|part| part == inner)
                {
                    return answer(&json!(5), params.clone());
                }
                if self.breaks("C22") && params.get("_meta").is_some() {
                    return fail(id, -32602, "unknown member `_meta`");
                }
                answer(id, params.clone());
            }
            "add" => match (params["a"].as_f64(), params["b"].as_f64()) {
                (Some(a), Some(b)) => answer(id, json!({"sum": a + b})),
                _ if self.breaks("C27") => answer(id, json!({"sum": null})),
                _ => fail(id, -32602, "a and b are numbers"),
            },
            "touchy" => {
                if self.breaks("C28") {
                    sys::complain("touched");
                    exit(1);
                }
                fail(id, if self.breaks("C29") { -32050 } else { 7 }, "do not touch");
            }
            "slow" => {
                let token = params["_meta"].get("progressToken").cloned();
                let ticks = params["ticks"].as_u64().unwrap_or(1);
                self.slow = Some(Slow { id: id.clone(), token, ticks, done: 0 });
            }
            "no/such" if self.breaks("C10") => answer(id, json!({})),
            _ => {
                fail(id, -32601, "no such method");
                if self.breaks("C26") {
                    fail(id, -32601, "no such method, really");
                }
            }
        }
    }

    pub(crate) fn tick(&mut self) {
        let wrong_token = self.breaks("C40");
        let Some(slow) = &mut self.slow else { return };
        slow.done += 1;
        if slow.done.is_multiple_of(5)
            && let Some(token) = &slow.token
        {
            let token = if wrong_token { json!("mine") } else { token.clone() };
            let params = json!({"token": token, "progress": slow.done, "total": slow.ticks});
            say(&json!({"jsonrpc": "2.0", "method": "$/progress", "params": params}));
        }
        if slow.done >= slow.ticks {
            answer(&slow.id, json!({}));
            self.slow = None;
        }
    }
}

fn say(frame: &Value) {
    let mut line = frame.to_string();
    line.push('\n');
    sys::write(line.as_bytes());
}

fn answer(id: &Value, result: Value) {
    say(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
}

fn fail(id: &Value, code: i64, message: &str) {
    say(&json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}}));
}

/// An error that answers nothing.
fn orphan(message: &str) {
    fail(&Value::Null, -32600, message);
}
