//! What `outboard conformance` takes.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use outboard_conformance::Id;
use outboard_manifest::Dialect;

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct ConformanceArgs {
    /// The plugin's manifest; its dialect says which rules there are
    #[arg(required_unless_present = "list", value_name = "MANIFEST")]
    pub(in crate::cli) manifest: Option<PathBuf>,

    /// Only these rules, such as C16,C17, and those that they rest on
    #[arg(long, value_name = "RULES", value_delimiter = ',')]
    pub(in crate::cli) only: Vec<Id>,

    /// Also write the report there, as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) junit: Option<PathBuf>,

    /// Print the rules, of the manifest's dialect where one is given, and check nothing
    #[arg(long, conflicts_with_all = ["only", "junit"])]
    pub(in crate::cli) list: bool,

    /// Print those of this dialect
    #[arg(long, value_enum, requires = "list", conflicts_with = "manifest")]
    pub(in crate::cli) dialect: Option<DialectName>,
}

/// What a plugin speaks, as manifests call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum DialectName {
    /// The protocol of outboard's own plugins
    Native,
    /// The Model Context Protocol
    Mcp,
    /// The Language Server Protocol
    Lsp,
}

impl From<DialectName> for Dialect {
    fn from(name: DialectName) -> Self {
        match name {
            DialectName::Native => Self::Native,
            DialectName::Mcp => Self::Mcp,
            DialectName::Lsp => Self::Lsp,
        }
    }
}
