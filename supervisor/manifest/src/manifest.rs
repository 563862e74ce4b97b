//! What a manifest says, as typed values: validated, with every default filled in.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use outboard_core::{PluginId, Policy};

use crate::change::Said;
use crate::glob::Glob;
use crate::source::{Placed, Source, Spot};
use crate::template::Template;
use crate::value::EnvEntry;

/// One plugin, as its manifest and the defaults of `outboard.toml` describe it.
#[derive(Clone, Debug)]
pub struct Manifest {
    pub id: PluginId,
    pub description: Option<String>,
    pub dialect: Dialect,
    pub enabled: bool,
    pub lazy: bool,
    /// The file, as the source that named it says it.
    pub source: PathBuf,
    /// The file's folder, absolute: what `cwd` and `from_file` are relative to. Of a link, the folder that the link
    /// stands in.
    pub dir: PathBuf,
    /// The `.env` file of this plugin; it may be missing. `None` when `env_file = false`.
    pub env_file: Option<PathBuf>,
    pub process: Process,
    /// A JSON object.
    pub config: serde_json::Value,
    /// What the core decides with.
    pub policy: Policy,
    pub calls: Calls,
    pub wire: Wire,
    pub attach: Attach,
    pub limits: Limits,
    pub permissions: Permissions,
    pub swap: Swap,
    pub mcp: Mcp,
    pub lsp: Lsp,
    pub conformance: Conformance,
    /// `[health] hang_signal`: sent once to a hung plugin.
    pub hang_signal: Option<&'static str>,
    /// The entry point that it was found by.
    pub entry_point: Option<EntryPoint>,
    pub watch: Vec<Placed<String>>,
    pub build: Vec<Placed<String>>,
    /// Hash of everything effective, FNV-1a: equal for two loads exactly when nothing that matters changed. Comments,
    /// order and spelling do not matter.
    pub digest: u64,
    /// What it says beside the defaults, to be compared with what it will say.
    pub(crate) said: Said,
    pub(crate) file: Arc<Source>,
    /// What was found for it, and lies below the file.
    pub(crate) below: Option<Arc<Source>>,
    /// The `outboard.toml` in force for it.
    pub(crate) settings: Option<Arc<Source>>,
    /// Where each `after` and `requires` stands.
    pub(crate) needs: Vec<Need>,
    /// Where the id was decided: its key, or the start of the file.
    pub(crate) id_spot: Spot,
}

impl Manifest {
    /// The text of the file.
    pub fn text(&self) -> &str {
        self.file.text()
    }

    /// What it was read from.
    #[must_use]
    pub fn texts(&self) -> Texts {
        let of = |source: &Source| (source.path().to_owned(), source.text().to_owned());
        let (path, text) = of(&self.file);
        let settings = self.settings.as_deref().map(of);
        Texts { id: self.id.clone(), path, text, below: self.below.as_deref().map(of), settings }
    }
}

/// A manifest as it was read, for [`restore`](crate::restore).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts {
    pub id: PluginId,
    pub path: PathBuf,
    pub text: String,
    /// What was found for it by discovery, where the text only completes that.
    pub below: Option<(PathBuf, String)>,
    /// The `outboard.toml` in force for it, with its text.
    pub settings: Option<(PathBuf, String)>,
}

/// One name in `after` or `requires`.
#[derive(Clone, Debug)]
pub(crate) struct Need {
    pub(crate) id: String,
    pub(crate) required: bool,
    pub(crate) spot: Spot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Native,
    Mcp,
    Lsp,
}

impl Dialect {
    /// `native`, `mcp`, `lsp`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Mcp => "mcp",
            Self::Lsp => "lsp",
        }
    }
}

/// `[process]`. Holes are filled in by [`crate::resolve::resolve`] at each start.
#[derive(Clone, Debug)]
pub struct Process {
    /// The program and its arguments; never empty.
    pub command: Vec<Template>,
    pub cwd: Template,
    pub env: BTreeMap<String, EnvEntry>,
    /// Besides [`crate::resolve::INHERITED`].
    pub inherit_env: Vec<Glob>,
    /// Of `outboard.toml` first, then of the manifest; the manifest's come before on PATH.
    pub path_prepend: Vec<Template>,
    pub sha256: Option<String>,
    pub user: Option<String>,
    pub group: Option<String>,
    pub umask: Option<u32>,
    pub pass_fds: Vec<u64>,
    pub orphans: Orphans,
    /// Where `command` stands.
    pub spot: Spot,
}

/// Who inherits a plugin's orphaned descendants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orphans {
    Plugin,
    Keeper,
}

/// `[calls]`; `while_restarting` and `[idle]` are in the [`Policy`].
#[derive(Clone, Debug)]
pub struct Calls {
    pub deadline: Duration,
    pub attach_deadline: Option<Duration>,
    pub concurrency: u32,
    pub in_flight: u32,
    pub queue_bytes: usize,
    pub queue_frames: u32,
    pub queue_calls: bool,
    pub plugin_requests: u32,
    pub validate: bool,
    pub idempotent: Vec<Glob>,
}

/// `[wire]`; sizes in bytes.
#[derive(Clone, Debug)]
pub struct Wire {
    pub transport: Transport,
    pub stdout_junk: StdoutJunk,
    pub max_frame: usize,
    pub max_send: usize,
    pub max_depth: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Stdio,
    Fd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StdoutJunk {
    Log,
    Strict,
}

/// `[attach]`.
#[derive(Clone, Debug)]
pub struct Attach {
    pub clients: Clients,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clients {
    Shared,
    One,
}

/// `[limits]`; `None` is no limit.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes, over all of its processes.
    pub memory: Option<u64>,
    pub processes: Option<u32>,
    /// Percent of one processor.
    pub cpu: Option<u32>,
    pub open_files: Option<u32>,
    pub require: bool,
}

/// `[permissions]`.
#[derive(Clone, Debug)]
pub struct Permissions {
    pub call: Vec<Glob>,
    pub publish: Vec<Glob>,
}

/// `[swap]`.
#[derive(Clone, Debug)]
pub struct Swap {
    pub mode: SwapMode,
    pub canary_probes: u32,
    pub canary_within: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwapMode {
    Overlap,
    Exclusive,
}

/// `[mcp]`.
#[derive(Clone, Debug)]
pub struct Mcp {
    pub era: Era,
    /// A JSON object.
    pub client_capabilities: serde_json::Value,
    /// One of the levels of MCP (RFC 5424 names).
    pub log_level: Option<&'static str>,
    pub send_meta: bool,
    pub change_events: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    Auto,
    Modern,
    Legacy,
}

/// `[lsp]`.
#[derive(Clone, Debug)]
pub struct Lsp {
    pub root: Option<String>,
    pub folders: Vec<String>,
    /// A JSON object.
    pub settings: serde_json::Value,
    /// Any JSON value; null when not given.
    pub initialization_options: serde_json::Value,
    /// A JSON object.
    pub capabilities: serde_json::Value,
}

/// `[conformance]`.
#[derive(Clone, Debug)]
pub struct Conformance {
    /// A method that takes a while.
    pub slow_method: Option<String>,
    /// What it is called with, a JSON object.
    pub slow_params: serde_json::Value,
}

/// `[entry_point]`: what an installed Python package says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryPoint {
    /// The virtual environment.
    pub environment: String,
    pub group: String,
    pub name: String,
    /// `package.module:Class`.
    pub value: String,
    pub distribution: String,
    pub version: String,
    /// When the package, or the file that it names, was last written: RFC 3339.
    pub installed: String,
}
