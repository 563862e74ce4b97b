//! What people already have, as manifests: the files of MCP clients and editors, of PM2 and of supervisord.
//!
//! Pure: texts in, texts out. Three steps, each of which can be looked at:
//!
//! 1. [`read`] turns a file into what was found in it, one reader for each format. Whatever a format can say and a manifest
//!    cannot becomes a [`Lost`] line with its place, and is never dropped in silence.
//! 2. [`plan`] turns that into manifests that do not exist yet, secrets taken out.
//! 3. [`attach`] rewrites the file of an MCP client so that its servers are reached through `outboard attach`; all other bytes
//!    stay as they are. [`is_attached`] tells whether a file is still what was written then.
//!
//! **Absent by design:** files, processes, the environment: who calls has looked at them, or does so when asked ([`Beside`]).

mod attach;
mod dotenv;
mod found;
mod glob;
mod json;
mod plan;
mod quote;
mod readers;
mod secret;
mod shell;
mod toml;
mod vault;
mod words;

use std::path::{Path, PathBuf};

pub use attach::{Start, attach, is_attached};
pub use found::{Found, Lost};
pub use plan::{Draft, Plan, Surroundings, is_from, plan, tilde};

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `mcpServers`, as most MCP clients have it.
    McpServers,
    /// `servers` with `inputs`, as VS Code has it.
    VsCode,
    /// `context_servers` of Zed.
    Zed,
    /// `.lsp.json`: language servers by name.
    Lsp,
    /// An ecosystem file of PM2.
    Pm2,
    Supervisord,
}

impl Format {
    /// What it is, for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::McpServers => "MCP servers of a client",
            Self::VsCode => "MCP servers of VS Code",
            Self::Zed => "context servers of Zed",
            Self::Lsp => "language servers",
            Self::Pm2 => "an ecosystem of PM2",
            Self::Supervisord => "programs of supervisord",
        }
    }

    /// Whether an MCP client reads it, which may be told to start `outboard attach` instead.
    #[must_use]
    pub fn is_of_client(self) -> bool {
        matches!(self, Self::McpServers | Self::VsCode | Self::Zed)
    }
}

/// A file to read. A PM2 ecosystem in JavaScript is given as the JSON that it comes to.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Absolute: relative paths within mean something from there.
    pub path: &'a Path,
    pub text: &'a str,
    /// Configuration that lies there is of no project.
    pub home: Option<&'a Path>,
    /// Files that it names.
    pub beside: &'a dyn Beside,
}

/// Other files than the one that is read, which only names them: variables, further programs. Whoever calls looks at them.
pub trait Beside: std::fmt::Debug {
    /// The text of a file.
    ///
    /// # Errors
    ///
    /// Why not, in words.
    fn text(&self, path: &Path) -> Result<String, String>;

    /// The names of what lies in a folder; none when it cannot be looked into.
    fn names(&self, folder: &Path) -> Vec<String>;
}

/// No other file is looked at: for those who want to know what a file itself says.
#[derive(Clone, Copy, Debug)]
pub struct Alone;

impl Beside for Alone {
    fn text(&self, _path: &Path) -> Result<String, String> {
        Err("it is not looked at".to_owned())
    }

    fn names(&self, _folder: &Path) -> Vec<String> {
        Vec::new()
    }
}

/// What a file says.
#[derive(Debug)]
pub struct Reading {
    pub format: Format,
    pub found: Vec<Found>,
    /// What concerns no single one.
    pub lost: Vec<Lost>,
}

/// Why nothing was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// From 1; `None` when it is the file as a whole.
    pub line: Option<usize>,
    pub what: String,
}

/// Reads a file of any format; which one is told by its name and by what is in it.
///
/// # Errors
///
/// When it is none of the formats, or not sound in its own.
pub fn read(source: &Source<'_>) -> Result<Reading, Unread> {
    readers::read(source)
}

/// The folder of the project that a configuration file belongs to; `None` for one that is its user's.
fn project_of(path: &Path, home: Option<&Path>) -> Option<PathBuf> {
    const OF_ITS_USER: [&str; 4] = [
        "claude_desktop_config.json",
        "mcp_config.json",
        "cline_mcp_settings.json",
        ".claude.json",
    ];
    let name = path.file_name()?.to_str()?;
    let folder = path.parent()?;
    let own = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    // `.vscode/mcp.json`, `.cursor/mcp.json`, `.zed/settings.json`: the folder above is meant.
    let project = if own.starts_with('.') { folder.parent()? } else { folder };
    let within_config = path.components().any(|part| part.as_os_str() == ".config");
    let of_its_user = OF_ITS_USER.contains(&name) || within_config || Some(project) == home;
    (!of_its_user).then(|| project.to_owned())
}
