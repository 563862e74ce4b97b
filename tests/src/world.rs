//! One test's world: a folder, a witness, and whatever runs in it. At its end nothing is left of any of it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::clock::wait_until;
use crate::gates::Gates;
use crate::running::Running;
use crate::runtimes::{bin, bins};
use crate::witness::{Ended, Spawn, Witness};

/// The folder of one test, and its processes. Made for the calling thread, which must outlive it.
///
/// Dropped, it asserts that nothing lives below the witness any more and that the state directories hold only what
/// they should; a test that fails anyway is told what was left instead.
#[derive(Debug)]
pub struct World {
    // In this order: what runs ends before what it uses goes.
    witness: Witness,
    gates: Gates,
    folder: tempfile::TempDir,
    state_dirs: RefCell<BTreeSet<PathBuf>>,
    /// Numbers the files that outputs go to.
    outputs: Cell<u32>,
    /// A supervisor was killed, and may have left its sockets and a file half written.
    was_killed: Cell<bool>,
}

/// How to start a supervisor.
#[derive(Clone, Debug, Default)]
pub struct Launch<'a> {
    /// In place of the world's manifests.
    pub sources: Option<Vec<PathBuf>>,
    /// Arguments behind the sources.
    pub args: &'a [&'a str],
    /// The state directory's name; `state` when empty.
    pub state: &'a str,
    /// The file that is executed, when it is not the one that was built.
    pub program: Option<&'a Path>,
    pub env: &'a [(&'a str, &'a str)],
    /// Signals blocked, and signals ignored, at its start.
    pub block: &'a [i32],
    pub ignore: &'a [i32],
    /// On a terminal of its own, which appears in its standard output.
    pub terminal: bool,
    /// Run by a shell with job control, in whose line it stands for `{}`.
    pub shell: Option<&'a str>,
}

/// What a command said, and how it ended.
#[derive(Clone, Debug)]
pub struct Output {
    pub ended: Ended,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// The same, once its exit code is what is expected.
    ///
    /// # Panics
    ///
    /// When it is not, with everything that it said.
    #[track_caller]
    pub fn code(self, expected: i32) -> Self {
        assert_eq!(self.ended.code, Some(expected), "exit code; {self:#?}");
        self
    }

    /// Its standard output as JSON.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

impl World {
    /// A fresh one.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "starting a process is more than a default")]
    pub fn new() -> Self {
        let witness = Witness::start();
        let folder = tempfile::Builder::new().prefix("outboard-").tempdir().unwrap();
        fs::create_dir(folder.path().join("manifests")).unwrap();
        fs::create_dir(folder.path().join("outputs")).unwrap();
        let gates = Gates::new(folder.path().join("gates"));
        Self {
            witness,
            gates,
            folder,
            state_dirs: RefCell::default(),
            outputs: Cell::new(0),
            was_killed: Cell::new(false),
        }
    }

    #[must_use]
    pub fn witness(&self) -> &Witness {
        &self.witness
    }

    #[must_use]
    pub fn gates(&self) -> &Gates {
        &self.gates
    }

    /// Where everything of this test lies.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of manifests.
    #[must_use]
    pub fn manifests(&self) -> PathBuf {
        self.folder().join("manifests")
    }

    /// A state directory of that name, there and private.
    pub fn state_dir(&self, name: &str) -> PathBuf {
        let path = self.folder().join(if name.is_empty() { "state" } else { name });
        fs::DirBuilder::new().mode(0o700).recursive(true).create(&path).unwrap();
        self.state_dirs.borrow_mut().insert(path.clone());
        path
    }

    /// Stops a process and waits until none of its threads runs: what is sent to it now, it has not read.
    ///
    /// # Panics
    ///
    /// When it is not there.
    #[track_caller]
    pub fn freeze(&self, pid: u32) {
        self.witness.signal(pid, libc::SIGSTOP);
        let stands = |task: &Path| {
            let stat = fs::read_to_string(task.join("stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
        };
        wait_until("every thread stands still", || {
            let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
            tasks.map(|task| task.unwrap().path()).all(|task| stands(&task))
        });
    }

    /// Writes a manifest: `manifests/ID.toml`.
    pub fn manifest(&self, id: &str, text: &str) {
        fs::write(self.manifests().join(format!("{id}.toml")), text).unwrap();
    }

    /// Writes the supervisor's own settings: `manifests/outboard.toml`.
    pub fn settings(&self, text: &str) {
        fs::write(self.manifests().join("outboard.toml"), text).unwrap();
    }

    /// Writes the manifest of a scripted plugin, and its script.
    pub fn chaos(&self, id: &str, script: &str) {
        self.chaos_with(id, script, "");
    }

    /// The same with more in the manifest: keys of the top first, then sections other than `[process]`.
    pub fn chaos_with(&self, id: &str, script: &str, more: &str) {
        let (top, sections) = more.split_at(more.find('[').unwrap_or(more.len()));
        let text = format!("{top}\n{}\n{sections}\n", self.chaos_process(id, script));
        self.manifest(id, &text);
    }

    /// The `[process]` section of a scripted plugin, whose script is written.
    pub fn chaos_process(&self, id: &str, script: &str) -> String {
        self.process(&toml_list(&self.chaos_command(id, script)))
    }

    /// Writes a scripted plugin that is started by a shell, which does not become it. `{}` in `line` is its command,
    /// and `more` are sections of its manifest.
    pub fn chaos_wrapped(&self, id: &str, script: &str, line: &str, more: &str) {
        let line = line.replace("{}", &self.chaos_command(id, script).join(" "));
        let process = self.process(&toml_list(&["sh", "-c", &line]));
        self.manifest(id, &format!("{process}{more}"));
    }

    /// The `[process]` section of whatever uses the gates.
    fn process(&self, command: &str) -> String {
        let gates = toml_text(&self.gates.folder().display().to_string());
        format!("[process]\ncommand = {command}\nenv = {{ CHAOS_DIR = {gates} }}\n")
    }

    /// The command of a scripted plugin, whose script is written.
    pub fn chaos_command(&self, id: &str, script: &str) -> Vec<String> {
        let path = self.folder().join(format!("{id}.chaos"));
        fs::write(&path, script).unwrap();
        vec![bin("outboard-chaos").display().to_string(), path.display().to_string()]
    }

    /// Starts a supervisor on the world's manifests.
    #[track_caller]
    pub fn run(&self) -> Running<'_> {
        self.launch(&Launch::default())
    }

    /// Starts a supervisor.
    #[track_caller]
    pub fn launch(&self, launch: &Launch<'_>) -> Running<'_> {
        let state_dir = self.state_dir(launch.state);
        let program = launch.program.map_or_else(|| bin("outboard"), Path::to_owned);
        let mut argv = vec![program.display().to_string(), "run".to_owned()];
        let sources = launch.sources.clone().unwrap_or_else(|| vec![self.manifests()]);
        argv.extend(sources.iter().map(|source| source.display().to_string()));
        argv.extend(launch.args.iter().map(|&arg| arg.to_owned()));
        argv.extend(["--state-dir".to_owned(), state_dir.display().to_string()]);
        if let Some(line) = launch.shell {
            let words: Vec<String> = argv.iter().map(|word| format!("'{word}'")).collect();
            let line = line.replace("{}", &words.join(" "));
            argv = ["sh", "-m", "-c", &line].map(str::to_owned).into();
        }
        let mut spawn = self.spawn(argv);
        spawn
            .env
            .extend(launch.env.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())));
        spawn.block = launch.block.to_vec();
        spawn.ignore = launch.ignore.to_vec();
        spawn.terminal = launch.terminal;
        Running::start(self, state_dir, spawn)
    }

