//! The conductor's side: `PluginManager`, over a real supervisor that it starts, and over one that runs.

use outboard_tests::packages::can_install;
use outboard_tests::runtimes::bin;
use outboard_tests::{World, require};

use super::environment;

/// Its five, on a supervisor of its own; then its looks, on one that runs already.
#[test]
fn a_conductor_manages_plugins_from_python() {
    require!(can_install(), "pip's build backend (`cargo xtask setup`)");
    let world = World::new();
    let venv = environment(&world, &["demi-geo", "demi-mail", "bad-constructor"]);
    let script = outboard_tests::runtimes::repository().join("tests/entrypoints/conductor.py");
    let python = venv.python().display().to_string();
    let begin = |how: &[&str]| {
        let mut words = vec![python.clone(), "-I".to_owned(), script.display().to_string()];
        words.push(bin("outboard").display().to_string());
        words.extend(how.iter().map(|&word| word.to_owned()));
        world.finish(world.spawn(words))
    };
    let conduct = |how: &[&str]| {
        let said = begin(how).code(0);
        assert_eq!(said.stdout.lines().last(), Some("done"), "{said:?}");
    };
    conduct(&["own"]);
    world.assert_nothing_runs();

    let said = begin(&["killed"]);
    assert_eq!(said.ended.signal, Some(libc::SIGKILL), "{said:?}");
    world.assert_nothing_runs();

    let run = world.run();
    run.active("geo");
    run.state("mail", "degraded");
    conduct(&["running", &run.state_dir.display().to_string()]);
    // It asked somebody else's supervisor, and left it running.
    assert_eq!(run.plugin("geo")["state"], "active");
}
