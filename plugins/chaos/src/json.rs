//! Just enough JSON to find a member of an object and to quote a string.
//!
//! Not a parser on purpose: the plugin must pass on what it got byte for byte, wrong JSON included.

/// The raw text of member `name` of the object in `text`, if `text` is an object and has one.
/// The first wins; keys written with escapes are not recognised.
pub(crate) fn member<'a>(text: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut at = skip_blank(text, 0);
    if text.get(at) != Some(&b'{') {
        return None;
    }
    at = skip_blank(text, at + 1);
    while text.get(at) == Some(&b'"') {
        let key_end = string_end(text, at)?;
        let key = &text[at + 1..key_end - 1];
        at = skip_blank(text, key_end);
        if text.get(at) != Some(&b':') {
            return None;
        }
        at = skip_blank(text, at + 1);
        let end = value_end(text, at)?;
        if key == name.as_bytes() {
            return Some(&text[at..end]);
        }
        at = skip_blank(text, end);
        if text.get(at) == Some(&b',') {
            at = skip_blank(text, at + 1);
        }
    }
    None
}

/// A string's text without its quotes (escapes stay as they are); other values unchanged.
pub(crate) fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        other => other,
    }
}

/// `text` as a JSON string; what is not UTF-8 is replaced.
pub(crate) fn quoted(text: &[u8]) -> String {
    let mut out = String::from("\"");
    for c in String::from_utf8_lossy(text).chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn skip_blank(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
        at += 1;
    }
    at
}

/// The place after the string that starts at `at`.
fn string_end(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += 1;
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 1,
            _ => {}
        }
    }
}

/// The place after the value that starts at `at`.
fn value_end(text: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match text.get(at)? {
            b'"' => at = string_end(text, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                at += 1;
            }
            _ if depth > 0 => at += 1,
            _ => {
                let rest = &text[at..];
                let ends = |b: &u8| matches!(b, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n');
                let length = rest.iter().position(ends).unwrap_or(rest.len());
                return (length > 0).then_some(at + length);
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str, name: &str) -> Option<String> {
        member(text.as_bytes(), name).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    #[test]
    fn members_are_found_as_they_were_written_wherever_they_stand() {
        let frame = r#" { "method":"a\"b", "params":{"id":9,"x":["}",{}]},"id": "c1" ,"n":-1.5e3}"#;
        assert_eq!(find(frame, "method").as_deref(), Some(r#""a\"b""#));
        assert_eq!(find(frame, "params").as_deref(), Some(r#"{"id":9,"x":["}",{}]}"#));
        assert_eq!(find(frame, "id").as_deref(), Some(r#""c1""#));
        assert_eq!(find(frame, "n").as_deref(), Some("-1.5e3"));
        assert_eq!(find(frame, "x"), None);
    }

    #[test]
    fn what_is_no_object_or_breaks_off_has_no_members() {
        for text in ["", "[1]", "junk", "{", r#"{"id""#, r#"{"id":"#, r#"{"id":"x"#, r#"{"id":}"#] {
            assert_eq!(find(text, "id"), None, "{text}");
        }
    }

    #[test]
    fn a_quoted_string_is_one_line_of_json() {
        assert_eq!(quoted(b"a\"b\\c\nd"), r#""a\"b\\c\u000ad""#);
    }
}
