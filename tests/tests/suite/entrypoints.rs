//! Packages that announce themselves by entry points: found, run, called, upgraded, and refused without harm.

mod manager;

use std::fs;
use std::path::Path;

use outboard_tests::packages::{Venv, can_install};
use outboard_tests::world::{Launch, toml_text};
use outboard_tests::{World, require};
use serde_json::{Value, json};

/// The packages that are refused, with the id that each gives and the words that its runner refuses it with.
const REFUSED: [(&str, &str, &str); 11] = [
    ("bad-import", "import", "cannot be imported: ImportError: no codec for this machine"),
    ("bad-object", "object", "names Platform, which demi_object does not have"),
    ("bad-function", "function", "is an object of function and no class"),
    ("bad-stranger", "stranger", "is no subclass of outboard_plugin.BasePlatform"),
    ("bad-abstract", "abstract", "does not implement handle_request and health_check"),
    ("bad-blocking", "blocking", "implements handle_request without async"),
    ("bad-twin-one", "twin", "2 entry points of the group demi.platforms are named twin"),
    ("bad-constructor", "constructor", "cannot be made: OSError: no disk"),
    ("bad-initialize", "initialize", "does not initialize: ValueError: no key is configured"),
    ("bad-missing", "missing", "names the package demi_missing_core, which is not there"),
    ("bad-gone", "gone", "names the package demi_gone, which is not there"),
];

/// Those that run and are not well, with what they say.
const UNWELL: [(&str, &str, &str); 2] = [
    ("bad-ailing", "ailing", "OSError: no route to the database"),
    ("bad-dawdling", "dawdling", "health_check has not answered within 2 s"),
];

/// Looks in one environment. A refused entry point is tried again at leisure: once is what is looked at here.
fn settings(world: &World, venv: &Path) {
    world.settings(&format!(
        "[[discover.python]]\nenvironment = {}\ngroup = \"demi.platforms\"\n\
         [discover.python.defaults.restart]\nbackoff = {{ initial = \"30s\" }}\n\
         [discover.python.defaults.health]\ninterval = \"1h\"\n",
        toml_text(&venv.display().to_string())
    ));
}

/// An environment with the SDK and some packages, which the world's supervisor looks in.
fn environment<'w>(world: &'w World, packages: &[&str]) -> Venv<'w> {
    let venv = Venv::make(world, "venv");
    venv.install(&[&["sdk"], packages].concat());
    settings(world, venv.folder());
    venv
}

fn rows(found: &Value) -> Vec<String> {
    let row = |row: &Value| {
        let point = &row["entry_point"];
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        format!(
            "{} {} {} {} {}",
            text(&row["id"]),
            text(&point["distribution"]),
            text(&point["version"]),
            text(&point["value"]),
            text(&row["state"])
        )
    };
    found["plugins"].as_array().unwrap().iter().map(row).collect()
}

#[test]
fn a_listing_reads_metadata_and_imports_nothing() {
    require!(can_install(), "pip's build backend (`cargo xtask setup`)");
    let world = World::new();
    let venv = environment(&world, &["demi-geo", "demi-mail", "bad-twin-one", "bad-twin-two"]);
    // What is imported at all leaves its mark.
    let mark = world.folder().join("imported");
    let code = format!("open({:?}, 'w')\n", mark.display().to_string());
    fs::write(venv.packages().join("demi_geo.py"), code).unwrap();
    let environment = venv.folder().display().to_string();
    let asked = ["discover", "--python", &environment, "--group", "demi.platforms"];
    let found = world.cli(&[&asked[..], &["--json"]].concat()).code(0).json();
    assert_eq!(
        rows(&found),
        [
            "geo demi-geo 1.0.0 demi_geo:Geo -",
            "mail demi-mail 0.3.0 demi_mail.platform:Mail -",
            "twin demi-twin-one, demi-twin-two 1.0.0, 2.0.0 demi_twin_one:Whole, demi_twin_two:Whole -",
        ]
    );
    let screen = world.cli(&asked).code(0).stdout;
    assert!(screen.contains("demi-geo 1.0.0 · demi_geo:Geo"), "{screen}");
    assert!(screen.ends_with("3 plugins found\n"), "{screen}");
    let folder = world.manifests().display().to_string();
    let checked = world.cli(&["check", &folder, "--json"]).code(0).json();
    assert_eq!(checked["plugins"], json!(["geo", "mail", "twin"]));
    assert!(!mark.exists(), "a listing has imported a package");
}

