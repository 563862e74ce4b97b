//! The files of MCP clients: `mcpServers`, VS Code's `servers`, Zed's `context_servers`.

use std::path::{Path, PathBuf};

use crate::found::{Fate, Found, Lost, Program};
use crate::json::{Member, Node, Value};
use crate::words::{self, Filling, Words};
use crate::{Format, Reading};

use super::Page;
use super::members::Entry;

/// Members that steer the client and say nothing about the program.
const THE_CLIENTS: [&str; 22] = [
    "alwaysAllow",
    "alwaysLoad",
    "autoApprove",
    "auth",
    "dev",
    "disabledTools",
    "enabledTools",
    "excludeTools",
    "gallery",
    "icon",
    "includeTools",
    "oauth",
    "sandbox",
    "sandboxEnabled",
    "settings",
    "timeout",
    "tool_timeout_sec",
    "tools",
    "trust",
    "type_hint",
    "version",
    "watchPaths",
];

pub(crate) fn read(page: &Page<'_>, format: Format) -> Reading {
    let mut reading = Reading { format, found: Vec::new(), lost: Vec::new() };
    let root = &page.root;
    let mut take = |servers: Option<&Node>, project: Option<PathBuf>| {
        for member in servers.map(Node::members).unwrap_or_default() {
            reading.found.push(server(page, member, format, project.clone()));
        }
    };
    let project = page.project.clone();
    match format {
        Format::McpServers => {
            take(root.get("mcpServers"), project);
            for one in root.get("projects").map(Node::members).unwrap_or_default() {
                take(one.value.get("mcpServers"), Some(PathBuf::from(&one.key)));
            }
        }
        Format::Zed => take(root.get("context_servers"), project),
        Format::VsCode | Format::Lsp | Format::Pm2 | Format::Supervisord => {
            take(root.get("servers"), project.clone());
            take(root.get("mcp").and_then(|mcp| mcp.get("servers")), project);
            let inputs = [root.get("inputs"), root.get("mcp").and_then(|mcp| mcp.get("inputs"))];
            for input in inputs.into_iter().flatten().filter_map(Node::list).flatten() {
                reading.lost.extend(asked_for(page, input));
            }
        }
    }
    reading
}

/// What VS Code asks its user: the answer lies in a store of its own.
fn asked_for(page: &Page<'_>, input: &Node) -> Option<Lost> {
    let id = input.get("id")?.text()?;
    let variable = words::variable_of_input(id);
    let what = format!(
        "the answer to the input `{id}` is not in the file: it is the variable {variable} now"
    );
    Some(Lost { file: None, line: page.line(input.at.start), what })
}

fn server(page: &Page<'_>, member: &Member, format: Format, project: Option<PathBuf>) -> Found {
    let mut found = Found::new(&member.key, page.line(member.at.start));
    let node = &member.value;
    if !node.is_object() {
        return found.left_alone("it is no object");
    }
    found.entry = Some(node.clone());
    if let Some(url) = ["url", "serverUrl", "httpUrl"].iter().find_map(|key| node.get(key)) {
        let host = url.text().map(host_of).unwrap_or_default();
        return found.left_alone(format!("a remote server ({host}), and no program to run"));
    }
    // Before 2025 Zed had program, arguments and variables together in `command`.
    let whole = node.get("command");
    let nested = whole.filter(|command| command.is_object());
    let program = match nested {
        Some(command) => command.get("path").or_else(|| command.get("command")),
        None => whole,
    };
    let Some(program) = program.and_then(Node::text).filter(|text| !text.is_empty()) else {
        let extension = format == Format::Zed;
        return found.left_alone(if extension {
            "it comes from an extension of Zed, which knows how to start it"
        } else {
            "no `command` in it"
        });
    };
    let inner = nested.unwrap_or(node);
    let first = inner.get("args").and_then(Node::list).and_then(|args| args.first()?.text());
    if Path::new(program).file_name().is_some_and(|name| name == "outboard")
        && first == Some("attach")
    {
        found.fate = Fate::Attached;
        return found;
    }
    let folder = project.as_ref().map(|project| project.display().to_string());
    // Claude's desktop application and Zed hand texts over as they stand.
    let literal = format == Format::Zed
        || page.source.path.file_name().is_some_and(|name| name == "claude_desktop_config.json");
    let filling = match literal {
        true => Filling::None,
        false => Filling::Braces { folder: folder.as_deref() },
    };
    let mut entry = Entry::new(page, filling, found, Program::new("mcp"));
    entry.program.project = project;
    let word = entry.words(program, node.at.start);
    entry.program.command.push(word);
    for one in inner.members().iter().chain(nested.map(|_| node.members()).unwrap_or_default()) {
        member_of(&mut entry, one);
    }
    without_cmd(&mut entry.program.command, &mut entry.found);
    entry.done()
}

fn member_of(entry: &mut Entry<'_, '_>, one: &Member) {
    match (one.key.as_str(), &one.value.value) {
        ("command" | "path" | "source", _) => {}
        ("type" | "transport", Value::Text(kind)) if kind == "stdio" => {}
        ("args", _) => entry.arguments(one),
        ("env", _) => entry.env(one),
        ("cwd", _) => entry.cwd(one),
        ("disabled", Value::Bool(is)) => entry.program.enabled = !is,
        ("enabled" | "isActive", Value::Bool(is)) => entry.program.enabled = *is,
        ("description", Value::Text(text)) => entry.program.description = Some(text.clone()),
        ("envFile", _) => entry.env_file(one),
        (key, _) if THE_CLIENTS.contains(&key) => {
            entry.lose(one, "for the client alone; it stays in the client's file");
        }
        _ => entry.lose(one, "no manifest has anything like it"),
    }
}

/// `cmd /c npx …` is how Windows starts a script.
fn without_cmd(command: &mut Vec<Words>, found: &mut Found) {
    let is = |at: usize, words: &[&str]| {
        let word = command.get(at).and_then(Words::as_plain).map(str::to_lowercase);
        word.is_some_and(|word| words.contains(&word.as_str()))
    };
    if is(0, &["cmd", "cmd.exe"]) && is(1, &["/c"]) && command.len() > 2 {
        command.drain(..2);
        found.lose(found.line, "`cmd /c` is for Windows; what follows it is run as it is");
    }
}

/// Without the path and the query: keys are often in there.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}
