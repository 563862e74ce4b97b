//! `outboard upgrade`: another build goes on, with every plugin, every call and every attached client.

mod frames;
mod keeper;
mod load;
mod refused;
mod shape;

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use outboard_tests::runtimes::bin;
use outboard_tests::world::Launch;
use outboard_tests::{Running, World};
use serde_json::json;

/// A build that writes another version of the state, with a member that this one does not know. `cargo xtask test` makes
/// it in its long form and in CI; else this one follows itself.
fn next_build() -> Option<PathBuf> {
    std::env::var_os("OUTBOARD_NEXT_BUILD").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// The file that a supervisor is started by: a link, so that another build can be put in its place.
pub(crate) struct Installed<'w> {
    world: &'w World,
    pub(crate) path: PathBuf,
}

impl<'w> Installed<'w> {
    /// The build of this workspace.
    pub(crate) fn new(world: &'w World) -> Self {
        let installed = Self { world, path: world.folder().join("outboard") };
        installed.put(&bin("outboard"));
        installed
    }

    /// Runs what is installed.
    #[track_caller]
    fn run(&self) -> Running<'w> {
        self.world.launch(&Launch { program: Some(&self.path), ..Launch::default() })
    }

    /// Another build in its place, at once.
    fn put(&self, build: &Path) {
        let new = self.path.with_extension("new");
        symlink(build, &new).unwrap();
        std::fs::rename(new, &self.path).unwrap();
    }

    /// A shell script in place of a build; `{}` is the one of this workspace.
    fn put_script(&self, name: &str, script: &str) {
        let script = script.replace("{}", &bin("outboard").display().to_string());
        let script = format!("#!/bin/sh\n{script}\n");
        self.put(&self.world.executable(name, script.as_bytes()));
    }
}

/// Upgrades to the next build and back, where there is one.
#[track_caller]
pub(crate) fn upgraded(installed: &Installed<'_>, run: &Running<'_>) {
    upgraded_with(installed, run, "1 running plugin, 1 attached client");
}

/// The same; `kept` is what it says that it kept.
#[track_caller]
pub(crate) fn upgraded_with(installed: &Installed<'_>, run: &Running<'_>, kept: &str) {
    for build in next_build().into_iter().chain([bin("outboard")]) {
        installed.put(&build);
        let said = run.cli(&["upgrade"]).code(0).stdout;
        assert!(said.contains(&format!("kept: {kept}; pid")), "{said}");
    }
}

#[test]
fn a_plugin_its_call_and_its_client_go_on() {
    let world = World::new();
    world.chaos("geo", "serve");
    let installed = Installed::new(&world);
    let run = installed.run();
    let generation = run.active("geo").generation;
    let pid = run.plugin_pid("geo");
    let mut client = run.attach("geo");
    let open = client.send("hold", &json!({"gate": "later"}));
    assert_eq!(client.call("echo", &json!({"n": 1})).unwrap(), json!({"n": 1}));

    upgraded(&installed, &run);

    world.gates().open("later");
    client.answer(open).unwrap();
    assert_eq!(client.call("echo", &json!({"n": 2})).unwrap(), json!({"n": 2}));
    let plugin = run.plugin("geo");
    assert_eq!(
        json!([plugin["pid"], plugin["generation"], plugin["state"], plugin["restarts"]]),
        json!([pid, generation, "active", 0])
    );
    assert_eq!(run.supervisor_pid(), run.pid);
    let events = run.events();
    let numbers: Vec<u64> = events.iter().map(|event| event.seq).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "the journal has no gap");
    assert_eq!(run.stop().code, Some(0));
}
