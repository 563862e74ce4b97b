//! `import`, from the file of an MCP client to a session through `attach`, and back.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use outboard_tests::gates::fifo;
use outboard_tests::runtimes::bin;
use outboard_tests::{Bridge, World, require};
use serde_json::Value;

const SECRET: &str = "ghp_0123456789abcdefABCDEFnobody";

/// A client's file with one server, a remote one beside it, and comments.
fn client_file(world: &World) -> (PathBuf, String) {
    let command = world.chaos_command("files", "serve mcp");
    let gates = world.gates().folder().display().to_string();
    let text = format!(
        "{{\n  // of this project\n  \"mcpServers\": {{\n    \"files\": {{\n      \"command\": \"{}\",\n      \
         \"args\": [\"{}\"],\n      \"env\": {{ \"CHAOS_DIR\": \"{gates}\", \"GITHUB_TOKEN\": \"{SECRET}\" }},\n      \
         \"timeout\": 60\n    }},\n    \"far\": {{ \"url\": \"https://example.com/mcp\" }}\n  }}\n}}\n",
        command[0], command[1]
    );
    let path = world.folder().join(".mcp.json");
    fs::write(&path, &text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    (path, text)
}

#[test]
fn a_clients_server_is_imported_attached_killed_and_put_back() {
    let world = World::new();
    let (path, text) = client_file(&world);
    let file = path.display().to_string();
    let folder = world.manifests().display().to_string();
    let said = world.cli(&["import", &file, "--out", &folder, "--attach"]).code(0).stdout;
    for words in [
        "far    left as it is: a remote server (example.com), and no program to run",
        ".mcp.json:8: files: `timeout`: for the client alone; it stays in the client's file",
        "secret in",
        "back: outboard import --undo",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let manifest = fs::read_to_string(world.manifests().join("files.toml")).unwrap();
    assert!(manifest.contains("GITHUB_TOKEN = { from_env = \"GITHUB_TOKEN\" }"), "{manifest}");
    assert!(!manifest.contains(SECRET) && !said.contains(SECRET), "{manifest}");
    let env = world.manifests().join(".env");
    assert!(fs::read_to_string(&env).unwrap().contains(SECRET));
    assert_eq!(fs::metadata(&env).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_to_string(world.manifests().join(".gitignore")).unwrap(), ".env\n");
    world.cli(&["check", &folder]).code(0);

    // The client starts what its file says now, and notices nothing of the end of its server.
    let now = fs::read_to_string(&path).unwrap();
    assert!(now.contains("// of this project") && now.contains("\"timeout\": 60"), "{now}");
    assert!(!now.contains(SECRET), "{now}");
    let json: Value = serde_json::from_str(&now.replace("// of this project", "")).unwrap();
    let server = &json["mcpServers"]["files"];
    assert_eq!(server["command"], bin("outboard").display().to_string());
    let args: Vec<&str> =
        server["args"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let ["attach", "--state-dir", state, rest @ ..] = &args[..] else { panic!("{args:?}") };
    assert_eq!(*state, world.state_dir("").display().to_string());
    let mut client = Bridge::start(&world, "", &[rest, &["--linger", "200ms"][..]].concat());
    let opened = client.open_mcp("{}");
    assert_eq!(opened["result"]["serverInfo"]["name"], "chaos", "{opened}");
    client.send("1", "tools/list", "{}");
    assert!(client.answer("1")["result"]["tools"].is_array());
    let status = world.cli(&["status", "--json"]).code(0).json();
    let pid = u32::try_from(status["plugins"][0]["pid"].as_u64().unwrap()).unwrap();
    world.witness().signal(pid, libc::SIGKILL);
    client.send("2", "tools/list", "{}");
    let answer = client.answer("2");
    let again = answer["result"]["tools"].is_array() || answer["error"]["code"] == -31003;
    assert!(again, "served by the next process, or told of the last one's end: {answer}");
    client.send("3", "tools/list", "{}");
    assert!(client.answer("3")["result"]["tools"].is_array());
    let why = world.cli(&["why", "files"]).code(0).stdout;
    assert!(why.contains("class signal"), "{why}");
    drop(client);

    world.cli(&["import", "--undo", &file]).code(0);
    assert_eq!(fs::read_to_string(&path).unwrap(), text, "byte for byte");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    let nothing = world.cli(&["import", "--undo", &file]).code(2);
    assert!(nothing.stderr.contains("nothing to undo"), "{nothing:?}");
    world.assert_nothing_runs();
}

#[test]
fn what_is_there_is_never_overwritten() {
    let world = World::new();
    let (path, _) = client_file(&world);
    let file = path.display().to_string();
    let folder = world.manifests().display().to_string();
    let import = |more: &[&str]| {
        world
            .cli(&[&["import", &file, "--out", &folder, "--json"][..], more].concat())
            .code(0)
            .json()
    };
    let dry = import(&["--dry-run"]);
    assert_eq!(dry["plugins"][0]["id"], "files", "{dry}");
    assert_eq!(fs::read_dir(world.manifests()).unwrap().count(), 0, "nothing was written");
    // Somebody else's manifest of that name, and another value of that variable.
    let others = "[process]\ncommand = [\"true\"]\n";
    world.manifest("files", others);
    let env = world.manifests().join(".env");
    fs::write(&env, "GITHUB_TOKEN=another one").unwrap();
    fs::set_permissions(&env, fs::Permissions::from_mode(0o600)).unwrap();
    let written = import(&[]);
    assert_eq!(written["plugins"][0]["id"], "files-2", "{written}");
    assert_eq!(written["plugins"][0]["secrets"][0], "FILES_2_GITHUB_TOKEN", "{written}");
    assert_eq!(fs::read_to_string(world.manifests().join("files.toml")).unwrap(), others);
    assert!(fs::read_to_string(&env).unwrap().starts_with("GITHUB_TOKEN=another one\n"));
    world.cli(&["check", &folder]).code(0);
    // Edited by hand, and imported again: it is known by its first line.
    let second = world.manifests().join("files-2.toml");
    let edited = fs::read_to_string(&second).unwrap() + "\n[calls]\ndeadline = \"5s\"\n";
    fs::write(&second, &edited).unwrap();
    let again = import(&[]);
    assert_eq!(again["plugins"][0]["id"], "files-2", "{again}");
    assert_eq!(again["plugins"][0]["was_there"], true, "{again}");
    assert_eq!(fs::read_to_string(&second).unwrap(), edited);
}

#[test]
fn a_linked_file_stays_a_link_and_later_changes_are_kept() {
    let world = World::new();
    let (path, text) = client_file(&world);
    let link = world.folder().join("mcp.json");
    symlink(&path, &link).unwrap();
    let file = link.display().to_string();
    let folder = world.manifests().display().to_string();
    world.cli(&["import", &file, "--out", &folder, "--attach"]).code(0);
    assert!(link.symlink_metadata().unwrap().is_symlink());
    let now = fs::read_to_string(&path).unwrap().replace("example.com", "example.org");
    fs::write(&path, &now).unwrap();
    let said = world.cli(&["import", "--undo", &file]).code(0).stdout;
    assert!(said.contains("It had been changed since"), "{said}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    assert!(link.symlink_metadata().unwrap().is_symlink());
    let kept = world.folder().join("mcp.json.with-outboard");
    assert_eq!(fs::read_to_string(kept).unwrap(), now);
}

#[test]
fn an_ecosystem_that_is_a_program_is_evaluated() {
    require!("node");
    let world = World::new();
    let path = world.folder().join("ecosystem.config.js");
    fs::write(&path, "module.exports = { apps: [{ name: 'a' + 1, script: 'mcp.js' }] };\n")
        .unwrap();
    let folder = world.manifests().display().to_string();
    let said = world.cli(&["import", &path.display().to_string(), "--out", &folder]).code(0).stdout;
    assert!(said.contains("an ecosystem of PM2, 1 plugin"), "{said}");
    assert!(world.manifests().join("a1.toml").exists());
    fs::write(&path, "throw new Error('no such thing')\n").unwrap();
    let failed = world.cli(&["import", &path.display().to_string(), "--out", &folder]).code(2);
    assert!(failed.stderr.contains("no such thing"), "{failed:?}");
    let attach = world.folder().join("supervisord.conf");
    fs::write(&attach, "[program:x]\ncommand=cat\n").unwrap();
    let refused = world.cli(&["import", &attach.display().to_string(), "--attach"]).code(2);
    assert!(refused.stderr.contains("no file of an MCP client"), "{refused:?}");
}

#[test]
fn a_copy_that_nobody_has_put_back_is_not_overwritten() {
    let world = World::new();
    let (path, text) = client_file(&world);
    let file = path.display().to_string();
    let folder = world.manifests().display().to_string();
    world.cli(&["import", &file, "--out", &folder, "--attach"]).code(0);
    // Somebody adds a server, and wants it attached too.
    let more = r#""new": { "command": "true", "env": { "API_TOKEN": "abcdefgh" } }, "far":"#;
    let now = fs::read_to_string(&path).unwrap().replace("\"far\":", more);
    fs::write(&path, &now).unwrap();
    let env = fs::read_to_string(world.manifests().join(".env")).unwrap();
    for dry_run in [&["--dry-run"][..], &[]] {
        let import = ["import", &file, "--out", &folder, "--attach"];
        let refused = world.cli(&[&import[..], dry_run].concat()).code(8).stderr;
        for words in [
            ".mcp.json.before-outboard is there: an earlier --attach was not undone",
            "nothing was written",
            &format!("help: outboard import --undo {file}"),
        ] {
            assert!(refused.contains(words), "{words}: {refused}");
        }
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), now);
    let copy = world.folder().join(".mcp.json.before-outboard");
    assert_eq!(fs::read_to_string(copy).unwrap(), text, "what --undo puts back");
    assert!(!world.manifests().join("new.toml").exists());
    assert_eq!(fs::read_to_string(world.manifests().join(".env")).unwrap(), env);
    world.cli(&["import", "--undo", &file]).code(0);
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn files_that_a_file_names_are_read_with_it() {
    let world = World::new();
    let folder = world.manifests().display().to_string();
    let write = |name: &str, text: &str| {
        let path = world.folder().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let main = write("etc/supervisord.conf", "[include]\nfiles = conf.d/*.conf\n");
    let nothing = world.cli(&["import", &main, "--out", &folder]).code(2).stderr;
    assert!(nothing.contains("no file is `conf.d/*.conf`"), "{nothing}");
    write("etc/conf.d/a.conf", "[program:a]\ncommand=cat\npriority=5\n");
    let b = write("etc/conf.d/b.conf", "[program:b]\ncommand=cat -u\nstopsignal=INT\n");
    let said = world.cli(&["import", &main, "--out", &folder]).code(0).stdout;
    assert!(said.contains("programs of supervisord, 2 plugins"), "{said}");
    assert!(said.contains(&format!("{b}:3: b: `stopsignal`")), "{said}");
    let manifest = fs::read_to_string(world.manifests().join("b.toml")).unwrap();
    assert!(manifest.contains("conf.d/b.conf\n") && manifest.contains("\"-u\""), "{manifest}");

    // Variables are taken over; what is no file is not waited for.
    write("vars.env", &format!("GITHUB_TOKEN={SECRET}\nREGION=eu\n"));
    let _pipe = fifo(&world.folder().join("pipe.env"));
    let client = write(
        "mcp.json",
        r#"{"servers":{
            "one":{"command":"true","envFile":"${workspaceFolder}/vars.env","env":{"REGION":"us"}},
            "two":{"command":"true","envFile":"pipe.env"},
            "three":{"command":"true","envFile":"gone.env"}}}"#,
    );
    let said = world.cli(&["import", &client, "--out", &folder]).code(0).stdout;
    for words in [
        "one: `envFile`: `${workspaceFolder}/vars.env` was copied as it is now",
        "pipe.env was not read: it is no file",
        "gone.env was not read: No such file",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let one = fs::read_to_string(world.manifests().join("one.toml")).unwrap();
    assert!(one.contains("GITHUB_TOKEN = { from_env") && one.contains("REGION = \"us\""), "{one}");
    assert!(!one.contains(SECRET) && !said.contains(SECRET), "{one}{said}");
    assert!(fs::read_to_string(world.manifests().join(".env")).unwrap().contains(SECRET));
    world.cli(&["check", &folder]).code(0);
}

#[test]
fn an_ecosystem_in_yaml_is_read() {
    let world = World::new();
    let path = world.folder().join("ecosystem.config.yaml");
    let text = "apps:\n  - name: notes\n    script: mcp.js\n    env: &env { LEVEL: info }\n  - {name: mail, script: mail.py, env: *env}\n";
    fs::write(&path, text).unwrap();
    let (file, folder) = (path.display().to_string(), world.manifests().display().to_string());
    let said = world.cli(&["import", &file, "--out", &folder]).code(0).stdout;
    assert!(said.contains("an ecosystem of PM2, 2 plugins"), "{said}");
    let mail = fs::read_to_string(world.manifests().join("mail.toml")).unwrap();
    assert!(
        mail.contains("[\"python3\", \"mail.py\"]") && mail.contains("LEVEL = \"info\""),
        "{mail}"
    );
    fs::write(&path, "apps:\n  - name: [\n").unwrap();
    let refused = world.cli(&["import", &file, "--out", &folder]).code(2).stderr;
    assert!(refused.contains(".yaml:3: not YAML: "), "{refused}");
}
