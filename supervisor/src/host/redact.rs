//! Keeps secrets out of everything that outboard itself prints or stores.

use std::sync::Arc;

/// What stands in place of a secret.
pub(super) const MASK: &str = "[redacted]";

/// The secret values of one generation. Answers to callers are payload and do not pass through here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redactor {
    secrets: Arc<[Box<str>]>,
}

impl Redactor {
    /// Masks each of `secrets`, also in the form that JSON strings give it. The longest goes first, so that one
    /// secret inside another leaves nothing behind.
    #[must_use]
    pub(crate) fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut all: Vec<Box<str>> = Vec::new();
        for secret in secrets {
            let quoted = serde_json::to_string(&secret).unwrap_or_default();
            let escaped = quoted.trim_matches('"');
            if escaped != secret && !escaped.is_empty() {
                all.push(escaped.into());
            }
            if !secret.is_empty() {
                all.push(secret.into());
            }
        }
        all.sort_by_key(|s| std::cmp::Reverse(s.len()));
        Self { secrets: all.into() }
    }

    /// `text` without secrets; the same string when there was none in it.
    #[must_use]
    pub(crate) fn mask(&self, text: String) -> String {
        let mut text = text;
        for secret in self.secrets.iter() {
            if text.contains(&**secret) {
                text = text.replace(&**secret, MASK);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_masked_plain_and_json_escaped_and_inside_another() {
        let redactor = Redactor::new(["pass\"word".to_owned(), "pass\"word-longer".to_owned()]);
        let masked = redactor.mask(r#"a pass"word b {"t":"pass\"word-longer"} c"#.to_owned());
        assert_eq!(masked, format!(r#"a {MASK} b {{"t":"{MASK}"}} c"#));
    }
}
