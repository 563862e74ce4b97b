//! Scripts: what happens to a dialect, and what it asks for, line by line.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::message::{Message, decode};

/// A dialect at work, with everything that it asks for written down.
pub(super) struct Script<D> {
    pub(super) dialect: D,
    asks: Vec<Ask>,
}

pub(super) const LIMITS: OpenLimits = OpenLimits {
    max_frame: 16 << 20,
    max_send: 8 << 20,
    max_depth: 128,
    handshake: Duration::from_secs(30),
    ping_interval: Duration::from_secs(10),
};

impl<D: Dialect> Script<D> {
    pub(super) fn new(dialect: D) -> Self {
        Self { dialect, asks: Vec::new() }
    }

    pub(super) fn open(&mut self, hint: Option<&str>) -> String {
        self.open_with(hint, &json!({"units": "metric"}))
    }

    pub(super) fn open_with(&mut self, hint: Option<&str>, config: &Value) -> String {
        let cx = OpenCx {
            plugin: "geo",
            instance: "geo-0",
            generation: 3,
            config,
            host_pid: None,
            hint,
            call: &["kv.get".to_owned()],
            publish: &["geo.*".to_owned()],
            events: true,
            limits: LIMITS,
        };
        self.dialect.open(&cx, &mut self.asks);
        self.asked()
    }

    /// An answer to a tagged request: the text of a result, or of an error object.
    pub(super) fn answer(&mut self, tag: Tag, outcome: Result<&str, &str>) -> String {
        let body = match outcome {
            Ok(result) => format!("\"result\":{result}"),
            Err(error) => format!("\"error\":{error}"),
        };
        let frame = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,{body}}}");
        let Ok(Message::Response { outcome, .. }) = decode(&frame, 128) else { panic!("{frame}") };
        self.dialect.on_tagged(tag, outcome.as_ref().map(|r| *r), &mut self.asks);
        self.asked()
    }

    /// A request or notification of the peer: the frame without `jsonrpc`.
    pub(super) fn says(&mut self, rest: &str) -> String {
        let frame = format!("{{\"jsonrpc\":\"2.0\",{rest}}}");
        let message = decode(&frame, 128);
        let inbound = match message {
            Ok(Message::Request { ref id, ref method, params }) => {
                Inbound::Request { id: id.clone(), method, params }
            }
            Ok(Message::Notification { ref method, params }) => Inbound::Note { method, params },
            ref other => panic!("{other:?}"),
        };
        self.dialect.on_message(inbound, &mut self.asks);
        self.asked()
    }

    pub(super) fn ends(&mut self) -> String {
        self.dialect.on_end(&mut self.asks);
        self.asked()
    }

    pub(super) fn times_out(&mut self, tag: Tag) -> String {
        self.dialect.on_tag_timeout(tag, &mut self.asks);
        self.asked()
    }

    pub(super) fn stop(&mut self, rung: Stop) -> String {
        let cx = StopCx { reason: "restart", deadline: Duration::from_secs(7) };
        self.dialect.stop(rung, &cx, &mut self.asks);
        self.asked()
    }

    pub(super) fn probe(&mut self, second: bool) -> String {
        let probe = self.dialect.probe(second);
        self.asks.extend(probe);
        self.asked()
    }

    pub(super) fn cancel(&mut self, id: u32) -> String {
        let cancel = self.dialect.cancel(id, "m", "deadline");
        self.asks.extend(cancel.ask);
        format!("{}answered {}", self.asked(), cancel.answered)
    }

    pub(super) fn call(&self, method: &str, params: &str, meta: Meta<'_>) -> String {
        let cx = CallCx { meta, remaining: Some(Duration::from_millis(1950)) };
        match self.dialect.call(method, params, &cx) {
            Ok((method, params)) => {
                assert!(
                    params.is_empty() || serde_json::from_str::<&RawValue>(&params).is_ok(),
                    "{params}"
                );
                format!("{method} {params}")
            }
            Err(refusal) => format!("{refusal:?}"),
        }
    }

    fn asked(&mut self) -> String {
        let mut out = String::new();
        for ask in self.asks.drain(..) {
            writeln!(out, "{}", show(&ask)).unwrap();
        }
        out
    }
}