#[test]
fn what_is_found_runs_is_called_and_says_how_it_is() {
    require!(can_install(), "pip's build backend (`cargo xtask setup`)");
    let world = World::new();
    let _venv = environment(&world, &["demi-geo", "demi-mail"]);
    // A file of the same name completes what is found.
    let spool = world.folder().join("spool");
    fs::create_dir(&spool).unwrap();
    let configured = format!("[config]\nspool = {}\n", toml_text(&spool.display().to_string()));
    world.manifest("mail", &configured);
    world.manifest("geo", "[restart]\nbackoff = { initial = \"10ms\" }\n");
    let run = world.run();
    run.active("geo");
    run.active("mail");

    let located = run.call("geo", "locate", &json!({"ip": "192.0.2.1"})).unwrap();
    assert_eq!(located, json!({"ip": "192.0.2.1", "country": "PL"}));
    let called = run.cli(&["call", "mail", "send", "{\"to\": \"ada\", \"text\": \"hi\"}"]).code(0);
    assert_eq!(called.json(), json!({"to": "ada", "number": 1}));
    assert_eq!(fs::read_to_string(spool.join("1.eml")).unwrap().lines().last(), Some("hi"));
    let unknown = run.cli(&["call", "geo", "teleport"]).code(1);
    assert!(unknown.stderr.contains("no method teleport"), "{unknown:?}");

    // The registry: in `status`, over the API, and in `discover`.
    let geo = run.plugin("geo");
    assert_eq!(geo["entry_point"]["distribution"], "demi-geo");
    assert_eq!(geo["entry_point"]["version"], "1.0.0");
    assert_eq!(geo["entry_point"]["value"], "demi_geo:Geo");
    assert_eq!(geo["entry_point"]["group"], "demi.platforms");
    assert!(geo["loaded_at"].as_str().unwrap().ends_with('Z'), "{geo}");
    let found = run.cli(&["discover", "--json"]).code(0).json();
    assert_eq!(
        rows(&found),
        [
            "geo demi-geo 1.0.0 demi_geo:Geo active",
            "mail demi-mail 0.3.0 demi_mail.platform:Mail active",
        ]
    );
    assert_eq!(found["plugins"][0]["health"]["status"], "ok");
    assert_eq!(found["plugins"][0]["loaded_at"], geo["loaded_at"]);
    let status = run.cli(&["status"]).code(0).stdout;
    assert!(status.contains("demi-geo 1.0.0"), "{status}");

    // health_check feeds the health rules.
    let probe = || {
        let health = run.cli(&["health", "mail", "--json"]).code(0).json();
        health["plugins"][0]["health"].clone()
    };
    assert_eq!(probe()["status"], "ok");
    let away = world.folder().join("away");
    fs::rename(&spool, &away).unwrap();
    let health = probe();
    let said = format!("{} is no folder", spool.display());
    assert_eq!((&health["status"], &health["message"]), (&json!("degraded"), &json!(said)));
    run.state("mail", "degraded");
    let whole = run.call("mail", "platform/health", &json!({})).unwrap();
    assert_eq!((&whole["status"], &whole["details"]), (&json!("unhealthy"), &json!({"sent": 1})));
    fs::rename(&away, &spool).unwrap();
    assert_eq!(probe()["status"], "ok");

    // A crash is a crash of that process, and it comes back.
    let before = run.plugin("mail");
    world.witness().signal(run.plugin_pid("geo"), libc::SIGKILL);
    run.active_above("geo", 1);
    assert_eq!(run.plugin("mail")["pid"], before["pid"]);

    // Its shutdown is called at the end of it.
    run.cli(&["stop", "mail"]).code(0);
    run.log_line("mail", |text| text.contains("1 mails were sent"));
}

