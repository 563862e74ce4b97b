//! YAML, as much of it as becomes JSON: what PM2 takes from an ecosystem that is written so.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError};

use crate::json::{MAX_DEPTH, Member, Node, Value};

/// Values of one file, those that stand for others counted in full: an alias of an alias grows fast.
const MOST_VALUES: usize = 100_000;

/// Where a text stops being understood, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotYaml {
    pub(crate) line: usize,
    pub(crate) what: String,
}

/// Reads a text with one document. Places are good for their line alone: they are where it begins.
pub(crate) fn parse(text: &str) -> Result<Node, NotYaml> {
    let ends = text.match_indices('\n').map(|(at, _)| at + 1);
    let lines = std::iter::once(0).chain(ends).collect();
    let mut reader = Reader {
        events: Parser::new_from_str(text.trim_start_matches('\u{feff}')),
        lines,
        anchors: HashMap::new(),
        values: 0,
    };
    let mut root = None;
    loop {
        let (event, at) = reader.next()?;
        match event {
            Event::StreamEnd => break,
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd => {}
            event if root.is_none() => root = Some(reader.value(event, at, 0)?),
            _ => return Err(wrong(at, "a second document in the file")),
        }
    }
    root.ok_or_else(|| NotYaml { line: 1, what: "nothing in it".to_owned() })
}

struct Reader<'t> {
    events: Parser<'t, saphyr_parser::StrInput<'t>>,
    /// Where each line begins.
    lines: Vec<usize>,
    /// What aliases stand for.
    anchors: HashMap<usize, Node>,
    values: usize,
}

fn wrong(at: Marker, what: &str) -> NotYaml {
    NotYaml { line: at.line(), what: what.to_owned() }
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Marker), NotYaml> {
        match self.events.next() {
            Some(Ok((event, span))) => Ok((event, span.start)),
            Some(Err(error)) => Err(self.broken(&error)),
            None => Err(NotYaml { line: self.lines.len(), what: "the text ends early".to_owned() }),
        }
    }

    fn broken(&self, error: &ScanError) -> NotYaml {
        let line = error.marker().line().clamp(1, self.lines.len());
        NotYaml { line, what: error.info().to_owned() }
    }

    fn value(&mut self, event: Event<'t>, at: Marker, depth: usize) -> Result<Node, NotYaml> {
        if depth > MAX_DEPTH {
            return Err(wrong(at, "nested deeper than anybody's configuration"));
        }
        self.count(1, at)?;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let text = text.into_owned();
                (if plain { scalar(text) } else { Value::Text(text) }, anchor)
            }
            Event::SequenceStart(anchor, _) => (Value::List(self.items(depth)?), anchor),
            Event::MappingStart(anchor, _) => (Value::Object(self.members(depth)?), anchor),
            Event::Alias(anchor) => {
                let meant = self.anchors.get(&anchor).cloned();
                let meant = meant.ok_or_else(|| wrong(at, "an alias within what it stands for"))?;
                self.count(size(&meant), at)?;
                (meant.value, 0)
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => return Err(wrong(at, "a value should be here")),
        };
        let node = Node { at: self.place(at), value };
        if anchor > 0 {
            self.count(size(&node), at)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Node>, NotYaml> {
        let mut items = Vec::new();
        loop {
            let (event, at) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(items);
            }
            items.push(self.value(event, at, depth + 1)?);
        }
    }

    fn members(&mut self, depth: usize) -> Result<Vec<Member>, NotYaml> {
        let (mut members, mut merged): (Vec<Member>, Vec<Member>) = (Vec::new(), Vec::new());
        loop {
            let (event, at) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let key = self.value(event, at, depth + 1)?;
            let key = match key.value {
                // `null:` and the like are names too.
                Value::Null => "null".to_owned(),
                Value::List(_) | Value::Object(_) => return Err(wrong(at, "a name is a text")),
                Value::Bool(_) | Value::Number(_) | Value::Text(_) => {
                    key.scalar().unwrap_or_default()
                }
            };
            let (event, value_at) = self.next()?;
            let value = self.value(event, value_at, depth + 1)?;
            if key == "<<" {
                merged.extend(members_of(&value).cloned());
            } else {
                members.push(Member { key, at: self.place(at), value });
            }
        }
        // Of what is merged the first counts, and what stands here counts before it.
        for one in merged {
            if members.iter().all(|member| member.key != one.key) {
                members.push(one);
            }
        }
        Ok(members)
    }

    fn place(&self, at: Marker) -> std::ops::Range<usize> {
        let line = at.line().clamp(1, self.lines.len());
        self.lines[line - 1]..self.lines[line - 1]
    }

    fn count(&mut self, values: usize, at: Marker) -> Result<(), NotYaml> {
        self.values += values;
        if self.values > MOST_VALUES {
            return Err(wrong(
                at,
                "more in it than anybody's configuration, or aliases of aliases",
            ));
        }
        Ok(())
    }
}