fn show(ask: &Ask) -> String {
    let json = |text: &str| {
        assert!(text.is_empty() || serde_json::from_str::<&RawValue>(text).is_ok(), "{text}");
        text.to_owned()
    };
    match ask {
        Ask::Request { tag, method, params, budget } => {
            let budget = budget.map_or(String::new(), |b| format!(" within {b:?}"));
            format!("{tag:?}{budget}: {method} {}", json(params)).trim_end().to_owned()
        }
        Ask::Note { method, params } => {
            format!("note {method} {}", json(params)).trim_end().to_owned()
        }
        Ask::Answer { id, outcome: Ok(result) } => format!("answer {id} {}", json(result)),
        Ask::Answer { id, outcome: Err((code, message)) } => {
            format!("answer {id} error {code} {message}")
        }
        Ask::CloseStdin => "close stdin".to_owned(),
        Ask::Opened(facts) => format!(
            "opened {} {} protocol {}, {}, methods {:?}, concurrency {:?}, ready {}",
            facts.name.as_deref().unwrap_or("-"),
            facts.version.as_deref().unwrap_or("-"),
            facts.protocol,
            facts.offers.as_deref().unwrap_or("-"),
            facts.methods.as_ref().map(|all| all.iter().map(|m| &*m.name).collect::<Vec<_>>()),
            facts.concurrency,
            facts.ready,
        ),
        Ask::OpenFailed { detail, message, retry } => {
            format!("failed {detail} {retry:?}: {message}")
        }
        Ask::Event(event) => format!("event {event:?}"),
        Ask::Host(request) => format!("host {request:?}"),
        Ask::Relay { id, method, otherwise, .. } => {
            format!("relay {id} {method}, otherwise {otherwise:?}")
        }
    }
}

const OPENED: &str = concat!(
    r#"{"protocolVersion":1,"name":"geo","version":"2.4.1","methods":{"geo/reload":{},"#,
    r#""geo/locate":{"params":{"type":"object"},"idempotent":true,"timeoutMs":2000}},"events":["geo.updated"],"#,
    r#""subscribe":["net.*"],"concurrency":8,"ready":false,"supports":{"drain":true,"configReload":true,"#,
    r#""progress":true,"cancel":true,"idempotency":true,"meta":true,"future":true},"future":{"a":1e400}}"#,
);

fn native() -> Script<Native> {
    let mut script = Script::new(Native::new());
    script.open(None);
    script
}

fn open_native(result: &str) -> Script<Native> {
    let mut script = native();
    assert!(script.answer(Tag::Open(0), Ok(result)).contains("opened"), "{result}");
    script
}

#[test]
fn a_native_opening_says_all_that_a_plugin_may_need() {
    let mut script = Script::new(Native::new());
    let asked = script.open(None);
    let (head, params) = asked.trim_end().split_once(" {").unwrap();
    assert_eq!(head, "Open(0): initialize");
    let params: Value = serde_json::from_str(&format!("{{{params}")).unwrap();
    assert_eq!(
        params,
        json!({"protocolVersions": [1], "hostInfo": {"name": "outboard", "version": HOST_VERSION},
            "plugin": {"id": "geo", "instance": "geo-0", "generation": 3}, "config": {"units": "metric"},
            "capabilities": {"call": ["kv.get"], "publish": ["geo.*"], "events": true, "log": true, "progress": true},
            "limits": {"maxFrameBytes": 16_777_216, "maxHostFrameBytes": 8_388_608, "maxDepth": 128,
                "handshakeMs": 30000, "pingIntervalMs": 10000}})
    );
    assert_eq!(script.probe(false), "", "no probe before the opening is answered");
    assert_eq!(
        script.answer(Tag::Open(0), Ok(OPENED)),
        "note initialized {}\nopened geo 2.4.1 protocol 1, 2 methods, \
         methods Some([\"geo/locate\", \"geo/reload\"]), concurrency Some(8), ready false\n"
    );
}

