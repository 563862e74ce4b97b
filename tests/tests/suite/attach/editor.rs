//! An editor: the connection library of VS Code, with `outboard attach` as the command of its language server.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use outboard_tests::clock::Deadline;
use outboard_tests::gates::fifo;
use outboard_tests::runtimes::{bin, repository};
use outboard_tests::tail::Tail;
use outboard_tests::world::Launch;
use outboard_tests::{Running, World, require};

use crate::upgrade::{Installed, upgraded, upgraded_with};

/// Where the server and the editor's library are, once they are installed.
fn installed() -> Option<PathBuf> {
    let servers = repository().join("manifests/lsp");
    let needed = ["node_modules/vscode-jsonrpc", "node_modules/.bin/bash-language-server"];
    needed.iter().all(|path| servers.join(path).exists()).then_some(servers)
}

const MISSING: &str = "bash-language-server (cargo xtask setup)";

/// A supervisor with that server.
#[track_caller]
fn launch<'w>(world: &'w World, program: Option<&Path>) -> Running<'w> {
    launch_of(world, repository().join("manifests/lsp/bash.toml"), program)
}

#[track_caller]
fn launch_of<'w>(world: &'w World, manifest: PathBuf, program: Option<&Path>) -> Running<'w> {
    world.launch(&Launch { sources: Some(vec![manifest]), program, ..Launch::default() })
}

/// One editor with one document.
struct Editor<'w> {
    world: &'w World,
    pid: u32,
    stdin: File,
    stdout: Tail,
    stderr: PathBuf,
}

impl<'w> Editor<'w> {
    #[track_caller]
    fn start(world: &'w World, servers: &Path) -> Self {
        Self::start_with(world, servers, &[])
    }

    /// With more arguments to `outboard attach`.
    #[track_caller]
    fn start_with(world: &'w World, servers: &Path, more: &[&str]) -> Self {
        let client = repository().join("tests/clients/editor.mjs");
        let library = servers.join("node_modules/vscode-jsonrpc");
        let mut argv = vec!["node".to_owned()];
        argv.extend([&client, &library, &bin("outboard")].map(|path| path.display().to_string()));
        argv.extend(["attach", "bash", "--state-dir"].map(str::to_owned));
        argv.push(world.state_dir("").display().to_string());
        argv.extend(more.iter().map(|arg| (*arg).to_owned()));
        let mut spawn = world.spawn(argv);
        let stderr = spawn.stderr.clone().unwrap();
        let path = stderr.with_extension("to");
        let stdin = fifo(&path);
        spawn.stdin = Some(path);
        let stdout = Tail::from_start(&spawn.stdout.clone().unwrap()).unwrap();
        let pid = world.witness().spawn(spawn);
        let mut editor = Self { world, pid, stdin, stdout, stderr };
        assert_eq!(editor.says("opened"), "opened true first");
        editor
    }

    #[track_caller]
    fn says(&mut self, start: &str) -> String {
        let deadline = Deadline::hang();
        while let Some(line) = self.stdout.line(deadline).unwrap() {
            if line.starts_with(start) {
                return line;
            }
        }
        let stderr = std::fs::read_to_string(&self.stderr).unwrap();
        panic!("it never said {start}: {stderr}")
    }

    #[track_caller]
    fn line(&mut self) -> String {
        self.says("")
    }

    /// Types another function above what is there: an edit of a place, which means nothing without what was said before.
    #[track_caller]
    fn edit(&mut self) {
        self.stdin.write_all(b"edit\n").unwrap();
    }

