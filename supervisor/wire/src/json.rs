//! Scanning JSON text without building it: strings, depth, the members of one object.
//!
//! Payloads pass through a host as text, because a generic value would lose digits, refuse lone surrogates and cost
//! an allocation per node. These scans find structure only; whoever needs to know that a value is *valid* has
//! `serde_json` look at it. Nothing here recurses.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr2;
use serde::de::IgnoredAny;

/// Why a scan stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Syntax,
    Depth,
}

/// What a byte outside a string can mean to a scan.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Part of a scalar, or nothing that JSON has.
    Plain,
    Quote,
    Open,
    Close,
    /// Ends a scalar and means nothing else: a comma, a colon, a blank.
    Delimiter,
}

/// One look-up for each byte is what makes the scans fast.
static CLASS: [Class; 256] = {
    let mut table = [Class::Plain; 256];
    table[b'"' as usize] = Class::Quote;
    table[b'{' as usize] = Class::Open;
    table[b'[' as usize] = Class::Open;
    table[b'}' as usize] = Class::Close;
    table[b']' as usize] = Class::Close;
    table[b',' as usize] = Class::Delimiter;
    table[b':' as usize] = Class::Delimiter;
    table[b' ' as usize] = Class::Delimiter;
    table[b'\t' as usize] = Class::Delimiter;
    table[b'\n' as usize] = Class::Delimiter;
    table[b'\r' as usize] = Class::Delimiter;
    table
};

fn class(byte: u8) -> Class {
    CLASS[usize::from(byte)]
}

/// Whether brackets outside strings are never nested deeper than `max`; a lone `{}` is depth 1.
///
/// The text need not be valid: this runs before any parser.
#[must_use]
pub fn depth_within(text: &[u8], max: u32) -> bool {
    let mut depth = 0u32;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        match class(byte) {
            Class::Plain | Class::Delimiter => {}
            Class::Quote => match string_end(text, at) {
                Some(end) => at = end,
                None => return true,
            },
            Class::Open => {
                depth += 1;
                if depth > max {
                    return false;
                }
            }
            Class::Close => depth = depth.saturating_sub(1),
        }
    }
    true
}

/// `text` as a JSON string, quotes included.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    crate::encode::string(&mut out, text);
    String::from_utf8(out).expect("escaping keeps UTF-8 whole")
}

