use serde_json::Value;

use super::*;
use crate::dialect::{PluginEvent, Saying};
use crate::id::Id;

const CX: OpenCx<'_> = OpenCx {
    plugin: "ls",
    instance: "ls-0",
    generation: 1,
    config: &Value::Null,
    host_pid: None,
    hint: None,
    call: &[],
    publish: &[],
    events: true,
    limits: crate::dialect::OpenLimits {
        max_frame: 1,
        max_send: 1,
        max_depth: 1,
        handshake: std::time::Duration::ZERO,
        ping_interval: std::time::Duration::ZERO,
    },
};

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

/// Orders in a form that is easy to compare: requests by method and params, the rest in words.
fn shown(asks: &mut Vec<Ask>) -> Vec<String> {
    let show = |ask: Ask| match ask {
        Ask::Request { method, params, .. } => format!("request {method} {params}"),
        Ask::Note { method, params } => format!("note {method} {params}"),
        Ask::Answer { id, outcome: Ok(result) } => format!("answer {id} {result}"),
        Ask::Answer { id, outcome: Err((code, _)) } => format!("refuse {id} {code}"),
        Ask::Relay { method, otherwise, .. } => format!("relay {method} or {otherwise:?}"),
        Ask::CloseStdin => "close".to_owned(),
        Ask::Opened(facts) => format!("opened {:?}", facts.offers),
        Ask::OpenFailed { detail, message, .. } => format!("failed {detail}: {message}"),
        Ask::Event(PluginEvent::Status { state, message, .. }) => format!("{state:?} {message:?}"),
        other => format!("{other:?}"),
    };
    asks.drain(..).map(show).collect()
}

