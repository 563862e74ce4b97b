//! The management API is what its own document says: every method of it is called, and every answer held against it.

use std::collections::BTreeSet;

use outboard_tests::schema::problems;
use outboard_tests::websocket::WebSocket;
use outboard_tests::{Running, World};
use serde_json::{Value, json};

/// How each method is called here, in this order. A method that is not among them fails the test.
fn calls() -> Vec<(&'static str, Value)> {
    vec![
        ("status", json!({})),
        ("status", json!({"ids": ["g*"]})),
        ("health", json!({"ids": ["geo"]})),
        ("why", json!({"id": "broken"})),
        ("why", json!({"id": "geo"})),
        ("events", json!({"since": 0, "limit": 500})),
        ("logs", json!({"filter": {"plugin": "geo", "lines": 10, "sources": ["err", "host"]}})),
        ("subscribe_events", json!({"since": 0})),
        ("subscribe_logs", json!({"filter": {"plugin": "geo"}})),
        ("subscribe_topics", json!({"topics": ["geo.*"]})),
        ("stop", json!({"ids": ["geo"]})),
        ("start", json!({"ids": ["geo"]})),
        ("restart", json!({"ids": ["geo"], "now": true})),
        ("reload", json!({"plan": true, "except": ["geo"]})),
        ("reload", json!({"if_revision": 1})),
        ("swap", json!({"id": "geo"})),
        ("stop", json!({"all": true, "wait": false})),
        // Whoever asks next is served by the build that goes on.
        ("upgrade", json!({})),
        // Last, as nothing can be asked after it.
        ("shutdown", json!({})),
    ]
}

/// Methods with a parameter that names a plugin, and how an unknown one is named to them.
fn unknown_plugin(method: &str) -> Option<Value> {
    match method {
        "status" | "health" | "start" | "stop" | "restart" => Some(json!({"ids": ["nobody"]})),
        "reload" => Some(json!({"except": ["nobody"]})),
        "why" | "swap" => Some(json!({"id": "nobody"})),
        "logs" | "subscribe_logs" => Some(json!({"filter": {"plugin": "nobody"}})),
        _ => None,
    }
}

fn discover(run: &Running<'_>) -> Value {
    run.control("rpc.discover", &json!({})).unwrap()
}

fn world() -> World {
    let world = World::new();
    let permissions = "[permissions]\npublish = [\"geo.*\"]\n";
    world.chaos_with("geo", "err ready to serve\nserve", permissions);
    world.chaos_with(
        "broken",
        "err no key\nexit 3",
        "[restart]\nbudget = { restarts = 1, within = \"5m\" }\n",
    );
    world
}

#[track_caller]
fn fits(what: &str, value: &Value, schema: &Value, document: &Value) {
    let found = problems(value, schema, document);
    assert!(found.is_empty(), "{what}: {found:#?}\n{value:#}");
}

#[test]
fn every_method_answers_as_the_document_says() {
    let world = world();
    let run = world.run();
    run.active("geo");
    run.state("broken", "failed");
    let document = discover(&run);
    assert_eq!(document["openrpc"], "1.3.2");
    let method = |name: &str| {
        let methods = document["methods"].as_array().unwrap();
        methods
            .iter()
            .find(|it| it["name"] == name)
            .unwrap_or_else(|| panic!("no `{name}` in the document"))
    };
    let mut socket = WebSocket::open(&run.socket("control.sock")).unwrap();
    let mut called = BTreeSet::new();
    for (name, params) in calls() {
        called.insert(name);
        let described = method(name);
        for given in params.as_object().unwrap().keys() {
            let known =
                described["params"].as_array().unwrap().iter().find(|it| it["name"] == **given);
            fits(given, &params[given], &known.unwrap()["schema"], &document);
        }
        let answer = socket.call(name, &params).unwrap_or_else(|error| panic!("{name}: {error}"));
        fits(name, &answer, &described["result"]["schema"], &document);
        if name == "upgrade" {
            // This connection ends with the build that served it.
            run.event(|event| event.event == "supervisor.upgraded");
            socket = WebSocket::open(&run.socket("control.sock")).unwrap();
        }
        if let Some(stream) = described.get("x-subscription") {
            if name == "subscribe_logs" {
                run.call("geo", "complain", &json!({"text": "heard"})).unwrap();
            }
            if name == "subscribe_topics" {
                let event = json!({"topic": "geo.moved", "data": {"n": 1}});
                run.call("geo", "publish", &event).unwrap();
            }
            // Items of one that was ended just now may still be on their way.
            let of_this = |item: &Value| item["params"]["subscription"] == answer;
            let item = std::iter::repeat_with(|| socket.notification()).find(of_this).unwrap();
            assert_eq!(item["method"], stream["notification"], "{item}");
            fits(name, &item["params"], &stream["params"], &document);
            let end = stream["unsubscribe"].as_str().unwrap();
            assert_eq!(socket.call(end, &json!([answer])), Ok(true.into()), "{end}");
        }
    }
    let all = document["methods"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap());
    assert_eq!(called, all.collect(), "every method is called here");
    assert_eq!(run.ended().code, Some(0));
}

#[test]
fn every_error_is_one_that_the_document_names() {
    let world = world();
    let run = world.run();
    run.active("geo");
    let document = discover(&run);
    let mut socket = WebSocket::open(&run.socket("control.sock")).unwrap();
    for method in document["methods"].as_array().unwrap() {
        let name = method["name"].as_str().unwrap();
        let errors: Vec<&Value> = method["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| {
                let path = it["$ref"].as_str().unwrap().strip_prefix('#').unwrap();
                document.pointer(path).unwrap()
            })
            .collect();
        let mut refused = |params: &Value, class: &str| {
            let error = socket.call(name, params).unwrap_err();
            let known = errors.iter().find(|it| it["data"]["class"] == error["data"]["class"]);
            let known = known.unwrap_or_else(|| panic!("{name}: not in the document: {error}"));
            assert_eq!(known["code"], error["code"], "{name}");
            assert_eq!(error["data"]["class"], class, "{name}: {error}");
        };
        refused(&json!({"no_such_parameter": 1}), "invalid_params");
        let takes_all = method["params"].as_array().unwrap().iter().any(|it| it["name"] == "all");
        if takes_all {
            refused(&json!({}), "nothing_named");
        }
        let named = errors.iter().any(|it| it["data"]["class"] == "not_found");
        assert_eq!(
            named,
            unknown_plugin(name).is_some(),
            "{name}: say here how a plugin is named to it"
        );
        if let Some(params) = unknown_plugin(name) {
            refused(&params, "not_found");
        }
    }
}

#[test]
fn the_command_line_prints_the_same_document() {
    let world = world();
    let run = world.run();
    assert_eq!(run.cli(&["schema", "api"]).code(0).json(), discover(&run));
}
