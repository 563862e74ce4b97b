//! Patterns of file names, as Python's `glob` reads them: `*`, `?` and `[…]`, in any part of a path.

use std::path::{Component, Path, PathBuf};

use crate::Beside;

/// Files that one pattern may name.
const MOST: usize = 1000;

/// The files that a pattern names, in the order of their names.
pub(crate) fn files(pattern: &Path, beside: &dyn Beside) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let text = part.as_os_str().to_string_lossy();
        if !matches!(part, Component::Normal(_)) || !text.contains(['*', '?', '[']) {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        }
        let below = found.iter().flat_map(|folder| {
            let names = beside.names(folder).into_iter().filter(|name| fits(&text, name));
            names.map(|name| folder.join(name)).collect::<Vec<_>>()
        });
        found = below.take(MOST).collect();
        found.sort_unstable();
    }
    found
}

/// Whether a name is one of those that a pattern means. A dot at the beginning has to be asked for.
fn fits(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let hidden = name.first() == Some(&'.') && pattern.first() != Some(&'.');
    !hidden && matches(&pattern, &name)
}

/// Goes back to the last star alone, so that it takes no longer than one length times the other.
fn matches(pattern: &[char], name: &[char]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, n));
            p += 1;
        } else if let Some(length) = pattern.get(p..).and_then(|rest| one(rest, name[n])) {
            p += length;
            n += 1;
        } else if let Some((at, taken)) = star {
            star = Some((at, taken + 1));
            p = at + 1;
            n = taken + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// How much of a pattern means this one character; `None` when it means another.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern {
        ['?', ..] => Some(1),
        ['[', rest @ ..] => {
            let (not, rest) = match rest {
                ['!', rest @ ..] => (true, rest),
                rest => (false, rest),
            };
            // `]` in the first place is itself.
            let Some(end) = rest.iter().skip(1).position(|c| *c == ']').map(|at| at + 1) else {
                return (c == '[').then_some(1);
            };
            let (mut at, mut within) = (0, false);
            while at < end {
                if let (Some('-'), Some(last)) = (rest.get(at + 1), rest[..end].get(at + 2)) {
                    within |= (rest[at]..=*last).contains(&c);
                    at += 3;
                } else {
                    within |= rest[at] == c;
                    at += 1;
                }
            }
            (within != not).then_some(1 + usize::from(not) + end + 1)
        }
        [same, ..] => (*same == c).then_some(1),
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Tree;

    impl Beside for Tree {
        fn text(&self, _path: &Path) -> Result<String, String> {
            Err("no file".to_owned())
        }

        fn names(&self, folder: &Path) -> Vec<String> {
            let names: &[&str] = match folder.to_str().unwrap() {
                "/srv" => &["b", "a", ".c"],
                "/srv/a" | "/srv/b" => &["x.conf", "y.ini"],
                _ => &[],
            };
            names.iter().map(|name| (*name).to_owned()).collect()
        }
    }

    #[test]
    fn patterns_name_files_in_order() {
        let named = |pattern: &str| files(Path::new(pattern), &Tree);
        assert_eq!(
            named("/srv/*/x.conf"),
            [Path::new("/srv/a/x.conf"), Path::new("/srv/b/x.conf")]
        );
        assert_eq!(named("/srv/b/*.ini"), [Path::new("/srv/b/y.ini")]);
        assert_eq!(
            named("/etc/one.conf"),
            [Path::new("/etc/one.conf")],
            "whether it is there is seen later"
        );
        assert!(named("/nowhere/*.conf").is_empty());
    }

    #[test]
    fn names_fit_as_in_python() {
        for (pattern, name) in [
            ("*.conf", "a.conf"),
            ("*", "a"),
            ("a*b*c", "aXbbYc"),
            ("?.ini", "é.ini"),
            ("[a-c]1", "b1"),
            ("[!a-c]1", "d1"),
            ("[]x]", "]"),
            ("[x", "[x"),
            (".*", ".a"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("*.conf", "a.confx"),
            ("*", ".a"),
            ("[a-c]1", "d1"),
            ("?", "ab"),
            ("a", ""),
            ("[a", "a"),
        ] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }
}
