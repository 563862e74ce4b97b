//! Which characters nobody's screen is trusted with, and JSON without them.

use std::fmt::Write;

/// Whether a character could move the cursor, recolour the terminal, start a new line or turn the reading direction.
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    // A tab is no danger, and stack traces are full of them.
    (c.is_control() && c != '\t')
        // Line and paragraph separators; marks, embeddings, overrides and isolates of bidirectional text.
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// JSON text that says the same with every such character as an escape.
///
/// JSON itself asks for that below U+0020 only, and people look at it in a terminal all the same. None of the others
/// can stand outside of a string.
#[must_use]
pub fn printable_json(json: String) -> String {
    let is_plain = |byte: &u8| byte.is_ascii() && *byte != 0x7f;
    if json.as_bytes().iter().all(is_plain) || !json.chars().any(is_unsafe) {
        return json;
    }
    let mut shown = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_unsafe(c) && c >= ' ' {
            // All of them are in the basic plane.
            write!(shown, "\\u{:04x}", u32::from(c)).expect("a string takes all text");
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_says_the_same_and_nothing_in_it_steers_a_terminal() {
        for text in
            ["plain żółw 🦀\ttab", "c1 \u{9b}31m", "del \u{7f}", "turned \u{202e}txt.exe\u{2028}"]
        {
            let json = serde_json::to_string(text).unwrap();
            let shown = printable_json(json.clone());
            assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
            assert!(!shown.chars().any(is_unsafe), "{shown:?}");
            assert_eq!(shown == json, !text.chars().any(|c| is_unsafe(c) && c >= ' '), "{shown}");
        }
    }
}
