//! JSON as editors write it: with comments and trailing commas, and every value with its place.
//!
//! Places are what makes `--attach` possible: a few spans of the file are replaced, and every other byte stays.

use std::ops::Range;

/// Deeper is no configuration of anybody's.
pub(crate) const MAX_DEPTH: usize = 128;

/// A value and the bytes that it stands in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) at: Range<usize>,
    pub(crate) value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// As it is written: what is only passed on is not rounded.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Object(Vec<Member>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Member {
    pub(crate) key: String,
    /// From the first byte of the key to the last of the value.
    pub(crate) at: Range<usize>,
    pub(crate) value: Node,
}

/// Where a text stops being JSON, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotJson {
    pub(crate) at: usize,
    pub(crate) what: String,
}

impl Node {
    /// A member of an object; of a name that is there twice the last one counts, as in every client.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.members().iter().rev().find(|member| member.key == key).map(|member| &member.value)
    }

    /// The members of an object; none of anything else.
    pub(crate) fn members(&self) -> &[Member] {
        match &self.value {
            Value::Object(members) => members,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => {
                &[]
            }
        }
    }

    pub(crate) fn is_object(&self) -> bool {
        matches!(self.value, Value::Object(_))
    }

    pub(crate) fn list(&self) -> Option<&[Self]> {
        if let Value::List(items) = &self.value { Some(items) } else { None }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    pub(crate) fn number(&self) -> Option<f64> {
        if let Value::Number(number) = &self.value { number.parse().ok() } else { None }
    }

    /// A text, number or truth value as a program would be given it.
    pub(crate) fn scalar(&self) -> Option<String> {
        match &self.value {
            Value::Text(text) | Value::Number(text) => Some(text.clone()),
            Value::Bool(is) => Some(is.to_string()),
            Value::Null | Value::List(_) | Value::Object(_) => None,
        }
    }
}

/// Reads a whole text.
pub(crate) fn parse(text: &str) -> Result<Node, NotJson> {
    let mut reader = Reader { text, at: 0 };
    if text.starts_with('\u{feff}') {
        reader.at = '\u{feff}'.len_utf8();
    }
    reader.blank()?;
    let node = reader.value(0)?;
    reader.blank()?;
    if reader.at < text.len() { Err(reader.wrong("more text behind the value")) } else { Ok(node) }
}