fn opened(settings: LspSettings) -> Lsp {
    let mut lsp = Lsp::new(settings);
    let mut asks = Vec::new();
    lsp.open(&CX, &mut asks);
    lsp.on_tagged(Tag::Open(0), Ok(&raw(r#"{"capabilities":{}}"#)), &mut asks);
    lsp
}

fn asked(lsp: &mut Lsp, method: &str, params: &str) -> Vec<String> {
    let mut asks = Vec::new();
    let params = raw(params);
    lsp.on_message(Inbound::Request { id: Id::Num(0), method, params: Some(&params) }, &mut asks);
    shown(&mut asks)
}

fn told(lsp: &mut Lsp, method: &str, params: &str) -> Vec<String> {
    let mut asks = Vec::new();
    let params = raw(params);
    lsp.on_message(Inbound::Note { method, params: Some(&params) }, &mut asks);
    shown(&mut asks)
}

#[test]
fn the_smallest_opening_is_that_of_the_protocol_and_nothing_is_sent_before_its_answer() {
    let mut lsp = Lsp::new(LspSettings::default());
    let mut asks = Vec::new();
    lsp.open(&CX, &mut asks);
    let Ask::Request { tag: Tag::Open(0), method, params, .. } = asks.remove(0) else {
        panic!("the opening comes first");
    };
    assert_eq!(method, "initialize");
    let params: Value = serde_json::from_str(&params).unwrap();
    for member in ["processId", "rootUri", "workspaceFolders", "initializationOptions"] {
        assert_eq!(params.get(member), Some(&Value::Null), "{member}");
    }
    assert_eq!(params["capabilities"]["general"]["positionEncodings"], json!(["utf-16"]));
    assert!(lsp.probe(false).is_none());
    let result = r#"{"capabilities":{"hoverProvider":true,"renameProvider":{},"codeLensProvider":false,"textDocumentSync":1},"serverInfo":{"name":"s"}}"#;
    lsp.on_tagged(Tag::Open(0), Ok(&raw(result)), &mut asks);
    assert_eq!(shown(&mut asks), ["note initialized {}", "opened Some(\"2 features\")"]);
    asks.extend(lsp.probe(false));
    assert_eq!(shown(&mut asks), ["request $/outboard/ping {}"]);
}

#[test]
fn the_manifest_s_capabilities_lie_on_top_of_the_host_s() {
    let settings = LspSettings {
        root: Some(Folder { uri: "file:///p".into(), name: "p".into() }),
        capabilities: json!({"workspace": {"configuration": false, "applyEdit": true}, "x": 1}),
        ..LspSettings::default()
    };
    let params: Value = serde_json::from_str(&settings.opening(&json!({}), None)).unwrap();
    let workspace = &params["capabilities"]["workspace"];
    assert_eq!(
        json!([workspace["configuration"], workspace["applyEdit"], workspace["workspaceFolders"]]),
        json!([false, true, true])
    );
    assert_eq!(params["rootUri"], "file:///p");
    assert_eq!(params["workspaceFolders"], json!([{"uri": "file:///p", "name": "p"}]));
}

#[test]
fn an_answer_without_capabilities_and_a_refusal_open_nothing() {
    for (answer, word) in [("{}", "malformed"), (r#"{"capabilities":null}"#, "malformed")] {
        let mut lsp = Lsp::new(LspSettings::default());
        let mut asks = Vec::new();
        lsp.on_tagged(Tag::Open(0), Ok(&raw(answer)), &mut asks);
        assert!(shown(&mut asks)[0].starts_with(&format!("failed {word}")), "{answer}");
        assert!(lsp.probe(false).is_none());
    }
}

#[test]
fn every_request_of_a_server_is_answered() {
    let settings = json!({"python": {"analysis": {"x": 1}}, "a.b": 2});
    let mut lsp = opened(LspSettings { settings, ..LspSettings::default() });
    for (method, params, answer) in [
        ("client/registerCapability", "{}", "answer 0 null"),
        ("client/unregisterCapability", "{}", "answer 0 null"),
        ("window/workDoneProgress/create", r#"{"token":1}"#, "answer 0 null"),
        ("workspace/workspaceFolders", "null", "answer 0 null"),
        ("workspace/semanticTokens/refresh", "null", "answer 0 null"),
        ("workspace/diagnostic/refresh", "null", "answer 0 null"),
        (
            "workspace/configuration",
            r#"{"items":[{"section":"python.analysis"},{"section":"a.b"},{"section":"no"},{"section":"python.analysis.x"}]}"#,
            r#"answer 0 [{"x":1},2,null,1]"#,
        ),
        ("workspace/configuration", r#"{"items":[]}"#, "answer 0 []"),
        ("workspace/configuration", "{}", "refuse 0 -32602"),
        ("window/showMessageRequest", "{}", "relay window/showMessageRequest or Ok(\"null\")"),
        ("window/showDocument", "{}", r#"relay window/showDocument or Ok("{\"success\":false}")"#),
        ("vendor/anything", "{}", "refuse 0 -32601"),
    ] {
        assert_eq!(asked(&mut lsp, method, params), [answer], "{method} {params}");
    }
    let edit = asked(&mut lsp, "workspace/applyEdit", "{}");
    assert!(edit[0].contains("no editor"), "{edit:?}");
    let all = asked(&mut lsp, "workspace/configuration", r#"{"items":[{}]}"#);
    assert_eq!(all, [r#"answer 0 [{"a.b":2,"python":{"analysis":{"x":1}}}]"#]);
}

#[test]
fn a_server_is_busy_until_the_last_of_its_tasks_has_ended() {
    let mut lsp = opened(LspSettings::default());
    let mut progress = |token: &str, value: &str| {
        told(&mut lsp, "$/progress", &format!(r#"{{"token":{token},"value":{value}}}"#))
    };
    let begin = r#"{"kind":"begin","title":"Indexing"}"#;
    assert_eq!(progress("1", begin), [format!("{:?} Some(\"Indexing\")", Saying::Busy)]);
    assert!(progress("1", begin).is_empty(), "it has begun");
    assert!(progress("1", r#"{"kind":"report","percentage":5}"#).is_empty());
    assert_eq!(progress("\"1\"", begin).len(), 1, "another token");
    assert!(progress("1", r#"{"kind":"end"}"#).is_empty(), "one is still going on");
    assert!(progress("7", r#"{"kind":"end"}"#).is_empty(), "it never began");
    assert_eq!(progress("\"1\"", r#"{"kind":"end"}"#), [format!("{:?} None", Saying::Ready)]);
    for n in 0..2 * 64 {
        progress(&n.to_string(), begin);
    }
    assert_eq!(lsp.tasks.len(), 64, "bounded");
}

#[test]
fn log_messages_have_their_levels_and_telemetry_is_nobody_s() {
    let mut lsp = opened(LspSettings::default());
    for (number, level) in [("1", "Error"), ("2", "Warn"), ("3", "Info"), ("4", "Debug")] {
        let params = format!(r#"{{"type":{number},"message":"m"}}"#);
        let said = told(&mut lsp, "window/logMessage", &params);
        assert!(said[0].contains(&format!("level: {level}")), "{said:?}");
    }
    assert!(told(&mut lsp, "telemetry/event", "{}").is_empty());
}

#[test]
fn what_belongs_to_the_link_is_refused_and_params_may_be_a_list() {
    let lsp = opened(LspSettings::default());
    let call = |method, params| lsp.call(method, params, &CallCx::default()).map(|(_, it)| it);
    for method in ["initialize", "initialized", "shutdown", "exit", "$/cancelRequest", PROBE] {
        assert_eq!(call(method, "{}"), Err(CallRefusal::Reserved), "{method}");
    }
    assert_eq!(call("textDocument/hover", "{\"n\":1e400}").unwrap(), "{\"n\":1e400}");
    assert_eq!(call("vendor/x", "[1]").unwrap(), "[1]");
    assert_eq!(call("vendor/x", " null ").unwrap(), "");
    assert!(matches!(call("vendor/x", "1"), Err(CallRefusal::BadParams(_))));
}

#[test]
fn a_stop_asks_without_params_and_leaves_with_exit_and_the_end_of_input() {
    let mut lsp = opened(LspSettings::default());
    let cx = StopCx { reason: "stop", deadline: std::time::Duration::ZERO };
    let mut asks = Vec::new();
    lsp.stop(Stop::Drain, &cx, &mut asks);
    assert!(asks.is_empty());
    lsp.stop(Stop::Ask, &cx, &mut asks);
    assert_eq!(shown(&mut asks), ["request shutdown "]);
    assert!(lsp.probe(false).is_none(), "one library is mute from then on");
    lsp.stop(Stop::Leave, &cx, &mut asks);
    assert_eq!(shown(&mut asks), ["note exit ", "close"]);
    let mut unopened = Lsp::new(LspSettings::default());
    unopened.stop(Stop::Ask, &cx, &mut asks);
    unopened.stop(Stop::Leave, &cx, &mut asks);
    assert_eq!(shown(&mut asks), ["note exit ", "close"]);
}
