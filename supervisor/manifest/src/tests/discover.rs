//! `[[discover.python]]`: what is found becomes manifests, and what is wrong hurts nobody else.

use outboard_core::plan::Asks;

use super::{Folder, NOBODY_SPECIAL};
use crate::load::load_as;
use crate::{Listed, Look, Manifest, Problem, Set, restore};

const LOOKS: &str = "[[discover.python]]\nenvironment = \".venv\"\ngroup = \"demi.platforms\"\n";

fn listed(name: &str, version: &str) -> Listed {
    Listed {
        name: name.to_owned(),
        value: format!("demi_{name}:Platform"),
        distribution: format!("demi-{name}"),
        version: version.to_owned(),
        installed: "2026-11-26T01:00:00Z".to_owned(),
    }
}

fn load(folder: &Folder, look: &Look<'_>) -> Set {
    load_as(&[folder.path("")], None, NOBODY_SPECIAL(), look).expect("a folder")
}

fn found(files: &[(&str, &str)], points: &[Listed]) -> (Folder, Set) {
    let folder = Folder::new(files);
    let set = load(&folder, &|_| Ok(points.to_vec()));
    (folder, set)
}

fn only(set: &Set) -> &Manifest {
    assert_eq!(set.manifests.len(), 1, "{}", set.render("".as_ref()));
    &set.manifests[0]
}

fn command(manifest: &Manifest) -> Vec<&str> {
    manifest.process.command.iter().map(crate::Template::as_written).collect()
}

#[test]
fn each_entry_point_becomes_a_plugin_of_its_own() {
    let points = [listed("geo", "1.2.0"), listed("mail", "0.3.0")];
    let (folder, set) = found(&[("outboard.toml", LOOKS)], &points);
    assert_eq!(set.render("".as_ref()), "");
    let ids: Vec<&str> = set.manifests.iter().map(|manifest| &*manifest.id).collect();
    assert_eq!(ids, ["geo", "mail"]);
    let geo = &set.manifests[0];
    let venv = folder.path(".venv");
    let python = venv.join("bin/python").display().to_string();
    assert_eq!(
        command(geo),
        [
            &*python,
            "-I",
            "-m",
            "outboard_plugin.runner",
            "--group",
            "demi.platforms",
            "--name",
            "geo"
        ]
    );
    assert_eq!(geo.source.file_name().unwrap(), "outboard.toml#geo");
    assert_eq!(geo.dir, folder.path("").canonicalize().unwrap());
    let point = geo.entry_point.as_ref().expect("it was found by one");
    assert_eq!(
        [&*point.distribution, &*point.version, &*point.value, &*point.group],
        ["demi-geo", "1.2.0", "demi_geo:Platform", "demi.platforms"]
    );
    assert_eq!(point.environment, venv.display().to_string());
}

#[test]
fn its_defaults_lie_above_those_for_all_and_below_a_file_that_completes_it() {
    let settings = format!(
        "[defaults.health]\ninterval = \"7s\"\nmisses = 5\n{LOOKS}[discover.python.defaults.health]\nmisses = 4\n\
         [discover.python.defaults.config]\nunits = \"metric\"\nkey = 1\n"
    );
    let geo = "[config]\nunits = \"imperial\"\n";
    let (_folder, set) =
        found(&[("outboard.toml", &settings), ("geo.toml", geo)], &[listed("geo", "1.2.0")]);
    let manifest = only(&set);
    assert_eq!(manifest.policy.health.interval.as_secs(), 7);
    assert_eq!(manifest.policy.health.misses, 4);
    assert_eq!(manifest.config, serde_json::json!({"units": "imperial", "key": 1}));
    assert_eq!(manifest.source.file_name().unwrap(), "geo.toml");
    assert!(command(manifest).contains(&"outboard_plugin.runner"));
    assert!(manifest.entry_point.is_some());
}

#[test]
fn a_file_with_a_command_of_its_own_replaces_what_is_found() {
    let own = "id = \"geo\"\n[process]\ncommand = [\"./geo\"]\n";
    let (_folder, set) =
        found(&[("outboard.toml", LOOKS), ("own.toml", own)], &[listed("geo", "1.2.0")]);
    let manifest = only(&set);
    assert_eq!(command(manifest), ["./geo"]);
    assert_eq!(manifest.entry_point, None);
}

#[test]
fn a_broken_file_for_it_is_refused_and_nothing_runs_in_its_place() {
    let (_folder, set) = found(
        &[("outboard.toml", LOOKS), ("geo.toml", "[health]\nmisses = \"many\"\n")],
        &[listed("geo", "1.2.0")],
    );
    assert!(set.manifests.is_empty());
    assert_eq!(set.refused[0].id.as_deref(), Some("geo"));
}

