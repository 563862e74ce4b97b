//! The same as a server of another protocol: MCP on lines, LSP behind headers. It calls nobody and has nothing slow.

use std::io::Read;
use std::process::exit;

use serde_json::{Value, json};

use crate::sys;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    Mcp,
    Lsp,
}

/// Serves stdin to its end.
pub(crate) fn run(speaks: Speaks, broken: String) -> ! {
    let mut server = Server { speaks, broken, opened: false, stopping: false };
    server.started();
    let mut stdin = std::io::stdin().lock();
    let mut buffer = vec![0; 64 << 10];
    let mut rest = Vec::new();
    while let Ok(count @ 1..) = stdin.read(&mut buffer) {
        rest.extend_from_slice(&buffer[..count]);
        let mut number = 0;
        while let Some(body) = server.cut(&mut rest) {
            number += 1;
            server.message(&body, number);
        }
        // What one read gives is a message, is it not?
        if server.breaks("C18") {
            rest.clear();
        }
    }
    server.end_of_input()
}

struct Server {
    speaks: Speaks,
    /// `C16`, or empty.
    broken: String,
    opened: bool,
    stopping: bool,
}

impl Server {
    fn breaks(&self, rule: &str) -> bool {
        self.broken == rule
    }

    /// Takes the next message off what was read.
    fn cut(&self, rest: &mut Vec<u8>) -> Option<Vec<u8>> {
        if self.speaks == Speaks::Mcp {
            let end = rest.iter().position(|byte| *byte == b'\n')?;
            return Some(rest.drain(..=end).collect());
        }
        let end = rest.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
        let header = String::from_utf8_lossy(&rest[..end]).to_lowercase();
        let length = header.lines().find_map(|line| line.strip_prefix("content-length:"))?;
        let length: usize = length.trim().parse().ok()?;
        if rest.len() < end + length {
            return None;
        }
        rest.drain(..end);
        Some(rest.drain(..length).collect())
    }

    fn started(&self) {
        match &*self.broken {
            "C07" if self.speaks == Speaks::Mcp => self.log("notifications/message", "data"),
            "C07" => self.log("window/logMessage", "message"),
            // What many print before anything else.
            "C23" => sys::write(b"Wrong server running on stdio\n"),
            _ => {}
        }
    }

    fn log(&self, method: &str, member: &str) {
        let params = json!({"type": 3, "level": "info", member: "here"});
        self.say(&json!({"jsonrpc": "2.0", "method": method, "params": params}));
    }

    fn end_of_input(&self) -> ! {
        if if self.opened { self.breaks("C35") } else { self.breaks("C37") } {
            loop {
                std::thread::park();
            }
        }
        exit(0)
    }

    fn message(&mut self, body: &[u8], number: u32) {
        let Ok(frame) = serde_json::from_slice::<Value>(body) else {
            if self.breaks("C31") {
                sys::complain("that is not JSON");
                exit(1);
            }
            return;
        };
        let Some(method) = frame["method"].as_str() else {
            // An answer, and nothing was asked.
            if self.breaks("C14") {
                sys::complain("nobody asked that");
                exit(1);
            }
            return;
        };
        match frame.get("id") {
            None => self.note(method),
            // The sixtieth of one read is forgotten.
            Some(_) if self.breaks("C16") && number == 60 => {}
            Some(id) => self.request(&self.shown(id, body), method, &frame["params"]),
        }
    }

    /// The id as it gives it back.
    fn shown(&self, id: &Value, body: &[u8]) -> Value {
        let inner = br#"\"params\":{\"id\":5}"#;
        match &*self.broken {
            "C03" if !self.opened => json!(id.to_string()),
            // Its ids are numbers.
            "C17" => id.as_str().map_or_else(|| id.clone(), |text| json!(text.len())),
            // It looks for the id from the end.
            "C21" if body.windows(inner.len()).any(|part| part == inner) => json!(5),
            _ => id.clone(),
        }
    }

