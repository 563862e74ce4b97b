//! `.lsp.json`: language servers by name, each with the endings of its files.

use crate::found::{Found, Program};
use crate::json::{Member, Node, Value};
use crate::words::Filling;
use crate::{Format, Reading, toml};

use super::Page;
use super::members::{Entry, milliseconds};

pub(crate) fn read(page: &Page<'_>) -> Reading {
    let found = page.root.members().iter().map(|member| server(page, member)).collect();
    Reading { format: Format::Lsp, found, lost: Vec::new() }
}

fn server(page: &Page<'_>, member: &Member) -> Found {
    let found = Found::new(&member.key, page.line(member.at.start));
    let node = &member.value;
    let Some(command) = node.get("command").and_then(Node::text).filter(|text| !text.is_empty())
    else {
        return found.left_alone("no `command` in it");
    };
    let transport = node.get("transport").and_then(Node::text);
    if transport.is_some_and(|transport| transport != "stdio") {
        return found
            .left_alone("it speaks over a socket; outboard speaks over standard input and output");
    }
    let folder = page.project.as_ref().map(|project| project.display().to_string());
    let filling = Filling::Braces { folder: folder.as_deref() };
    let mut entry = Entry::new(page, filling, found, Program::new("lsp"));
    entry.program.project = page.project.clone();
    let word = entry.words(command, node.at.start);
    entry.program.command.push(word);
    for one in node.members() {
        member_of(&mut entry, one);
    }
    if let (Some(folder), false) = (&folder, entry.has_root()) {
        entry.program.set("lsp", "root", toml::text(folder));
    }
    entry.done()
}

impl Entry<'_, '_> {
    fn has_root(&self) -> bool {
        self.program.sections.get("lsp").is_some_and(|lsp| lsp.contains_key("root"))
    }
}

fn member_of(entry: &mut Entry<'_, '_>, one: &Member) {
    match (one.key.as_str(), &one.value.value) {
        ("command" | "transport", _) => {}
        ("args", _) => entry.arguments(one),
        ("env", _) => entry.env(one),
        ("extensionToLanguage", _) => {
            entry.lose(one, "which files a server is asked about is for its editor to know");
        }
        ("initializationOptions", Value::Object(_)) => {
            as_toml(entry, one, "initialization_options")
        }
        ("settings", Value::Object(_)) => as_toml(entry, one, "settings"),
        ("workspaceFolder", Value::Text(text)) => {
            match entry.words(text, one.at.start).as_plain() {
                Some(folder) => entry.program.set("lsp", "root", toml::text(folder)),
                None => entry.lose(one, "a variable is not filled in there"),
            }
        }
        ("startupTimeout", _) => span(entry, one, 100, "start", "handshake_timeout"),
        ("shutdownTimeout", _) => span(entry, one, 0, "stop", "shutdown"),
        ("restartOnCrash", Value::Bool(true)) => {}
        ("restartOnCrash", Value::Bool(false)) => {
            entry.program.set("restart", "policy", toml::text("never"));
        }
        ("maxRestarts", Value::Number(_)) => match one.value.number() {
            Some(number) if (0.0..=100_000.0).contains(&number) => {
                let budget = format!("{{ restarts = {}, within = \"5m\" }}", number as u64);
                entry.program.set("restart", "budget", budget);
            }
            _ => entry.lose(one, "out of range; the usual budget holds"),
        },
        _ => entry.lose(one, "no manifest has anything like it"),
    }
}

fn as_toml(entry: &mut Entry<'_, '_>, one: &Member, key: &'static str) {
    let mut nulls = 0;
    let value = toml::json(&one.value, &mut nulls);
    entry.program.set("lsp", key, value);
    if nulls > 0 {
        entry.lose(one, "TOML has no null: what was null is left out");
    }
}

fn span(
    entry: &mut Entry<'_, '_>,
    one: &Member,
    least: u64,
    section: &'static str,
    key: &'static str,
) {
    match milliseconds(&one.value).filter(|ms| (least..=3_600_000).contains(ms)) {
        Some(ms) => entry.program.set(section, key, toml::span(ms)),
        None => entry.lose(one, "out of range; the usual one holds"),
    }
}
