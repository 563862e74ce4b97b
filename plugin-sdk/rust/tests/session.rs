//! Whole sessions in memory: frames in, frames out.

#![allow(clippy::unwrap_used, reason = "a test that meets a surprise should stop there")]

use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read, Write};
use std::num::NonZeroU16;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use outboard_plugin::{Call, Error, Level, Plugin, Raw, State, Status, Value};
use serde_json::json;

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersions":[1],"config":{"unit":"m"},"limits":{"maxFrameBytes":65536}}}"#;

/// Generous: it only keeps a broken SDK from hanging the test.
const LONG: Duration = Duration::from_secs(20);

/// A plugin on a thread of its own, and the host's ends of its pipes.
struct Session {
    input: Option<PipeWriter>,
    output: BufReader<PipeReader>,
    plugin: JoinHandle<bool>,
}

impl Session {
    fn new(describe: impl FnOnce(Plugin) -> Plugin + Send + 'static) -> Self {
        let (input, host_input) = std::io::pipe().unwrap();
        let (host_output, output) = std::io::pipe().unwrap();
        let plugin = std::thread::spawn(move || {
            let code = describe(Plugin::new("test", "1.2.3")).serve(input, output);
            code == std::process::ExitCode::SUCCESS
        });
        Self { input: Some(host_input), output: BufReader::new(host_output), plugin }
    }

