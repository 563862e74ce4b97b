//! What may be typed. One tree gives parsing and help.

mod conformance;
mod discover;
mod import;
mod new;
mod run;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

pub(super) use conformance::ConformanceArgs;
pub(super) use discover::DiscoverArgs;
pub(super) use import::ImportArgs;
pub(super) use new::{Lang, NewArgs};
pub(super) use run::{Output, RunArgs};

use super::span::{Since, parse_since, parse_span};
use crate::control::{api, upgrade};

/// Runs plugins out of process, and keeps them answering.
#[derive(Debug, Parser)]
#[command(name = "outboard", version, about, propagate_version = false)]
#[command(disable_help_subcommand = true, max_term_width = 100, arg_required_else_help = true)]
pub(super) struct Args {
    /// Where the supervisor keeps its sockets, lock, logs and journal
    /// [env: OUTBOARD_STATE_DIR] [default: $XDG_STATE_HOME/outboard/default]
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) state_dir: Option<PathBuf>,

    /// Print nothing but errors
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,

    /// Print JSON: one object, or one a line
    #[arg(long, global = true)]
    pub(super) json: bool,

    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Start the plugins of these folders and files, and keep them running; Ctrl-C stops all
    Run(RunArgs),
    /// End the supervisor: stop its plugins, wait, and say what became of each
    Shutdown(ShutdownArgs),
    /// Show how each plugin is, trouble first
    Status(StatusArgs),
    /// Print the ids of all plugins, one a line
    List,
    /// Call a method of a plugin and print its result
    Call(CallArgs),
    /// Send a plugin one notification
    Notify(NotifyArgs),
    /// Stand in for a plugin on standard input and output: for MCP clients, editors and scripts
    Attach(AttachArgs),
    /// Start plugins and wait until each is active
    Start(StartArgs),
    /// Stop plugins and wait until nothing of them is left
    Stop(StopArgs),
    /// Stop and start plugins
    Restart(StopArgs),
    /// Read the manifests again, and make what runs what they say; or only plan it
    Reload(ReloadArgs),
    /// Let another version of a plugin take over without losing a call; what fails is rolled back
    Swap(SwapArgs),
    /// Print what plugins said: standard error, log messages, and what the supervisor did to them
    Logs(LogsArgs),
    /// Print what happened
    Events(EventsArgs),
    /// Explain the last failure of a plugin
    Why(WhyArgs),
    /// Check manifests, all of them, without starting anything
    Check(CheckArgs),
    /// List the plugins of manifests and of Python packages, with what is known of each
    Discover(DiscoverArgs),
    /// Write manifests from what there is already: files of MCP clients, language servers, PM2, supervisord
    Import(ImportArgs),
    /// Try what this machine can do for plugins, with throw-away processes
    Doctor(DoctorArgs),
    /// Check a plugin, an MCP server or a language server against the rules of its protocol, each with processes of its own
    Conformance(ConformanceArgs),
    /// Probe plugins now, and print what each reports
    Health(HealthArgs),
    /// Go over to the build that lies where the running supervisor was started from; nothing is stopped for it
    Upgrade,
    /// Write a new plugin, with manifest and test, into a folder of its own
    New(NewArgs),
    /// Print the JSON Schema of manifests, the names of all events, or the management API
    Schema(SchemaArgs),
    /// Says whether this build can go on with the state on standard input; asked by a running supervisor
    #[command(name = upgrade::VERB, hide = true)]
    RehearseUpgrade,
}

#[derive(Debug, ClapArgs)]
pub(super) struct ShutdownArgs {
    /// Kill at once instead of asking first
    #[arg(long)]
    pub(super) now: bool,
}

#[derive(Debug, ClapArgs)]
pub(super) struct StatusArgs {
    /// Only these plugins; globs such as 'vendor-*' are allowed
    #[arg(value_name = "ID")]
    pub(super) ids: Vec<String>,

    /// Show it again whenever something has changed, until Ctrl-C
    #[arg(long)]
    pub(super) watch: bool,
}

#[derive(Debug, ClapArgs)]
pub(super) struct HealthArgs {
    /// Only these plugins; globs such as 'vendor-*' are allowed
    #[arg(value_name = "ID")]
    pub(super) ids: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct CallArgs {
    #[arg(value_name = "ID")]
    pub(super) plugin: String,

    /// The method, or tool:NAME for a tool of an MCP server
    pub(super) method: String,

    /// Params as JSON, @FILE, or - for standard input [default: {}]
    #[arg(value_name = "JSON")]
    pub(super) params: Option<String>,

    /// How long to wait for the answer [default: the manifest's]
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    pub(super) deadline: Option<Duration>,

    /// What the call does while the plugin is not up [default: the manifest's]
    #[arg(long, value_name = "WHAT")]
    pub(super) while_restarting: Option<Wish>,

    /// Follow nextCursor and print all pages as one
    #[arg(long)]
    pub(super) all: bool,
}

/// What a call does while nothing can take it.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Wish {
    /// Fails at once
    Fail,
    /// Waits until its deadline
    Wait,
}