    #[track_caller]
    fn types(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    /// The functions that the server finds in what it was told.
    #[track_caller]
    fn symbols(&mut self) -> String {
        self.stdin.write_all(b"symbols\n").unwrap();
        self.says("symbols").split_off("symbols ".len())
    }

    /// It leaves, and nothing was lost on its connection.
    #[track_caller]
    fn end(mut self) {
        self.stdin.write_all(b"end\n").unwrap();
        assert_eq!(self.says("{"), r#"{"shutdown":null,"code":0,"errors":[]}"#);
        assert_eq!(self.world.witness().exit(self.pid).get().code, Some(0));
    }
}

#[test]
fn an_editor_keeps_its_session_and_what_it_has_open_while_its_server_is_killed() {
    let servers = installed();
    require!(servers.is_some(), MISSING);
    let world = World::new();
    let run = launch(&world, None);
    run.active("bash");
    let mut editor = Editor::start(&world, &servers.unwrap());
    editor.edit();
    assert_eq!(editor.symbols(), "second first");
    for generation in 1..=2 {
        world.witness().signal(run.plugin_pid("bash"), libc::SIGKILL);
        // The one edit may come while no process is there; it is not lost either.
        editor.edit();
        let expected = ["third second first", "fourth third second first"];
        assert_eq!(editor.symbols(), expected[generation - 1]);
        run.active_above("bash", u64::try_from(generation).unwrap());
    }
    editor.end();
    let row = run.plugin("bash");
    assert_eq!((&row["state"], &row["restarts"]), (&"active".into(), &2.into()), "{row}");
}

#[test]
fn what_an_editor_has_open_goes_over_an_upgrade_of_the_supervisor() {
    let servers = installed();
    require!(servers.is_some(), MISSING);
    let world = World::new();
    let installed = Installed::new(&world);
    let run = launch(&world, Some(&installed.path));
    let generation = run.active("bash").generation;
    let pid = run.plugin_pid("bash");
    let mut editor = Editor::start(&world, &servers.unwrap());
    editor.edit();
    assert_eq!(editor.symbols(), "second first");
    upgraded(&installed, &run);
    // The server is the same, and was told nothing twice.
    assert_eq!(run.plugin_pid("bash"), pid);
    assert_eq!(editor.symbols(), "second first");
    editor.edit();
    assert_eq!(editor.symbols(), "third second first");
    // What it was told before the upgrade and after it is known to whoever serves the editor now.
    world.witness().signal(pid, libc::SIGKILL);
    assert_eq!(editor.symbols(), "third second first");
    run.active_above("bash", generation);
    // And with no process there at all, an upgrade and an edit later.
    run.cli(&["stop", "bash"]).code(0);
    upgraded_with(&installed, &run, "0 running plugins, 1 attached client");
    editor.edit();
    run.cli(&["start", "bash"]).code(0);
    assert_eq!(editor.symbols(), "fourth third second first");
    editor.end();
}

#[test]
fn what_an_editor_has_open_outlives_the_supervisor() {
    let servers = installed();
    require!(servers.is_some(), MISSING);
    let world = World::new();
    let run = launch(&world, None);
    run.active("bash");
    let mut editor = Editor::start(&world, &servers.unwrap());
    editor.edit();
    assert_eq!(editor.symbols(), "second first");
    run.signal(libc::SIGKILL);
    run.ended();
    // Nobody is there to take this; the next supervisor does.
    editor.edit();
    let run = launch(&world, None);
    assert_eq!(editor.symbols(), "third second first");
    // It knows them as if they had been said to it.
    world.witness().signal(run.plugin_pid("bash"), libc::SIGKILL);
    editor.edit();
    assert_eq!(editor.symbols(), "fourth third second first");
    editor.end();
}

#[test]
fn an_editor_is_shown_what_its_server_did_not_get() {
    let servers = installed();
    require!(servers.is_some(), MISSING);
    let servers = servers.unwrap();
    let world = World::new();
    let manifest = std::fs::read_to_string(servers.join("bash.toml")).unwrap();
    let manifest =
        manifest.replace("cwd = \".\"", &format!("cwd = {:?}", servers.display().to_string()));
    world.manifest("bash", &format!("{manifest}\n[wire]\nmax_send = \"64KiB\"\n"));
    let run = launch_of(&world, world.manifests().join("bash.toml"), None);
    run.active("bash");
    let mut editor = Editor::start(&world, &servers);
    editor.types("paste");
    let shown = editor.says("shown");
    let what =
        "shown 2 outboard: what was said of file:///tmp/outboard-lsp/edited.sh did not reach";
    assert!(shown.starts_with(what), "{shown}");
    assert_eq!(editor.symbols(), "first", "it still means the text before");
    editor.types("reopen");
    assert_eq!(editor.symbols(), "anew");
    editor.end();
}

#[test]
fn an_editor_is_shown_why_its_session_ends() {
    let servers = installed();
    require!(servers.is_some(), MISSING);
    let world = World::new();
    let run = launch(&world, None);
    run.active("bash");
    let mut editor = Editor::start_with(&world, &servers.unwrap(), &["--wait", "200ms"]);
    run.signal(libc::SIGKILL);
    run.ended();
    // It may see the end of the process before it has read what that said last.
    let mut lines = [editor.line(), editor.line()];
    lines.sort_unstable();
    let [ended, shown] = lines;
    let why = "shown 1 outboard: the session with bash has to end: no supervisor is running";
    assert!(shown.starts_with(why), "{shown}");
    assert_eq!(ended, "ended 3");
}