    fn note(&self, method: &str) {
        let is_opening = method.ends_with("initialized");
        match method {
            "exit" => {
                if self.breaks("C24") {
                    // It counts the line feed that it does not write.
                    let bye = r#"{"jsonrpc":"2.0","method":"window/logMessage","params":{}}"#;
                    sys::write(
                        format!("Content-Length: {}\r\n\r\n{bye}", bye.len() + 1).as_bytes(),
                    );
                }
                exit(if self.breaks("C34") { 3 } else { 0 })
            }
            _ if is_opening && self.breaks("C06") => self.orphan(),
            "no/such" if self.breaks("C11") => self.orphan(),
            "notifications/cancelled" | "$/cancelRequest" if self.breaks("C12") => self.orphan(),
            _ => {}
        }
    }

    fn request(&mut self, id: &Value, method: &str, params: &Value) {
        let mcp = self.speaks == Speaks::Mcp;
        match method {
            "initialize" => self.initialize(id, params),
            "shutdown" if !mcp => {
                self.stopping = true;
                self.answer(id, if self.breaks("C33") { json!({}) } else { Value::Null });
            }
            _ if self.stopping => {
                if self.breaks("C39") {
                    sys::complain("it is too late");
                    exit(1);
                }
                self.fail(id, -32600);
            }
            "ping" if mcp => self.answer(id, json!({})),
            "tools/list" if mcp && self.breaks("C22") && params.get("_meta").is_some() => {
                self.fail(id, -32602);
            }
            "tools/list" if mcp => self.answer(id, json!({"tools": []})),
            "prompts/list" if mcp && !self.breaks("C28") => self.answer(id, json!({"prompts": []})),
            "tools/call" if mcp && !params["name"].is_string() => {
                self.fail(id, if self.breaks("C27") { -32603 } else { -32602 });
            }
            _ => self.unknown(id, method),
        }
    }

    fn unknown(&self, id: &Value, method: &str) {
        match method {
            "$/no/such" if self.breaks("C10") => self.answer(id, Value::Null),
            "no/such" if self.speaks == Speaks::Mcp && self.breaks("C10") => {
                self.answer(id, json!({}));
            }
            "no/such" if self.breaks("C29") => self.fail(id, -32602),
            _ => self.fail(id, -32601),
        }
        if method == "no/such" && self.breaks("C26") {
            self.fail(id, -32601);
        }
    }

    fn initialize(&mut self, id: &Value, params: &Value) {
        let future = &params["capabilities"]["future"];
        if self.breaks("C02") && !future.is_null() {
            return self.fail(id, -32602);
        }
        self.opened = true;
        if self.breaks("C38") {
            sys::leave_a_child();
        }
        let info = json!({"name": "wrong", "version": "1.0.0"});
        let odd = self.breaks("C05");
        match self.speaks {
            Speaks::Mcp => {
                let asked = &params["protocolVersion"];
                let newest = json!("2025-11-25");
                // One who takes any version.
                let version = if self.breaks("C04") { asked.clone() } else { newest };
                let info = if odd { json!({"name": "wrong"}) } else { info };
                let capabilities = json!({"tools": {}, "prompts": {}});
                self.answer(
                    id,
                    json!({"protocolVersion": version, "capabilities": capabilities, "serverInfo": info}),
                );
            }
            Speaks::Lsp => {
                let sync = if odd { json!("full") } else { json!(1) };
                let capabilities = json!({"textDocumentSync": sync});
                self.answer(id, json!({"capabilities": capabilities, "serverInfo": info}));
            }
        }
        if self.breaks("C25") {
            self.say(&json!({"jsonrpc": "1.0", "method": "telemetry/event", "params": {}}));
        }
    }

    fn answer(&self, id: &Value, result: Value) {
        self.say(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
    }

    fn fail(&self, id: &Value, code: i64) {
        let error = json!({"code": code, "message": "no"});
        self.say(&json!({"jsonrpc": "2.0", "id": id, "error": error}));
    }

    /// An error that answers nothing.
    fn orphan(&self) {
        self.fail(&Value::Null, -32600);
    }

    fn say(&self, frame: &Value) {
        let body = frame.to_string();
        sys::write(
            match self.speaks {
                Speaks::Mcp => format!("{body}\n"),
                Speaks::Lsp => format!("Content-Length: {}\r\n\r\n{body}", body.len()),
            }
            .as_bytes(),
        );
    }
}