    fn opened(describe: impl FnOnce(Plugin) -> Plugin + Send + 'static) -> Self {
        let mut session = Self::new(describe);
        let opening = session.ask(INITIALIZE);
        assert!(opening["result"].is_object(), "{opening}");
        session.send(r#"{"jsonrpc":"2.0","method":"initialized","params":{}}"#);
        session
    }

    fn send(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert_eq!(line.pop(), Some('\n'), "a frame ends with a line feed");
        line
    }

    fn frame(&mut self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    fn ask(&mut self, line: &str) -> Value {
        self.send(line);
        self.frame()
    }

    fn call(&mut self, id: u32, method: &str, params: &Value) -> Value {
        self.ask(
            &json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string(),
        )
    }

    /// Closes stdin and gives what was still said, and whether it ended well.
    fn end(mut self) -> (Vec<String>, bool) {
        self.input = None;
        let rest = self.output.by_ref().lines().map(Result::unwrap).collect();
        (rest, self.plugin.join().unwrap())
    }
}

fn echo(params: Raw, _: &Call) -> Result<Raw, Error> {
    Ok(params)
}

#[test]
fn the_opening_says_what_there_is() {
    let mut session = Session::new(|plugin| {
        plugin
            .method("b", echo)
            .idempotent_method("a/x", echo)
            .concurrency(NonZeroU16::new(3).unwrap())
            .starting()
    });
    assert_eq!(
        session.ask(INITIALIZE),
        json!({"jsonrpc": "2.0", "id": 1, "result": {
            "protocolVersion": 1, "name": "test", "version": "1.2.3",
            "methods": {"a/x": {"idempotent": true}, "b": {}},
            "events": [], "subscribe": [], "concurrency": 3, "ready": false,
            "supports": {"drain": false, "configReload": false, "progress": true, "cancel": true,
                "idempotency": false, "meta": true}}})
    );
    let again = session.ask(INITIALIZE);
    assert_eq!(again["error"]["code"], -32600);
}

#[test]
fn no_common_version_is_refused_with_those_there_are() {
    let mut session = Session::new(|plugin| plugin);
    let refused = session.ask(
        r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersions":[999]}}"#,
    );
    assert_eq!(refused["error"]["code"], -31010);
    assert_eq!(refused["error"]["data"], json!({"supported": [1]}));
    let accepted = session.ask(
        r#"{"jsonrpc":"2.0","id":2,"method":"initialize","params":{"protocolVersions":[999,1],"future":[]}}"#,
    );
    assert_eq!(accepted["result"]["protocolVersion"], 1);
}

#[test]
fn the_configuration_comes_first_and_may_refuse_the_start() {
    let (told, tells) = mpsc::channel();
    let configured = move |plugin: Plugin| {
        plugin.configure(move |config: Value| {
            told.send(config).unwrap();
            Ok(())
        })
    };
    let session = Session::opened(configured);
    assert_eq!(tells.recv_timeout(LONG).unwrap(), json!({"unit": "m"}));
    assert!(session.end().1);

    let mut session =
        Session::new(|plugin| plugin.configure(|_: Value| Err(Error::new(4, "no unit called m"))));
    assert_eq!(session.ask(INITIALIZE)["error"], json!({"code": 4, "message": "no unit called m"}));
}

#[test]
fn raw_payloads_come_back_byte_for_byte() {
    let mut session = Session::opened(|plugin| plugin.method("echo", echo));
    let params =
        r#"{"n":123456789012345678901234567890,"e":1e400,"s":"\ud800\u2028","x":{"id":5}}"#;
    session.send(&format!(r#"{{"jsonrpc":"2.0","id":2,"method":"echo","params":{params}}}"#));
    assert_eq!(session.line(), format!(r#"{{"jsonrpc":"2.0","id":2,"result":{params}}}"#));
}

#[test]
fn failures_are_typed_and_leave_the_plugin_well() {
    let mut session = Session::opened(|plugin| {
        plugin
            .method("port", |params: u16, _| Ok(params))
            .method("fail", |_: Value, _| -> Result<(), _> {
                Err(Error::new(9, "out of ink").with_data(json!({"tray": 2})))
            })
            .method("io", |_: Value, _| {
                std::fs::read("/no/such/file")?;
                Ok(())
            })
            .method("panic", |_: Value, _| -> Result<(), _> { panic!("on purpose") })
    });
    let no_such = session.call(2, "no/such", &json!({}));
    assert_eq!(no_such["error"]["code"], -32601);
    let wrong = session.call(3, "port", &json!({"port": "x"}));
    assert_eq!(wrong["error"]["code"], -32602);
    let own = session.call(4, "fail", &json!({}));
    let expected = json!({"code": 9, "message": "out of ink", "data": {"tray": 2}});
    assert_eq!(own["error"], expected);
    let foreign = session.call(5, "io", &json!({}));
    let expected = json!({"code": 1, "message": "No such file or directory (os error 2)"});
    assert_eq!(foreign["error"], expected);
    let panicked = session.call(6, "panic", &json!({}));
    assert_eq!(
        panicked["error"],
        json!({"code": -32603, "message": "panic panicked: on purpose", "data": {"class": "panic"}})
    );
    assert_eq!(session.call(7, "ping", &json!({}))["result"], json!({}));
}

#[test]
fn pings_are_answered_beside_slow_calls_and_cancellation_reaches_them() {
    let mut session = Session::opened(|plugin| {
        plugin.method("slow", |_: Value, call: &Call| -> Result<(), Error> {
            call.host().log(Level::Info, "waiting");
            assert!(call.wait_cancelled(LONG), "nobody cancelled");
            assert!(call.is_cancelled());
            Err(Error::cancelled())
        })
    });
    let log = session.call(2, "slow", &json!({}));
    assert_eq!(log["params"], json!({"level": "info", "message": "waiting"}));
    assert_eq!(session.call(3, "ping", &json!({}))["id"], 3);
    session.send(r#"{"jsonrpc":"2.0","method":"$/cancel","params":{"id":99}}"#);
    let cancelled =
        session.ask(r#"{"jsonrpc":"2.0","method":"$/cancel","params":{"id":2,"reason":"caller"}}"#);
    assert_eq!((&cancelled["id"], &cancelled["error"]["code"]), (&json!(2), &json!(-32800)));
}

#[test]
fn a_status_is_told_and_kept_for_pings() {
    let mut session = Session::opened(|plugin| {
        plugin.method("set", |params: Value, call| {
            let status = match params["state"].as_str() {
                Some("busy") => Status::new(State::Busy).expected(Duration::from_secs(2)),
                Some("degraded") => Status::new(State::Degraded).because("cache cold"),
                _ => Status::new(State::Ready),
            };
            call.host().status(&status);
            Ok(())
        })
    });
    let busy = json!({"state": "busy", "expectedMs": 2000});
    let degraded = json!({"state": "degraded", "message": "cache cold"});
    let ready = json!({"state": "ready"});
    for (told, pinged) in [(&busy, &busy), (&degraded, &degraded), (&ready, &json!({}))] {
        let status = session.call(2, "set", &json!({"state": told["state"]}));
        assert_eq!((&status["method"], &status["params"]), (&json!("$/status"), told));
        assert_eq!(session.frame()["result"], Value::Null);
        assert_eq!(session.call(3, "ping", &json!({}))["result"], *pinged);
    }
}

#[test]
fn before_the_opening_and_after_shutdown_calls_are_refused() {
    let (told, tells) = mpsc::channel();
    let mut session = Session::new(|plugin| {
        plugin.method("echo", echo).on_shutdown(move || told.send(()).unwrap())
    });
    assert_eq!(session.call(1, "echo", &json!({}))["error"]["code"], -31009);
    assert_eq!(session.call(2, "ping", &json!({}))["result"], json!({}));
    session.ask(INITIALIZE);
    let stop = session.call(3, "shutdown", &json!({"reason": "stop", "deadlineMs": 2000}));
    assert_eq!(stop["result"], json!({}));
    tells.try_recv().expect("the hook ran before the answer");
    assert_eq!(session.call(4, "echo", &json!({}))["error"]["code"], -31008);
    assert_eq!(session.call(5, "shutdown", &json!({}))["result"], json!({}));
    session.send(r#"{"jsonrpc":"2.0","method":"exit","params":{}}"#);
    assert!(session.plugin.join().unwrap(), "exit ends it while stdin is open");
}

#[test]
fn what_wants_no_answer_gets_none() {
    let mut session = Session::opened(|plugin| plugin.method("echo", echo));
    for line in [
        "not json",
        "[]",
        "",
        r#"{"jsonrpc":"2.0","id":77,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}"#,
        r#"{"jsonrpc":"2.0","method":"no/such","params":{}}"#,
        r#"{"jsonrpc":"2.0","method":"event","params":{"topic":"x"}}"#,
        r#"{"level":"info","id":3}"#,
    ] {
        session.send(line);
    }
    assert_eq!(session.frame()["method"], "$/log", "junk is told, once");
    assert_eq!(session.call(2, "ping", &json!({}))["id"], 2);
    assert_eq!(session.end(), (Vec::new(), true));
}

#[test]
fn requests_that_cannot_be_read_are_answered_where_they_say_who_asks() {
    let mut session = Session::opened(|plugin| plugin.method("echo", echo));
    let wrong = session.ask(r#"{"jsonrpc":"2.0","id":"a","method":"echo","params":7}"#);
    assert_eq!((&wrong["id"], &wrong["error"]["code"]), (&json!("a"), &json!(-32600)));
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let deep = session
        .ask(&format!(r#"{{"jsonrpc":"2.0","id":2,"method":"echo","params":{{"x":{deep}}}}}"#));
    assert_eq!((&deep["id"], &deep["error"]["code"]), (&json!(2), &json!(-31005)));
}

#[test]
fn a_result_beyond_the_hosts_limit_is_an_error_and_no_frame_too_long() {
    let mut session =
        Session::opened(|plugin| plugin.method("big", |_: Value, _| Ok("x".repeat(70_000))));
    let big = session.call(2, "big", &json!({}));
    assert_eq!((&big["id"], &big["error"]["code"]), (&json!(2), &json!(-31005)));
}

#[test]
fn calls_in_progress_are_answered_after_the_end_of_stdin() {
    let mut session = Session::opened(|plugin| {
        plugin.method("slow", |_: Value, call: &Call| {
            call.host().log(Level::Warn, "begun");
            // The host's end is closed by the test meanwhile; 50 ms are far below the second given.
            let cancelled = call.wait_cancelled(Duration::from_millis(50));
            Ok(json!({ "cancelled": cancelled }))
        })
    });
    session.call(2, "slow", &json!({}));
    let (rest, well) = session.end();
    assert_eq!(rest, [r#"{"jsonrpc":"2.0","id":2,"result":{"cancelled":false}}"#]);
    assert!(well);
}

#[test]
fn twenty_thousand_pings_against_a_reader_that_waits_are_all_answered() {
    let mut session = Session::opened(|plugin| plugin);
    let mut input = session.input.take().unwrap();
    let writer = std::thread::spawn(move || {
        for id in 1..=20_000 {
            writeln!(input, r#"{{"jsonrpc":"2.0","id":{id},"method":"ping","params":{{}}}}"#)
                .unwrap();
        }
    });
    for id in 1..=20_000 {
        assert_eq!(session.frame()["id"], id);
    }
    writer.join().unwrap();
}

#[test]
fn names_of_the_protocol_are_not_a_plugins() {
    for name in ["ping", "exit", "host/call", "$/x", "config/changed", "", "a b", "é"] {
        let add = || Plugin::new("t", "1").method(name, echo);
        assert!(std::panic::catch_unwind(add).is_err(), "{name}");
    }
}
