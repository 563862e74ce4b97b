//! `reload` over a table of edits: the plan that is expected, the plan that is seen, and what comes of it.

mod applied;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use outboard_tests::world::{Launch, Output, toml_text};
use outboard_tests::{Running, World};
use serde_json::{Value, json};

/// Keys that only a new process takes; every other one is in force at once. Said here once more, by section: the
/// supervisor's own table is what is tested.
const RESTART: [&str; 6] = ["dialect", "process.", "wire.", "mcp.", "lsp.", "limits."];

/// Keys that no manifest can show alone, and why.
const LEFT_OUT: [&str; 6] = [
    // Another id is another plugin: it has a row of its own.
    "id",
    // What runs would no longer run.
    "process.command",
    "dialect",
    // Refused as long as they have no effect, or wanted by root alone.
    "process.sha256",
    "process.user",
    "process.group",
];

/// One supervisor with the plugin that is edited, and one beside it.
struct Bench<'w> {
    world: &'w World,
    run: Running<'w>,
    base: String,
}

impl<'w> Bench<'w> {
    fn new(world: &'w World) -> Self {
        let text = base(world, "edited");
        world.manifest("edited", &text);
        world.manifest("other", &base(world, "other"));
        fs::create_dir(world.manifests().join("other")).unwrap();
        let env = [("EDIT_SECRET", "first-value")];
        let run = world.launch(&Launch { env: &env, ..Launch::default() });
        run.active("edited");
        run.active("other");
        Self { world, run, base: text }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.world.manifests().join(name)
    }

    fn plan(&self) -> Value {
        self.run.control("reload", &json!({"plan": true})).unwrap()["plan"].take()
    }

    fn generation(&self, id: &str) -> Value {
        self.run.plugin(id)["generation"].clone()
    }

    /// Plans, sees that nothing has changed by it, applies, and sees that the plan was kept to. Gives the plan's steps as
    /// `action plugin keys`.
    #[track_caller]
    fn reload(&self, what: &str) -> Vec<String> {
        let before = self.run.status();
        let plan = self.plan();
        let after = self.run.status();
        let same = |status: &Value, member: &str| -> Vec<Value> {
            let mut rows: Vec<Value> = status["plugins"].as_array().unwrap().clone();
            rows.sort_by_key(|row| row["id"].to_string());
            rows.iter().map(|row| row[member].clone()).collect()
        };
        for member in ["id", "generation", "pid", "wanted"] {
            assert_eq!(
                same(&before, member),
                same(&after, member),
                "{what}: a plan changes nothing"
            );
        }
        assert_eq!(before["supervisor"]["revision"], after["supervisor"]["revision"], "{what}");
        let applied = self.run.control("reload", &json!({})).unwrap();
        assert_eq!(steps(&applied["plan"]), steps(&plan), "{what}: what was planned is done");
        let rises = plan["steps"] != json!([]) || plan["settings"] != json!([]);
        let revision = plan["revision"].as_u64().unwrap() + u64::from(rises);
        assert_eq!(applied["revision"], revision, "{what}: the revision rises with a change");
        steps(&plan)
    }
}

/// A manifest of dotted keys, so that a line can be added to it.
fn base(world: &World, id: &str) -> String {
    let gates = toml_text(&world.gates().folder().display().to_string());
    let command = outboard_tests::world::toml_list(&world.chaos_command(id, "serve"));
    format!(
        "process.command = {command}\nprocess.env.CHAOS_DIR = {gates}\nstart.first_byte_timeout = \"20s\"\n"
    )
}

