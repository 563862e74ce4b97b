//! What a plan sees of a change, and what it asks.

use std::collections::BTreeSet;

use outboard_core::plan::Asks;

use super::keys::{another_value, walk};
use super::{Folder, manifest};
use crate::change::{CLASSES, SETTINGS_CLASSES};
use crate::keys::{MANIFEST, SETTINGS};

/// The differences between two manifests, one a line.
fn changes(before: &str, after: &str) -> Vec<String> {
    let (before, after) = (manifest(before), manifest(after));
    before
        .differences(&after)
        .into_iter()
        .map(|(asks, change)| {
            let text = |text: Option<String>| text.unwrap_or_else(|| "…".to_owned());
            format!("{asks:?} {} {} -> {}", change.key, text(change.from), text(change.to))
        })
        .collect()
}

fn process(more: &str) -> String {
    format!("[process]\ncommand = [\"geo\"]\n{more}\n")
}

#[test]
fn every_key_is_in_exactly_one_class() {
    let mut keys = BTreeSet::new();
    walk(&MANIFEST, "", &mut |path, _| {
        keys.insert(path.to_owned());
    });
    keys.remove("id");
    let classed: Vec<&str> = CLASSES.iter().flat_map(|(_, keys)| keys.iter().copied()).collect();
    let unique: BTreeSet<String> = classed.iter().map(|key| (*key).to_owned()).collect();
    assert_eq!(unique.len(), classed.len(), "a key stands in two classes");
    assert_eq!(unique, keys, "a key has no class, or a class names no key");
}

#[test]
fn every_key_of_the_settings_counts_at_once_or_from_the_next_run_on() {
    let mut keys = BTreeSet::new();
    walk(&SETTINGS, "", &mut |path, _| {
        if !path.starts_with("defaults.") {
            keys.insert(path.to_owned());
        }
    });
    let classed: Vec<&str> =
        SETTINGS_CLASSES.iter().flat_map(|(_, keys)| keys.iter().copied()).collect();
    let unique: BTreeSet<String> = classed.iter().map(|key| (*key).to_owned()).collect();
    assert_eq!((unique.len(), unique), (classed.len(), keys));
}

#[test]
fn every_key_that_changes_alone_is_one_difference_of_its_class() {
    let refused = ["id", "process.sha256", "process.user", "process.group"];
    walk(&MANIFEST, "", &mut |path, key| {
        if refused.contains(&path) {
            return;
        }
        let first_byte = "start.first_byte_timeout = \"1s\"\n";
        let before = format!("process.command = [\"geo\"]\n{first_byte}");
        let after = match path {
            "process.command" => format!("process.command = [\"other\"]\n{first_byte}"),
            "start.first_byte_timeout" => before.replace("1s", "2s"),
            _ => format!("{before}{path} = {}\n", another_value(key)),
        };
        let (class, _) = CLASSES.iter().find(|(_, keys)| keys.contains(&path)).expect("a class");
        let (before, after) = (manifest(&before), manifest(&after));
        let there: Vec<(Asks, String)> = before
            .differences(&after)
            .into_iter()
            .map(|(asks, change)| (asks, change.key.into_owned()))
            .collect();
        let [(asks, changed)] = &there[..] else { panic!("{path}: {there:?}") };
        assert_eq!(asks, class, "{path}");
        let member = changed.strip_prefix(path).unwrap_or_else(|| panic!("{path}: {changed}"));
        assert!(member.is_empty() || member.starts_with('.'), "{path}: {changed}");
        let back: Vec<_> = after.differences(&before).into_iter().map(|(_, c)| c.key).collect();
        assert_eq!(back, [changed.as_str()], "{path}, taken back");
        assert_eq!(before.differences(&before), []);
    });
}

#[test]
fn a_change_is_shown_in_few_words_and_members_by_name_alone() {
    let before = process(
        "env = { A = \"1\", TOKEN = { from_env = \"T\" } }\n[calls]\ndeadline = \"90s\"\n[config]\nunits = \"metric\"\nkeys = { secret = \"hunter22\" }",
    );
    let after = process(
        "env = { A = \"2\", TOKEN = { from_env = \"U\" }, B = \"hunter23\" }\n[config]\nunits = \"metric\"\nkeys = { secret = \"hunter23\" }\n[limits]\nmemory = \"64MiB\"",
    );
    assert_eq!(
        changes(&before, &after),
        [
            "InPlace calls.deadline 90s -> 30s",
            "Telling config.keys … -> …",
            "Restarting limits.memory … -> 64MiB",
            "Restarting process.env.A … -> …",
            "Restarting process.env.B … -> …",
            "Restarting process.env.TOKEN … -> …",
        ]
    );
    assert_eq!(
        changes(
            &after,
            &process(
                "# said otherwise\nenv.TOKEN.from_env = \"U\"\nenv.B = \"hunter23\"\nenv.A = '2'\n[limits]\nmemory = \"65536KiB\"\n[config]\nkeys = { secret = \"hunter23\" }\nunits = \"metric\""
            )
        ),
        Vec::<String>::new(),
        "meaning counts, not spelling"
    );
}

#[test]
fn defaults_of_the_settings_change_every_manifest_that_does_not_say_otherwise() {
    let folder = Folder::new(&[
        ("a.toml", &process("")),
        ("b.toml", &process("[health]\ninterval = \"7s\"")),
        ("outboard.toml", "[defaults.health]\ninterval = \"20s\"\n"),
    ]);
    let before = folder.load();
    folder.write(
        "outboard.toml",
        b"path_prepend = [\"bin\"]\n[supervisor]\nstart_concurrency = 3\n[logs]\njournal = \"1MiB\"\n[defaults.health]\ninterval = \"21s\"\n",
    );
    let after = folder.load();
    let keys = |index: usize| {
        let list = before.manifests[index].differences(&after.manifests[index]);
        list.into_iter().map(|(_, change)| change.key.into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(keys(0), ["health.interval", "process.path_prepend"]);
    assert_eq!(keys(1), ["process.path_prepend"]);
    let settings: Vec<_> = before
        .settings
        .differences(&after.settings)
        .into_iter()
        .map(|(at_once, change)| (at_once, change.key.into_owned(), change.to))
        .collect();
    assert_eq!(
        settings,
        [
            (false, "logs.journal".to_owned(), Some("1MiB".to_owned())),
            (true, "path_prepend".to_owned(), None),
            (true, "supervisor.start_concurrency".to_owned(), Some("3".to_owned())),
        ]
    );
}

#[test]
fn another_name_or_folder_is_a_change_in_place() {
    let folder = Folder::new(&[("a.toml", &format!("id = \"geo\"\n{}", process("")))]);
    let before = folder.load();
    std::fs::rename(folder.path("a.toml"), folder.path("b.toml")).expect("a writable folder");
    let after = folder.load();
    let differences = before.manifests[0].differences(&after.manifests[0]);
    let [(Asks::InPlace, change)] = &differences[..] else { panic!("{differences:?}") };
    assert_eq!((&*change.key, change.to.as_deref()), ("file", Some("b.toml")));
}

#[test]
fn a_refused_file_is_known_again_until_somebody_touches_it() {
    let folder = Folder::new(&[("a.toml", "[process]\ncommand = 7\n"), ("b.toml", "= \n")]);
    let texts = || folder.load().refused.iter().map(|refused| refused.text).collect::<Vec<_>>();
    let before = texts();
    assert_eq!(texts(), before);
    folder.write("b.toml", b"= #\n");
    assert_eq!((texts()[0], texts()[1] == before[1]), (before[0], false));
}