    /// Runs a command of `outboard` against the world's usual state directory, to its end.
    #[track_caller]
    pub fn cli(&self, args: &[&str]) -> Output {
        self.cli_on("", args)
    }

    /// Runs a command of `outboard` against a state directory, to its end.
    #[track_caller]
    pub fn cli_on(&self, state: &str, args: &[&str]) -> Output {
        let state_dir = self.state_dir(state).display().to_string();
        let mut argv = vec![bin("outboard").display().to_string()];
        argv.extend(args.iter().map(|&arg| arg.to_owned()));
        argv.extend(["--state-dir".to_owned(), state_dir]);
        self.finish(self.spawn(argv))
    }

    /// Runs any command to its end. Its outputs have to go to files.
    #[track_caller]
    pub fn finish(&self, spawn: Spawn) -> Output {
        let read = |path: &Option<PathBuf>| {
            let bytes = path.as_ref().map(|path| fs::read(path).unwrap_or_default());
            String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
        };
        let (stdout, stderr) = (spawn.stdout.clone(), spawn.stderr.clone());
        let pid = self.witness.spawn(spawn);
        let ended = self.witness.exit(pid).get();
        Output { ended, stdout: read(&stdout), stderr: read(&stderr) }
    }

    /// How to start a command: in the world's folder, its outputs in files, where plugins are in its environment.
    pub fn spawn(&self, argv: Vec<String>) -> Spawn {
        let number = self.outputs.replace(self.outputs.get() + 1);
        let output = |kind: &str| Some(self.folder().join(format!("outputs/{number}.{kind}")));
        let env = [("OUTBOARD_PLUGINS".to_owned(), bins().display().to_string())];
        Spawn {
            argv,
            env: env.into(),
            cwd: Some(self.folder().to_owned()),
            stdout: output("out"),
            stderr: output("err"),
            ..Spawn::default()
        }
    }

    /// A supervisor was killed: it could not put away its things.
    pub(crate) fn was_killed(&self) {
        self.was_killed.set(true);
    }

    /// Asserts that nothing of this test runs.
    ///
    /// # Panics
    ///
    /// When something still does after [`hang_bound`](crate::clock::hang_bound), with what it is.
    #[track_caller]
    pub fn assert_nothing_runs(&self) {
        let empty = self.witness.empty().try_get();
        assert!(empty.is_ok(), "still there: {:#?}", self.witness.below());
    }

    #[track_caller]
    fn assert_only_listed_files(&self) {
        for dir in self.state_dirs.borrow().iter() {
            for path in files(dir) {
                let name = path.strip_prefix(dir).unwrap().display().to_string();
                assert!(self.is_listed(&name), "{name} was left in the state directory");
            }
        }
    }

    fn is_listed(&self, name: &str) -> bool {
        if name.ends_with(".sock") || name.ends_with(".json.new") {
            return self.was_killed.get();
        }
        // A rotated file has its number behind it.
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('.');
        let plain = name.trim_end_matches(".unreadable");
        matches!(plain, "lock" | "state.json" | "run.json" | "openings.json")
            || stem == "events.jsonl"
            || (stem.starts_with("logs/") && stem.ends_with(".jsonl"))
            || (name.starts_with("dossiers/") && name.ends_with(".json"))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.assert_nothing_runs();
            self.assert_only_listed_files();
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() { files(&path) } else { vec![path] }
        })
        .collect()
}

/// A TOML string.
#[must_use]
pub fn toml_text(text: &str) -> String {
    // JSON's escapes are TOML's too.
    Value::from(text).to_string()
}

/// A TOML array of strings.
#[must_use]
pub fn toml_list<T: AsRef<str>>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(|item| toml_text(item.as_ref())).collect();
    format!("[{}]", items.join(", "))
}