#[test]
fn what_is_wrong_is_a_row_with_its_reason_and_harms_nobody() {
    require!(can_install(), "pip's build backend (`cargo xtask setup`)");
    let world = World::new();
    let mut packages = vec!["bad-twin-two", "demi-geo"];
    packages.extend(REFUSED.iter().chain(&UNWELL).map(|(package, ..)| *package));
    let venv = environment(&world, &packages);
    fs::remove_file(venv.packages().join("demi_gone.py")).unwrap();
    let run = world.run();
    run.active("geo");
    for (_, id, words) in REFUSED {
        let failure = run.failure(id);
        assert_eq!(failure.text("class"), "handshake", "{id}: {failure:?}");
        run.state(id, "backoff");
        let row = run.plugin(id);
        assert_eq!(row["state"], "backoff", "{id}: {row}");
        let message = row["last_failure"]["message"].as_str().unwrap();
        assert!(message.contains(words), "{id}: {message}");
        let why = run.cli(&["why", id]).code(0).stdout;
        assert!(why.contains(words.split(':').next().unwrap()), "{id}: {why}");
    }
    for (_, id, words) in UNWELL {
        run.state(id, "degraded");
        let row = run.plugin(id);
        assert_eq!(row["health"]["message"], words, "{id}: {row}");
        assert_eq!(run.call(id, "any", &json!({"n": 1})).unwrap(), json!({"n": 1}));
    }
    let found = run.cli(&["discover"]).code(0).stdout;
    for (_, id, words) in REFUSED {
        assert!(found.lines().any(|line| line.starts_with(id) && line.contains(words)), "{found}");
    }
    // All of them were tried and the good one never noticed.
    assert_eq!(run.plugin("geo")["generation"], 1);
    run.call("geo", "locate", &json!({"ip": "192.0.2.1"})).unwrap();
}

#[test]
fn an_upgraded_package_is_swapped_in_by_itself_where_the_supervisor_watches() {
    require!(can_install(), "pip's build backend (`cargo xtask setup`)");
    let world = World::new();
    let venv = environment(&world, &["demi-geo"]);
    let run = world.launch(&Launch { args: &["--watch"], ..Launch::default() });
    run.active("geo");
    // The watch stands once it has seen something.
    world.chaos("other", "serve");
    run.active("other");
    venv.install(&["demi-geo-next"]);
    run.event(|event| event.is("swap.done", "geo"));
    assert_eq!(run.plugin("geo")["entry_point"]["version"], "1.1.0");
    assert_eq!(run.count(|event| event.is("plugin.removed", "geo")), 0, "it was never gone");
}

