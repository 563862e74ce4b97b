//! What `import` may be told.

use std::path::PathBuf;

use clap::Args as ClapArgs;

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct ImportArgs {
    /// .mcp.json and the files of other MCP clients, .lsp.json, a PM2 ecosystem, supervisord's configuration
    #[arg(value_name = "FILE")]
    pub(in crate::cli) file: PathBuf,

    /// Folder that the manifests go to; nothing that is there is changed
    #[arg(
        long,
        visible_alias = "to",
        value_name = "DIR",
        default_value = "manifests",
        conflicts_with = "undo"
    )]
    pub(in crate::cli) out: PathBuf,

    /// Print what would be written, and write nothing
    #[arg(long, conflicts_with = "undo")]
    pub(in crate::cli) dry_run: bool,

    /// Let the MCP client that reads FILE reach each server through `outboard attach`; a copy of FILE is kept
    #[arg(long, conflicts_with = "undo")]
    pub(in crate::cli) attach: bool,

    /// Put the copy back that --attach kept
    #[arg(long)]
    pub(in crate::cli) undo: bool,
}
