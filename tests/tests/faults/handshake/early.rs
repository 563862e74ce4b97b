//! What comes before the answer to the opening: a banner, or questions of the plugin's own.

use std::fs;

use outboard_tests::fault::{Holds, Row};
use outboard_tests::runtimes::bin;
use outboard_tests::world::{toml_list, toml_text};
use serde_json::{Value, json};

use super::comes_up;

/// Lines as somebody's start-up message has them.
const BANNER: [&str; 4] = [
    "🚤 Geo Server v1.2 — starting",
    "\u{1b}[32mINFO\u{1b}[0m listening on stdio",
    "{ not: a frame }",
    "=========================",
];

#[test]
fn hand_04_a_banner_before_the_first_frame() {
    let row = Row::new("HAND-04");
    let lines: Vec<String> = BANNER.iter().map(|line| format!("say {line}")).collect();
    let script = format!("at printing\n{}\nserve", lines.join("\n"));
    row.chaos("lenient", &script);
    let strict = "[wire]\nstdout_junk = \"strict\"\n\
                  [restart]\nbackoff = { initial = \"5m\", max = \"5m\" }";
    row.chaos_with("strict", &script, strict);
    let run = row.run();
    comes_up(&run, "lenient");
    let junk = run.event(|event| event.is("wire.junk", "lenient"));
    assert!(junk.text("excerpt").contains("Geo Server"), "the first line is shown: {junk}");
    assert_eq!(run.call("lenient", "echo", &json!({"n": 1})).unwrap(), json!({"n": 1}));
    assert_eq!(run.count(|event| event.is("plugin.failure", "lenient")), 0);
    let logs = run.cli(&["logs", "lenient", "--json"]).code(0).stdout;
    let logged: Vec<Value> = logs.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let out: Vec<&str> = logged
        .iter()
        .filter(|line| line["source"] == "out")
        .filter_map(|line| line["text"].as_str())
        .collect();
    assert_eq!(out.len(), BANNER.len(), "every line is kept: {logs}");
    for (line, logged) in BANNER.iter().zip(&out) {
        let plain = line.replace('\u{1b}', "");
        let kept = logged.replace('\u{1b}', "").replace("\\x1b", "").replace("\\u{1b}", "");
        assert_eq!(kept, plain, "without loss");
    }

    let failure = run.failure("strict");
    let told = (failure.text("class"), failure.text("detail"));
    assert_eq!(told, ("protocol", "junk"), "{failure}");
    assert!(failure.text("message").contains(BANNER[0]), "the first line is quoted: {failure}");
    run.state("strict", "backoff");
    assert_eq!(run.count(|event| event.is_state("strict", "active")), 0);
    for _ in 0..2 {
        row.gates().report("printing");
    }
    row.witness("both scripts print four lines before anything else, and both first lines arrive");
}

/// A shell that asks before it answers, waits for each answer, and then becomes a scripted plugin.
///
/// Its `read` takes one byte at a time, so nothing that comes later is lost.
const ASKS: &str = r#"
read -r opening
n=0
for method in client/registerCapability workspace/configuration roots/list; do
    n=$((n + 1))
    printf '{"jsonrpc":"2.0","method":"window/logMessage","params":{"type":3,"message":"%s"}}\n' "$n"
    printf '{"jsonrpc":"2.0","id":"early-%s","method":"%s","params":{"items":[]}}\n' "$n" "$method"
    read -r answer
    printf '%s\n' "$answer" >> "$ANSWERS"
done
# Many more at once, and only then the answers are read.
i=0
while [ $i -lt 2000 ]; do
    i=$((i + 1))
    printf '{"jsonrpc":"2.0","id":%s,"method":"roots/list","params":{}}\n' "$i"
done
i=0
while [ $i -lt 2000 ]; do
    i=$((i + 1))
    read -r answer
done
printf '%s\n' "$answer" >> "$ANSWERS"
printf '{"jsonrpc":"2.0","id":1,"result":%s}\n' "$RESULT"
exec "$CHAOS" -c "serve $DIALECT"
"#;

#[test]
fn hand_08_it_asks_before_it_answers() {
    let row = Row::new("HAND-08");
    let script = row.folder().join("asks.sh");
    fs::write(&script, ASKS).unwrap();
    let native = r#"{"protocolVersion":1}"#;
    let mcp = r#"{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"x","version":"1"}}"#;
    let answers = |id: &str| row.folder().join(format!("{id}.answers"));
    for (id, dialect, serves, result) in [("n", "native", "", native), ("m", "mcp", "mcp", mcp)] {
        let env = [
            ("ANSWERS", answers(id).display().to_string()),
            ("RESULT", result.to_owned()),
            ("CHAOS", bin("outboard-chaos").display().to_string()),
            ("DIALECT", serves.to_owned()),
            ("CHAOS_DIR", row.gates().folder().display().to_string()),
        ];
        let env: Vec<String> =
            env.iter().map(|(name, value)| format!("{name} = {}", toml_text(value))).collect();
        let command = toml_list(&["sh", &script.display().to_string()]);
        let text = format!(
            "dialect = \"{dialect}\"\n[process]\ncommand = {command}\n[process.env]\n{}\n",
            env.join("\n")
        );
        row.manifest(id, &text);
    }
    let run = row.run();
    for id in ["n", "m"] {
        run.active(id);
    }
    let holds = Holds::of(&run);
    for (id, codes) in [("n", [-31009; 3]), ("m", [-32601; 3])] {
        let text = fs::read_to_string(answers(id)).unwrap();
        let answers: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(answers.len(), 4, "{text}");
        for (number, code) in codes.into_iter().enumerate() {
            let answer = &answers[number];
            assert_eq!(answer["id"], format!("early-{}", number + 1), "as it was written: {text}");
            assert_eq!(answer["error"]["code"].as_i64().unwrap_or(0), code, "{id}: {text}");
        }
        assert_eq!(answers[3]["id"], 2000, "in order: {text}");
        assert_eq!(run.plugin(id)["generation"], 1);
        assert_eq!(run.count(|event| event.is("plugin.failure", id)), 0);
    }
    row.witness("the shell has read an answer to each of 2003 requests before it gave its own");
    holds.are_back();
}
