//! Packages that announce themselves by entry points: found, run, called, upgraded, and refused without harm.

mod manager;

use std::fs;
use std::path::Path;

use outboard_tests::packages::Venv;
use outboard_tests::world::toml_text;
use outboard_tests::{World, require};
use serde_json::{Value, json};

/// The packages that are wrong, with the id that each gives and the class that its runner refuses it with.
const WRONG: [(&str, &str, &str); 8] = [
    ("bad-import", "import", "cannot be imported: ImportError: no codec for this machine"),
    ("bad-function", "function", "is an object of function and no class"),
    ("bad-stranger", "stranger", "is no subclass of outboard_plugin.BasePlatform"),
    ("bad-abstract", "abstract", "does not implement handle_request and health_check"),
    ("bad-blocking", "blocking", "implements handle_request without async"),
    ("bad-twin-one", "twin", "2 entry points of the group demi.platforms are named twin"),
    ("bad-constructor", "constructor", "cannot be made: OSError: no disk"),
    ("bad-missing", "missing", "names the package demi_missing_core, which is not there"),
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

fn world(packages: &[&str]) -> (World, Venv) {
    let world = World::new();
    let venv = Venv::make(&world, "venv");
    for package in packages {
        venv.install(package);
    }
    settings(&world, venv.folder());
    (world, venv)
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
    require!("python3");
    let (world, venv) = world(&["demi-geo", "demi-mail", "bad-twin-one", "bad-twin-two"]);
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
    require!("python3");
    let (world, _venv) = world(&["demi-geo", "demi-mail"]);
    // A file of the same name completes what is found.
    world.manifest("mail", "[config]\nserver = \"mail.example\"\n");
    world.manifest("geo", "[restart]\nbackoff = { initial = \"10ms\" }\n");
    let run = world.run();
    run.active("geo");
    run.active("mail");

    let located = run.call("geo", "locate", &json!({"ip": "192.0.2.1"})).unwrap();
    assert_eq!(located, json!({"ip": "192.0.2.1", "country": "PL", "units": "metric"}));
    let called = run.cli(&["call", "mail", "send", "{\"to\": \"ada\"}"]).code(0);
    assert_eq!(called.json(), json!({"to": "ada", "sent": 1}));
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
    let feel = |status: &str| {
        let feeling = json!({"status": status, "message": "cache cold"});
        run.call("geo", "feel", &feeling).unwrap();
        let health = run.cli(&["health", "geo", "--json"]).code(0).json();
        health["plugins"][0]["health"].clone()
    };
    let health = feel("unhealthy");
    assert_eq!((&health["status"], &health["message"]), (&json!("degraded"), &json!("cache cold")));
    run.state("geo", "degraded");
    assert_eq!(feel("healthy")["status"], "ok");
    let whole = run.call("geo", "platform/health", &json!({})).unwrap();
    assert_eq!(
        (&whole["status"], &whole["details"]),
        (&json!("healthy"), &json!({"cache": "cold"}))
    );

    // A crash is a crash of that process, and it comes back.
    let before = run.plugin("mail");
    run.call("geo", "die", &json!({})).unwrap_err();
    run.active_above("geo", 1);
    assert_eq!(run.plugin("mail")["pid"], before["pid"]);

    // Its shutdown is called at the end of it.
    run.cli(&["stop", "geo"]).code(0);
    run.log_line("geo", |text| text == "geo says goodbye");
}

#[test]
fn what_is_wrong_is_a_row_with_its_reason_and_harms_nobody() {
    require!("python3");
    let mut packages: Vec<&str> = WRONG.iter().map(|(package, ..)| *package).collect();
    packages.extend(["bad-twin-two", "demi-geo"]);
    let (world, _venv) = world(&packages);
    let run = world.run();
    run.active("geo");
    for (_, id, words) in WRONG {
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
    let found = run.cli(&["discover"]).code(0).stdout;
    for (_, id, words) in WRONG {
        assert!(found.lines().any(|line| line.starts_with(id) && line.contains(words)), "{found}");
    }
    // All of them were tried and the good one never noticed.
    assert_eq!(run.plugin("geo")["generation"], 1);
    run.call("geo", "locate", &json!({"ip": "192.0.2.1"})).unwrap();
}

#[test]
fn an_upgraded_package_is_seen_by_a_plan_and_swapped_by_a_reload() {
    require!("python3");
    let (world, venv) = world(&["demi-geo", "demi-mail"]);
    let run = world.run();
    run.active("geo");
    run.state("mail", "degraded");
    let quiet = run.cli(&["reload", "--plan", "--json"]).code(0).json();
    assert_eq!(quiet["plan"]["steps"], json!([]));

    venv.install("demi-geo-next");
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
    venv.install("demi-geo");
    run.cli(&["swap", "geo"]).code(0);
    assert_eq!(run.plugin("geo")["entry_point"]["version"], "1.0.0");

    // What is uninstalled goes, and what is new comes.
    venv.uninstall("demi-mail");
    venv.install("bad-function");
    run.cli(&["reload"]);
    let rows = run.status();
    let mut ids: Vec<_> =
        rows["plugins"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["function", "geo"]);
}

#[test]
fn an_environment_that_is_broken_is_said_with_its_place_and_changes_nothing_else() {
    require!("python3");
    let (world, venv) = world(&["demi-geo"]);
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
    require!("python3");
    let (world, venv) = world(&["demi-geo"]);
    fs::remove_file(venv.packages().join("outboard.pth")).unwrap();
    let folder = world.manifests().display().to_string();
    let found = world.cli(&["discover", &folder]).code(2).stdout;
    assert!(found.contains("outboard-plugin is not installed in"), "{found}");
    assert!(found.contains("-m pip install outboard-plugin"), "{found}");
}
