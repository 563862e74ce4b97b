//! Clients that nobody here wrote: those of the MCP SDKs for TypeScript and Python, with `outboard attach` as their command.

use std::fs::File;
use std::io::Write;

use outboard_tests::clock::Deadline;
use outboard_tests::gates::fifo;
use outboard_tests::runtimes::{bin, repository};
use outboard_tests::tail::Tail;
use outboard_tests::world::Launch;
use outboard_tests::{Running, World, long, require, say};
use serde_json::Value;

/// One of them, which calls the server's `echo` all the time.
struct Caller<'w> {
    world: &'w World,
    pid: u32,
    stdin: File,
    stdout: Tail,
    stderr: std::path::PathBuf,
}

impl<'w> Caller<'w> {
    fn start(world: &'w World, mut argv: Vec<String>) -> Self {
        let state_dir = world.state_dir("").display().to_string();
        argv.push(bin("outboard").display().to_string());
        argv.extend(["attach", "everything", "--state-dir"].map(str::to_owned));
        argv.push(state_dir);
        let mut spawn = world.spawn(argv);
        let stderr = spawn.stderr.clone().unwrap();
        let path = stderr.with_extension("to");
        let stdin = fifo(&path);
        spawn.stdin = Some(path);
        let stdout = spawn.stdout.clone().unwrap();
        let pid = world.witness().spawn(spawn);
        Self { world, pid, stdin, stdout: Tail::from_start(&stdout).unwrap(), stderr }
    }

    /// Its next line that begins like this.
    #[track_caller]
    fn says(&mut self, start: &str) -> String {
        let deadline = Deadline::hang();
        while let Some(line) = self.stdout.line(deadline).unwrap() {
            if line.starts_with(start) {
                return line;
            }
        }
        panic!("it never said {start}: {}", std::fs::read_to_string(&self.stderr).unwrap())
    }

    /// Tells it to stop; what it counted.
    fn stop(mut self) -> Value {
        self.stdin.write_all(b"stop\n").unwrap();
        let counts = self.says("{");
        let ended = self.world.witness().exit(self.pid).get();
        assert_eq!(ended.code, Some(0), "{}", std::fs::read_to_string(&self.stderr).unwrap());
        serde_json::from_str(&counts).unwrap()
    }
}

fn kill(world: &World, run: &Running<'_>, generation: u64) {
    run.active_above("everything", generation);
    world.witness().signal(run.plugin_pid("everything"), libc::SIGKILL);
}

/// Three times; twenty in the long form.
#[test]
fn sdk_clients_keep_their_sessions_while_their_server_is_killed_under_them() {
    let servers = repository().join("manifests/mcp");
    let sdk = servers.join("node_modules/@modelcontextprotocol/sdk");
    let python = servers.join(".venv/bin/python");
    require!(sdk.exists() && python.exists(), "the MCP SDKs (cargo xtask setup)");
    let world = World::new();
    let manifest = servers.join("everything.toml");
    // A server that dies again and again within seconds is given up by default, or waits longer than a test
    // does, and that is not what is asked here.
    let text = std::fs::read_to_string(manifest).unwrap().replace(
        "cwd = \".\"",
        &format!(
            "cwd = {servers:?}\n[restart]\nbudget = {{ restarts = 100, within = \"1s\" }}\nbackoff.max = \"1s\""
        ),
    );
    world.manifest("everything", &text);
    let run = world.launch(&Launch::default());
    run.active("everything");
    let clients = repository().join("tests/clients");
    let text = |path: &std::path::Path| path.display().to_string();
    let mut callers = [
        vec!["node".to_owned(), text(&clients.join("calls.mjs")), text(&sdk)],
        vec![text(&python), text(&clients.join("calls.py"))],
    ]
    .map(|argv| Caller::start(&world, argv));
    for caller in &mut callers {
        caller.says("ready");
        caller.says("answered");
    }
    let kills = if long() { 20 } else { 3 };
    for generation in 0..kills {
        kill(&world, &run, generation);
        for caller in &mut callers {
            caller.says("answered");
        }
    }
    for (name, caller) in ["TypeScript", "Python"].into_iter().zip(callers) {
        let counts = caller.stop();
        say(format_args!("{name} SDK, its server killed {kills} times: {counts}"));
        assert_eq!(counts["untyped"], serde_json::json!([]), "{counts}");
        let number = |what: &str| counts[what].as_u64().unwrap();
        assert_eq!(number("asked"), number("answered") + number("typed"), "{counts}");
        assert!(number("answered") >= 50 * u64::from(u32::try_from(kills).unwrap()), "{counts}");
    }
}
