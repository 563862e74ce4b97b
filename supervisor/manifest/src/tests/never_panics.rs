//! No text whatever brings the reader down, and what is said about it can always be shown.

use std::path::Path;

use proptest::prelude::*;

use crate::keys::{Kind, MANIFEST, SETTINGS, Section};
use crate::{file, parse_manifest, settings};

/// Reads text as a manifest and as settings, and draws all problems.
fn read(text: &str) {
    let problems = match parse_manifest(Path::new("geo.toml"), text) {
        Ok((manifest, warnings)) => {
            assert!(!manifest.process.command.is_empty());
            warnings
        }
        Err(problems) => {
            assert!(problems.iter().any(crate::Problem::is_error), "refused without a reason");
            problems
        }
    };
    if let Ok(source) = file::text(Path::new("outboard.toml"), text.as_bytes().to_vec()) {
        settings::read(&source);
    }
    for problem in problems {
        let shown = problem.render("".as_ref());
        assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
    }
}

/// Names of all keys and sections, so that random text often gets somewhere.
fn words() -> Vec<String> {
    fn gather(section: &'static Section, words: &mut Vec<String>) {
        for key in section.keys() {
            words.push(key.name.to_owned());
            if let Kind::Section(inner) | Kind::Tables(inner) = key.kind {
                gather(inner, words);
            }
        }
    }
    let mut words = Vec::new();
    gather(&MANIFEST, &mut words);
    gather(&SETTINGS, &mut words);
    words
}

fn values() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        any::<String>().prop_map(|text| format!("{text:?}")),
        "\"[0-9]{0,22}(ms|s|m|h|d|KiB|MiB|GiB|%)?\"",
        "-?[0-9]{1,40}",
        "[+-]?(nan|inf|[0-9]\\.[0-9e]{1,5})",
        "true|false",
        "\"\\$\\{?[A-Z:-]{0,6}\\}?\"",
        Just("2026-01-01".to_owned()),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec((prop::sample::select(words()), inner), 0..4).prop_map(
                |members| {
                    let members: Vec<_> =
                        members.iter().map(|(k, v)| format!("{k} = {v}")).collect();
                    format!("{{ {} }}", members.join(", "))
                }
            ),
        ]
    })
}

fn statements() -> impl Strategy<Value = String> {
    let word = prop::sample::select(words());
    let path = prop::collection::vec(word, 1..4).prop_map(|words| words.join("."));
    prop_oneof![
        path.clone().prop_map(|path| format!("[{path}]\n")),
        path.clone().prop_map(|path| format!("[[{path}]]\n")),
        (path, values()).prop_map(|(path, value)| format!("{path} = {value}\n")),
        any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        match file::text(Path::new("geo.toml"), bytes) {
            Ok(source) => read(source.text()),
            Err(problem) => {
                problem.render("".as_ref());
            }
        }
    }

    #[test]
    fn any_text(text in any::<String>()) {
        read(&text);
    }

    #[test]
    fn text_made_of_our_own_words(statements in prop::collection::vec(statements(), 0..12)) {
        read(&statements.concat());
    }

    #[test]
    fn any_place(text in any::<String>(), start in 0..200_usize, length in 0..50_usize) {
        let source = crate::source::Source::new(Path::new("geo.toml"), text);
        let place = source.place(&(start..start + length));
        prop_assert!(place.line >= 1 && place.column >= 1);
        prop_assert_eq!(place.excerpt.is_empty(), place.caret.is_empty());
    }
}
