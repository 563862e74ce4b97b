use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use insta::assert_snapshot;

use super::*;

struct File(tempfile::TempDir);

impl File {
    fn new(text: &str, mode: u32) -> Self {
        let file = Self(tempfile::tempdir().expect("a folder"));
        std::fs::write(file.path(), text).expect("a file");
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).expect("ours");
        file
    }

    fn path(&self) -> PathBuf {
        self.0.path().join(".env")
    }
}

fn vars(text: &str) -> Vec<(String, String)> {
    read(&File::new(text, 0o600).path(), true).expect("sound").vars
}

fn said(text: &str) -> String {
    let file = File::new(text, 0o600);
    let problems = read(&file.path(), false).expect_err("unsound");
    problems.iter().map(|problem| problem.render(file.0.path())).collect()
}

#[test]
fn lines_are_names_and_values() {
    let text = "# comment\n\n A=1\nexport B = two words  # said\r\nC='it''s'\nC=\"a\\n\\\"b\\\" # kept\" # cut\nD=\nE=a=b#c\n";
    let expected =
        [("A", "1"), ("B", "two words"), ("C", "a\n\"b\" # kept"), ("D", ""), ("E", "a=b#c")];
    let found = vars(&text.replace("C='it''s'\n", ""));
    let found: Vec<(&str, &str)> = found.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(found, expected);
}

#[test]
fn nothing_is_filled_in() {
    assert_eq!(vars("A='$B'\nC=${D}\n"), [("A".into(), "$B".into()), ("C".into(), "${D}".into())]);
}

#[test]
fn problems_have_lines_and_no_values() {
    let said = said(
        "OK=1\nhunter2 hunter2\nA B=hunter2\nC=\"hunter2\nD='hunter2' hunter2\n1E=hunter2\nhunter2/hunter2hunter2hunter2hunter2hunter2==\n",
    );
    assert!(!said.contains("hunter2"), "{said}");
    assert_snapshot!(said, @r"
    error: not NAME=value
      .env:2:1
    error: what stands before `=` cannot be the name of a variable
      .env:3:1
    error: the value of `C` has no closing quote
      .env:4:1
    error: more text behind the quoted value of `D`
      .env:5:1
    error: `1E` cannot be the name of a variable
      .env:6:1
    error: what stands before `=` cannot be the name of a variable
      .env:7:1
    ");
}

#[test]
fn a_missing_file_is_empty() {
    let file = File::new("", 0o600);
    let none = read(&file.0.path().join("none"), true).expect("empty");
    assert!(none.vars.is_empty() && none.warnings.is_empty());
}

#[test]
fn a_file_open_to_others_warns_and_is_refused_as_root() {
    for mode in [0o644, 0o640, 0o604, 0o660] {
        let file = File::new("A=hunter2\n", mode);
        let found = read(&file.path(), false).expect("a warning");
        assert_eq!((found.vars.len(), found.warnings.len()), (1, 1));
        assert!(found.warnings[0].what.contains("is open to others"));
        assert!(read(&file.path(), true).is_err());
    }
    assert!(read(&File::new("A=b\n", 0o400).path(), true).is_ok());
}

#[test]
fn only_a_regular_file_is_read() {
    let file = File::new("", 0o600);
    std::fs::remove_file(file.path()).expect("ours");
    nix::unistd::mkfifo(&file.path(), nix::sys::stat::Mode::S_IRUSR).expect("a FIFO");
    assert!(read(&file.path(), false).is_err());
    std::fs::remove_file(file.path()).expect("ours");
    symlink(".env", file.path()).expect("a link");
    assert!(read(&file.path(), false).is_err());
    std::fs::remove_file(file.path()).expect("ours");
    std::fs::write(file.path(), b"A=\xff\xfehunter2\n").expect("a file");
    let problems = read(&file.path(), false).expect_err("not text");
    assert!(!format!("{problems:?}").contains("hunter2"), "{problems:?}");
}

#[test]
fn debug_shows_names_only() {
    let file = File::new("A=hunter2\n", 0o600);
    let found = read(&file.path(), false).expect("sound");
    assert_eq!(format!("{found:?}"), "[\"A\"]");
}
