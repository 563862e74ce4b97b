//! `${NAME}`, `${NAME:-text}`, `$$` and a leading `~/` in `command`, `cwd` and `env` values.
//!
//! A manifest is read without looking at the environment; [`crate::resolve`] fills templates in at each start.

use crate::scalar::Refusal;
use crate::source::Spot;

/// A text with holes, and where it stands.
#[derive(Clone, Debug)]
pub struct Template {
    written: String,
    parts: Vec<Part>,
    spot: Option<Spot>,
}

/// A piece of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Text(String),
    /// The home folder, from a leading `~/`; the slash is in the text that follows.
    Home,
    Variable {
        name: String,
        /// From `${NAME:-text}`: taken when the variable is unset or empty, as in a shell.
        default: Option<String>,
    },
}

impl Template {
    /// Reads a template; `spot` is `None` for the built-in defaults.
    pub(crate) fn parse(written: &str, spot: Option<Spot>) -> Result<Self, Refusal> {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = written;
        if rest.starts_with("~/") {
            parts.push(Part::Home);
            rest = &rest[1..];
        }
        while let Some(at) = rest.find('$') {
            text.push_str(&rest[..at]);
            let after = &rest[at + 1..];
            if let Some(after) = after.strip_prefix('$') {
                text.push('$');
                rest = after;
            } else if let Some(after) = after.strip_prefix('{') {
                let Some(end) = after.find('}') else {
                    return Err(Refusal::new("`${` without its `}`", "write `$$` for a plain `$`"));
                };
                if !text.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut text)));
                }
                parts.push(variable(&after[..end])?);
                rest = &after[end + 1..];
            } else {
                text.push('$');
                rest = after;
            }
        }
        text.push_str(rest);
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Ok(Self { written: written.to_owned(), parts, spot })
    }

    /// The text as it stands in the manifest: safe to show, since it names secrets and holds none.
    pub fn as_written(&self) -> &str {
        &self.written
    }

    /// Where it stands; `None` when it is a built-in default.
    pub fn spot(&self) -> Option<&Spot> {
        self.spot.as_ref()
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The first `$NAME` without braces: plain text that may have been meant otherwise.
    pub(crate) fn bare_variable(&self) -> Option<&str> {
        let start = self.written.match_indices('$').map(|(at, _)| at).find(|at| {
            let doubled = self.written[..*at].ends_with('$');
            !doubled
                && self.written[at + 1..].starts_with(|c: char| c == '_' || c.is_ascii_alphabetic())
        })?;
        let name = &self.written[start + 1..];
        let end = name.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(name.len());
        Some(&name[..end])
    }
}

/// What stands between the braces.
fn variable(inside: &str) -> Result<Part, Refusal> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    if inside.contains("${") {
        return Err(Refusal::new(
            "`${…}` inside of `${…}`",
            "the text of `${NAME:-text}` is plain: put the inner value into a variable of its own",
        ));
    }
    let good = name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic())
        && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
    if !good {
        return Err(Refusal::new(
            format!("{} is not `${{NAME}}`", crate::problem::ticked(&format!("${{{inside}}}"))),
            "only `${NAME}` and `${NAME:-text}` are filled in; a plain `$` is written `$$`",
        ));
    }
    Ok(Part::Variable { name: name.to_owned(), default: default.map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<Part> {
        Template::parse(text, None).expect("sound").parts
    }

    fn variable(name: &str, default: Option<&str>) -> Part {
        Part::Variable { name: name.into(), default: default.map(str::to_owned) }
    }

    #[test]
    fn holes_escapes_and_home() {
        assert_eq!(parts("plain"), [Part::Text("plain".into())]);
        assert_eq!(parts(""), []);
        assert_eq!(
            parts("a${B}c"),
            [Part::Text("a".into()), variable("B", None), Part::Text("c".into())]
        );
        assert_eq!(parts("${B:-x y}"), [variable("B", Some("x y"))]);
        assert_eq!(parts("${B:-}"), [variable("B", Some(""))]);
        assert_eq!(parts("$${B}"), [Part::Text("${B}".into())]);
        assert_eq!(parts("$5 and $"), [Part::Text("$5 and $".into())]);
        assert_eq!(parts("~/bin"), [Part::Home, Part::Text("/bin".into())]);
        assert_eq!(parts("x~/bin"), [Part::Text("x~/bin".into())]);
        assert_eq!(parts("~"), [Part::Text("~".into())]);
    }

    #[test]
    fn what_is_no_template_says_why() {
        for (text, what) in [
            ("${", "`${` without its `}`"),
            ("${A", "`${` without its `}`"),
            ("${}", "`${}` is not `${NAME}`"),
            ("${1A}", "`${1A}` is not `${NAME}`"),
            ("${A:?no}", "`${A:?no}` is not `${NAME}`"),
            ("${A:-${B}}", "`${…}` inside of `${…}`"),
        ] {
            assert_eq!(
                Template::parse(text, None).map_err(|refusal| refusal.what).err().as_deref(),
                Some(what),
                "{text}"
            );
        }
    }

    #[test]
    fn a_bare_variable_is_noticed() {
        let bare =
            |text| Template::parse(text, None).expect("sound").bare_variable().map(str::to_owned);
        assert_eq!(bare("$HOME/x").as_deref(), Some("HOME"));
        assert_eq!(bare("$$HOME"), None);
        assert_eq!(bare("${HOME}"), None);
        assert_eq!(bare("5$"), None);
    }
}
