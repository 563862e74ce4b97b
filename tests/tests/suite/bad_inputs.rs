//! Every kind of bad input gets a clear error and its documented exit code, and disturbs nothing. The transcript is
//! `tests/bad-inputs.sh`, which people can run, too.

use outboard_tests::runtimes::{bin, repository};
use outboard_tests::{World, require};

#[test]
fn each_bad_input_has_its_error_and_its_exit_code() {
    require!("python3");
    let world = World::new();
    let words = [
        "sh".to_owned(),
        repository().join("tests/bad-inputs.sh").display().to_string(),
        bin("outboard").display().to_string(),
        bin("outboard-echo").display().to_string(),
    ];
    let mut spawn = world.spawn(words.to_vec());
    spawn.env.insert("TMPDIR".to_owned(), world.folder().display().to_string());
    let output = world.finish(spawn).code(0);
    assert!(!output.stdout.contains("WRONG"), "{}", output.stdout);
    let cases = output.stdout.matches(", as documented").count();
    assert!(cases >= 50, "only {cases} cases:\n{}", output.stdout);
    assert!(output.stdout.contains("= nothing was disturbed"), "{}", output.stdout);
}
