//! The table proves itself: no row without a test or a listed skip, no test without a row, no guard that is gone.

use std::collections::BTreeSet;

use outboard_tests::runtimes::repository;
use outboard_tests::table::{faults, guards, skips, tests};

fn ids() -> BTreeSet<String> {
    faults().into_iter().map(|fault| fault.id).collect()
}

#[test]
fn every_row_has_a_test_or_a_listed_skip() {
    let (tests, skips) = (tests(), skips());
    assert!(ids().len() >= 150, "the table is whole");
    for fault in faults() {
        let skipped = skips.iter().any(|skip| skip.id == fault.id && skip.part.is_none());
        let tested = tests.contains_key(&fault.id);
        assert!(tested || skipped, "{} has neither: {}", fault.id, fault.what);
        assert!(
            !(tested && skipped),
            "{} is made, so its skip has to go, or to say which part",
            fault.id
        );
    }
}

#[test]
fn every_test_and_every_skip_names_a_row() {
    let ids = ids();
    for (id, tests) in tests() {
        assert!(ids.contains(&id), "{tests:?}: no row {id}");
    }
    for skip in skips() {
        assert!(ids.contains(&skip.id), "no row {}", skip.id);
        assert!(skip.reason.len() > 20, "{}: a reason is a sentence", skip.id);
    }
}

#[test]
fn every_guard_stands_where_the_list_says_and_guards_rows_that_are_made() {
    let tests = tests();
    for guard in guards() {
        let source = std::fs::read_to_string(repository().join(&guard.file)).unwrap();
        let times = source.matches(&guard.guard).count();
        assert_eq!(
            times,
            1,
            "{}: its text stands {times} times in {}",
            guard.name,
            guard.file.display()
        );
        assert_ne!(guard.guard, guard.broken);
        assert!(!guard.rows.is_empty());
        for row in &guard.rows {
            assert!(tests.contains_key(row), "{}: row {row} has no test", guard.name);
        }
    }
}

#[test]
fn every_row_that_is_made_has_a_guard() {
    let guarded: BTreeSet<String> = guards().into_iter().flat_map(|guard| guard.rows).collect();
    let bare: Vec<_> = tests().into_keys().filter(|id| !guarded.contains(id)).collect();
    assert!(bare.is_empty(), "rows that no guard is listed for: {bare:?}");
}
