//! One secret, in every way in which it may be written down.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

use memchr::memmem::Finder;

/// A line of a value of several lines that is shorter cannot be masked: `}` is everywhere.
const SHORTEST_LINE: usize = 6;

/// A text that is looked for. It has no line end in it, so that nothing is held back over one.
#[derive(Clone)]
pub(super) struct Form {
    finder: Finder<'static>,
    /// How far the next one may begin behind the start of this one: less than its length where its end is like its start.
    step: usize,
}

impl PartialEq for Form {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Form {
    pub(super) fn new(text: &str) -> Self {
        let step = text.len() - border(text.as_bytes());
        Self { finder: Finder::new(text.as_bytes()).into_owned(), step }
    }

    pub(super) fn text(&self) -> &[u8] {
        self.finder.needle()
    }

    /// Adds every place, those that overlap themselves too.
    pub(super) fn find_all(&self, text: &[u8], into: &mut Vec<Range<usize>>) {
        let mut from = 0;
        while let Some(at) = self.finder.find(&text[from..]) {
            let start = from + at;
            into.push(start..start + self.text().len());
            from = start + self.step;
        }
    }

    /// Where an end of `text` begins that is the beginning of this form and not all of it, if that is before `from`.
    pub(super) fn unfinished(&self, text: &[u8], from: usize) -> usize {
        let form = self.text();
        let first = text.len().saturating_sub(form.len() - 1);
        if first >= from {
            return from;
        }
        memchr::memchr_iter(form[0], &text[first..from])
            .map(|at| first + at)
            .find(|&at| form.starts_with(&text[at..]))
            .unwrap_or(from)
    }
}

/// Length of the longest beginning that is an end too, other than the whole (Knuth, Morris, Pratt).
fn border(text: &[u8]) -> usize {
    let mut borders = vec![0; text.len()];
    let mut length = 0;
    for at in 1..text.len() {
        while length > 0 && text[at] != text[length] {
            length = borders[length - 1];
        }
        length += usize::from(text[at] == text[length]);
        borders[at] = length;
    }
    length
}

/// Every form of every secret, each once.
pub(super) fn of_all(secrets: impl IntoIterator<Item = String>) -> Arc<[Form]> {
    let mut texts = BTreeSet::new();
    for secret in secrets {
        // A process that prints a value of several lines prints several lines.
        let several = secret.contains('\n');
        for line in secret.split('\n').map(|line| line.trim_end_matches('\r')) {
            if !several || line.len() >= SHORTEST_LINE {
                texts.extend(ways(line));
                texts.insert(line.to_owned());
            }
        }
        texts.extend(ways(&secret).into_iter().filter(|way| *way != secret));
    }
    texts.remove("");
    texts.iter().map(|text| Form::new(text)).collect()
}

/// As JSON strings have it: of usual encoders, of those that keep to ASCII, to HTML, that escape slashes; and a JSON text
/// within a JSON string.
fn ways(text: &str) -> Vec<String> {
    let usual = escaped(text);
    let slashes = usual.replace('/', "\\/");
    let ascii = |upper: bool| {
        let mut out = String::with_capacity(usual.len());
        for c in usual.chars() {
            if c.is_ascii() {
                out.push(c);
                continue;
            }
            for unit in c.encode_utf16(&mut [0; 2]) {
                let written =
                    if upper { write!(out, "\\u{unit:04X}") } else { write!(out, "\\u{unit:04x}") };
                written.expect("a string takes all text");
            }
        }
        out
    };
    let html = ["<", ">", "&"]
        .iter()
        .fold(usual.clone(), |text, c| text.replace(c, &format!("\\u{:04x}", c.as_bytes()[0])));
    let nested = escaped(&usual);
    let (lower, upper) = (ascii(false), ascii(true));
    let all = [slashes, lower, upper, html, nested, usual];
    // None of these has a line end in it.
    all.into_iter().filter(|way| way != text).collect()
}

/// Without the quotes.
fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_border_is_how_far_an_end_is_like_the_start() {
        for (text, length) in [("abcdef", 0), ("aaaa", 3), ("abcabcab", 5), ("abab", 2), ("a", 0)] {
            assert_eq!(border(text.as_bytes()), length, "{text}");
        }
    }

    #[test]
    fn a_plain_value_has_one_form_and_an_odd_one_has_many() {
        assert_eq!(of_all(["plain-value_1".to_owned()]).len(), 1);
        let forms = of_all(["a/\"ż\"<&>\nsecond line".to_owned()]);
        let has = |text: &str| forms.iter().any(|form| form.text() == text.as_bytes());
        for text in [
            "a/\"ż\"<&>",
            "second line",
            r#"a/\"ż\"<&>\nsecond line"#,
            r#"a/\"\u017c\"<&>"#,
            r#"a/\"\u017C\"<&>"#,
            r#"a\/\"ż\"<&>"#,
            r#"a/\"ż\"\u003c\u0026\u003e"#,
            r#"a/\\\"ż\\\"<&>"#,
        ] {
            assert!(has(text), "{text}");
        }
        assert!(forms.iter().all(|form| !form.text().contains(&b'\n')));
    }
}
