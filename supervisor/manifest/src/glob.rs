//! Name patterns: `*` stands for any run of characters, `?` for one.

use std::fmt;

/// A pattern over names of variables or methods.
#[derive(Clone, PartialEq, Eq)]
pub struct Glob(String);

impl Glob {
    /// Every text is a pattern.
    pub fn new(pattern: &str) -> Self {
        Self(pattern.to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it names exactly one thing.
    pub fn is_literal(&self) -> bool {
        !self.0.contains(['*', '?'])
    }

    pub fn matches(&self, text: &str) -> bool {
        matches(&self.0, text)
    }
}

/// Whether `text` fits `pattern`, for patterns that are no values. Linear in the text for each star: no backtracking
/// beyond the last star.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let pattern = pattern.as_bytes();
    let text = text.as_bytes();
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(b'?') => {
                // One character, not one byte.
                t += 1;
                while text.get(t).is_some_and(|byte| byte & 0xC0 == 0x80) {
                    t += 1;
                }
                p += 1;
            }
            Some(byte) if *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((after_star, from)) => {
                    retry = Some((after_star, from + 1));
                    p = after_star;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, text, matches) in [
            ("HTTP_PROXY", "HTTP_PROXY", true),
            ("HTTP_PROXY", "HTTPS_PROXY", false),
            ("*_PROXY", "NO_PROXY", true),
            ("*_PROXY", "PROXY", false),
            ("LC_*", "LC_", true),
            ("*", "", true),
            ("", "", true),
            ("", "A", false),
            ("A?C", "ABC", true),
            ("A?C", "AéC", true),
            ("A?C", "AC", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "xxaxxbxx", false),
            ("forecast.*", "forecast.today", true),
        ] {
            assert_eq!(Glob::new(pattern).matches(text), matches, "{pattern} {text}");
        }
    }
}
