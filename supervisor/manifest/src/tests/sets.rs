//! Several files: duplicates, circles, absent names, defaults, and the screen of `check`.

use insta::assert_snapshot;

use super::{Folder, NOBODY_SPECIAL, NOTHING_FOUND};
use crate::load::load_as;
use crate::{LoadError, Set};

const SOUND: &str = "[process]\ncommand = [\"x\"]\n";

fn needing(key: &str, ids: &str) -> String {
    format!("{SOUND}[start]\n{key} = {ids}\n")
}

fn ids(set: &Set) -> Vec<&str> {
    set.manifests.iter().map(|manifest| &*manifest.id).collect()
}

fn refused(set: &Set) -> Vec<&str> {
    set.refused.iter().map(|refused| refused.id.as_deref().unwrap_or("-")).collect()
}

#[test]
fn the_screen_of_check() {
    let folder = Folder::new(&[
        (
            "github.toml",
            "dialect = \"mcp\"\n\n[process]\ncommand = [\"npx\", \"-y\", \"server\"]\n\n[start]\n\n[stop]\n\n[calls]\n\n[wire]\n\n[restrat]\npolicy = \"always\"\n",
        ),
        (
            "geo.toml",
            "description = \"Where\"\n\n[process]\ncommand = [\"bin/geo\"]\n\n[start]\n\n[health]\ninterval = \"10\"\n",
        ),
        (
            "auth.toml",
            "[process]\ncommand = [\"auth\"]\n\n[start]\nafter = []\nrequires = [\"cache\"]\n",
        ),
        ("cache.toml", "[process]\ncommand = [\"cache\"]\n\n[start]\nrequires = [\"auth\"]\n"),
        (
            "jira.toml",
            "dialect = \"mcp\"\n[process]\ncommand = [\"docker\", \"run\", \"--rm\", \"-i\", \"--cidfile=/run/jira\", \"jira\"]\n",
        ),
        ("files.toml", SOUND),
        ("time.toml", SOUND),
    ]);
    assert_snapshot!(folder.check(), @r#"
    error: "10" is not a duration
      manifests/geo.toml:9:12
        9 | interval = "10"
          |            ^^^^ say the unit, for example "10s" or "500ms"
    error: unknown section `restrat`
      manifests/github.toml:14:2
       14 | [restrat]
          |  ^^^^^^^ did you mean `restart`?
    error: `requires` goes round in a circle: auth -> cache -> auth
      manifests/auth.toml:6:13 · manifests/cache.toml:5:13
    warning: `docker run` without --init: the server may not see SIGTERM (jira.toml:3)
    3 errors, 1 warning in 5 of 7 files.
    "#);
    let set = folder.load();
    assert_eq!(ids(&set), ["files", "jira", "time"]);
    assert_eq!(refused(&set), ["auth", "cache", "geo", "github"]);
    assert!(set.has_errors());
    // The refused carry their own text for `why`.
    assert!(set.refused[0].render("".as_ref()).contains("auth -> cache -> auth"));
    assert!(set.refused[1].render("".as_ref()).contains("auth -> cache -> auth"));
}

#[test]
fn a_sound_folder_says_so() {
    let folder = Folder::new(&[("a.toml", SOUND), ("b.toml", &needing("requires", "[\"a\"]"))]);
    let set = folder.load();
    assert_eq!(folder.screen(&set), "2 files, no errors.\n");
    assert!(!set.has_errors());
}

#[test]
fn one_id_in_two_files_takes_out_both_and_nobody_else() {
    let folder = Folder::new(&[
        ("a.toml", &format!("id = \"crm\"\n{SOUND}")),
        ("b.toml", &format!("{SOUND}\n")),
        ("c.toml", &format!("description = \"x\"\nid = \"crm\"\n{SOUND}")),
        ("crm.toml", SOUND),
        ("needs.toml", &needing("requires", "[\"crm\"]")),
    ]);
    let set = folder.load();
    assert_eq!(ids(&set), ["b", "needs"]);
    assert_eq!(refused(&set), ["crm", "crm", "crm"]);
    assert_snapshot!(folder.screen(&set), @r"
    error: 3 manifests have the id `crm`
      manifests/a.toml:1:6 · manifests/c.toml:2:6 · manifests/crm.toml:1:1
    help: give each an `id` of its own
    1 error in 3 of 5 files.
    ");
}

#[test]
fn ids_that_differ_only_by_case_are_duplicates() {
    let folder = Folder::new(&[("Geo.toml", SOUND), ("x.toml", &format!("id = \"geo\"\n{SOUND}"))]);
    let set = folder.load();
    assert_eq!(ids(&set), [""; 0]);
    assert_snapshot!(folder.screen(&set), @r"
    error: the ids `Geo` and `geo` differ only by case
      manifests/Geo.toml:1:1 · manifests/x.toml:1:6
      they would share files on some systems, and people mix them up
    help: give each an `id` of its own
    1 error in 2 of 2 files.
    ");
}

#[test]
fn circles_are_paths_and_take_out_their_members_only() {
    let folder = Folder::new(&[
        ("a.toml", &needing("requires", "[\"b\"]")),
        ("b.toml", &needing("after", "[\"c\", \"free\"]")),
        ("c.toml", &needing("requires", "[\"a\"]")),
        ("self.toml", &needing("requires", "[\"self\"]")),
        ("outside.toml", &needing("requires", "[\"a\"]")),
        ("free.toml", SOUND),
    ]);
    let set = folder.load();
    assert_eq!(ids(&set), ["free", "outside"]);
    assert_snapshot!(folder.screen(&set), @r#"
    error: `requires` goes round in a circle: self -> self
      manifests/self.toml:4:13
        4 | requires = ["self"]
          |             ^^^^^^
    error: `after` and `requires` go round in a circle: a -> b -> c -> a
      manifests/a.toml:4:13 · manifests/b.toml:4:10 · manifests/c.toml:4:13
    2 errors in 4 of 6 files.
    "#);
}

#[test]
fn a_knot_of_circles_shows_the_shortest() {
    let folder = Folder::new(&[
        ("a.toml", &needing("requires", "[\"b\"]")),
        ("b.toml", &needing("requires", "[\"c\"]")),
        ("c.toml", &needing("requires", "[\"a\", \"d\"]")),
        ("d.toml", &needing("after", "[\"c\"]")),
    ]);
    let set = folder.load();
    assert_eq!(ids(&set), [""; 0]);
    assert_snapshot!(folder.screen(&set), @r"
    error: `after` and `requires` go round in a circle: c -> d -> c
      manifests/c.toml:4:18 · manifests/d.toml:4:10
      2 more plugins hang in the same knot
    1 error in 4 of 4 files.
    ");
}

#[test]
fn a_circle_of_thousands_costs_neither_stack_nor_time() {
    let count = 3000;
    let files: Vec<(String, String)> = (0..count)
        .map(|n| {
            (
                format!("p{n:04}.toml"),
                needing("requires", &format!("[\"p{:04}\"]", (n + 1) % count)),
            )
        })
        .collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let set = Folder::new(&files).load();
    assert_eq!((set.manifests.len(), set.refused.len()), (0, count));
    assert_eq!(set.problems().len(), 1);
    assert!(set.problems()[0].what.contains("p0000 -> p0001 -> "), "{}", set.problems()[0].what);
}

#[test]
fn a_name_that_nobody_bears_is_refused_and_one_that_is_refused_is_not_absent() {
    let folder = Folder::new(&[
        ("geo.toml", &needing("requires", "[\"cahce\"]")),
        ("cache.toml", SOUND),
        ("broken.toml", "id = \"named\"\nlazy = 3\n"),
        ("syntax.toml", "id = \"also\"\n[process\n"),
        ("waits.toml", &needing("requires", "[\"named\", \"also\"]")),
        ("off.toml", &format!("enabled = false\n{SOUND}")),
        ("dependent.toml", &needing("after", "[\"off\"]")),
    ]);
    let set = folder.load();
    assert_eq!(ids(&set), ["cache", "dependent", "off", "waits"]);
    assert_eq!(refused(&set), ["named", "geo", "also"]);
    assert_snapshot!(folder.screen(&set));
}

#[test]
fn defaults_of_outboard_toml_lie_below_each_manifest() {
    let folder = Folder::new(&[
        (
            "outboard.toml",
            "path_prepend = [\"/opt/all\"]\n[supervisor]\nstart_concurrency = 3\nshutdown_cap = \"9s\"\n\
             [defaults.process]\ninherit_env = [\"HTTPS_PROXY\"]\nenv = { A = \"below\", B = \"below\" }\npath_prepend = [\"/opt/below\"]\n\
             [defaults.restart]\nbackoff = { max = \"7s\" }\n[defaults.config]\nx = { a = 1, b = 1 }\n",
        ),
        (
            "a.toml",
            "[process]\ncommand = [\"x\"]\nenv = { B = \"above\" }\n[restart.backoff]\ninitial = \"1s\"\n[config]\nx.b = 2\n",
        ),
        ("b.toml", "[process]\ncommand = [\"x\"]\ninherit_env = [\"NO_PROXY\"]\n"),
    ]);
    let set = folder.load();
    assert_eq!(folder.screen(&set), "3 files, no errors.\n");
    assert_eq!(set.settings.fleet.start_concurrency, 3);
    assert_eq!(set.settings.fleet.shutdown_cap.as_secs(), 9);
    let [a, b] = &*set.manifests else { panic!("two manifests") };
    assert_eq!(a.policy.restart.backoff.initial.as_secs(), 1);
    assert_eq!(a.policy.restart.backoff.max.as_secs(), 7);
    assert_eq!(a.config, serde_json::json!({"x": {"a": 1, "b": 2}}));
    assert_eq!(a.process.inherit_env[0].as_str(), "HTTPS_PROXY");
    assert_eq!(b.process.inherit_env[0].as_str(), "NO_PROXY");
    assert_eq!(a.process.path_prepend.len(), 2);
    let text = |name: &str| format!("{:?}", a.process.env[name].value);
    assert!(text("A").contains("below") && text("B").contains("above"));
}

#[test]
fn a_broken_outboard_toml_is_an_error_of_the_set() {
    let folder = Folder::new(&[
        (
            "outboard.toml",
            "[supervisor]\nstart_concurency = 8\ncontainment = \"pidns\"\n[defaults.helth]\n[defaults.health]\ninterval = 3\n[control]\nrefuse_plugins = \"yes\"\n[service]\nready = \"listening\"\n[[discover.python]]\ngroup = 3\n",
        ),
        ("a.toml", SOUND),
    ]);
    let set = folder.load();
    assert!(set.has_errors());
    assert_eq!(ids(&set), ["a"]);
    assert_snapshot!(folder.screen(&set));
}

#[test]
fn contradictions_between_a_manifest_and_the_defaults_show_both() {
    let folder = Folder::new(&[
        ("outboard.toml", "[defaults.start]\nfirst_byte_cap = \"1m\"\n"),
        ("a.toml", &format!("{SOUND}[start]\nfirst_byte_timeout = \"2m\"\n")),
    ]);
    assert_snapshot!(folder.check(), @r"
    error: `[start] first_byte_timeout` (2m) is longer than `[start] first_byte_cap` (1m)
      manifests/a.toml:4:22 · manifests/outboard.toml:2:18
    1 error in 2 of 2 files.
    ");
}

#[test]
fn sources_are_folders_and_files_each_read_once() {
    let folder = Folder::new(&[
        ("a.toml", SOUND),
        ("b.toml", SOUND),
        (".c.toml", "no"),
        ("notes.txt", "no"),
        ("Cargo.toml", "[package]"),
        ("pyproject.toml", "[project]"),
    ]);
    let other = Folder::new(&[("c.conf", SOUND), ("outboard.toml", "")]);
    let load = |sources: &[_]| load_as(sources, None, NOBODY_SPECIAL(), NOTHING_FOUND);
    let set =
        load(&[folder.path(""), folder.path("b.toml"), other.path("c.conf")]).expect("sources");
    assert_eq!(ids(&set), ["a", "b", "c"]);
    assert_eq!(set.settings.source, Some(other.path("outboard.toml")));

    assert!(matches!(load(&[folder.path("nowhere")]), Err(LoadError::Missing { .. })));
    assert!(matches!(load(&[other.path("outboard.toml")]), Err(LoadError::NoSource { .. })));
    assert!(matches!(load(&[folder.path("a.toml/x")]), Err(LoadError::Unreadable { .. })));
    let config = load_as(
        &[folder.path("")],
        Some(&folder.path("none.toml")),
        NOBODY_SPECIAL(),
        NOTHING_FOUND,
    );
    assert!(matches!(config, Err(LoadError::Missing { .. })));
}

#[test]
fn of_two_outboard_toml_none_is_guessed() {
    let one = Folder::new(&[("outboard.toml", ""), ("a.toml", SOUND)]);
    let two = Folder::new(&[("outboard.toml", ""), ("b.toml", SOUND)]);
    let sources = [one.path(""), two.path("")];
    let set = load_as(&sources, None, NOBODY_SPECIAL(), NOTHING_FOUND).expect("sources");
    assert!(set.has_errors());
    let set = load_as(&sources, Some(&two.path("outboard.toml")), NOBODY_SPECIAL(), NOTHING_FOUND)
        .expect("sources");
    assert!(!set.has_errors());
}

/// The files may be anything by then: what an upgrade goes on with is what was read.
#[test]
fn a_manifest_is_read_again_from_its_own_texts() {
    let folder = Folder::new(&[
        ("outboard.toml", "env_file = \"own.env\"\n[defaults.calls]\nconcurrency = 3\n"),
        (
            "geo.toml",
            "id = \"earth\"\n[process]\ncommand = [\"bin/geo\"]\n[calls]\ndeadline = \"7s\"\n",
        ),
    ]);
    let before = folder.load().manifests.remove(0);
    for name in ["outboard.toml", "geo.toml"] {
        folder.write(name, b"this is no manifest");
    }
    let after = crate::restore(&before.texts()).expect("it was read before");
    assert_eq!((after.digest, format!("{after:?}")), (before.digest, format!("{before:?}")));
    assert_eq!(after.calls.concurrency, 3);

    let mut texts = before.texts();
    texts.text.push_str("[unheard_of]\n");
    assert!(crate::restore(&texts).is_err(), "what this build does not take is said");
}
