//! The file of an MCP client, rewritten so that its servers are reached through `outboard attach`.
//!
//! Spans are replaced; every other byte stays, comments and order too.

use std::ops::Range;

use crate::found::{Fate, Found};
use crate::json::{Member, Node};
use crate::quote::json as quoted;
use crate::{Reading, Source, readers};

/// What a client is to start in place of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    pub program: String,
    pub args: Vec<String>,
}

/// Members that say how the server itself is started: for `outboard attach` they mean nothing, and may hold secrets.
const THE_SERVERS: [&str; 3] = ["env", "envFile", "cwd"];

/// The text of a client's file in which each entry that `start` gives something for starts that instead.
#[must_use]
pub fn attach(text: &str, reading: &Reading, start: &dyn Fn(usize) -> Option<Start>) -> String {
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    for (index, found) in reading.found.iter().enumerate() {
        if let (Fate::Program(_), Some(entry), Some(start)) =
            (&found.fate, &found.entry, start(index))
        {
            rewrite(text, entry, &start, &mut edits);
        }
    }
    // What is put in at a place comes before what is taken out from there.
    edits.sort_by_key(|(at, _)| (at.start, at.end));
    let (mut written, mut done) = (String::new(), 0);
    for (at, new) in edits {
        written.push_str(&text[done.min(at.start)..at.start]);
        written.push_str(&new);
        done = done.max(at.end);
    }
    written.push_str(&text[done..]);
    written
}

/// Whether a client's file is what [`attach()`] once made of `before`, and nothing was changed since.
#[must_use]
pub fn is_attached(now: &Source<'_>, before: &str) -> bool {
    let then = Source { text: before, ..*now };
    let (Ok(now_read), Ok(then_read)) = (readers::read(now), readers::read(&then)) else {
        return false;
    };
    let same = |(a, b): (&Found, &Found)| a.name == b.name;
    now_read.found.len() == then_read.found.len()
        && now_read.found.iter().zip(&then_read.found).all(same)
        && attach(before, &then_read, &|index| started(&now_read.found[index])) == now.text
}

/// What an entry starts that is attached.
fn started(found: &Found) -> Option<Start> {
    let entry = found.entry.as_ref().filter(|_| found.is_attached())?;
    let (inner, program) = program_of(entry)?;
    let args = inner.get("args")?.list()?.iter().filter_map(Node::scalar).collect();
    Some(Start { program: program.value.text()?.to_owned(), args })
}

/// The object that program and arguments are in, and the program's member.
fn program_of(entry: &Node) -> Option<(&Node, &Member)> {
    let command = entry.members().iter().rev().find(|member| member.key == "command")?;
    if !command.value.is_object() {
        return Some((entry, command));
    }
    let inner = &command.value;
    let path =
        inner.members().iter().rev().find(|member| matches!(&*member.key, "path" | "command"))?;
    Some((inner, path))
}

fn rewrite(text: &str, entry: &Node, start: &Start, edits: &mut Vec<(Range<usize>, String)>) {
    let Some((inner, program)) = program_of(entry) else { return };
    edits.push((program.value.at.clone(), quoted(&start.program)));
    let args: Vec<_> = start.args.iter().map(|arg| quoted(arg)).collect();
    let args = format!("[{}]", args.join(", "));
    match inner.get("args") {
        Some(there) => edits.push((there.at.clone(), args)),
        None => {
            let end = program.at.end;
            edits.push((end..end, format!(",{}\"args\": {args}", lead(text, program.at.start))));
        }
    }
    remove(text, inner, edits);
    if !std::ptr::eq(inner, entry) {
        remove(text, entry, edits);
    }
}

/// What stands before a member that has a line of its own: a line end and its indentation.
fn lead(text: &str, at: usize) -> String {
    let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let before = &text[line..at];
    if line > 0 && before.trim().is_empty() { format!("\n{before}") } else { " ".to_owned() }
}

