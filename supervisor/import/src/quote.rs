//! Texts in double quotes. Which characters cannot stand for themselves there, and how they are written, is each format's
//! own rule; this is the one place that knows it.

/// As JSON (RFC 8259, section 7).
pub(crate) fn json(text: &str) -> String {
    quoted(text, short)
}

/// As a basic string of TOML 1.0, which lets no control character stand, and counts DEL as one.
pub(crate) fn toml(text: &str) -> String {
    quoted(text, |c| if c == '\u{7f}' { Some("\\u007F".to_owned()) } else { short(c) })
}

/// As a `.env` gives it back: line ends are written out, and `$` would begin a variable.
pub(crate) fn dotenv(text: &str) -> String {
    quoted(text, |c| match c {
        '\n' | '\r' => short(c),
        '"' | '\\' | '$' => Some(format!("\\{c}")),
        _ => None,
    })
}

/// What JSON and TOML have in common.
fn short(c: char) -> Option<String> {
    Some(match c {
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        '\u{8}' => "\\b".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        c if c < ' ' => format!("\\u{:04X}", u32::from(c)),
        _ => return None,
    })
}

fn quoted(text: &str, escape: impl Fn(char) -> Option<String>) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match escape(c) {
            Some(escaped) => quoted.push_str(&escaped),
            None => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_reads_back_what_was_written() {
        let every: String = ('\u{1}'..='\u{ff}').chain(['é', '天', '😀']).collect();
        assert_eq!(crate::json::parse(&json(&every)).unwrap().text().unwrap(), every);
        let folder = tempfile::tempdir().unwrap();
        let manifest = folder.path().join("a.toml");
        let text = format!("description = {}\n[process]\ncommand = [\"true\"]\n", toml(&every));
        std::fs::write(&manifest, text).unwrap();
        let set = outboard_manifest::load(&[manifest], None).unwrap();
        assert!(!set.has_errors(), "{}", set.render(folder.path()));
    }

    #[test]
    fn what_the_formats_do_not_share() {
        assert_eq!(json("\u{7f}\u{1}\u{8}$"), "\"\u{7f}\\u0001\\b$\"");
        assert_eq!(toml("\u{7f}\u{1}\u{8}$"), "\"\\u007F\\u0001\\b$\"");
        assert_eq!(dotenv("a\t$\"\n"), "\"a\t\\$\\\"\\n\"");
    }
}