/// Whether `text` is one valid JSON value.
pub(crate) fn is_valid(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// The position behind the closing quote of a string whose first character is at `at`.
pub(crate) fn string_end(text: &[u8], mut at: usize) -> Option<usize> {
    // Most strings are short: a plain loop beats the set-up of a vector search.
    let near = text.len().min(at + 16);
    while at < near {
        match text[at] {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// The position of the first byte from `at` on that is no JSON white space.
pub(crate) fn skip_blank(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = text.get(at) {
        at += 1;
    }
    at
}

/// The position behind the value that starts at `at`, by structure alone.
///
/// A scalar must be followed by something, so that a cut-off number is never taken for a whole one.
fn value_end(text: &[u8], at: usize, max_depth: u32) -> Result<usize, Fault> {
    match class(*text.get(at).ok_or(Fault::Syntax)?) {
        Class::Quote => string_end(text, at + 1).ok_or(Fault::Syntax),
        Class::Open => container_end(text, at, max_depth),
        Class::Plain => {
            let len =
                text[at..].iter().position(|b| class(*b) != Class::Plain).ok_or(Fault::Syntax)?;
            Ok(at + len)
        }
        Class::Close | Class::Delimiter => Err(Fault::Syntax),
    }
}

fn container_end(text: &[u8], mut at: usize, max_depth: u32) -> Result<usize, Fault> {
    let mut depth = 0u32;
    while let Some(&byte) = text.get(at) {
        at += 1;
        match class(byte) {
            Class::Plain | Class::Delimiter => {}
            Class::Quote => at = string_end(text, at).ok_or(Fault::Syntax)?,
            Class::Open => {
                depth += 1;
                if depth > max_depth {
                    return Err(Fault::Depth);
                }
            }
            Class::Close => {
                depth -= 1;
                if depth == 0 {
                    return Ok(at);
                }
            }
        }
    }
    Err(Fault::Syntax)
}

/// Walks the members of the one object in a text. Values are found by structure and not validated.
pub(crate) struct Members<'a> {
    text: &'a [u8],
    at: usize,
    /// Levels that a value may have below the outer object.
    max_depth: u32,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Inside,
    Ended,
}

/// One member of an object, as positions in the text.
pub(crate) struct Member {
    /// The name between its quotes, escapes untouched.
    pub(crate) name: Range<usize>,
    pub(crate) value: Range<usize>,
}

impl<'a> Members<'a> {
    /// `None` when the first non-blank byte opens no object. The outer object is depth 1 of `max_depth`.
    pub(crate) fn new(text: &'a [u8], max_depth: u32) -> Option<Self> {
        let at = skip_blank(text, 0);
        (text.get(at) == Some(&b'{')).then_some(Self {
            text,
            at: at + 1,
            max_depth: max_depth.saturating_sub(1),
            state: State::Start,
        })
    }

    /// The next member; `None` behind the closing brace.
    pub(crate) fn next(&mut self) -> Result<Option<Member>, Fault> {
        let text = self.text;
        if self.state == State::Ended {
            return Ok(None);
        }
        let mut at = skip_blank(text, self.at);
        match (text.get(at), self.state) {
            (Some(b'}'), _) => {
                self.at = at + 1;
                self.state = State::Ended;
                return Ok(None);
            }
            (Some(b','), State::Inside) => at = skip_blank(text, at + 1),
            (Some(_), State::Start) => {}
            _ => return Err(Fault::Syntax),
        }
        if text.get(at) != Some(&b'"') {
            return Err(Fault::Syntax);
        }
        let name_end = string_end(text, at + 1).ok_or(Fault::Syntax)?;
        let name = at + 1..name_end - 1;
        at = skip_blank(text, name_end);
        if text.get(at) != Some(&b':') {
            return Err(Fault::Syntax);
        }
        at = skip_blank(text, at + 1);
        let end = value_end(text, at, self.max_depth)?;
        self.at = end;
        self.state = State::Inside;
        Ok(Some(Member { name, value: at..end }))
    }

    /// The position behind the closing brace, once [`Members::next`] returned `None`.
    pub(crate) fn end(&self) -> usize {
        self.at
    }
}

/// The value of a member's name; the text between the quotes itself when nothing is escaped.
/// A name that no string type can hold (a lone surrogate) equals no other name.
pub(crate) fn unescape(raw: &[u8]) -> Option<Cow<'_, str>> {
    let text = std::str::from_utf8(raw).ok()?;
    if !raw.contains(&b'\\') {
        return Some(Cow::Borrowed(text));
    }
    let mut string = String::with_capacity(text.len() + 2);
    string.push('"');
    string.push_str(text);
    string.push('"');
    serde_json::from_str::<String>(&string).ok().map(Cow::Owned)
}

/// The text of the last member called `name` of the object in `text`, if `text` is an object.
pub fn member<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut members = Members::new(text.as_bytes(), u32::MAX)?;
    let mut found = None;
    while let Ok(Some(member)) = members.next() {
        if unescape(&text.as_bytes()[member.name]).is_some_and(|n| n == name) {
            found = Some(&text[member.value]);
        }
    }
    found
}

/// The object in `object` without its member `name`, and the text of that. All other members keep their bytes.
///
/// `None` when `object` has no such member, or is no object.
#[must_use]
pub fn take_member<'a>(object: &'a str, name: &str) -> Option<(String, &'a str)> {
    let taken = member(object, name)?;
    let mut rest = others(object, 1, |found| found == name)?;
    rest.push('}');
    Some((rest, taken))
}

/// The object in `object` with its member `name` replaced by, or else enriched with, the text `value`.
///
/// All other members keep their bytes. `None` when `object` is no object.
pub(crate) fn with_member(object: &str, name: &str, value: &str) -> Option<String> {
    with_members(object, &[(name, value)])
}

/// As [`with_member`], for several names. What is set stands at the end, in the order given.
pub(crate) fn with_members(object: &str, set: &[(&str, &str)]) -> Option<String> {
    let room: usize = set.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    let mut out = others(object, room + 1, |found| set.iter().any(|(name, _)| found == *name))?;
    for (name, value) in set {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&quoted(name));
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
    Some(out)
}

/// The members of `object` that are not `left_out`, behind an opening brace that nothing closes yet. There is room for
/// `room` more bytes.
fn others(object: &str, room: usize, left_out: impl Fn(&str) -> bool) -> Option<String> {
    let mut out = String::with_capacity(object.len() + room);
    out.push('{');
    let mut members = Members::new(object.as_bytes(), u32::MAX)?;
    while let Some(member) = members.next().ok()? {
        let name = unescape(&object.as_bytes()[member.name.clone()]);
        if name.is_some_and(|name| left_out(&name)) {
            continue;
        }
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&object[member.name.start - 1..member.value.end]);
    }
    Some(out)
}