/// Takes the members out that are the server's own, each run of them with the comma that goes with it.
fn remove(text: &str, object: &Node, edits: &mut Vec<(Range<usize>, String)>) {
    let members = object.members();
    let goes = |member: &Member| THE_SERVERS.contains(&member.key.as_str());
    let mut at = 0;
    while at < members.len() {
        if !goes(&members[at]) {
            at += 1;
            continue;
        }
        let run = members[at..].iter().take_while(|member| goes(member)).count();
        let (first, last) = (&members[at], &members[at + run - 1]);
        let start = from_line(text, first.at.start);
        match comma(text, last.at.end) {
            // The line end before it stays with what is before it.
            Some(comma) => edits.push((start..comma + 1, String::new())),
            None => {
                if let Some(comma) =
                    at.checked_sub(1).and_then(|before| comma(text, members[before].at.end))
                {
                    edits.push((comma..comma + 1, String::new()));
                }
                edits.push((start..last.at.end, String::new()));
            }
        }
        at += run;
    }
}

/// Back over the indentation and the line end before it, so that no empty line is left.
fn from_line(text: &str, at: usize) -> usize {
    let before = text[..at].trim_end_matches([' ', '\t']);
    let before =
        before.strip_suffix('\n').map_or(before, |line| line.strip_suffix('\r').unwrap_or(line));
    before.len()
}

/// The comma behind a value, past white space and comments.
fn comma(text: &str, mut at: usize) -> Option<usize> {
    loop {
        let rest = text[at..].trim_start();
        at = text.len() - rest.len();
        if rest.starts_with(',') {
            return Some(at);
        }
        at += if rest.starts_with("//") {
            rest.find('\n')?
        } else if rest.starts_with("/*") {
            rest.find("*/")? + 2
        } else {
            return None;
        };
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn rewritten(text: &str) -> String {
        let source = Source {
            path: Path::new("/w/app/.cursor/mcp.json"),
            text,
            home: None,
            beside: &crate::Alone,
        };
        let reading = readers::read(&source).unwrap();
        let start = |_| {
            Some(Start { program: "/bin/outboard".into(), args: vec!["attach".into(), "x".into()] })
        };
        let now = attach(text, &reading, &start);
        let again = Source { text: &now, ..source };
        assert!(is_attached(&again, text), "{now}");
        assert!(!is_attached(&Source { text: &format!("{now} "), ..source }, text));
        crate::json::parse(&now).unwrap();
        now
    }

    #[test]
    fn everything_else_stays_as_it_was() {
        let text = "{\n  // mine\n  \"mcpServers\": {\n    \"a\": {\n      \"command\": \"npx\",\n      \"args\": [\"-y\", \"s\"], // which\n      \"env\": { \"K\": \"v\" },\n      \"cwd\": \"/x\"\n    },\n    \"r\": { \"url\": \"https://h\" }\n  },\n  \"theme\":  \"dark\"\n}\n";
        let now = rewritten(text);
        assert_eq!(
            now,
            "{\n  // mine\n  \"mcpServers\": {\n    \"a\": {\n      \"command\": \"/bin/outboard\",\n      \"args\": [\"attach\", \"x\"] // which\n    },\n    \"r\": { \"url\": \"https://h\" }\n  },\n  \"theme\":  \"dark\"\n}\n"
        );
    }

    #[test]
    fn members_go_from_every_place_with_their_comma() {
        for (text, now) in [
            (
                r#"{"mcpServers":{"a":{"env":{},"command":"s"}}}"#,
                r#"{"mcpServers":{"a":{"command":"/bin/outboard", "args": ["attach", "x"]}}}"#,
            ),
            (
                r#"{"mcpServers":{"a":{"command":"s","env":{}}}}"#,
                r#"{"mcpServers":{"a":{"command":"/bin/outboard", "args": ["attach", "x"]}}}"#,
            ),
            (
                r#"{"mcpServers":{"a":{"command":"s","args":[],"env":{},"cwd":"","disabled":false,},}}"#,
                r#"{"mcpServers":{"a":{"command":"/bin/outboard","args":["attach", "x"],"disabled":false,},}}"#,
            ),
            (
                r#"{"mcpServers":{"a":{"command":"s","args":[],"env":{},}}}"#,
                r#"{"mcpServers":{"a":{"command":"/bin/outboard","args":["attach", "x"],}}}"#,
            ),
            (
                r#"{"context_servers":{"a":{"command":{"path":"s","args":[],"env":null},"settings":{}}}}"#,
                r#"{"context_servers":{"a":{"command":{"path":"/bin/outboard","args":["attach", "x"]},"settings":{}}}}"#,
            ),
        ] {
            assert_eq!(rewritten(text), now);
        }
    }
}
