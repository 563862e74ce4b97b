//! Bytes of a plugin, made fit to be shown.

use std::fmt::Write as _;

/// Characters of a quotation at most.
const LONGEST: usize = 160;

/// The beginning of what a plugin wrote, on one line: what is not plain ASCII is escaped, and a longer text ends with its
/// size.
pub(crate) fn quote(bytes: &[u8]) -> String {
    let mut shown = String::new();
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST * 4)]);
    for c in text.chars() {
        if shown.len() >= LONGEST {
            let size = bytes.len();
            // Writing to a string cannot fail.
            write!(shown, "… ({size} bytes)").unwrap_or_default();
            return shown;
        }
        match c {
            ' '..='~' => shown.push(c),
            c => shown.extend(c.escape_default()),
        }
    }
    shown
}

/// What stands in place of a secret.
const MASK: &str = "[redacted]";

/// `text` without the values that the plugin was given in confidence.
pub(crate) fn mask(text: &str, secrets: &[String]) -> String {
    let mut text = text.to_owned();
    for secret in secrets {
        let escaped = outboard_wire::json::quoted(secret);
        let escaped = &escaped[1..escaped.len() - 1];
        for form in [secret.as_str(), escaped] {
            if text.contains(form) {
                text = text.replace(form, MASK);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_plugin_can_steer_a_terminal_or_fill_a_screen() {
        assert_eq!(quote(b"a\x1b[2J\xff\n"), r"a\u{1b}[2J\u{fffd}\n");
        let long = quote(&vec![b'x'; 1 << 20]);
        assert!(long.ends_with("x… (1048576 bytes)") && long.len() < 200, "{long}");
    }

    #[test]
    fn secrets_are_masked_as_they_are_and_as_json_writes_them() {
        let secrets = ["hush\"hush".to_owned()];
        assert_eq!(
            mask(r#"{"k":"hush\"hush"} hush"hush"#, &secrets),
            r#"{"k":"[redacted]"} [redacted]"#
        );
    }
}
