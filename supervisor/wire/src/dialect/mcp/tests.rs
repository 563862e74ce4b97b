use serde_json::json;

use super::*;
use crate::dialect::tests::Script;
use crate::dialect::{Meta, RemoteError as Remote};
use crate::id::Id;
use crate::message::{Message, decode};

const LEGACY_RESULT: &str = concat!(
    r#"{"protocolVersion":"2025-06-18","capabilities":{"prompts":{},"tools":{"listChanged":true},"logging":{},"x":{}},"#,
    r#""serverInfo":{"name":"files","version":"1.2"}}"#,
);
const MODERN_RESULT: &str = concat!(
    r#"{"supportedVersions":["2026-07-28","2025-11-25"],"capabilities":{"tools":{}},"resultType":"complete","#,
    r#""_meta":{"io.modelcontextprotocol/serverInfo":{"name":"files","version":"2"}}}"#,
);
const INITIALIZE: Tag = Tag::Open(0);
const DISCOVER: Tag = Tag::Open(1);

fn auto() -> Script<Mcp> {
    Script::new(Mcp::new(McpSettings::default()))
}

fn with(change: impl FnOnce(&mut McpSettings)) -> Script<Mcp> {
    let mut settings = McpSettings::default();
    change(&mut settings);
    Script::new(Mcp::new(settings))
}

fn legacy() -> Script<Mcp> {
    let mut script = auto();
    script.open(None);
    assert!(script.answer(INITIALIZE, Ok(LEGACY_RESULT)).contains("opened"));
    script
}

fn modern() -> Script<Mcp> {
    let mut script = with(|s| s.era = Era::Modern);
    script.open(None);
    assert!(script.answer(DISCOVER, Ok(MODERN_RESULT)).contains("opened"));
    script
}

fn initialize() -> String {
    format!(
        "Open(0): initialize {{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{{}},\
         \"clientInfo\":{{\"name\":\"outboard\",\"version\":\"{HOST_VERSION}\"}}}}\n"
    )
}

fn modern_meta() -> String {
    format!(
        "\"_meta\":{{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\",\
         \"io.modelcontextprotocol/clientInfo\":{{\"name\":\"outboard\",\"version\":\"{HOST_VERSION}\"}},\
         \"io.modelcontextprotocol/clientCapabilities\":{{}}}}"
    )
}

fn discover() -> String {
    format!("Open(1): server/discover {{{}}}\n", modern_meta())
}

#[test]
fn a_legacy_server_is_opened_with_initialize() {
    let mut script = auto();
    assert_eq!(script.open(None), initialize());
    assert_eq!(script.dialect.hint(), None);
    assert_eq!(
        script.answer(INITIALIZE, Ok(LEGACY_RESULT)),
        "note notifications/initialized\nopened files 1.2 protocol 2025-06-18, prompts, tools, logging, \
         methods None, concurrency None, ready true\n"
    );
    assert_eq!(script.dialect.hint().as_deref(), Some("legacy"));
}

#[test]
fn a_server_that_refuses_initialize_is_discovered_on_the_same_link() {
    for refusal in [
        r#"{"code":-32022,"message":"no","data":{"supported":["2026-07-28"],"requested":"2025-11-25"}}"#,
        r#"{"code":-32601,"message":"Method not found"}"#,
    ] {
        let mut script = auto();
        script.open(None);
        assert_eq!(script.answer(INITIALIZE, Err(refusal)), discover());
        assert_eq!(
            script.answer(DISCOVER, Ok(MODERN_RESULT)),
            "opened files 2 protocol 2026-07-28, tools, methods None, concurrency None, ready true\n"
        );
        assert_eq!(script.dialect.hint().as_deref(), Some("modern"));
    }
}