impl Wish {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Wait => "wait",
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(super) struct NotifyArgs {
    #[arg(value_name = "ID")]
    pub(super) plugin: String,

    pub(super) method: String,

    /// Params as JSON, @FILE, or - for standard input [default: {}]
    #[arg(value_name = "JSON")]
    pub(super) params: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct AttachArgs {
    #[arg(value_name = "ID")]
    pub(super) plugin: String,

    /// How long the client's opening is held while its plugin starts for the first time: many give up at 30s
    #[arg(long, value_name = "SPAN", value_parser = parse_span, default_value = "25s")]
    pub(super) wait: Duration,

    /// Start a supervisor on this folder when none is running
    #[arg(long, value_name = "DIR")]
    pub(super) autostart: Option<PathBuf>,

    /// How long that supervisor goes on after the last client has left, or forever
    #[arg(long, value_name = "SPAN", value_parser = parse_linger, default_value = "10m")]
    pub(super) linger: Linger,
}

/// How long a supervisor outlives its last client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Linger {
    For(Duration),
    Forever,
}

fn parse_linger(text: &str) -> Result<Linger, String> {
    if text == "forever" { Ok(Linger::Forever) } else { parse_span(text).map(Linger::For) }
}

#[derive(Debug, ClapArgs)]
pub(super) struct StartArgs {
    /// Plugins; globs such as 'vendor-*' are allowed
    #[arg(value_name = "ID", conflicts_with = "all")]
    pub(super) ids: Vec<String>,

    /// Every plugin
    #[arg(long)]
    pub(super) all: bool,

    /// Return at once
    #[arg(long)]
    pub(super) no_wait: bool,
}

#[derive(Debug, ClapArgs)]
pub(super) struct StopArgs {
    /// Plugins; globs such as 'vendor-*' are allowed
    #[arg(value_name = "ID", conflicts_with = "all")]
    pub(super) ids: Vec<String>,

    /// Every plugin
    #[arg(long)]
    pub(super) all: bool,

    /// Kill at once instead of asking first
    #[arg(long)]
    pub(super) now: bool,

    /// Return at once
    #[arg(long)]
    pub(super) no_wait: bool,
}

#[derive(Debug, ClapArgs)]
pub(super) struct ReloadArgs {
    /// Print what would change, and change nothing
    #[arg(long)]
    pub(super) plan: bool,

    /// Only on top of this revision; exit 8 and the newer plan on any other
    #[arg(long, value_name = "N")]
    pub(super) if_revision: Option<u64>,

    /// Leave these plugins as they are
    #[arg(long, value_name = "ID", num_args = 1..)]
    pub(super) except: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct SwapArgs {
    #[arg(value_name = "ID")]
    pub(super) plugin: String,

    /// The manifest of the new version; no file is written [default: the plugin's own, as it is now]
    #[arg(value_name = "MANIFEST")]
    pub(super) manifest: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct LogsArgs {
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    pub(super) plugin: Option<String>,

    /// Of every plugin
    #[arg(long)]
    pub(super) all: bool,

    /// The newest so many lines
    #[arg(short = 'n', long, default_value_t = 100)]
    pub(super) lines: u32,

    /// Go on with what comes
    #[arg(short, long)]
    pub(super) follow: bool,

    /// Not older than this: 10m, or a time such as 2026-03-01T03:12:04Z
    #[arg(long, value_name = "WHEN", value_parser = parse_since)]
    pub(super) since: Option<Since>,

    /// Of this run of the plugin only
    #[arg(long, value_name = "N")]
    pub(super) generation: Option<u64>,

    /// Only from these sources
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(super) source: Vec<Source>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Source {
    /// The supervisor's own acts
    Host,
    /// Standard error
    Err,
    /// Lines on standard output that are no message
    Out,
    /// Log messages of the protocol
    Log,
}

impl From<Source> for api::Source {
    fn from(source: Source) -> Self {
        match source {
            Source::Host => Self::Host,
            Source::Err => Self::Err,
            Source::Out => Self::Out,
            Source::Log => Self::Log,
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(super) struct EventsArgs {
    /// Go on with what comes
    #[arg(short, long)]
    pub(super) follow: bool,
}

#[derive(Debug, ClapArgs)]
pub(super) struct WhyArgs {
    #[arg(value_name = "ID")]
    pub(super) plugin: String,

    /// Only the last lines of its standard error
    #[arg(long)]
    pub(super) stderr: bool,

    /// An older failure: 1 is the last, 2 the one before
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "generation")]
    pub(super) failure: Option<u32>,

    /// The failure of this run of the plugin
    #[arg(long, value_name = "N")]
    pub(super) generation: Option<u64>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct CheckArgs {
    /// Folders of manifests, and single manifests
    #[arg(required = true, value_name = "DIR")]
    pub(super) sources: Vec<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct DoctorArgs {
    /// Folders of manifests, and single manifests: judges what they ask for
    #[arg(value_name = "DIR")]
    pub(super) sources: Vec<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct SchemaArgs {
    /// What is described
    #[arg(value_enum, default_value_t = SchemaOf::Manifest)]
    pub(super) of: SchemaOf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum SchemaOf {
    /// A JSON Schema, for editors
    Manifest,
    /// Every event name there is, one a line
    Events,
    /// The management API: OpenRPC, for whoever writes a client
    Api,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_tree_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn globals_may_stand_behind_the_verb() {
        let args = Args::try_parse_from(["outboard", "status", "geo", "--json", "-q"]).unwrap();
        assert!(args.json && args.quiet);
    }

    #[test]
    fn what_does_not_exist_yet_is_unknown() {
        for words in [
            &["outboard", "health", "--watch"][..],
            &["outboard", "run", "m", "--detach"],
            &["outboard", "logs"],
            &["outboard", "stop", "geo", "--all"],
        ] {
            assert!(Args::try_parse_from(words).is_err(), "{words:?}");
        }
    }
}