/// The text of a JSON string, for people: unescaped, or as it stands where it holds what no string can.
pub(crate) fn text_of(value: &str) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix('"')?.strip_suffix('"')?;
    Some(unescape(inner.as_bytes()).unwrap_or(Cow::Borrowed(inner)))
}

/// [`member`], if it is a string.
pub fn text_member<'a>(object: &'a str, name: &str) -> Option<Cow<'a, str>> {
    member(object, name).and_then(text_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_strings_only() {
        for (text, depth) in [
            ("1", 0),
            ("{}", 1),
            ("[[],[]]", 2),
            (r#"{"a":"[[[[","b":[]}"#, 2),
            (r#"{"a\"[[":"\\","b":[{}]}"#, 3),
            (r#""a long string with [[[[ and {{{{ in it \" [[ \\""#, 0),
        ] {
            assert!(depth_within(text.as_bytes(), depth), "{text}");
            assert!(depth == 0 || !depth_within(text.as_bytes(), depth - 1), "{text}");
        }
    }

    #[test]
    fn a_member_is_taken_out_and_the_others_keep_their_bytes() {
        for (object, rest) in [
            (r#"{"_meta":{"a":1}}"#, "{}"),
            (r#"{"_meta":{"a":1},"n":1e400}"#, r#"{"n":1e400}"#),
            (r#" {"n" : 10 , "_meta":{"a":1}, "s":"\ud800"}"#, r#"{"n" : 10,"s":"\ud800"}"#),
            (r#"{"x":{"_meta":0},"\u005fmeta":{"a":1}}"#, r#"{"x":{"_meta":0}}"#),
        ] {
            assert_eq!(take_member(object, "_meta"), Some((rest.into(), r#"{"a":1}"#)), "{object}");
        }
        for object in ["[1]", "{}", r#"{"x":{"_meta":0}}"#] {
            assert_eq!(take_member(object, "_meta"), None);
        }
    }

    #[test]
    fn a_string_ends_at_its_own_quote_wherever_the_escapes_fall() {
        for pad in 0..40 {
            let text = format!("\"{}\\\\\\\"{}\" tail \"", "x".repeat(pad), "y".repeat(pad));
            let end = string_end(text.as_bytes(), 1).unwrap();
            assert_eq!(&text[end..], " tail \"", "{pad}");
            for cut in 1..end {
                assert_eq!(string_end(&text.as_bytes()[..cut], 1), None, "{pad} {cut}");
            }
        }
    }

    fn names(text: &str) -> Result<Vec<String>, Fault> {
        let mut members = Members::new(text.as_bytes(), 3).unwrap();
        let mut out = Vec::new();
        while let Some(m) = members.next()? {
            out.push(format!("{}={}", &text[m.name], &text[m.value]));
        }
        Ok(out)
    }

    #[test]
    fn members_are_found_by_structure() {
        assert_eq!(names(" { } ").unwrap(), [""; 0]);
        assert_eq!(
            names(r#"{"a":1 , "b" : "}" ,"c":[{}],"d":null}"#).unwrap(),
            ["a=1", "b=\"}\"", "c=[{}]", "d=null"]
        );
        assert_eq!(names(r#"{"a":[[[]]]}"#), Err(Fault::Depth));
        for broken in [
            r#"{"a":1"#,
            r#"{"a":}"#,
            r#"{,"a":1}"#,
            r#"{"a":1 "b":2}"#,
            r#"{a:1}"#,
            r#"{"a" 1}"#,
            r#"{"a":1,,}"#,
        ] {
            assert_eq!(names(broken), Err(Fault::Syntax), "{broken}");
        }
    }

    #[test]
    fn a_member_is_replaced_and_all_else_keeps_its_bytes() {
        assert_eq!(with_member("{}", "a", "1").unwrap(), r#"{"a":1}"#);
        assert_eq!(
            with_member(r#"{ "n" : 1e400, "\u0061":5, "z":[ 1 ] }"#, "a", "{}").unwrap(),
            r#"{"n" : 1e400,"z":[ 1 ],"a":{}}"#
        );
        assert_eq!(with_member("[1]", "a", "1"), None);
        assert_eq!(member(r#"{"a":1,"a":2}"#, "a"), Some("2"));
    }
}
