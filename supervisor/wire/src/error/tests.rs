use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;
use crate::message::{Message, Reason, Reject, decode};
use crate::peer::{Limits, Refusal};

const GEO: Callee<'static> = Callee { plugin: "geo", generation: 3 };

fn value(error: &CallError) -> Value {
    serde_json::from_str(&error.to_json()).unwrap()
}

fn remote(object: &str) -> CallError {
    let frame = format!(r#"{{"jsonrpc":"2.0","id":3,"error":{object}}}"#);
    let Ok(Message::Response { outcome: Err(error), .. }) = decode(&frame, 128) else {
        panic!("{frame}")
    };
    CallError::remote(&error)
}

#[test]
fn a_crash_tells_all_that_is_known() {
    let error = CallError::crashed(GEO, "signal", true, false)
        .with_attempt(1)
        .with_elapsed(Duration::from_millis(412))
        .with_retry_after(Duration::from_millis(800))
        .with_exit(Exit::Signal("SIGSEGV".to_owned()))
        .with_dossier("geo/3".to_owned())
        .with_stderr((0..12).map(|n| format!("line \"{n}\"")).collect());
    let lines: Vec<String> = (2..12).map(|n| format!("line \"{n}\"")).collect();
    assert_eq!(
        value(&error),
        json!({"code": -31003, "message": "plugin geo crashed during the call", "data": {
            "plugin": "geo", "generation": 3, "class": "signal", "retryable": false, "source": "host", "sent": true,
            "attempt": 1, "elapsedMs": 412, "retryAfterMs": 800, "exit": {"signal": "SIGSEGV"}, "dossier": "geo/3",
            "stderr": lines,
        }})
    );
    assert_eq!(error.to_string(), "plugin geo crashed during the call (-31003 signal)");
}

/// Code, class, retryable, sent.
#[test]
fn every_error_has_its_code_and_says_whether_a_retry_helps() {
    let limits = Limits::default();
    let reject = |reason| Reject { reason, id: None, jsonrpc: true, request: false };
    let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
    let input =
        raw(r#"{"resultType":"input_required","inputRequests":{"a":1},"requestState":"s"}"#);
    let all = [
        CallError::unavailable(GEO, "starting"),
        CallError::unavailable(GEO, "waiting"),
        CallError::unavailable(GEO, "backoff"),
        CallError::unavailable(GEO, "half_open"),
        CallError::unavailable(GEO, "down"),
        CallError::unavailable(GEO, "failed"),
        CallError::unavailable(GEO, "not_found"),
        CallError::unavailable(GEO, "no_supervisor"),
        CallError::deadline_exceeded(GEO, false, false),
        CallError::deadline_exceeded(GEO, true, true),
        CallError::crashed(GEO, "exit", true, true),
        CallError::crashed(GEO, "stopped", false, false),
        CallError::overloaded(GEO, "pending"),
        CallError::overloaded(GEO, "call_cycle"),
        CallError::refused(GEO, &Refusal::Overloaded("queue_bytes"), &limits),
        CallError::refused(GEO, &Refusal::TooLarge { bytes: 9 }, &limits),
        CallError::refused(GEO, &Refusal::TooDeep, &limits),
        CallError::inbound_too_large(GEO, 9, 8),
        CallError::rejected(GEO, &reject(Reason::Depth), 128),
        CallError::rejected(GEO, &reject(Reason::Shape), 128),
        CallError::permission_denied(GEO, "reserved", "ping"),
        CallError::shutting_down(GEO, "stop"),
        CallError::shutting_down(GEO, "restart"),
        CallError::shutting_down(GEO, "upgrade"),
        CallError::shutting_down(GEO, "host_exit"),
        CallError::not_ready(GEO, "handshake"),
        CallError::unsupported_protocol(GEO, "it offers 999"),
        CallError::cancelled(GEO, true),
        CallError::illegal_method(GEO, "a b"),
        CallError::method_not_found(GEO, "no/such"),
        CallError::invalid_params(GEO, "an object is needed"),
        CallError::input_required(GEO, &input),
    ];
    let mut table = String::new();
    for error in &all {
        let json = value(error);
        assert_eq!(json["code"], error.code());
        assert_eq!(json["data"]["plugin"], "geo");
        assert_eq!(json["data"]["generation"], 3);
        assert_eq!(json["data"]["source"], "host");
        assert_eq!(json["data"]["retryable"], error.retryable());
        let sent = if error.sent() { "sent" } else { "" };
        let retry = if error.retryable() { "retry" } else { "" };
        table += format!("{} {} {retry} {sent}", error.code(), error.class().unwrap()).trim_end();
        table += "\n";
    }
    let want = "\
-31001 starting retry
-31001 waiting retry
-31001 backoff retry
-31001 half_open retry
-31001 down
-31001 failed
-31001 not_found
-31001 no_supervisor
-31002 queued
-31002 in_flight retry sent
-31003 exit retry sent
-31003 stopped retry
-31004 pending retry
-31004 call_cycle
-31004 queue_bytes retry
-31005 outbound_size
-31005 outbound_depth
-31005 inbound_size  sent
-31005 inbound_depth  sent
-31007 shape  sent
-31006 reserved
-31008 stop
-31008 restart retry
-31008 upgrade retry
-31008 host_exit
-31009 handshake retry
-31010 handshake
-32800 caller  sent
-32600 method
-32601 method
-32602 params
-32603 input_required  sent
";
    assert_eq!(table, want);
    assert_eq!(value(all.last().unwrap())["data"]["inputRequests"], json!({"a": 1}));
    assert_eq!(value(all.last().unwrap())["data"]["requestState"], "s");
}

#[test]
fn a_plugins_own_error_passes_byte_for_byte() {
    let object =
        r#"{ "code":-5, "message":"a\ud800", "data":{"n":1e400,"retryable":true}, "x":0 }"#;
    let error = remote(object);
    assert_eq!(error.to_json(), object);
    assert_eq!(
        (error.code(), error.class(), error.retryable(), error.sent()),
        (-5, None, true, true)
    );
}

#[test]
fn a_plugin_that_takes_a_code_of_the_table_is_named_as_the_source() {
    for (object, want) in [
        (
            r#"{"code":-31006,"message":"no","data":{"source":"host","n":1e400}}"#,
            r#"{"code":-31006,"message":"no","data":{"n":1e400,"source":"plugin"}}"#,
        ),
        (
            r#"{"code":-32800,"message":"m"}"#,
            r#"{"code":-32800,"message":"m","data":{"source":"plugin"}}"#,
        ),
        (
            r#"{"code":-31000,"data":[1],"message":"m"}"#,
            r#"{"code":-31000,"message":"m","data":{"data":[1],"source":"plugin"}}"#,
        ),
        (r#"{"code":-32601,"message":"m"}"#, r#"{"code":-32601,"message":"m"}"#),
    ] {
        assert_eq!(remote(object).to_json(), want);
    }
}

#[test]
fn a_callee_is_named_in_what_it_answered_to_another_plugin() {
    let error = remote(r#"{"code":7,"message":"m","data":{"a":1}}"#).with_callee("kv");
    assert_eq!(error.to_json(), r#"{"code":7,"message":"m","data":{"a":1,"plugin":"kv"}}"#);
}