#[test]
fn a_server_that_refuses_both_is_reported_with_both() {
    let mut script = auto();
    script.open(None);
    script.answer(INITIALIZE, Err(r#"{"code":-32601,"message":"what?"}"#));
    assert_eq!(
        script.answer(DISCOVER, Err(r#"{"code":-32600,"message":"no"}"#)),
        "failed refused Backoff: the server opens no session: initialize was refused: what? (-32601); \
         server/discover was refused: no (-32600)\n"
    );
}

#[test]
fn no_common_version_is_final() {
    let version = |mut script: Script<Mcp>, tag, outcome: Result<&str, &str>| {
        script.open(None);
        let got = script.answer(tag, outcome);
        assert!(got.starts_with("failed version Never: "), "{got}");
    };
    version(auto(), INITIALIZE, Ok(r#"{"protocolVersion":"2030-01-01"}"#));
    version(with(|s| s.era = Era::Modern), DISCOVER, Ok(r#"{"supportedVersions":["2025-11-25"]}"#));
    version(
        with(|s| s.era = Era::Legacy),
        INITIALIZE,
        Err(r#"{"code":-32022,"message":"m","data":{"supported":["2026-07-28"]}}"#),
    );
    version(
        with(|s| s.era = Era::Modern),
        DISCOVER,
        Err(r#"{"code":-32022,"message":"m","data":{"supported":["2025-11-25"]}}"#),
    );
    let mut script = auto();
    script.open(None);
    assert!(
        script
            .answer(INITIALIZE, Ok(r#"{"capabilities":{}}"#))
            .starts_with("failed malformed Backoff")
    );
}

#[test]
fn a_version_that_the_server_says_it_speaks_is_asked_for_once_more() {
    let mut script = with(|s| s.era = Era::Modern);
    assert_eq!(script.open(None), discover());
    let odd = r#"{"code":-32022,"message":"m","data":{"supported":["2026-07-28"]}}"#;
    assert_eq!(script.answer(DISCOVER, Err(odd)), discover());
    assert!(script.answer(DISCOVER, Err(odd)).starts_with("failed version Never"));
}

#[test]
fn a_server_that_closes_on_initialize_is_started_once_more_the_other_way_round() {
    let mut script = auto();
    script.open(None);
    assert_eq!(
        script.ends(),
        "failed closed Respawn { hint: \"try-modern\" }: the server closed the link on initialize\n"
    );
    let mut again = auto();
    assert_eq!(again.open(Some("try-modern")), discover());
    assert_eq!(again.ends(), "", "once");
    let mut again = auto();
    again.open(Some("try-modern"));
    assert!(
        again
            .answer(DISCOVER, Err(r#"{"code":1,"message":"m"}"#))
            .starts_with("failed refused Backoff")
    );
    for era in [Era::Legacy, Era::Modern] {
        let mut fixed = with(|s| s.era = era);
        fixed.open(None);
        assert_eq!(fixed.ends(), "");
    }
    let mut open = legacy();
    assert_eq!(open.ends(), "");
}

#[test]
fn a_hint_that_no_longer_holds_is_forgotten() {
    for outcome in [
        r#"{"code":-32601,"message":"Method not found"}"#,
        r#"{"code":-32022,"message":"m","data":{"supported":["2025-11-25"]}}"#,
    ] {
        let mut script = auto();
        let first = script.open(Some("modern"));
        assert!(first.starts_with("Open(1) within 5s: server/discover"), "{first}");
        assert_eq!(script.answer(DISCOVER, Err(outcome)), initialize());
        assert!(script.answer(INITIALIZE, Ok(LEGACY_RESULT)).contains("opened"));
        assert_eq!(script.dialect.hint().as_deref(), Some("legacy"));
    }
    let mut silent = auto();
    silent.open(Some("modern"));
    assert_eq!(silent.times_out(DISCOVER), initialize());
    assert_eq!(
        silent.answer(DISCOVER, Ok(MODERN_RESULT)),
        "",
        "an answer to a step that was given up"
    );
    let mut closed = auto();
    closed.open(Some("modern"));
    let failed = closed.ends();
    assert!(failed.starts_with("failed closed Respawn { hint: \"start\" }"), "{failed}");
    assert_eq!(auto().open(Some("start")), initialize());
    assert_eq!(auto().open(Some("legacy")), initialize());
}

#[test]
fn the_level_of_log_messages_is_set_where_there_is_one() {
    let mut script = with(|s| s.log_level = Some("warning".to_owned()));
    script.open(None);
    let asked = script.answer(INITIALIZE, Ok(LEGACY_RESULT));
    assert_eq!(asked.lines().nth(1), Some("LogLevel: logging/setLevel {\"level\":\"warning\"}"));
    let mut without = with(|s| s.log_level = Some("warning".to_owned()));
    without.open(None);
    let asked =
        without.answer(INITIALIZE, Ok(r#"{"protocolVersion":"2025-11-25","capabilities":{}}"#));
    assert_eq!(asked.lines().count(), 2);
    assert!(asked.contains(", nothing, "), "{asked}");
}

#[test]
fn every_request_of_a_legacy_server_is_answered_also_before_it_is_open() {
    let mut script = auto();
    script.open(None);
    for (said, want) in [
        (r#""id":0,"method":"ping""#, "answer 0 {}"),
        (r#""id":"a","method":"roots/list""#, "answer \"a\" error -32601 Method not found"),
        (
            r#""id":1,"method":"sampling/createMessage","params":{}"#,
            "answer 1 error -32601 Method not found",
        ),
        (
            r#""id":1,"method":"elicitation/create","params":{}"#,
            "answer 1 error -32601 Method not found",
        ),
        (r#""id":1,"method":"tasks/get","params":{}"#, "answer 1 error -32601 Method not found"),
    ] {
        assert_eq!(script.says(said).trim_end(), want);
    }
}

#[test]
fn declared_capabilities_change_the_opening_and_the_answers() {
    let mut script = with(|s| {
        s.client_capabilities =
            json!({"roots": [{"uri": "file:///srv"}], "sampling": {}, "elicitation": {}});
    });
    assert!(
        script.open(None).contains(r#""capabilities":{"roots":{},"sampling":{},"elicitation":{}}"#)
            || script
                .open(None)
                .contains(r#""capabilities":{"elicitation":{},"roots":{},"sampling":{}}"#)
    );
    assert_eq!(
        script.says(r#""id":1,"method":"roots/list""#),
        "answer 1 {\"roots\":[{\"uri\":\"file:///srv\"}]}\n"
    );
    assert_eq!(
        script.says(r#""id":1,"method":"sampling/createMessage""#),
        "relay 1 sampling/createMessage, otherwise Err((-32601, \"Method not found\"))\n"
    );
    assert_eq!(
        script.says(r#""id":1,"method":"elicitation/create""#),
        "relay 1 elicitation/create, otherwise Ok(\"{\\\"action\\\":\\\"decline\\\"}\")\n"
    );
}

#[test]
fn a_modern_server_is_not_answered() {
    assert_eq!(
        modern().says(r#""id":1,"method":"ping""#),
        "event Violation { what: \"a request from a modern MCP server\" }\n"
    );
}

#[test]
fn notifications_become_events() {
    let mut script = legacy();
    for (said, want) in [
        (
            r#""method":"notifications/message","params":{"level":"notice","logger":"db","data":"hi"}"#,
            r#"event Log { level: Info, text: "hi", logger: Some("db"), fields: None }"#,
        ),
        (
            r#""method":"notifications/message","params":{"level":"critical","data":{"a":1}}"#,
            r#"event Log { level: Error, text: "{\"a\":1}", logger: None, fields: Some("{\"a\":1}") }"#,
        ),
        (
            r#""method":"notifications/tools/list_changed""#,
            r#"event ListChanged { kind: "tools" }"#,
        ),
        (
            r#""method":"notifications/resources/list_changed""#,
            r#"event ListChanged { kind: "resources" }"#,
        ),
        (
            r#""method":"notifications/resources/updated","params":{"uri":"file:///a"}"#,
            r#"event ResourceUpdated { uri: "file:///a" }"#,
        ),
        (
            r#""method":"notifications/cancelled","params":{"requestId":"7"}"#,
            r#"event Cancelled { id: Str("7") }"#,
        ),
        (
            r#""method":"notifications/subscriptions/acknowledged""#,
            r#"event Note { method: "notifications/subscriptions/acknowledged", raw: None }"#,
        ),
    ] {
        assert_eq!(script.says(said).trim_end(), want, "{said}");
    }
    let progress = script
        .says(r#""method":"notifications/progress","params":{"progressToken":7,"progress":1}"#);
    assert!(progress.starts_with("event Progress { token: Num(7)"), "{progress}");
}

#[test]
fn calls_to_a_legacy_server_pass_as_given() {
    let script = legacy();
    let none = Meta::default();
    for owned in ["initialize", "notifications/initialized", "ping", "server/discover"] {
        assert_eq!(script.call(owned, "{}", none), "Reserved");
    }
    assert_eq!(script.call("tools/list", "", none), "tools/list ");
    assert_eq!(
        script.call("tools/list", r#"{ "cursor":1e400}"#, none),
        r#"tools/list { "cursor":1e400}"#
    );
    assert_eq!(script.call("tools/call", "[]", none), "BadParams(\"an object is needed\")");
    assert_eq!(script.call("tools call", "{}", none), "IllegalName");
    assert_eq!(
        script.call("tool:my \"echo\"", r#"{"message":"hi"}"#, none),
        r#"tools/call {"name":"my \"echo\"","arguments":{"message":"hi"}}"#
    );
    assert_eq!(script.call("tool:echo", "", none), r#"tools/call {"name":"echo","arguments":{}}"#);
    let meta =
        Meta { caller: Some("cli"), traceparent: Some("t"), progress_token: Some("8"), ..none };
    assert_eq!(
        script.call("tools/list", r#"{"_meta":{"x":1}}"#, meta),
        r#"tools/list {"_meta":{"x":1,"traceparent":"t","progressToken":"8"}}"#
    );
}

#[test]
fn calls_to_a_modern_server_carry_version_and_capabilities() {
    let script = modern();
    assert_eq!(
        script.call("tools/list", "", Meta::default()),
        format!("tools/list {{{}}}", modern_meta())
    );
    assert_eq!(
        script.call("tools/list", r#"{"n":1e400}"#, Meta::default()),
        format!("tools/list {{\"n\":1e400,{}}}", modern_meta())
    );
    assert!(!script.dialect.counts_as_work("subscriptions/listen"));
    assert!(script.dialect.counts_as_work("tools/call"));
}

#[test]
fn the_result_of_a_subscription_names_it_as_its_caller_does() {
    let script = modern();
    let result =
        r#"{"_meta":{"io.modelcontextprotocol/subscriptionId":7,"x":1},"resultType":"complete"}"#;
    let told = script.dialect.renamed("subscriptions/listen", result, &Id::Str("mine".into()));
    let told = told.unwrap();
    assert!(told.contains(r#""io.modelcontextprotocol/subscriptionId":"mine""#), "{told}");
    assert!(told.contains(r#""x":1"#) && !told.contains(":7"), "{told}");
    assert_eq!(script.dialect.renamed("tools/call", result, &Id::Num(1)), None);
    assert_eq!(script.dialect.renamed("subscriptions/listen", "{}", &Id::Num(1)), None);
}

#[test]
fn the_hosts_own_meta_goes_only_where_the_manifest_says_so() {
    let mut script = with(|s| s.send_meta = true);
    script.open(None);
    script.answer(INITIALIZE, Ok(LEGACY_RESULT));
    let meta = Meta { caller: Some("cli"), attempt: Some(2), ..Meta::default() };
    assert_eq!(
        script.call("m", "", meta),
        r#"m {"_meta":{"dev.outboard/deadlineMs":1950,"dev.outboard/caller":"cli","dev.outboard/attempt":2}}"#
    );
}

#[test]
fn input_that_nobody_can_give_is_no_result() {
    let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
    let wants = raw(r#"{"inputRequests":{},"resultType":"input_required"}"#);
    let done = raw(r#"{"resultType":"complete","content":[]}"#);
    assert!(matches!(modern().dialect.reply("m", Ok(&wants)), Reply::InputRequired(_)));
    assert!(matches!(modern().dialect.reply("m", Ok(&done)), Reply::Done(_)));
    assert!(matches!(legacy().dialect.reply("m", Ok(&wants)), Reply::Done(_)));
    let frame = r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m"}}"#;
    let Ok(Message::Response { outcome: Err(error), .. }) = decode(frame, 128) else { panic!() };
    assert!(matches!(
        modern().dialect.reply("m", Err(error)),
        Reply::Failed(Remote { code: 1, .. })
    ));
}

#[test]
fn probes_are_of_the_servers_own_era() {
    let mut old = legacy();
    assert_eq!(old.probe(false), "Probe { second: false }: ping\n");
    assert_eq!(old.probe(true), "Probe { second: true }: tools/list\n");
    old.answer(Tag::Probe { second: true }, Err(r#"{"code":-32601,"message":"m"}"#));
    assert_eq!(old.dialect.hint().as_deref(), Some("legacy+second"));
    let mut next = auto();
    next.open(Some("legacy+second"));
    next.answer(INITIALIZE, Ok(LEGACY_RESULT));
    assert_eq!(next.probe(false), "Probe { second: true }: tools/list\n");
    let mut new = modern();
    assert_eq!(
        new.probe(false),
        format!("Probe {{ second: false }}: server/discover {{{}}}\n", modern_meta())
    );
    assert_eq!(
        new.probe(true),
        format!("Probe {{ second: true }}: tools/list {{{}}}\n", modern_meta())
    );
    assert_eq!(auto().probe(false), "");
}

#[test]
fn a_stop_is_the_end_of_standard_input() {
    let mut script = legacy();
    assert_eq!(script.stop(Stop::Drain), "");
    assert_eq!(script.stop(Stop::Ask), "");
    assert_eq!(script.stop(Stop::Leave), "close stdin\n");
    assert_eq!(script.probe(false), "");
}

#[test]
fn a_cancelled_request_is_not_answered() {
    assert_eq!(
        legacy().cancel(7),
        "note notifications/cancelled {\"requestId\":7,\"reason\":\"deadline\"}\nanswered false"
    );
}

#[test]
fn changes_are_listened_for_where_the_manifest_wants_them() {
    let mut script = with(|s| (s.era, s.change_events) = (Era::Modern, true));
    script.open(None);
    let asked = script.answer(DISCOVER, Ok(MODERN_RESULT));
    assert!(
        asked.starts_with(
            "Listen: subscriptions/listen {\"notifications\":{\"toolsListChanged\":true"
        ),
        "{asked}"
    );
    assert_eq!(script.answer(Tag::Listen, Err(r#"{"code":-32601,"message":"m"}"#)), "");
}

#[test]
fn batches_are_of_one_revision_only() {
    for (version, batches) in [("2025-03-26", true), ("2025-06-18", false), ("2024-11-05", false)] {
        let mut script = auto();
        script.open(None);
        script.answer(INITIALIZE, Ok(&format!(r#"{{"protocolVersion":"{version}"}}"#)));
        assert_eq!(script.dialect.unpacks_batches(), batches);
    }
    assert!(!auto().dialect.unpacks_batches());
}