#[test]
fn an_upgraded_package_is_seen_by_a_plan_and_swapped_by_a_reload() {
    require!(can_install(), "pip's build backend (`cargo xtask setup`)");
    let world = World::new();
    let venv = environment(&world, &["demi-geo", "demi-mail"]);
    let run = world.run();
    run.active("geo");
    run.state("mail", "degraded");
    let quiet = run.cli(&["reload", "--plan", "--json"]).code(0).json();
    assert_eq!(quiet["plan"]["steps"], json!([]));

    venv.install(&["demi-geo-next"]);
    let drift = run.status();
    assert_eq!(drift["drift"], json!(["outboard.toml#geo"]), "an installation is noticed");
    let planned = run.cli(&["reload", "--plan"]).code(0).stdout;
    assert!(planned.contains("~ swap      geo  [entry_point] version 1.0.0 -> 1.1.0"), "{planned}");
    let found = run.cli(&["discover"]).code(0).stdout;
    assert!(found.contains("demi-geo 1.1.0 (1.0.0 runs)"), "{found}");

    let steps = run.control("reload", &json!({"plan": true})).unwrap()["plan"]["steps"].take();
    let steps: Vec<_> =
        steps.as_array().unwrap().iter().map(|s| (&s["plugin"], &s["action"])).collect();
    assert_eq!(steps, [(&json!("geo"), &json!("swap"))]);
    let before = run.plugin("geo");
    let mut client = run.attach("geo");
    run.cli(&["reload"]).code(0);
    let after = run.plugin("geo");
    assert_eq!((&after["state"], &after["generation"]), (&json!("active"), &json!(2)));
    assert_eq!(after["entry_point"]["version"], "1.1.0");
    assert_ne!(after["pid"], before["pid"]);
    assert_eq!(run.plugin("mail")["generation"], 1);
    // Whoever was attached goes on with the new one.
    let located = client.call("locate", &json!({"ip": "192.0.2.1"})).unwrap();
    assert_eq!(located["city"], "Łódź");
    assert_eq!(run.status()["drift"], json!([]));

    // The same by hand, for one plugin.
    venv.install(&["demi-geo"]);
    run.cli(&["swap", "geo"]).code(0);
    assert_eq!(run.plugin("geo")["entry_point"]["version"], "1.0.0");

    // What is uninstalled goes, and what is new comes.
    venv.uninstall("demi-mail");
    run.cli(&["restart", "mail"]).code(6);
    let failure = run.failure("mail");
    assert!(failure.text("message").contains("no package has an entry point mail"), "{failure:?}");
    venv.install(&["bad-function"]);
    run.cli(&["reload"]);
    let rows = run.status();
    let mut ids: Vec<_> =
        rows["plugins"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["function", "geo"]);
}

#[test]
fn an_environment_that_is_broken_is_said_with_its_place_and_changes_nothing_else() {
    require!(can_install(), "pip's build backend (`cargo xtask setup`)");
    let world = World::new();
    let venv = environment(&world, &["demi-geo"]);
    world.chaos("other", "serve");
    let away = world.folder().join("away");
    fs::rename(venv.folder(), &away).unwrap();

    let folder = world.manifests().display().to_string();
    let checked = world.cli(&["check", &folder]).code(2).stdout;
    assert!(checked.contains("error: there is no environment"), "{checked}");
    assert!(checked.contains("outboard.toml:2:15"), "{checked}");
    assert!(checked.contains("help: python3 -m venv"), "{checked}");

    // Everybody else runs, and the group is a row that says why it has no plugins.
    let run = world.run();
    run.active("other");
    let row = run.plugin("demi.platforms");
    assert_eq!(
        (&row["state"], &row["last_failure"]["class"]),
        (&json!("failed"), &json!("config"))
    );
    let why = run.cli(&["why", "demi.platforms"]).code(0).stdout;
    assert!(why.contains("there is no environment"), "{why}");

    // Mended, a reload finds what is in it.
    fs::rename(&away, venv.folder()).unwrap();
    run.cli(&["reload"]).code(0);
    run.active("geo");

    // Broken again, in another way: a reload says so and changes nothing.
    fs::remove_file(venv.python()).unwrap();
    let refused = run.cli(&["reload"]).code(2);
    assert!(refused.stderr.contains("has no bin/python that can be run"), "{refused:?}");
    assert_eq!(run.plugin("geo")["state"], "active");
    assert_eq!(run.plugin("other")["generation"], 1);
    fs::write(venv.python(), "#!/bin/sh\necho no >&2\nexit 3\n").unwrap();
    fs::set_permissions(venv.python(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let refused = run.cli(&["reload"]).code(2);
    assert!(refused.stderr.contains("it ended with exit 3: no"), "{refused:?}");
    run.call("geo", "locate", &json!({"ip": "192.0.2.1"})).unwrap();
}

#[test]
fn an_environment_without_the_sdk_says_what_to_install() {
    require!(can_install(), "pip's build backend (`cargo xtask setup`)");
    let world = World::new();
    let venv = environment(&world, &["demi-geo"]);
    venv.uninstall("outboard-plugin");
    let folder = world.manifests().display().to_string();
    let found = world.cli(&["discover", &folder]).code(2).stdout;
    assert!(found.contains("outboard-plugin is not installed in"), "{found}");
    assert!(found.contains("-m pip install outboard-plugin"), "{found}");
}
