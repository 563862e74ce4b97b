//! The surroundings at a start: variables, secrets, PATH; and that no value is ever said.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;

use insta::assert_snapshot;

use super::Folder;
use crate::resolve::{self, Resolved, look_up, resolve};
use crate::{Manifest, Problem};

const SECRET: &str = "hunter2-hunter2";

fn load(folder: &Folder, text: &str) -> Manifest {
    folder.write("geo.toml", text.as_bytes());
    let mut set = folder.load();
    assert!(!set.has_errors(), "{}", folder.screen(&set));
    set.manifests.remove(0)
}

fn environment() -> Vec<(OsString, OsString)> {
    [
        ("PATH", "/usr/bin"),
        ("HOME", "/home/ann/"),
        ("LC_ALL", "C"),
        ("XDG_RUNTIME_DIR", "/run/user/1"),
        ("HTTP_PROXY", "http://proxy"),
        ("TOKEN", SECRET),
        ("SHORT", "abc"),
        ("EMPTY", ""),
        ("OUTBOARD_RUN", "0123"),
        ("OUTBOARD_STATE_DIR", "/state"),
    ]
    .into_iter()
    .map(|(name, value)| (name.into(), value.into()))
    .collect()
}

fn with(manifest: &Manifest, dotenv: &[(&str, &str)]) -> Result<Resolved, Vec<Problem>> {
    let environment = environment();
    let env = |name: &str| {
        environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    };
    let dotenv: Vec<(String, String)> =
        dotenv.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    resolve(manifest, &env, &dotenv, &environment)
}

fn variable<'a>(resolved: &'a Resolved, name: &str) -> Option<&'a str> {
    resolved.env.iter().find(|(known, _)| known == name).and_then(|(_, value)| value.to_str())
}

/// What is said about a manifest's surroundings; no value of theirs may be in it.
fn said(folder: &Folder, text: &str) -> String {
    let problems = with(&load(folder, text), &[("TINY", "xyz"), ("OTHER", SECRET)]);
    let said: String =
        problems.err().into_iter().flatten().map(|p| p.render("".as_ref())).collect();
    assert!(!said.contains("hunter2") && !said.contains("xyz"), "{said}");
    said.replace(folder.path("").to_string_lossy().trim_end_matches('/'), "manifests")
}

#[test]
fn holes_are_filled_and_shown_without_their_values() {
    let folder = Folder::new(&[]);
    let manifest = load(
        &folder,
        "[process]\ncommand = [\"geo\", \"--token=${TOKEN}\", \"${HOME}/x\", \"${NONE:-plain}\", \"${EMPTY:-e}\", \"$$5\", \"~/y\", \"${SHORT}\", \"\"]\ncwd = \"~/work\"\n",
    );
    let resolved = with(&manifest, &[]).expect("everything is set");
    assert_eq!(
        resolved.argv,
        [
            "geo",
            "--token=hunter2-hunter2",
            "/home/ann//x",
            "plain",
            "e",
            "$5",
            "/home/ann/y",
            "abc",
            ""
        ]
    );
    assert_eq!(
        resolved.shown,
        ["geo", "--token=(set)", "/home/ann//x", "plain", "e", "$5", "/home/ann/y", "(set)", ""]
    );
    assert_eq!(resolved.cwd.to_str(), Some("/home/ann/work"));
    // Too short to be searched for in streams.
    assert_eq!(resolved.secrets, [SECRET]);
    assert!(!format!("{resolved:?}").contains("hunter2"));
}

