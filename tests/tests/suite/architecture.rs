//! What each room must not know. The drawing in ARCHITECTURE.md stays true because this reads the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use outboard_tests::runtimes::repository;

/// A room, and words that would mean that it knows too much, each with the way out.
struct Room {
    folder: &'static str,
    forbidden: &'static [(&'static str, &'static str)],
    /// Where one of the words is rightly at home: the start of a path within the room, the word, the reason.
    at_home: &'static [(&'static str, &'static str, &'static str)],
}

const PURE: &str = "the core is a function from state, time and event to effects: return an effect";
const SANS_IO: &str = "the wire turns bytes into messages and back: the host reads and writes them";
const RUNS_NOTHING: &str =
    "a manifest says what is to run, and nothing about how: that is the host's";
const TEXTS_ALONE: &str =
    "an import turns texts into texts: the command line reads and writes files";
const DECIDES_NOTHING: &str = "the keeper carries out orders: what they mean is decided elsewhere";
const UNSEEN: &str =
    "the host does not know who looks at it: give a view, and let control convert it";
const UNDRAWN: &str = "control carries answers: how they look is for the command line";
const A_CLIENT: &str = "the command line is a client of control, and reads manifests";

const KNOWS_NO_HOST: &str =
    "a plugin is checked against the protocol, and not against this supervisor";
const ASKS: &str = "discovery says what there is to run: who runs it is the host";