/// What `<<` takes in: a mapping, or several.
fn members_of(value: &Node) -> impl Iterator<Item = &Member> {
    let several = value.list().unwrap_or(std::slice::from_ref(value));
    several.iter().flat_map(Node::members)
}

fn size(node: &Node) -> usize {
    match &node.value {
        Value::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(members) => 1 + members.iter().map(|one| size(&one.value)).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => 1,
    }
}

/// What stands there without quotes, by the core schema of YAML 1.2.
fn scalar(text: String) -> Value {
    match &*text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    for (prefix, base) in [("0x", 16), ("0o", 8)] {
        let digits = text.strip_prefix(prefix).filter(|digits| !digits.starts_with(['+', '-']));
        if let Some(number) = digits.and_then(|digits| u64::from_str_radix(digits, base).ok()) {
            return Value::Number(number.to_string());
        }
    }
    let sound = |b: u8| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E');
    if text.bytes().all(sound) && text.parse::<f64>().is_ok() {
        Value::Number(text)
    } else {
        Value::Text(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_core_schema() {
        let text = "a: 5\nb: \"5\"\nc: yes\nd: true\ne: ~\nf:\ng: 0x1F\nh: 1.5e3\ni: 1.2.3\nj: .inf\nk: !!str 7\nl: |\n  x\n  y\n";
        let root = parse(text).unwrap();
        let number = |text: &str| Value::Number(text.to_owned());
        let plain = |text: &str| Value::Text(text.to_owned());
        let values: Vec<_> = root.members().iter().map(|one| one.value.value.clone()).collect();
        assert_eq!(
            values,
            [
                number("5"),
                plain("5"),
                plain("yes"),
                Value::Bool(true),
                Value::Null,
                Value::Null,
                number("31"),
                number("1.5e3"),
                plain("1.2.3"),
                plain(".inf"),
                plain("7"),
                plain("x\ny\n"),
            ]
        );
        assert_eq!(crate::json::line_of(text, root.members()[6].at.start), 7);
    }

    #[test]
    fn aliases_and_merged_mappings_are_filled_in() {
        let text = "base: &base\n  a: 1\n  env: {X: y}\none:\n  <<: *base\n  a: 2\ntwo: [*base, {<<: [*base]}]\n";
        let root = parse(text).unwrap();
        let one = root.get("one").unwrap();
        assert_eq!(one.get("a").unwrap().scalar().as_deref(), Some("2"));
        assert_eq!(one.get("env").unwrap().get("X").unwrap().text(), Some("y"));
        let two = root.get("two").unwrap().list().unwrap();
        assert_eq!(two.len(), 2);
        assert!(two.iter().all(|one| one.get("a").unwrap().scalar().as_deref() == Some("1")));
    }

    #[test]
    fn what_is_not_understood_says_where() {
        for (text, line) in [("a: [1\nb: 2", 2), ("a: 1\n---\nb: 2", 3), ("", 1), ("? [a]\n: b", 1)]
        {
            assert_eq!(parse(text).unwrap_err().line, line, "{text}");
        }
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..20 {
            let alias = format!("*a{}, ", n - 1).repeat(9);
            bomb.push_str(&format!("a{n}: &a{n} [{alias}]\n"));
        }
        assert!(parse(&bomb).unwrap_err().what.contains("aliases"));
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse(&"- ".repeat(100_000)).is_err());
        assert!(parse("a: &x [*x]").is_err(), "it would never end");
    }
}
