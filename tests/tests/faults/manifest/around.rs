//! What a manifest needs of its surroundings and does not find.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use outboard_tests::fault::Row;
use outboard_tests::world::Launch;
use serde_json::json;

use super::{PROCESS, WELL, is_failed, is_refused, says_all};

const SECRET: &str = "hunter2-hunter2";

#[test]
fn man_07_what_is_not_there_is_named_and_never_its_neighbours_value() {
    let row = Row::new("MAN-07");
    row.chaos(WELL, "serve");
    fs::write(row.manifests().join("secret.txt"), SECRET).unwrap();
    let table = [
        (
            "no-variable",
            "[process.env]\nA = { from_env = \"NOT_THERE\" }\n",
            "NOT_THERE is not set",
        ),
        ("no-file", "[process.env]\nA = { from_file = \"nothing.txt\" }\n", "nothing.txt"),
        ("a-folder", "[process.env]\nA = { from_file = \".\" }\n", "`.` cannot be read"),
        ("no-default", "[process.env]\nA = \"${NOT_THERE}\"\n", "NOT_THERE is not set"),
        (
            "beside-a-secret",
            "[process.env]\nA = { from_file = \"secret.txt\" }\nB = \"${NOT_THERE}\"\n",
            "NOT_THERE is not set",
        ),
    ];
    for (id, env, _) in &table {
        row.manifest(id, &format!("{PROCESS}{env}"));
    }
    // These are sound: a default, an escape, and a value that is given.
    row.chaos_with("sound", "serve", "");
    let sound = fs::read_to_string(row.manifests().join("sound.toml")).unwrap();
    let sound = sound.replace(
        "env = { ",
        "env = { A = \"${NOT_THERE:-fallback}\", B = \"$$HOME\", C = \"<${GIVEN}>\", ",
    );
    row.manifest("sound", &sound);

    let folder = row.manifests().display().to_string();
    let check = row.cli(&["check", &folder]).code(2);
    let said = format!("{}{}", check.stdout, check.stderr);
    for (id, _, what) in &table {
        says_all(&[what, &format!("{id}.toml")], &said);
    }
    let run = row.launch(&Launch { env: &[("GIVEN", "given")], ..Launch::default() });
    run.active(WELL);
    run.active("sound");
    let env = run.call("sound", "self", &json!({})).unwrap();
    let env: serde_json::Value = serde_json::from_str(&env.to_string()).unwrap();
    let env = &env["env"];
    assert_eq!(json!([env["A"], env["B"], env["C"]]), json!(["fallback", "$HOME", "<given>"]));
    for (id, _, what) in table {
        is_failed(&run, id, &[what]);
    }
    for text in [run.stderr(), run.stdout(), run.status().to_string(), said] {
        assert!(!text.contains(SECRET), "a secret is named, and never said: {text}");
    }
    row.witness("a variable, a file and a default were missing, one of them beside a secret");
}

#[test]
fn man_08_names_do_not_lead_out_of_their_folder() {
    let row = Row::new("MAN-08");
    let long = format!("id = \"{}\"\n{PROCESS}", "x".repeat(65));
    let bad = [
        ("up.toml", format!("id = \"../up\"\n{PROCESS}")),
        ("root.toml", format!("id = \"/etc/cron.d/x\"\n{PROCESS}")),
        ("dots.toml", format!("id = \"..\"\n{PROCESS}")),
        ("nul.toml", format!("id = \"a\\u0000b\"\n{PROCESS}")),
        ("long.toml", long),
        ("empty.toml", format!("id = \"\"\n{PROCESS}")),
    ];
    let outside = row.folder().join("up");
    let files: Vec<(&str, &str)> = bad.iter().map(|(file, text)| (*file, text.as_str())).collect();
    let parts: Vec<&str> = bad.iter().map(|(file, _)| *file).collect();
    let run = is_refused(&row, &files, &parts);
    assert!(!outside.exists() && !row.folder().join("up.jsonl").exists());
    assert!(run.call("../up", "echo", &json!({})).is_err());
    assert!(run.control("why", &json!({"id": "../../etc/passwd"})).is_err());
    let logs = json!({"filter": {"plugin": "../events"}});
    assert_eq!(run.control("logs", &logs).unwrap_err()["data"]["class"], "not_found");
    row.witness("six ids that are no names, and three of them asked for over the socket");
}

#[test]
fn man_10_what_is_too_much_is_refused_in_bounds() {
    let row = Row::new("MAN-10");
    row.chaos(WELL, "serve");
    let path = |file: &str| row.manifests().join(file);
    let sparse = fs::File::create(path("huge.toml")).unwrap();
    sparse.set_len(1 << 30).unwrap();
    fs::write(
        path("deep.toml"),
        format!("{PROCESS}[config]\nx = {}{}\n", "[".repeat(20_000), "]".repeat(20_000)),
    )
    .unwrap();
    fs::write(path("latin.toml"), b"description = \"caf\xe9\"\n").unwrap();
    fs::write(path("nul.toml"), b"id = \"a\"\0\n").unwrap();
    fs::write(path("marked.toml"), format!("\u{feff}enabled = false\n{PROCESS}")).unwrap();
    let run = row.run();
    run.active(WELL);
    for id in ["huge", "deep", "latin", "nul"] {
        is_failed(&run, id, &[&format!("{id}.toml")]);
    }
    assert_eq!(
        run.plugin("marked")["state"],
        "registered",
        "a mark of byte order is no part of it"
    );
    let peak = fs::read_to_string(format!("/proc/{}/status", run.supervisor_pid())).unwrap();
    let peak = peak.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().to_owned();
    let kib: u64 = peak.split_whitespace().next().unwrap().parse().unwrap();
    assert!(kib < 96 * 1024, "a file of a GiB is not read: {peak}");
    run.stop();

    // Ten thousand files, none of which is started.
    let crowd = row.folder().join("crowd");
    fs::create_dir(&crowd).unwrap();
    for number in 0..10_000 {
        fs::write(crowd.join(format!("p{number}.toml")), format!("enabled = false\n{PROCESS}"))
            .unwrap();
    }
    let check = row.cli(&["check", &crowd.display().to_string()]);
    let said = format!("{}{}", check.stdout, check.stderr);
    assert!(check.ended.code.is_some_and(|code| code == 0 || code == 2), "{said}");
    fs::set_permissions(&crowd, fs::Permissions::from_mode(0o700)).unwrap();
    row.note(format_args!("peak {peak}; ten thousand files: exit {:?}", check.ended.code));
    row.witness("a GiB, twenty thousand levels, no UTF-8, a NUL, a mark, and ten thousand files");
}