fn steps(plan: &Value) -> Vec<String> {
    let step = |step: &Value| {
        let keys: Vec<&str> = step["changes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|change| change["key"].as_str().unwrap())
            .collect();
        let text = |member: &str| step[member].as_str().unwrap().to_owned();
        format!("{} {} {}", text("action"), text("plugin"), keys.join(" ")).trim_end().to_owned()
    };
    plan["steps"].as_array().unwrap().iter().map(step).collect()
}

/// Every key of the schema that a value can be given to, and a value that is not its default.
fn keys(schema: &Value, path: &str, list: &mut Vec<(String, String)>) {
    let Some(properties) = schema["properties"].as_object() else { return };
    for (name, property) in properties {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if property["properties"].is_object() && property.get("default").is_none() {
            keys(property, &path, list);
        } else if !LEFT_OUT.contains(&path.as_str()) {
            list.push((path.clone(), value(&path, property)));
        }
    }
}

fn value(path: &str, property: &Value) -> String {
    // What a process needs to live goes on being enough.
    match path {
        "limits.memory" => return "\"512MiB\"".into(),
        "limits.cpu" => return "\"200%\"".into(),
        "process.env" | "config" => return "{ A = \"b\" }".into(),
        _ => {}
    }
    let default = property.get("default");
    let pattern = property["pattern"].as_str().unwrap_or_default();
    if let Some(words) = property["enum"].as_array() {
        return words.iter().find(|word| Some(*word) != default).unwrap().to_string();
    }
    match property["type"].as_str() {
        Some("boolean") => (default != Some(&json!(true))).to_string(),
        Some("integer") => "77".into(),
        Some("number") => "1".into(),
        Some("object") => "{ a = 1 }".into(),
        Some("array") if property["items"]["type"] == "integer" => "[7]".into(),
        Some("array") => "[\"other\"]".into(),
        Some("string") if pattern.contains("(ms|") => "\"25s\"".into(),
        Some("string") if pattern.contains("KiB") => "\"2MiB\"".into(),
        Some("string") if pattern.contains('%') => "\"50%\"".into(),
        Some("string") if pattern.contains("[0-7]") => "\"027\"".into(),
        Some("string") => "\"other\"".into(),
        _ if property["oneOf"].is_array() => "\"25s\"".into(),
        _ => "\"other\"".into(),
    }
}

#[test]
fn every_key_that_changes_alone_is_planned_and_done_as_its_kind_wants() {
    let world = World::new();
    let bench = Bench::new(&world);
    let schema = world.cli(&["schema"]).code(0).json();
    let mut table = Vec::new();
    keys(&schema, "", &mut table);
    assert!(table.len() > 60, "{table:?}");
    for (key, value) in &table {
        let before = bench.generation("edited");
        let line = match key.as_str() {
            "process.env" => "process.env.A = \"b\"".to_owned(),
            "config" => "config.A = \"b\"".to_owned(),
            "start.first_byte_timeout" => String::new(),
            _ => format!("{key} = {value}"),
        };
        let base = match key.as_str() {
            "start.first_byte_timeout" => bench.base.replace("\"20s\"", "\"25s\""),
            _ => bench.base.clone(),
        };
        world.manifest("edited", &format!("{base}{line}\n"));
        let restarts = RESTART.iter().any(|section| key.starts_with(section)) || key == "config";
        let action = match key.as_str() {
            "enabled" => "stop",
            _ if restarts => "restart",
            // Another version of what an installed package announces.
            _ if key.starts_with("entry_point.") => "swap",
            _ => "in_place",
        };
        // Tables that are somebody else's are compared member by member.
        let member = match (key.as_str(), value.as_str()) {
            ("process.env" | "config", _) => ".A",
            (_, "{ a = 1 }") => ".a",
            _ => "",
        };
        let expected = vec![format!("{action} edited {key}{member}")];
        assert_eq!(bench.reload(key), expected, "`{line}` is added");
        let generation = |n: u64| json!(before.as_u64().unwrap() + n);
        match action {
            "restart" | "swap" => {
                assert_eq!(bench.generation("edited"), generation(1), "{key}");
                assert_eq!(bench.run.plugin("edited")["state"], "active", "{key}");
            }
            "stop" => assert_eq!(bench.run.plugin("edited")["state"], "registered", "{key}"),
            _ => {
                assert_eq!(bench.generation("edited"), generation(0), "{key}: nothing is restarted")
            }
        }
        // And back.
        world.manifest("edited", &bench.base);
        let back = if action == "stop" { "start" } else { action };
        assert_eq!(bench.reload(key), [format!("{back} edited {key}{member}")], "`{line}` is gone");
    }
    assert_eq!(bench.generation("other"), 1, "nobody else was touched");
}

#[test]
fn a_table_of_edits_gives_the_plans_that_it_says() {
    let world = World::new();
    let bench = Bench::new(&world);
    let write = |name: &str, text: &str| fs::write(bench.path(name), text).unwrap();
    let plus = |line: &str| format!("{}{line}\n", bench.base);
    let nothing: [&str; 0] = [];

    // Spelling is no change.
    write("edited.toml", &plus("# a comment\ncalls.deadline = \"30000ms\""));
    assert_eq!(bench.reload("a comment, and a default that is spelt out"), nothing);
    write("edited.toml", &plus("description = \"a\"\ncalls.deadline = \"10s\""));
    assert_eq!(bench.reload("two keys"), ["in_place edited calls.deadline description"]);
    write("edited.toml", &plus("calls.deadline = \"10s\"\nconfig.a = 1\nwire.max_depth = 99"));
    assert_eq!(
        bench.reload("of several kinds the strongest counts"),
        ["restart edited config.a description wire.max_depth"]
    );
    write("edited.toml", &bench.base);
    bench.reload("back");

    // Files.
    fs::rename(bench.path("other.toml"), bench.path("another.toml")).unwrap();
    assert_eq!(bench.reload("a file is renamed"), ["add another", "remove other"]);
    bench.run.active("another");
    let named = format!("id = \"other\"\n{}", base(&world, "other"));
    write("another.toml", &named);
    assert_eq!(bench.reload("an id is changed"), ["add other", "remove another"]);
    fs::rename(bench.path("another.toml"), bench.path("other.toml")).unwrap();
    assert_eq!(bench.reload("a file is renamed, and says the same id"), ["in_place other file"]);
    write("new.toml", &base(&world, "new"));
    write("rests.toml", &format!("lazy = true\n{}", base(&world, "rests")));
    assert_eq!(bench.reload("two files are new"), ["add new", "add rests"]);
    write("rests.toml", &format!("lazy = true\n{}calls.in_flight = 5\n", base(&world, "rests")));
    assert_eq!(bench.reload("one that rests"), ["rest rests calls.in_flight"]);
    write("rests.toml", &base(&world, "rests"));
    assert_eq!(bench.reload("no longer lazy"), ["start rests calls.in_flight lazy"]);
    fs::remove_file(bench.path("rests.toml")).unwrap();
    fs::remove_file(bench.path("new.toml")).unwrap();
    assert_eq!(bench.reload("two files are gone"), ["remove new", "remove rests"]);

    // By hand.
    bench.run.cli(&["stop", "other"]).code(0);
    write("other.toml", &format!("{named}calls.deadline = \"9s\"\n"));
    assert_eq!(bench.reload("stopped by hand"), ["held other calls.deadline"]);
    assert_eq!(bench.run.plugin("other")["state"], "registered");
    bench.run.cli(&["start", "other"]).code(0);

    // The surroundings.
    write("other.toml", &format!("{named}process.env.A = \"${{FROM_DOTENV}}\"\n"));
    write(".env", "FROM_DOTENV=secret-one\n");
    fs::set_permissions(bench.path(".env"), PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(bench.reload("a variable"), ["restart other calls.deadline process.env.A"]);
    write(".env", "FROM_DOTENV=secret-two\n");
    let said = bench.run.cli(&["reload", "--plan"]).code(0).stdout;
    assert!(said.contains("~ restart   other  env A changed; new calls wait about "), "{said}");
    assert!(!said.contains("secret-"), "no value is said: {said}");
    assert_eq!(bench.reload("its value"), ["restart other process.env.A"]);

    // The program.
    let program = bench.path("program");
    fs::copy(outboard_tests::runtimes::bin("outboard-chaos"), &program).unwrap();
    let own = format!("process.command = [{}]\n", toml_text(&program.display().to_string()));
    write("own.toml", &own);
    assert_eq!(bench.reload("a program of its own"), ["add own"]);
    fs::copy(outboard_tests::runtimes::bin("outboard-chaos"), bench.path("next")).unwrap();
    fs::rename(bench.path("next"), &program).unwrap();
    assert_eq!(bench.reload("another file in its place"), ["swap own executable"]);

    // `outboard.toml`.
    write("outboard.toml", "[defaults.health]\ninterval = \"11s\"\n");
    let all = ["edited", "other", "own"].map(|id| format!("in_place {id} health.interval"));
    assert_eq!(bench.reload("a default for all"), all);
    write(
        "outboard.toml",
        "[supervisor]\nstart_concurrency = 2\n[logs]\njournal = \"1MiB\"\n[defaults.health]\ninterval = \"11s\"\n",
    );
    let settings = bench.plan()["settings"].clone();
    assert_eq!(
        settings,
        json!([
            {"key": "logs.journal", "from": "64MiB", "to": "1MiB", "at_once": false},
            {"key": "supervisor.start_concurrency", "from": "8", "to": "2", "at_once": true},
        ])
    );
    assert_eq!(bench.reload("for the supervisor itself"), nothing);

    // What is refused.
    let kept = bench.run.status()["supervisor"]["revision"].clone();
    let circle = |id: &str, of: &str| {
        write(&format!("{id}.toml"), &format!("{}start.requires = [\"{of}\"]\n", base(&world, id)));
    };
    let refused = |what: &str, parts: &[&str]| {
        for args in [&["reload", "--plan"][..], &["reload"]] {
            let Output { stderr, .. } = bench.run.cli(args).code(2);
            for part in parts {
                assert!(stderr.contains(part), "{what}: `{part}` in {stderr}");
            }
        }
        assert_eq!(bench.run.status()["supervisor"]["revision"], kept, "{what}");
    };
    circle("one", "two");
    circle("two", "one");
    refused("a circle", &["goes round in a circle", "nothing was changed"]);
    fs::remove_file(bench.path("two.toml")).unwrap();
    refused("what it requires is nowhere", &["one requires `two`, which no manifest describes"]);
    write("one.toml", "[process]\ncommand = \n");
    refused("no TOML", &["one.toml:2"]);
    write("one.toml", &base(&world, "one")[..40]);
    refused("half a file", &["one.toml:1"]);
    write("one.toml", &plus("[health]\nintervall = \"10s\"\nmisses = \"three\""));
    refused("two errors in a file", &["unknown key `intervall`", "misses", "2 errors"]);
    write("one.toml", &format!("id = \"other\"\n{}", base(&world, "one")));
    refused("two of a name", &["2 manifests have the id `other`"]);
    fs::remove_file(bench.path("one.toml")).unwrap();
    write("outboard.toml", "[defaults.health]\ninterval = 11\n");
    refused("an error for all", &["outboard.toml:2"]);
    write("outboard.toml", "");
    assert_eq!(bench.reload("mended"), all);
    assert_eq!(
        bench.run.events().iter().filter(|event| event.event == "internal.surprise").count(),
        0
    );
}

#[test]
fn a_broken_file_holds_up_nobody_when_it_is_left_alone_or_was_broken_before() {
    let world = World::new();
    world.manifest("broken", "[process]\ncommand = 7\n");
    let bench = Bench::new(&world);
    let write = |name: &str, text: &str| fs::write(bench.path(name), text).unwrap();
    // Refused at the start and untouched since.
    write("edited.toml", &format!("{}calls.deadline = \"10s\"\n", bench.base));
    assert_eq!(bench.reload("broken before"), ["in_place edited calls.deadline"]);
    assert_eq!(bench.run.plugin("broken")["state"], "failed");
    // Another error in it is news.
    write("broken.toml", "[process]\ncommand = 8\n");
    write("edited.toml", &bench.base);
    let refused = bench.run.cli(&["reload"]).code(2);
    assert!(refused.stderr.contains("broken.toml:2"), "{}", refused.stderr);
    let plan = bench.run.cli(&["reload", "--except", "broken", "--plan"]).code(0).stdout;
    assert!(plan.contains("outboard reload --if-revision 2 --except broken"), "{plan}");
    let applied = bench.run.cli(&["reload", "--except", "broken", "--json"]).code(0).json();
    assert_eq!(steps(&applied["plan"]), ["in_place edited calls.deadline"]);
    bench.run.cli(&["reload"]).code(2);
    // One that changed and is to be left alone.
    write("broken.toml", &base(&world, "broken"));
    write("other.toml", &format!("{}config.a = 1\n", base(&world, "other")));
    let applied = bench.run.cli(&["reload", "--except", "other", "--json"]).code(0).json();
    assert_eq!(steps(&applied["plan"]), ["start broken"], "mended");
    assert_eq!(applied["plan"]["excepted"], json!(["other"]));
    bench.run.active("broken");
    assert_eq!(bench.generation("other"), 1);
    let unknown = bench.run.cli(&["reload", "--except", "othr"]).code(4);
    assert!(unknown.stderr.contains("did you mean `other`?"), "{}", unknown.stderr);
}