const ROOMS: &[Room] = &[
    Room {
        folder: "supervisor/core/src",
        forbidden: &[
            ("tokio", PURE),
            ("async ", PURE),
            (".await", PURE),
            ("nix::", PURE),
            ("libc", PURE),
            ("std::fs", PURE),
            ("std::io", PURE),
            ("std::net", PURE),
            ("std::os", PURE),
            ("std::process", PURE),
            ("std::thread", PURE),
            ("Instant", PURE),
            ("SystemTime", PURE),
            // `serde` says what a value is made of; how that is written is for others.
            ("json", PURE),
            ("outboard_", PURE),
        ],
        at_home: &[],
    },
    Room {
        folder: "supervisor/wire/src",
        forbidden: &[
            ("tokio", SANS_IO),
            ("async ", SANS_IO),
            (".await", SANS_IO),
            ("nix::", SANS_IO),
            ("libc", SANS_IO),
            ("std::fs", SANS_IO),
            ("std::net", SANS_IO),
            ("std::os", SANS_IO),
            ("std::process", SANS_IO),
            ("std::thread", SANS_IO),
            ("Instant", SANS_IO),
            ("SystemTime", SANS_IO),
            ("outboard_", SANS_IO),
        ],
        at_home: &[],
    },
    Room {
        folder: "supervisor/manifest/src",
        forbidden: &[
            ("tokio", RUNS_NOTHING),
            ("async ", RUNS_NOTHING),
            (".await", RUNS_NOTHING),
            ("std::process", RUNS_NOTHING),
            ("std::thread", RUNS_NOTHING),
            ("Instant", RUNS_NOTHING),
            ("outboard_keeper", RUNS_NOTHING),
            ("outboard_wire", RUNS_NOTHING),
            ("println!", RUNS_NOTHING),
        ],
        at_home: &[],
    },
    Room {
        folder: "supervisor/import/src",
        forbidden: &[
            ("std::fs", TEXTS_ALONE),
            ("std::io", TEXTS_ALONE),
            ("std::env", TEXTS_ALONE),
            ("std::os", TEXTS_ALONE),
            ("std::process", TEXTS_ALONE),
            ("std::thread", TEXTS_ALONE),
            ("Instant", TEXTS_ALONE),
            ("println!", TEXTS_ALONE),
            ("outboard_", TEXTS_ALONE),
        ],
        at_home: &[],
    },
    Room {
        folder: "supervisor/keeper/src",
        forbidden: &[
            ("tokio", DECIDES_NOTHING),
            ("async ", DECIDES_NOTHING),
            (".await", DECIDES_NOTHING),
            ("std::thread", DECIDES_NOTHING),
            ("serde", DECIDES_NOTHING),
            ("json", DECIDES_NOTHING),
            ("toml", DECIDES_NOTHING),
            ("outboard_core", DECIDES_NOTHING),
            ("outboard_manifest", DECIDES_NOTHING),
            ("outboard_wire", DECIDES_NOTHING),
        ],
        at_home: &[],
    },
    Room {
        folder: "supervisor/conformance/src",
        forbidden: &[
            ("tokio", KNOWS_NO_HOST),
            ("async ", KNOWS_NO_HOST),
            (".await", KNOWS_NO_HOST),
            ("outboard_core", KNOWS_NO_HOST),
            ("println!", KNOWS_NO_HOST),
            ("process::Command", "the keeper starts processes, nobody else"),
        ],
        at_home: &[],
    },
    Room {
        folder: "supervisor/src/discover",
        forbidden: &[
            ("tokio", ASKS),
            ("async ", ASKS),
            (".await", ASKS),
            ("crate::cli", ASKS),
            ("crate::control", ASKS),
            ("crate::host", ASKS),
            ("outboard_core", ASKS),
            ("outboard_wire", ASKS),
            ("println!", ASKS),
        ],
        at_home: &[],
    },
    Room {
        folder: "supervisor/src/host",
        forbidden: &[
            ("crate::cli", UNSEEN),
            ("crate::control", UNSEEN),
            ("clap", UNSEEN),
            ("jsonrpsee", UNSEEN),
            ("terminal_size", UNSEEN),
            ("println!", UNSEEN),
            ("process::Command", "the keeper starts processes, nobody else"),
        ],
        at_home: &[],
    },
    Room {
        folder: "supervisor/src/control",
        forbidden: &[
            ("crate::cli", UNDRAWN),
            ("clap", UNDRAWN),
            ("terminal_size", UNDRAWN),
            ("println!", UNDRAWN),
            ("\\x1b[", UNDRAWN),
            ("outboard_keeper", UNDRAWN),
            ("process::Command", "the keeper starts processes, nobody else"),
        ],
        at_home: &[],
    },
    Room {
        folder: "supervisor/src/cli",
        forbidden: &[
            ("outboard_keeper", A_CLIENT),
            ("outboard_wire", A_CLIENT),
            ("outboard_core", A_CLIENT),
            ("jsonrpsee", A_CLIENT),
            ("crate::host", A_CLIENT),
            ("process::Command", A_CLIENT),
            ("println!", "cli/render/screen.rs alone writes to the terminal"),
        ],
        at_home: &[
            ("commands/run", "crate::host", "`run` is itself the supervisor"),
            ("commands/launch", "crate::host", "and this is how it begins"),
            (
                "commands/import/evaluate",
                "process::Command",
                "a configuration that is a program is run here, and no plugin",
            ),
            ("commands/attach", "process::Command", "a supervisor is started here, and no plugin"),
            ("commands/doctor", "outboard_keeper", "`doctor` tries the keeper on this machine"),
        ],
    },
];

/// The Rust files below a folder, save those that hold tests alone.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
    {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "tests" {
                files.extend(rust_files(&path));
            }
        } else if name.ends_with(".rs") && name != "tests.rs" && !is_for_tests(&path) {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Whether the module is declared under `#[cfg(test)]`.
fn is_for_tests(path: &Path) -> bool {
    let folder = path.parent().unwrap();
    let declaration = format!("#[cfg(test)]\nmod {};", path.file_stem().unwrap().to_string_lossy());
    ["mod.rs", "lib.rs"]
        .iter()
        .filter_map(|name| fs::read_to_string(folder.join(name)).ok())
        .any(|text| text.contains(&declaration))
}

/// Numbered lines of code: without comments, and without what comes behind `#[cfg(test)]`.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().take_while(|(_, line)| !line.starts_with("#[cfg(test)]"));
    lines.map(|(n, line)| (n + 1, line.split("//").next().unwrap_or_default()))
}