/// The line that a byte stands in, counted from 1.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count()
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn wrong(&self, what: impl Into<String>) -> NotJson {
        NotJson { at: self.at, what: what.into() }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    /// Steps over white space and comments.
    fn blank(&mut self) -> Result<(), NotJson> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.at += 1,
                Some(b'/') if self.rest().starts_with("//") => {
                    self.at += self.rest().find('\n').unwrap_or(self.rest().len());
                }
                Some(b'/') if self.rest().starts_with("/*") => match self.rest().find("*/") {
                    Some(end) => self.at += end + 2,
                    None => return Err(self.wrong("a comment without its end")),
                },
                _ => return Ok(()),
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, NotJson> {
        if depth > MAX_DEPTH {
            return Err(self.wrong(format!("nested deeper than {MAX_DEPTH}")));
        }
        let start = self.at;
        let value = match self.peek() {
            Some(b'{') => Value::Object(self.object(depth)?),
            Some(b'[') => Value::List(self.items(depth)?),
            Some(b'"') => Value::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => Value::Number(self.number()?),
            Some(_) => self.word()?,
            None => return Err(self.wrong("the text ends where a value should be")),
        };
        Ok(Node { at: start..self.at, value })
    }

    fn object(&mut self, depth: usize) -> Result<Vec<Member>, NotJson> {
        let mut members = Vec::new();
        self.at += 1;
        loop {
            self.blank()?;
            match self.peek() {
                Some(b'}') => {
                    self.at += 1;
                    return Ok(members);
                }
                Some(b'"') => {}
                _ => return Err(self.wrong("a name in double quotes should be here")),
            }
            let start = self.at;
            let key = self.string()?;
            self.blank()?;
            if self.peek() != Some(b':') {
                return Err(self.wrong("`:` should be here"));
            }
            self.at += 1;
            self.blank()?;
            let value = self.value(depth + 1)?;
            members.push(Member { key, at: start..self.at, value });
            self.comma(b'}')?;
        }
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Node>, NotJson> {
        let mut items = Vec::new();
        self.at += 1;
        loop {
            self.blank()?;
            if self.peek() == Some(b']') {
                self.at += 1;
                return Ok(items);
            }
            items.push(self.value(depth + 1)?);
            self.comma(b']')?;
        }
    }

    /// A comma, or the end, which is left where it is.
    fn comma(&mut self, end: u8) -> Result<(), NotJson> {
        self.blank()?;
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(())
            }
            Some(byte) if byte == end => Ok(()),
            _ => Err(self.wrong(format!("`,` or `{}` should be here", char::from(end)))),
        }
    }

    fn string(&mut self) -> Result<String, NotJson> {
        let mut text = String::new();
        self.at += 1;
        loop {
            let Some(c) = self.rest().chars().next() else {
                return Err(self.wrong("a text without its closing quote"));
            };
            self.at += c.len_utf8();
            match c {
                '"' => return Ok(text),
                '\\' => text.push(self.escape()?),
                '\n' => return Err(self.wrong("a text ends with its line")),
                c => text.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char, NotJson> {
        let c = self.peek();
        let plain = match c {
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return Err(self.wrong("`\\` before something that it does not go with")),
        };
        self.at += 1;
        Ok(plain)
    }

    /// `uXXXX`, and the other half of a pair.
    fn unicode(&mut self) -> Result<char, NotJson> {
        let first = self.four_digits()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first).ok_or_else(|| self.wrong("half of a surrogate pair"));
        }
        if !self.rest().starts_with("\\u") {
            return Err(self.wrong("half of a surrogate pair"));
        }
        self.at += 1;
        let second = self.four_digits()?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(self.wrong("half of a surrogate pair"));
        }
        let whole = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        char::from_u32(whole).ok_or_else(|| self.wrong("no character"))
    }

    fn four_digits(&mut self) -> Result<u32, NotJson> {
        let digits = self.rest().get(1..5).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let code = code.ok_or_else(|| self.wrong("`\\u` without four digits"))?;
        self.at += 5;
        Ok(code)
    }

    fn number(&mut self) -> Result<String, NotJson> {
        let is_part = |b: &u8| matches!(b, b'-' | b'+' | b'.' | b'e' | b'E') || b.is_ascii_digit();
        let length = self.rest().bytes().take_while(|b| is_part(b)).count();
        let number = self.rest()[..length].to_owned();
        if number.parse::<f64>().is_err() {
            return Err(self.wrong("not a number"));
        }
        self.at += length;
        Ok(number)
    }

    fn word(&mut self) -> Result<Value, NotJson> {
        for (word, value) in
            [("true", Value::Bool(true)), ("false", Value::Bool(false)), ("null", Value::Null)]
        {
            if self.rest().starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.wrong("no value of JSON"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_trailing_commas_are_what_editors_write() {
        let text = "\u{feff}// servers\n{ /* one */ \"a\": [1, 2,], // two\n \"b\": null, }\n";
        let node = parse(text).unwrap();
        let a = node.get("a").unwrap();
        assert_eq!(a.list().unwrap().len(), 2);
        assert_eq!(&text[a.at.clone()], "[1, 2,]");
        assert_eq!(&text[node.members()[1].at.clone()], "\"b\": null");
        assert_eq!(line_of(text, node.members()[1].at.start), 3);
    }

    #[test]
    fn texts_come_out_as_they_were_meant() {
        let node = parse(r#""a\"\\\/\n\u00e9\ud83d\ude00é""#).unwrap();
        assert_eq!(node.text().unwrap(), "a\"\\/\né😀é");
        assert_eq!(
            parse(&crate::quote::json("a\"\\\n\u{1}é")).unwrap().text().unwrap(),
            "a\"\\\n\u{1}é"
        );
    }

    #[test]
    fn what_is_no_json_says_where() {
        for (text, at, what) in [
            ("", 0, "the text ends where a value should be"),
            ("{a: 1}", 1, "a name in double quotes should be here"),
            ("{\"a\" 1}", 5, "`:` should be here"),
            ("[1 2]", 3, "`,` or `]` should be here"),
            ("{} x", 3, "more text behind the value"),
            ("[\"\\ud800\"]", 8, "half of a surrogate pair"),
            ("/* ", 0, "a comment without its end"),
            ("nul", 0, "no value of JSON"),
            ("1-2", 0, "not a number"),
        ] {
            assert_eq!(parse(text), Err(NotJson { at, what: what.into() }), "{text}");
        }
        let deep = "[".repeat(100_000);
        assert!(parse(&deep).unwrap_err().what.contains("deeper"));
    }
}
