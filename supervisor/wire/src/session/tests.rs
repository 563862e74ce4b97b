use super::*;

const CAPABILITIES: &str = r#"{"logging":{},"prompts":{"listChanged":false},"resources":{"subscribe":true,"listChanged":true},"tools":{"listChanged":true}}"#;

fn opening(protocol: &str, capabilities: &str) -> Opening {
    let result = format!(
        r#"{{"protocolVersion":"{protocol}","capabilities":{capabilities},"serverInfo":{{"name":"s","version":"1"}}}}"#
    );
    Opening { protocol: protocol.to_owned(), result }
}

fn server() -> Opening {
    opening("2025-11-25", CAPABILITIES)
}

/// A client of an MCP server, as it is after its opening.
fn opened(declares: &str) -> Session {
    let mut session = Session::new(Speaks::Mcp);
    let params = format!(r#"{{"protocolVersion":"2025-06-18","capabilities":{declares}}}"#);
    let server = server();
    let verdict = session.request("initialize", &params, Some(&server));
    assert_eq!(verdict, Verdict::Done(server.result.into()));
    assert_eq!(session.note("notifications/initialized", ""), Noted::Kept);
    session
}

#[test]
fn an_opening_waits_until_it_is_known_and_is_then_the_plugins_own_text() {
    for (speaks, method) in [
        (Speaks::Mcp, "initialize"),
        (Speaks::Mcp, "server/discover"),
        (Speaks::Native, "initialize"),
    ] {
        assert!(concerns(speaks, method));
        let mut session = Session::new(speaks);
        assert_eq!(session.request(method, "{}", None), Verdict::Waits, "{method}");
        assert!(!session.is_open());
    }
    let mut native = Session::new(Speaks::Native);
    let opening = Opening { protocol: "1".into(), result: r#"{"n":1e400}"#.into() };
    assert_eq!(
        native.request("initialize", "{}", Some(&opening)),
        Verdict::Done(r#"{"n":1e400}"#.into())
    );
    assert!(opened("{}").is_open());
}

#[test]
fn the_two_eras_do_not_mix() {
    let modern = Opening {
        protocol: "2026-07-28".into(),
        result: r#"{"supportedVersions":["2026-07-28"],"capabilities":{}}"#.into(),
    };
    let mut session = Session::new(Speaks::Mcp);
    let params = r#"{"protocolVersion":"2025-11-25"}"#;
    let Verdict::Failed { code, data, .. } = session.request("initialize", params, Some(&modern))
    else {
        panic!("a modern server knows no initialize");
    };
    assert_eq!(code, -32022);
    assert_eq!(data.as_deref(), Some(r#"{"supported":["2026-07-28"],"requested":"2025-11-25"}"#));
    assert!(!session.is_open());
    assert_eq!(
        session.request("server/discover", "{}", Some(&modern)),
        Verdict::Done(modern.result.clone().into())
    );
    let verdict = Session::new(Speaks::Mcp).request("server/discover", "{}", Some(&server()));
    assert!(matches!(verdict, Verdict::Failed { code: -32601, .. }), "{verdict:?}");
}

#[test]
fn what_belongs_to_a_session_is_kept_and_merged() {
    let (mut one, mut two) = (opened("{}"), opened("{}"));
    assert_eq!(one.request("logging/setLevel", r#"{"level":"error"}"#, None), Verdict::Kept);
    assert_eq!(two.request("logging/setLevel", r#"{"level":"debug"}"#, None), Verdict::Kept);
    assert_eq!(
        two.request("logging/setLevel", r#"{"level":"loud"}"#, None),
        Verdict::Call,
        "what is no level, the server refuses"
    );
    let subscribe = r#"{"uri":"file:///a"}"#;
    assert_eq!(
        one.request("resources/subscribe", subscribe, None),
        Verdict::Subscribed("file:///a".into())
    );
    let mut wants = Wants::default();
    wants.merge(one.wants());
    wants.merge(two.wants());
    assert_eq!(wants.level, Some(Severity::Debug));
    assert!(wants.resources.contains("file:///a"));
    assert_eq!(
        one.again(),
        [
            ("logging/setLevel", r#"{"level":"error"}"#.to_owned()),
            ("resources/subscribe", subscribe.to_owned()),
        ]
    );
    assert_eq!(
        one.request("resources/unsubscribe", subscribe, None),
        Verdict::Unsubscribed("file:///a".into())
    );
    assert!(one.wants().resources.is_empty());

    let mut none = Session::new(Speaks::Mcp);
    let bare = opening("2025-11-25", "{}");
    none.request("initialize", "{}", Some(&bare));
    assert_eq!(
        none.request("logging/setLevel", r#"{"level":"error"}"#, None),
        Verdict::Call,
        "a server that cannot log says so itself"
    );
}

#[test]
fn a_client_hears_what_it_asked_for() {
    let mut client = opened("{}");
    let message = |level: &str| format!(r#"{{"level":"{level}","data":"x"}}"#);
    assert!(client.hears("notifications/message", &message("info")));
    assert!(!client.hears("notifications/message", &message("debug")), "another wants those");
    client.request("logging/setLevel", r#"{"level":"error"}"#, None);
    assert!(!client.hears("notifications/message", &message("warning")));
    assert!(client.hears("notifications/message", &message("critical")));

    client.request("resources/subscribe", r#"{"uri":"file:///a"}"#, None);
    for (uri, hears) in [
        ("file:///a", true),
        ("file:///a/b", true),
        ("file:///a#x", true),
        ("file:///ab", false),
        ("file:///", false),
    ] {
        let params = format!(r#"{{"uri":"{uri}"}}"#);
        assert_eq!(client.hears("notifications/resources/updated", &params), hears, "{uri}");
    }
    assert!(client.hears("notifications/tools/list_changed", ""));
    for of_a_call in ["notifications/progress", "notifications/cancelled"] {
        assert!(!client.hears(of_a_call, "{}"));
    }
    let mut early = Session::new(Speaks::Mcp);
    early.request("initialize", "{}", Some(&server()));
    assert!(
        !early.hears("notifications/tools/list_changed", ""),
        "it has not said that it is ready"
    );

    let mut native = Session::new(Speaks::Native);
    assert!(!native.hears("moved", "{}"), "who only calls is told nothing");
    native.request("initialize", "{}", Some(&server()));
    assert!(native.hears("moved", "{}"));
    for to_the_host in ["$/log", "$/status", "$/progress", "host/publish"] {
        assert!(!native.hears(to_the_host, "{}"));
    }
}

#[test]
fn after_a_restart_a_client_is_told_what_may_have_changed() {
    let mut client = opened("{}");
    client.request("resources/subscribe", r#"{"uri":"file:///a\""}"#, None);
    assert_eq!(
        client.reopened(&server()).unwrap(),
        [
            ("notifications/tools/list_changed", String::new()),
            ("notifications/resources/list_changed", String::new()),
            ("notifications/resources/updated", r#"{"uri":"file:///a\""}"#.to_owned()),
        ],
        "prompts were never said to change"
    );
    assert_eq!(Session::new(Speaks::Mcp).reopened(&server()).unwrap(), []);
}

#[test]
fn what_no_notice_can_tell_ends_the_session() {
    let mut client = opened("{}");
    for (other, sentence) in [
        (opening("2025-06-18", CAPABILITIES), "protocol 2025-06-18"),
        (opening("2025-11-25", r#"{"tools":{"listChanged":true}}"#), "`logging`"),
        (
            opening(
                "2025-11-25",
                &CAPABILITIES.replace("\"subscribe\":true", "\"subscribe\":false"),
            ),
            "`resources.subscribe`",
        ),
    ] {
        let why = client.reopened(&other).unwrap_err();
        assert!(why.contains(sentence), "{why}");
    }
    let more = CAPABILITIES.replace("{\"logging\":{}", "{\"logging\":{},\"completions\":{}");
    let more = more.replace("\"listChanged\":false", "\"listChanged\":true");
    client.reopened(&opening("2025-11-25", &more)).expect("more than was shown hurts nobody");
}

#[test]
fn only_who_declared_it_is_asked() {
    let client = opened(r#"{"sampling":{},"elicitation":null}"#);
    assert!(client.answers("sampling/createMessage"));
    assert!(!client.answers("elicitation/create"));
    assert!(!opened("{}").answers("sampling/createMessage"));
}

#[test]
fn what_is_remembered_of_a_client_is_bounded() {
    let mut client = opened("{}");
    for n in 0..MOST_SUBSCRIPTIONS {
        let verdict = client.request("resources/subscribe", &format!(r#"{{"uri":"u{n}"}}"#), None);
        assert!(matches!(verdict, Verdict::Subscribed(_)), "{verdict:?}");
    }
    let long = format!(r#"{{"uri":"{}"}}"#, "x".repeat(LONGEST_NAME + 1));
    for params in [r#"{"uri":"one more"}"#, &*long] {
        let verdict = client.request("resources/subscribe", params, None);
        assert!(matches!(verdict, Verdict::Failed { code: -32602, .. }), "{verdict:?}");
    }
    let again = client.request("resources/subscribe", r#"{"uri":"u1"}"#, None);
    assert!(matches!(again, Verdict::Subscribed(_)), "{again:?}");
}

#[test]
fn topics_are_added_and_taken_away() {
    let mut client = Session::new(Speaks::Native);
    let params = r#"{"topics":["net.*","geo.updated"]}"#;
    assert_eq!(client.request("outboard/subscribe", params, None), Verdict::Done("{}".into()));
    assert_eq!(client.topics().collect::<Vec<_>>(), ["geo.updated", "net.*"]);
    client.request("outboard/unsubscribe", r#"{"topics":["net.*"]}"#, None);
    assert_eq!(client.topics().collect::<Vec<_>>(), ["geo.updated"]);
    let bad = client.request("outboard/subscribe", r#"{"topics":"net.*"}"#, None);
    assert!(matches!(bad, Verdict::Failed { code: -32602, .. }), "{bad:?}");
}

#[test]
fn cancellations_name_the_clients_own_ids() {
    let mut mcp = Session::new(Speaks::Mcp);
    assert_eq!(
        mcp.note("notifications/cancelled", r#"{"requestId":"a"}"#),
        Noted::Cancel(Id::Str("a".into()))
    );
    assert_eq!(mcp.note("notifications/roots/list_changed", ""), Noted::Kept);
    assert_eq!(mcp.note("vendor/news", ""), Noted::Pass);
    let mut native = Session::new(Speaks::Native);
    assert_eq!(native.note("$/cancel", r#"{"id":0}"#), Noted::Cancel(Id::Num(0)));
    assert_eq!(native.note("initialized", ""), Noted::Kept);
}

#[test]
fn a_session_goes_over_to_the_next_build_as_it_is() {
    let mut client = opened(r#"{"sampling":{}}"#);
    client.request("logging/setLevel", r#"{"level":"error"}"#, None);
    client.request("resources/subscribe", r#"{"uri":"u"}"#, None);
    let text = serde_json::to_string(&client).unwrap();
    assert_eq!(serde_json::from_str::<Session>(&text).unwrap(), client);
    let least: Session = serde_json::from_str(r#"{"speaks":"native","from_later":1}"#).unwrap();
    assert_eq!(least, Session::new(Speaks::Native));
}