#[test]
fn no_room_knows_what_it_must_not() {
    let mut found = Vec::new();
    for room in ROOMS {
        let folder = repository().join(room.folder);
        for file in rust_files(&folder) {
            let within = file.strip_prefix(&folder).unwrap().display().to_string();
            let text = fs::read_to_string(&file).unwrap();
            for (n, line) in code_lines(&text) {
                for (word, reason) in room.forbidden {
                    let is_home = |(start, home, _): &(&str, &str, &str)| {
                        within.starts_with(start) && home == word
                    };
                    if line.contains(word) && !room.at_home.iter().any(is_home) {
                        found.push(format!(
                            "{}/{within}:{n} mentions `{word}`: {reason}",
                            room.folder
                        ));
                    }
                }
            }
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// Names under `[dependencies]` of a package.
fn dependencies(package: &str) -> BTreeSet<String> {
    let path = repository().join(package).join("Cargo.toml");
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let section = text.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    section
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', '=', ' ']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn small_rooms_stay_lean_and_dependencies_point_one_way() {
    // A new name here is a decision: say in the change what it saves, and why it is not written by hand.
    for (package, allowed) in [
        ("supervisor/core", &["serde"][..]),
        ("supervisor/wire", &["memchr", "serde", "serde_json"]),
        ("supervisor/keeper", &["libc", "nix"]),
        ("supervisor/manifest", &["nix", "outboard-core", "serde_json", "strsim", "toml"]),
        (
            "supervisor/conformance",
            &[
                "nix",
                "outboard-keeper",
                "outboard-manifest",
                "outboard-wire",
                "serde_json",
                "thiserror",
            ],
        ),
        ("supervisor/import", &["saphyr-parser"]),
        ("plugin-sdk/rust", &["libc", "outboard-wire", "serde", "serde_json", "tracing"]),
        ("plugins/chaos", &["libc"]),
        ("plugins/wrong", &["libc", "serde_json"]),
        ("tests", &["libc", "serde", "serde_json", "tempfile", "toml"]),
        ("xtask", &[]),
    ] {
        let allowed = allowed.iter().map(|&name| name.to_owned()).collect();
        let more: Vec<_> = dependencies(package).difference(&allowed).cloned().collect();
        assert!(more.is_empty(), "{package} depends on {more:?}, which it must not know");
    }
}

#[test]
fn unsafe_code_lives_in_the_keeper() {
    for folder in [
        "supervisor/core/src",
        "supervisor/wire/src",
        "supervisor/manifest/src",
        "supervisor/import/src",
        "supervisor/src",
    ] {
        for file in rust_files(&repository().join(folder)) {
            let text = fs::read_to_string(&file).unwrap();
            for (n, line) in code_lines(&text) {
                // A word of the language, and neither a name nor within a text.
                let words = line
                    .split('"')
                    .step_by(2)
                    .flat_map(|code| code.split(|c: char| !c.is_alphanumeric() && c != '_'));
                let is_unsafe = words.into_iter().any(|word| word == "unsafe");
                assert!(!is_unsafe, "{}:{n}: `unsafe` is for the keeper", file.display());
            }
        }
    }
}

/// About as much as fits a head; what is longer has two purposes.
const LONGEST: usize = 450;

#[test]
fn a_file_fits_a_head() {
    let mut long = Vec::new();
    for folder in ["supervisor", "plugin-sdk/rust/src", "plugins", "tests/src", "xtask/src"] {
        for file in rust_files(&repository().join(folder)) {
            let lines = fs::read_to_string(&file).unwrap();
            let count = lines.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count();
            if count > LONGEST {
                let name = file.strip_prefix(repository()).unwrap().display().to_string();
                long.push(format!("{name}: {count} lines without tests"));
            }
        }
    }
    assert!(long.is_empty(), "more than {LONGEST} lines:\n{}", long.join("\n"));
}

#[test]
fn the_check_itself_sees_code_and_nothing_else() {
    let text =
        "use tokio;\n// tokio\nlet a = 1; // tokio\n#[cfg(test)]\nmod tests { use tokio; }\n";
    let seen: Vec<_> = code_lines(text).filter(|(_, line)| line.contains("tokio")).collect();
    assert_eq!(seen, [(1, "use tokio;")]);
    let core = rust_files(&repository().join("supervisor/core/src"));
    assert!(core.len() > 10, "the core was moved, and this test looks at nothing: {core:?}");
    assert!(dependencies("supervisor").contains("tokio"), "the list of dependencies is read");
}