#[test]
fn the_environment_is_an_allow_list() {
    let folder = Folder::new(&[]);
    let names = |text: &str| -> Vec<String> {
        let resolved = with(&load(&folder, text), &[("FROM_FILE_ONLY", "x")]).expect("sound");
        resolved.env.iter().map(|(name, _)| name.to_string_lossy().into_owned()).collect()
    };
    let usual = ["HOME", "LC_ALL", "PATH", "XDG_RUNTIME_DIR"];
    assert_eq!(names("[process]\ncommand = [\"x\"]\n"), usual);
    assert_eq!(
        names("[process]\ncommand = [\"x\"]\ninherit_env = [\"*_PROXY\"]\nenv = { A = \"b\" }\n"),
        ["A", "HOME", "HTTP_PROXY", "LC_ALL", "PATH", "XDG_RUNTIME_DIR"]
    );
    // The marks of another supervisor are never passed on, whatever the pattern.
    assert_eq!(
        names("[process]\ncommand = [\"x\"]\ninherit_env = [\"*\", \"OUTBOARD_RUN\"]\n"),
        ["EMPTY", "HOME", "HTTP_PROXY", "LC_ALL", "PATH", "SHORT", "TOKEN", "XDG_RUNTIME_DIR"]
    );
    assert!(
        names("[process]\ncommand = [\"x\"]\ninherit_env = [\"OUTBOARD_STATE_DIR\"]\n")
            .contains(&"OUTBOARD_STATE_DIR".to_owned())
    );
}

#[test]
fn secrets_come_from_the_environment_then_from_dotenv_and_from_files() {
    let folder = Folder::new(&[("key.pem", "line-one-long\nx\nline-two-long\n")]);
    let manifest = load(
        &folder,
        "[process]\ncommand = [\"x\"]\nenv = { A = { from_env = \"TOKEN\" }, B = { from_env = \"OTHER\" }, C = { from_file = \"key.pem\" }, D = \"p${OTHER}\" }\n",
    );
    let resolved = with(
        &manifest,
        &[("OTHER", "first-value"), ("OTHER", "second-value"), ("TOKEN", "not-me")],
    )
    .expect("sound");
    assert_eq!(variable(&resolved, "A"), Some(SECRET));
    assert_eq!(variable(&resolved, "B"), Some("second-value"));
    assert_eq!(variable(&resolved, "C"), Some("line-one-long\nx\nline-two-long"));
    assert_eq!(variable(&resolved, "D"), Some("psecond-value"));
    assert_eq!(
        resolved.secrets,
        [
            "line-one-long\nx\nline-two-long",
            SECRET,
            "line-one-long",
            "line-two-long",
            "second-value"
        ]
    );
}

#[test]
fn what_is_missing_or_unfit_is_named_with_its_place() {
    let folder = Folder::new(&[("empty", ""), ("big", &"x".repeat(70_000))]);
    folder.write("binary", b"\xff\xfe\xfd\xfc\xfb\xfa\xf9");
    assert_snapshot!(said(
        &folder,
        "[process]\ncommand = [\"x\", \"${PG_URL}\", \"${PG_URL}\"]\ncwd = \"${WHERE}\"\n[process.env]\nA = { from_env = \"NONE\" }\nB = { from_env = \"SHORT\" }\nC = { from_env = \"TINY\" }\nD = { from_file = \"nothing\" }\nE = { from_file = \"empty\" }\nF = { from_file = \"binary\" }\nG = { from_file = \"big\" }\nH = { from_file = \"/dev/zero\" }\nI = { from_file = \".\" }\n",
    ));
}

#[test]
fn the_sentence_of_the_start_up_screen() {
    let folder = Folder::new(&[]);
    let manifest = load(
        &folder,
        "dialect = \"mcp\"\n[process]\ncommand = [\"postgres\"]\n[process.env]\nPG_URL = \"${PG_URL}\"\n",
    );
    let problems = with(&manifest, &[]).expect_err("PG_URL is not set");
    assert_eq!(problems[0].sentence(), "PG_URL is not set (geo.toml:5)");
}

#[test]
fn what_execve_would_refuse_is_refused_before() {
    let folder = Folder::new(&[]);
    let long = "v".repeat(131_072);
    let text = format!("[process]\ncommand = [\"x\"]\nenv = {{ LONG = \"{long}\" }}\n");
    assert!(said(&folder, &text).contains("error: `LONG` is longer than 131072 bytes\n"));
    // "L=" and the NUL take three.
    let text = format!("[process]\ncommand = [\"x\"]\nenv = {{ L = \"{}\" }}\n", &long[3..]);
    assert_eq!(said(&folder, &text), "");
    let text = format!("[process]\ncommand = [\"x\", \"{long}\"]\n");
    assert!(said(&folder, &text).contains("error: argument 1 is longer than 131072 bytes\n"));

    let chunk = "v".repeat(100_000);
    let manifest = load(&folder, "[process]\ncommand = [\"x\"]\ninherit_env = [\"*\"]\n");
    let many: Vec<(OsString, OsString)> =
        (0..70).map(|n| (format!("V{n}").into(), chunk.clone().into())).collect();
    let problems = resolve(&manifest, &|_| None, &[], &many).expect_err("7 MB");
    assert!(problems[0].what.starts_with("arguments and environment have 70"), "{problems:?}");
}

