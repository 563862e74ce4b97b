//! A value that came from `${…}` or `from_env` is in nothing that outboard prints or stores, however the plugin says it.

use std::fs;
use std::path::Path;

use outboard_tests::World;
use outboard_tests::world::{Launch, toml_list};
use serde_json::{Value, json};

/// With what JSON has to escape, and over two lines.
const SECRET: &str = "QZ7S\"é/3CR3T\nWVK-second-line";

/// Beginnings of its two lines: none may be left next to a cut.
const BEGINNINGS: [&str; 3] = ["QZ7S", "WVK-", "3CR3T"];

fn everything_in(folder: &Path, into: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            everything_in(&path, into);
        } else if let Ok(bytes) = fs::read(&path) {
            into.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
}

#[test]
fn sec_08_a_secret_is_in_no_sink() {
    let world = World::new();
    let escaped = Value::from(SECRET).to_string().replace('\\', "\\\\");
    let escaped = &escaped[1..escaped.len() - 1];
    let (first, second) = SECRET.split_once('\n').unwrap();
    let chars: Vec<String> = first.chars().map(String::from).collect();
    let (half, rest) = (chars[..6].concat(), chars[6..].concat());
    // The line limit is 16 KiB: the cut falls into the value at each of these.
    let long: String = (2..14)
        .map(|before| format!("err {}{first} and on\n", "x".repeat(16 * 1024 - before)))
        .collect();
    // Junk is shown up to 512 bytes.
    let junk: String =
        (2..14).map(|before| format!("say {}{first} more\n", "y".repeat(512 - before))).collect();
    let script = format!(
        "err in one write {first}\n\
         err and its second line {second}\n\
         err-raw in two {half}\n\
         err-raw {rest} end\\n\n\
         err as json {{\"token\":\"{escaped}\"}}\n\
         {long}{junk}\
         say not json {first}\n\
         say {{\"token\":\"{escaped}\"}}\n\
         on boom {{\n\
           say {{\"jsonrpc\":\"2.0\",\"method\":\"$$/log\",\"params\":{{\"level\":\"error\",\"message\":\"{escaped}\"}}}}\n\
           say {{\"jsonrpc\":\"2.0\",\"method\":\"$$/status\",\"params\":{{\"state\":\"degraded\",\"message\":\"{escaped}\"}}}}\n\
           err last words {first}\n\
           err-raw cut off {half}\n\
           exit 3\n\
         }}\n\
         serve\n"
    );
    let mut command =
        vec!["/bin/sh".to_owned(), "-c".to_owned(), "exec \"$$0\" \"$$1\"".to_owned()];
    command.extend(world.chaos_command("geo", &script));
    command.push("--token=${THE_TOKEN}".to_owned());
    let gates = world.gates().folder().display().to_string();
    world.manifest(
        "geo",
        &format!(
            "[process]\ncommand = {}\nenv = {{ TOKEN = {{ from_env = \"THE_TOKEN\" }}, CHAOS_DIR = '{gates}' }}\n\
             [restart]\npolicy = \"never\"\n",
            toml_list(&command)
        ),
    );
    world.manifest("lost", "[process]\ncommand = [\"no-such-thing\"]\ncwd = \".\"\npath_prepend = [\"/opt/${THE_TOKEN}\"]\n");
    let run = world.launch(&Launch { env: &[("THE_TOKEN", SECRET)], ..Launch::default() });
    run.active("geo");
    run.state("lost", "failed");
    let error = run.call("geo", "boom", &json!({})).unwrap_err();
    run.state("geo", "failed");

    let mut sinks = vec![("the call's error".to_owned(), format!("{error:?}"))];
    for words in [
        &["status"][..],
        &["status", "--json"],
        &["why", "geo"],
        &["why", "geo", "--json"],
        &["why", "geo", "--stderr"],
        &["why", "lost"],
        &["logs", "--all", "-n", "1000"],
        &["logs", "--all", "-n", "1000", "--json"],
        &["events"],
        &["events", "--json"],
    ] {
        let output = run.cli(words);
        sinks.push((words.join(" "), output.stdout + &output.stderr));
    }
    let masked = sinks.iter().find(|(name, _)| name.starts_with("logs")).unwrap();
    let (folder, stdout, stderr) = (run.state_dir.clone(), run.stdout(), run.stderr());
    assert!(masked.1.contains("in two [redacted] end"), "{}", masked.1);
    assert!(masked.1.contains("in one write [redacted]"), "{}", masked.1);
    run.stop();
    everything_in(&folder, &mut sinks);
    sinks.extend([("stdout".to_owned(), stdout), ("stderr".to_owned(), stderr)]);
    for (name, text) in &sinks {
        for part in BEGINNINGS {
            let near = text.find(part).map(|at| {
                let from = text.floor_char_boundary(at.saturating_sub(60));
                text[from..].chars().take(160).collect::<String>()
            });
            assert_eq!(near, None, "`{part}` in {name}");
        }
    }
    assert!(
        sinks.iter().any(|(name, _)| name.ends_with("logs/geo.jsonl")),
        "the log was looked at"
    );
}
