//! One reader for each format, and which one a file is for.

mod ini;
mod lsp;
mod mcp;
mod members;
mod pm2;
mod supervisord;
mod yaml;

use std::path::PathBuf;

use crate::json::{self, Node};
use crate::{Format, Reading, Source, Unread, project_of};

/// What every reader of JSON has at hand.
pub(crate) struct Page<'a> {
    pub(crate) source: &'a Source<'a>,
    pub(crate) root: Node,
    /// The folder that relative paths start from; `None` for a file that belongs to no project.
    pub(crate) project: Option<PathBuf>,
    /// Lines mean nothing in what a program printed.
    evaluated: bool,
}

impl Page<'_> {
    pub(crate) fn line(&self, at: usize) -> usize {
        if self.evaluated { 0 } else { json::line_of(self.source.text, at) }
    }
}

pub(crate) fn read(source: &Source<'_>) -> Result<Reading, Unread> {
    let extension = source.path.extension().and_then(|extension| extension.to_str());
    if let Some("conf" | "ini") = extension {
        return supervisord::read(source);
    }
    let is_yaml = matches!(extension, Some("yml" | "yaml"));
    let root = if is_yaml { of_yaml(source) } else { of_json(source) }?;
    let page = Page {
        source,
        root,
        project: project_of(source.path, source.home),
        evaluated: matches!(extension, Some("js" | "cjs" | "mjs")),
    };
    if is_yaml && page.root.get("apps").is_none() {
        let what =
            "of what is written in YAML only an ecosystem of PM2 is read, and this has no `apps`";
        return Err(Unread { line: None, what: what.to_owned() });
    }
    match format_of(&page) {
        Some(Format::McpServers) => Ok(mcp::read(&page, Format::McpServers)),
        Some(Format::VsCode) => Ok(mcp::read(&page, Format::VsCode)),
        Some(Format::Zed) => Ok(mcp::read(&page, Format::Zed)),
        Some(Format::Lsp) => Ok(lsp::read(&page)),
        Some(Format::Pm2) => Ok(pm2::read(&page)),
        Some(Format::Supervisord) | None => Err(Unread {
            line: None,
            what: "no servers in it that are known: it has none of `mcpServers`, `servers`, \
                   `context_servers` and `apps`, and is no `.lsp.json`"
                .to_owned(),
        }),
    }
}

fn of_json(source: &Source<'_>) -> Result<Node, Unread> {
    json::parse(source.text).map_err(|wrong| Unread {
        line: Some(json::line_of(source.text, wrong.at)),
        what: format!("not JSON: {}", wrong.what),
    })
}

fn of_yaml(source: &Source<'_>) -> Result<Node, Unread> {
    yaml::parse(source.text).map_err(|wrong| Unread {
        line: Some(wrong.line),
        what: format!("not YAML: {}", wrong.what),
    })
}

/// A list of PM2's may stand alone; everything else is an object that says by a member what it is.
fn format_of(page: &Page<'_>) -> Option<Format> {
    let root = &page.root;
    let named_lsp = page.source.path.file_name().is_some_and(|name| name == ".lsp.json");
    let is_object = |key: &str| root.get(key).is_some_and(Node::is_object);
    let projects = root.get("projects").map(Node::members).unwrap_or_default();
    if is_object("mcpServers") || projects.iter().any(|one| one.value.get("mcpServers").is_some()) {
        return Some(Format::McpServers);
    }
    if is_object("context_servers") {
        return Some(Format::Zed);
    }
    if root.get("apps").is_some() || (page.evaluated && root.list().is_some()) {
        return Some(Format::Pm2);
    }
    let language = |one: &json::Member| one.value.get("extensionToLanguage").is_some();
    if named_lsp || (!root.members().is_empty() && root.members().iter().all(language)) {
        return Some(Format::Lsp);
    }
    let of_settings = root.get("mcp").and_then(|mcp| mcp.get("servers"));
    (is_object("servers") || of_settings.is_some_and(Node::is_object)).then_some(Format::VsCode)
}