#[test]
fn what_a_group_cannot_be_looked_at_for_is_a_row_of_its_name() {
    let folder = Folder::new(&[
        ("outboard.toml", LOOKS),
        ("cache.toml", "[process]\ncommand = [\"./cache\"]\n"),
    ]);
    let broken: &Look<'_> =
        &|_| Err(Box::new(Problem::error("the environment is not there").help("make it")));
    let set = load(&folder, broken);
    assert_eq!(&*only(&set).id, "cache");
    assert_eq!(set.refused.len(), 1);
    assert_eq!(set.refused[0].id.as_deref(), Some("demi.platforms"));
    let place = set.refused[0].problems[0].place.as_ref().expect("where the environment is named");
    assert_eq!((place.line, &*place.excerpt), (2, "environment = \".venv\""));
    assert!(set.has_errors());
}

#[test]
fn names_that_no_plugin_can_have_become_ones_or_are_left_out() {
    let points = [listed("my geo", "1"), listed("my-geo", "1"), listed("!", "1")];
    let (_folder, set) = found(&[("outboard.toml", LOOKS)], &points);
    assert_eq!(&*only(&set).id, "my-geo");
    assert!(command(only(&set)).ends_with(&["--name", "my geo"]));
    let warnings: Vec<&str> = set.warnings.iter().map(|warning| &*warning.what).collect();
    assert_eq!(
        warnings,
        ["the entry point `!` cannot be a plugin", "the entry point `my-geo` cannot be a plugin"]
    );
    assert!(!set.has_errors());
}

#[test]
fn two_packages_with_one_name_are_one_plugin_for_the_runner_to_refuse() {
    let mut other = listed("geo", "2.0.0");
    other.distribution = "demi-other".to_owned();
    let (_folder, set) = found(&[("outboard.toml", LOOKS)], &[listed("geo", "1.2.0"), other]);
    let point = only(&set).entry_point.as_ref().expect("it was found by one");
    assert_eq!((&*point.distribution, &*point.version), ("demi-geo, demi-other", "1.2.0, 2.0.0"));
}

#[test]
fn another_version_asks_for_a_swap_and_says_both() {
    let folder = Folder::new(&[("outboard.toml", LOOKS)]);
    let at = |version: &'static str, installed: &str| {
        let point = Listed { installed: installed.to_owned(), ..listed("geo", version) };
        only(&load(&folder, &|_| Ok(vec![point.clone()]))).clone()
    };
    let old = at("1.2.0", "2026-11-26T01:00:00Z");
    let new = at("1.3.0", "2026-11-26T02:00:00Z");
    let differences = old.differences(&new);
    let [(Asks::Swapping, difference)] = &*differences else { panic!("{differences:?}") };
    assert_eq!(&*difference.key, "entry_point.version");
    assert_eq!(
        (difference.from.as_deref(), difference.to.as_deref()),
        (Some("1.2.0"), Some("1.3.0"))
    );
    // The same version, written anew.
    let again = at("1.2.0", "2026-11-26T02:00:00Z");
    assert!(matches!(&*old.differences(&again), [(Asks::Swapping, _)]));
    assert_ne!(old.digest, again.digest);
    assert!(old.differences(&at("1.2.0", "2026-11-26T01:00:00Z")).is_empty());
}

#[test]
fn what_was_found_goes_over_to_another_build_without_looking() {
    let files = [("outboard.toml", LOOKS), ("mail.toml", "[config]\nport = 25\n")];
    let (_folder, set) = found(&files, &[listed("geo", "1"), listed("mail", "1")]);
    for manifest in &set.manifests {
        let restored = restore(&manifest.texts()).expect("what was sound");
        assert_eq!(restored.digest, manifest.digest, "{}", manifest.id);
        assert_eq!(restored.entry_point, manifest.entry_point);
        assert!(manifest.differences(&restored).is_empty());
    }
}

#[test]
fn a_group_names_its_environment_and_itself() {
    let text = "[[discover.python]]\ngroup = \"a\"\n[[discover.python]]\nenvironment = \"v\"\n\
                [[discover.python]]\nenvironment = \"v\"\ngroup = \"b\"\n\
                [[discover.python]]\nenvironment = \"v\"\ngroup = \"b\"\n";
    let (_folder, set) = found(&[("outboard.toml", text)], &[]);
    let said: Vec<&str> = set.settings_problems.iter().map(|problem| &*problem.what).collect();
    assert_eq!(
        said,
        [
            "`[[discover.python]] environment` is missing",
            "`[[discover.python]] group` is missing",
            "the group `b` of this environment is named twice"
        ]
    );
}
