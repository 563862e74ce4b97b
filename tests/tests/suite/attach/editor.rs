//! An editor: the connection library of VS Code, with `outboard attach` as the command of its language server.

use std::io::Write;

use outboard_tests::clock::Deadline;
use outboard_tests::gates::fifo;
use outboard_tests::runtimes::{bin, repository};
use outboard_tests::tail::Tail;
use outboard_tests::world::Launch;
use outboard_tests::{World, require};

#[test]
fn an_editor_keeps_its_session_and_what_it_has_open_while_its_server_is_killed() {
    let servers = repository().join("manifests/lsp");
    let library = servers.join("node_modules/vscode-jsonrpc");
    let server = servers.join("node_modules/.bin/bash-language-server");
    require!(library.exists() && server.exists(), "bash-language-server (cargo xtask setup)");
    let world = World::new();
    let sources = Some(vec![servers.join("bash.toml")]);
    let run = world.launch(&Launch { sources, ..Launch::default() });
    run.active("bash");
    let client = repository().join("tests/clients/editor.mjs");
    let mut argv = vec!["node".to_owned()];
    argv.extend([&client, &library, &bin("outboard")].map(|path| path.display().to_string()));
    argv.extend(["attach", "bash", "--state-dir"].map(str::to_owned));
    argv.push(world.state_dir("").display().to_string());
    let mut spawn = world.spawn(argv);
    let stderr = spawn.stderr.clone().unwrap();
    let path = stderr.with_extension("to");
    let mut stdin = fifo(&path);
    spawn.stdin = Some(path);
    let mut stdout = Tail::from_start(&spawn.stdout.clone().unwrap()).unwrap();
    let pid = world.witness().spawn(spawn);
    let mut says = |start: &str| {
        let deadline = Deadline::hang();
        while let Some(line) = stdout.line(deadline).unwrap() {
            if line.starts_with(start) {
                return line;
            }
        }
        panic!("it never said {start}: {}", std::fs::read_to_string(&stderr).unwrap())
    };
    assert_eq!(says("opened"), "opened true first");
    let mut edit = |words: &str| stdin.write_all(words.as_bytes()).unwrap();
    edit("edit\nsymbols\n");
    assert_eq!(says("symbols"), "symbols second first");
    for generation in 1..=2 {
        world.witness().signal(run.plugin_pid("bash"), libc::SIGKILL);
        // The one edit may come while no process is there; it is not lost either.
        edit("edit\nsymbols\n");
        let expected = ["symbols third second first", "symbols fourth third second first"];
        assert_eq!(says("symbols"), expected[generation - 1]);
        run.active_above("bash", u64::try_from(generation).unwrap());
    }
    edit("end\n");
    assert_eq!(says("{"), r#"{"shutdown":null,"code":0,"errors":[]}"#);
    assert_eq!(world.witness().exit(pid).get().code, Some(0));
    let row = run.plugin("bash");
    assert_eq!((&row["state"], &row["restarts"]), (&"active".into(), &2.into()), "{row}");
}