#[test]
fn bytes_that_are_no_text_pass_when_inherited_and_not_when_named() {
    let folder = Folder::new(&[]);
    let raw = OsString::from_vec(b"\xff\xfe-bytes".to_vec());
    let environment = vec![(OsString::from("RAW"), raw.clone())];
    let env = |name: &str| (name == "RAW").then(|| raw.clone());
    let manifest = load(&folder, "[process]\ncommand = [\"x\"]\ninherit_env = [\"RAW\"]\n");
    let resolved = resolve(&manifest, &env, &[], &environment).expect("bytes are bytes");
    assert_eq!(resolved.env, environment);
    let manifest = load(&folder, "[process]\ncommand = [\"x\", \"${RAW}\"]\n");
    let problems = resolve(&manifest, &env, &[], &environment).expect_err("not text");
    assert_eq!(problems[0].what, "`RAW` holds what is not UTF-8");
}

#[test]
fn programs_are_found_on_the_plugins_own_path() {
    let folder = Folder::new(&[("outboard.toml", "path_prepend = [\"all\"]\n")]);
    for name in ["all", "own", "work"] {
        std::fs::create_dir(folder.path(name)).expect("a folder");
    }
    let program = |path: &str| {
        folder.write(path, b"#!/bin/sh\n");
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(path), executable).expect("ours");
    };
    program("all/both");
    program("own/both");
    program("all/only");
    program("work/run");
    folder.write("all/plain", b"");

    let find = |command: &str| {
        let manifest = load(
            &folder,
            &format!(
                "[process]\ncommand = [{command:?}]\ncwd = \"work\"\npath_prepend = [\"own\"]\nenv = {{ PATH = \"/nowhere\" }}\n"
            ),
        );
        let resolved = with(&manifest, &[]).expect("sound");
        assert_eq!(variable(&resolved, "PATH"), resolved.path.to_str());
        look_up(&manifest, &resolved)
    };
    assert_eq!(find("both").ok(), Some(folder.path("own/both")));
    assert_eq!(find("only").ok(), Some(folder.path("all/only")));
    assert_eq!(find("./run").ok(), Some(folder.path("work/./run")));
    let words = |command: &str| {
        let said = find(command).expect_err("not there").render("".as_ref());
        said.replace(folder.path("").to_string_lossy().trim_end_matches('/'), "manifests")
    };
    assert_snapshot!([words("plain"), words("sh"), words("./nothing"), words("../own")].concat());
}

#[test]
fn check_looks_at_the_surroundings_as_they_are() {
    let folder = Folder::new(&[(".env", "TOKEN2=from-dotenv\n")]);
    std::fs::set_permissions(folder.path(".env"), std::fs::Permissions::from_mode(0o600))
        .expect("ours");
    let text = "[process]\ncommand = [\"/bin/sh\"]\nenv = { T = { from_env = \"TOKEN2\" } }\n";
    assert_eq!(resolve::check(&load(&folder, text), &environment()), []);
    let text = format!("{text}cwd = \"nowhere\"\n");
    let problems = resolve::check(&load(&folder, &text), &environment());
    assert!(problems[0].what.ends_with("nowhere` is not a folder"), "{problems:?}");
    folder.write("outboard.toml", b"env_file = false\n");
    let problems = resolve::check(&load(&folder, &text), &environment());
    assert_eq!(problems[0].what, "TOKEN2 is not set");
    folder.write("outboard.toml", b"env_file = \"other.env\"\n");
    folder.write("other.env", b"TOKEN2=from-elsewhere\n");
    std::fs::set_permissions(folder.path("other.env"), std::fs::Permissions::from_mode(0o600))
        .expect("ours");
    assert_eq!(resolve::check(&load(&folder, &text.replace("nowhere", ".")), &environment()), []);
}
