//! Which plugins a pattern means, and which name was probably meant.

use crate::nearest::nearest;

/// Why a selection selects nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// Neither an id nor "all" was given.
    #[error("no plugin is named")]
    Nothing,
    /// No plugin's id is, or matches, this.
    #[error("no plugin `{pattern}`")]
    Unknown { pattern: String, nearest: Option<String> },
}

/// The ids that the patterns mean, each once, in the order of `ids`.
///
/// # Errors
///
/// When there is no pattern, or one of them matches nothing: a misspelt id must not go unnoticed among sound ones.
pub fn select<'a>(
    ids: &[&'a str],
    patterns: &[String],
    all: bool,
) -> Result<Vec<&'a str>, SelectError> {
    if all {
        return Ok(ids.to_vec());
    }
    if patterns.is_empty() {
        return Err(SelectError::Nothing);
    }
    for pattern in patterns {
        if !ids.iter().any(|id| glob(pattern, id)) {
            let nearest = nearest(pattern, ids.iter().copied()).map(str::to_owned);
            return Err(SelectError::Unknown { pattern: pattern.clone(), nearest });
        }
    }
    Ok(ids.iter().copied().filter(|id| patterns.iter().any(|pattern| glob(pattern, id))).collect())
}

/// Whether a shell-like pattern (`*` any run, `?` any one character) matches the whole text.
///
/// Linear in the text for each star: a pattern from outside cannot make it explode.
#[must_use]
pub fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where the last star stands, and how much of the text it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_ids() {
        for (pattern, text, matches) in [
            ("geo", "geo", true),
            ("geo", "geo2", false),
            ("vendor-*", "vendor-fax", true),
            ("vendor-*", "vendor-", true),
            ("vendor-*", "my-vendor-fax", false),
            ("*-fax", "vendor-fax-fax", true),
            ("*a*b*c", "xxaxxbxxbc", true),
            ("*a*b*c", "xxaxxbxxb", false),
            ("g?o", "geo", true),
            ("g?o", "go", false),
            ("*", "", true),
            ("?", "", false),
            ("", "", true),
            ("", "x", false),
            ("ż*", "żółw", true),
        ] {
            assert_eq!(glob(pattern, text), matches, "{pattern} on {text}");
        }
        let hostile = "*a".repeat(200);
        assert!(!glob(&hostile, &"a".repeat(64)), "a pattern of many stars ends, and soon");
    }

    #[test]
    fn a_selection_names_each_plugin_once_in_their_own_order() {
        let ids = ["geo", "vendor-crm", "vendor-fax"];
        let picked = select(&ids, &["vendor-fax".into(), "vendor-*".into()], false);
        assert_eq!(picked, Ok(vec!["vendor-crm", "vendor-fax"]));
        assert_eq!(select(&ids, &[], true), Ok(ids.to_vec()));
        assert_eq!(select(&ids, &[], false), Err(SelectError::Nothing));
    }

    #[test]
    fn one_misspelt_id_among_sound_ones_refuses_the_whole() {
        assert_eq!(
            select(&["github", "geo"], &["geo".into(), "githup".into()], false),
            Err(SelectError::Unknown { pattern: "githup".into(), nearest: Some("github".into()) })
        );
        assert_eq!(
            select(&["github"], &["nothing-like-it".into()], false),
            Err(SelectError::Unknown { pattern: "nothing-like-it".into(), nearest: None })
        );
    }
}