#[test]
fn facts_carry_what_a_method_said_of_itself() {
    let mut script = native();
    script.dialect.on_tagged(
        Tag::Open(0),
        Ok(&RawValue::from_string(OPENED.to_owned()).unwrap()),
        &mut script.asks,
    );
    let Some(Ask::Opened(facts)) = script.asks.pop() else { panic!() };
    assert_eq!(
        facts.methods.unwrap()[0],
        Method {
            name: "geo/locate".to_owned(),
            idempotent: true,
            timeout: Some(Duration::from_secs(2))
        }
    );
    let all = Supports {
        cancel: true,
        drain: true,
        reload: true,
        progress: true,
        idempotency: true,
        meta: true,
    };
    assert_eq!(facts.supports, all);
    assert_eq!(
        (facts.events, facts.subscribe),
        (vec!["geo.updated".to_owned()], vec!["net.*".to_owned()])
    );
    assert_eq!(facts.raw.get(), OPENED);
}

#[test]
fn the_least_opening_is_a_version() {
    let mut script = native();
    assert_eq!(
        script.answer(Tag::Open(0), Ok(r#"{"protocolVersion":1}"#)),
        "note initialized {}\nopened - - protocol 1, -, methods None, concurrency None, ready true\n"
    );
}

#[test]
fn a_native_opening_that_fails_says_why_and_whether_to_try_again() {
    for (outcome, want) in [
        (
            Ok(r#"{"protocolVersion":999}"#),
            "failed version Never: the plugin chose protocol version 999",
        ),
        (Ok(r#"{"protocolVersion":"1"}"#), "failed malformed Backoff: "),
        (Ok(r#"{"name":"x"}"#), "failed malformed Backoff: "),
        (Ok("[1]"), "failed malformed Backoff: "),
        (Ok("null"), "failed malformed Backoff: "),
        (Ok(r#"{"protocolVersion":1,"concurrency":0}"#), "failed malformed Backoff: "),
        (Ok(r#"{"protocolVersion":1,"concurrency":-1}"#), "failed malformed Backoff: "),
        (Ok(r#"{"protocolVersion":1,"methods":[]}"#), "failed malformed Backoff: "),
        (Ok(r#"{"protocolVersion":1,"methods":{"a b":{}}}"#), "failed malformed Backoff: "),
        (Ok(r#"{"protocolVersion":1,"methods":{"a":[true]}}"#), "failed malformed Backoff: "),
        (Ok(r#"{"protocolVersion":1,"supports":{"meta":1}}"#), "failed malformed Backoff: "),
        (
            Err(r#"{"code":-31010,"message":"m","data":{"supported":[2]}}"#),
            "failed version Never: the plugin speaks protocol versions [2]",
        ),
        (
            Err(r#"{"code":-32601,"message":"what?"}"#),
            "failed refused Backoff: the plugin refused initialize: what? (-32601)",
        ),
    ] {
        let got = native().answer(Tag::Open(0), outcome);
        assert!(got.starts_with(want), "{outcome:?}: {got}");
        assert_eq!(got.lines().count(), 1);
    }
}

#[test]
fn before_its_opening_a_plugin_may_log_progress_and_status_only() {
    let mut script = native();
    assert_eq!(
        script.says(r#""id":1,"method":"host/info""#),
        "answer 1 error -31009 not before initialized\n"
    );
    assert!(script.says(r#""method":"$/status","params":{"state":"busy"}"#).contains("Status"));
    assert!(
        script
            .says(r#""method":"$/progress","params":{"token":"initialize","progress":1}"#)
            .contains("Progress")
    );
    assert!(script.says(r#""method":"$/log","params":{"message":"hi"}"#).contains("Log"));
    assert!(script.says(r#""method":"other""#).contains("Violation"));
}

#[test]
fn what_a_native_plugin_says_is_understood() {
    let mut script = open_native(OPENED);
    for (said, want) in [
        (
            r#""method":"$/log","params":{"level":"warn","message":"a\"b","logger":"geo.db","fields":{"rows":1e400}}"#,
            r#"event Log { level: Warn, text: "a\"b", logger: Some("geo.db"), fields: Some("{\"rows\":1e400}") }"#,
        ),
        (
            r#""method":"$/log","params":{"level":"loud","message":"\ud800"}"#,
            r#"event Log { level: Info, text: "\\ud800", logger: None, fields: None }"#,
        ),
        (
            r#""method":"$/status","params":{"state":"busy","message":"compacting","expectedMs":20000}"#,
            r#"event Status { state: Busy, message: Some("compacting"), expected: Some(20s) }"#,
        ),
        (
            r#""method":"$/status","params":{"state":"odd"}"#,
            r#"event Violation { what: "status without a known state" }"#,
        ),
        (
            r#""id":"c1","method":"host/call","params":{"plugin":"kv","method":"get","params":{"key":"a"},"timeoutMs":1000}"#,
            r#"host Call { id: Str("c1"), plugin: "kv", method: "get", params: "{\"key\":\"a\"}", timeout: Some(1s), meta: None }"#,
        ),
        (
            r#""id":2,"method":"host/call","params":{"plugin":"kv"}"#,
            "answer 2 error -32602 host/call needs the strings plugin and method",
        ),
        (
            r#""id":2,"method":"host/call","params":{"plugin":"kv","method":"m","params":[1]}"#,
            "answer 2 error -32602 params must be an object",
        ),
        (
            r#""id":"c2","method":"host/publish","params":{"topic":"geo.updated","data":{"rows":1}}"#,
            r#"host Publish { id: Some(Str("c2")), topic: "geo.updated", data: "{\"rows\":1}" }"#,
        ),
        (
            r#""method":"host/publish","params":{"topic":"t"}"#,
            r#"host Publish { id: None, topic: "t", data: "null" }"#,
        ),
        (r#""id":0,"method":"host/info""#, "host Info { id: Num(0) }"),
        (r#""id":4,"method":"no/such""#, "answer 4 error -32601 the host has no such method"),
        (r#""method":"no/such""#, r#"event Note { method: "no/such", raw: None }"#),
    ] {
        assert_eq!(script.says(said).trim_end(), want, "{said}");
    }
}

#[test]
fn native_calls_are_checked_and_keep_their_bytes() {
    let script = open_native(OPENED);
    let bare = Script::new(Native::new());
    let none = Meta::default();
    for reserved in [
        "initialize",
        "initialized",
        "ping",
        "shutdown",
        "exit",
        "drain",
        "event",
        "config/changed",
        "host/x",
        "$/y",
    ] {
        assert_eq!(script.call(reserved, "{}", none), "Reserved");
    }
    assert_eq!(script.call("no/such", "{}", none), "UnknownMethod");
    assert_eq!(bare.call("no such", "{}", none), "IllegalName");
    assert_eq!(bare.call("", "{}", none), "IllegalName");
    assert_eq!(bare.call("any/name", "[1]", none), "BadParams(\"an object is needed\")");
    for empty in ["", "null", " null "] {
        assert_eq!(bare.call("any/name", empty, none), "any/name {}");
    }
    let params = r#"{"n": 1e400, "_meta":{"mine":1}}"#;
    let meta = Meta {
        caller: Some("cli"),
        progress_token: Some("8"),
        idempotency_key: Some("k"),
        traceparent: Some("00-1-2-01"),
        ..none
    };
    assert_eq!(
        bare.call("any/name", params, meta),
        format!("any/name {params}"),
        "no _meta unless it is borne"
    );
    assert_eq!(
        script.call("geo/locate", params, meta),
        "geo/locate {\"n\": 1e400,\"_meta\":{\"mine\":1,\"deadlineMs\":1950,\"caller\":\"cli\",\
         \"idempotencyKey\":\"k\",\"traceparent\":\"00-1-2-01\",\"progressToken\":\"8\"}}"
    );
    let plain = open_native(r#"{"protocolVersion":1,"supports":{"meta":true}}"#);
    assert_eq!(
        plain.call("m", "{}", meta),
        "m {\"_meta\":{\"deadlineMs\":1950,\"caller\":\"cli\",\"traceparent\":\"00-1-2-01\"}}"
    );
}

#[test]
fn the_second_probe_is_kept_while_only_it_is_answered() {
    let mut script = open_native(OPENED);
    assert_eq!(script.probe(false), "Probe { second: false }: ping {}\n");
    assert_eq!(script.probe(true), "Probe { second: true }: $/probe {}\n");
    assert_eq!(script.dialect.hint(), None);
    script.answer(Tag::Probe { second: true }, Err(r#"{"code":-32601,"message":"m"}"#));
    assert_eq!(script.dialect.hint().as_deref(), Some("second"));
    assert_eq!(script.probe(false), "Probe { second: true }: $/probe {}\n");
    assert_eq!(script.probe(true), "Probe { second: false }: ping {}\n");
    assert_eq!(
        script.answer(
            Tag::Probe { second: false },
            Ok(r#"{"state":"degraded","message":"cache cold"}"#)
        ),
        "event Status { state: Degraded, message: Some(\"cache cold\"), expected: None }\n"
    );
    script.answer(Tag::Probe { second: true }, Ok("{}"));
    assert_eq!(script.dialect.hint(), None, "the first kind is answered after all");

    let mut next = Script::new(Native::new());
    next.open(Some("second"));
    next.answer(Tag::Open(0), Ok(OPENED));
    assert_eq!(next.probe(false), "Probe { second: true }: $/probe {}\n");
}

#[test]
fn a_native_stop_drains_asks_and_leaves() {
    let mut script = open_native(OPENED);
    assert_eq!(script.stop(Stop::Drain), "Drain: drain {\"deadlineMs\":7000}\n");
    assert_eq!(script.probe(false), "Probe { second: false }: ping {}\n");
    assert_eq!(
        script.stop(Stop::Ask),
        "Shutdown: shutdown {\"reason\":\"restart\",\"deadlineMs\":7000}\n"
    );
    assert_eq!(script.probe(false), "", "no probe after shutdown");
    assert_eq!(script.stop(Stop::Leave), "note exit {}\nclose stdin\n");

    let mut plain = open_native(r#"{"protocolVersion":1}"#);
    assert_eq!(plain.stop(Stop::Drain), "");
    let mut unopened = native();
    assert_eq!(unopened.stop(Stop::Ask), "", "a plugin that never opened is not asked");
    assert_eq!(unopened.stop(Stop::Leave), "note exit {}\nclose stdin\n");
}

#[test]
fn cancel_and_reload_go_only_to_plugins_that_bear_them() {
    let mut script = open_native(OPENED);
    assert_eq!(script.cancel(8), "note $/cancel {\"id\":8,\"reason\":\"deadline\"}\nanswered true");
    let ask = script.dialect.reconfigure(&json!({"units": "imperial"}), 4).unwrap();
    assert_eq!(
        show(&ask),
        "Config within 10s: config/changed {\"config\":{\"units\":\"imperial\"},\"revision\":4}"
    );
    assert_eq!(
        script.answer(Tag::Config, Ok(r#"{"applied":true}"#)),
        "event Reconfigured { applied: true }\n"
    );
    assert_eq!(script.answer(Tag::Config, Ok("{}")), "event Reconfigured { applied: false }\n");
    assert_eq!(
        script.answer(Tag::Config, Err(r#"{"code":1,"message":"m"}"#)),
        "event Reconfigured { applied: false }\n"
    );
    let mut plain = open_native(r#"{"protocolVersion":1}"#);
    assert_eq!(plain.cancel(8), "answered true");
    assert!(plain.dialect.reconfigure(&json!({}), 4).is_none());
}
