//! What `run` may be told.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::cli::span::parse_span;

#[derive(Debug, Args)]
pub(in crate::cli) struct RunArgs {
    /// Folders of manifests, and single manifests
    #[arg(required = true, value_name = "DIR")]
    pub(in crate::cli) sources: Vec<PathBuf>,

    /// Stop again once all are active, and exit 0; exit 6 when one fails
    #[arg(long)]
    pub(in crate::cli) once_active: bool,

    /// How long --once-active waits
    #[arg(long, value_name = "SPAN", value_parser = parse_span, default_value = "2m", requires = "once_active")]
    pub(in crate::cli) timeout: Duration,

    /// Start nothing when anything is wrong with any manifest
    #[arg(long)]
    pub(in crate::cli) strict: bool,

    /// What is printed; auto is pretty on a terminal and plain elsewhere
    #[arg(long, value_enum, default_value_t = Output::Auto)]
    pub(in crate::cli) output: Output,

    /// Leave out what plugins say: only what happens to them is printed
    #[arg(long)]
    pub(in crate::cli) no_plugin_logs: bool,

    /// Read the manifests again whenever one of them, or a program or script that it names, changes
    #[arg(long)]
    pub(in crate::cli) watch: bool,

    /// How long the end may take at most; every step of every stop shrinks to fit [default: shutdown_cap]
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    pub(in crate::cli) shutdown_timeout: Option<Duration>,

    /// End once no client has been attached for so long
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    pub(in crate::cli) linger: Option<Duration>,

    /// Shut down when standard input ends: for a program that starts it and must not leave it behind
    #[arg(long)]
    pub(in crate::cli) exit_on_eof: bool,

    /// Leave the session of whoever starts it
    #[arg(long, hide = true)]
    pub(in crate::cli) background: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Output {
    Auto,
    /// A line for each change, for people
    Pretty,
    /// A line for each event, time and level first
    Plain,
    /// JSON lines
    Json,
}
