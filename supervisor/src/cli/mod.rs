//! The command line: arguments, one verb per file, and rendering, the only place that prints.
//!
//! Verbs talk to a running supervisor through [`crate::control`]; only `run` is one itself, `check` only reads manifests,
//! `doctor` tries the keeper on this machine, and `conformance` a plugin.
//!
//! **Absent by design:** processes, JSON-RPC to plugins, decisions about what runs.

mod args;
mod commands;
mod diagnostics;
mod exit;
mod place;
mod render;
mod span;
mod trouble;
mod verbs;

use std::ffi::OsString;

use clap::Parser;
use clap::error::ErrorKind;

use args::Args;
use exit::Exit;
use render::{Screen, ScreenOptions};

/// Runs the command line of this process and returns its exit code.
///
/// A closed pipe ends it quietly: SIGPIPE stays ignored, as the Rust runtime leaves it, and a screen that nobody
/// reads swallows what is printed.
#[must_use]
pub fn run() -> std::process::ExitCode {
    diagnostics::init();
    main(std::env::args_os().collect()).into()
}

fn main(words: Vec<OsString>) -> Exit {
    let args = match Args::try_parse_from(&words) {
        Ok(args) => args,
        Err(error) => return refuse(&error, &words),
    };
    let mut screen = Screen::of_process(&ScreenOptions { quiet: args.quiet, json: args.json });
    match commands::enter(&args, &mut screen) {
        Ok(exit) => exit,
        Err(trouble) => screen.trouble(&trouble),
    }
}

/// Help, version and wrong usage: clap's own words, save for a verb that does not exist.
fn refuse(error: &clap::Error, words: &[OsString]) -> Exit {
    let mut screen = Screen::of_process(&ScreenOptions { quiet: false, json: false });
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            screen.print(&error.to_string());
            Exit::Done
        }
        ErrorKind::InvalidSubcommand => match verbs::of_error(error) {
            Some(word) => screen.trouble(&verbs::unknown(&word)),
            None => usage(&mut screen, error, words),
        },
        _ => usage(&mut screen, error, words),
    }
}

/// clap's words in the one shape of errors.
fn usage(screen: &mut Screen, error: &clap::Error, words: &[OsString]) -> Exit {
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let what = lines.next().unwrap_or_default().trim_start_matches("error: ").trim_end_matches(':');
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        screen.complain(&text);
        return Exit::Usage;
    }
    let mut trouble = trouble::Trouble::new(Exit::Usage, what);
    // Not every one of clap's errors knows the verb.
    let verb =
        words.iter().skip(1).filter_map(|word| word.to_str()).find(|word| verbs::is_one(word));
    let help = match verb {
        Some(verb) => format!("outboard {verb} --help"),
        None => "outboard --help".to_owned(),
    };
    for line in lines {
        match (line.strip_prefix("Usage: "), line.strip_prefix("tip: ")) {
            (Some(usage), _) => trouble = trouble.cause(format!("usage: {usage}")),
            (None, Some(tip)) => trouble = trouble.cause(tip),
            (None, None) if line.starts_with("For more information") => {}
            (None, None) => trouble = trouble.cause(line),
        }
    }
    screen.trouble(&trouble.help(help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_usage_has_the_shape_of_every_error() {
        let mut all = String::new();
        for words in [
            &["outboard", "logs"][..],
            &["outboard", "run"],
            &["outboard", "stop", "geo", "--nwo"],
            &["outboard", "call", "geo", "echo", "--deadline", "5"],
            &["outboard", "run", "m", "--output", "loud"],
            &["outboard", "status", "--watch", "--watch"],
        ] {
            let error = Args::try_parse_from(words).unwrap_err();
            let (mut screen, printed) = Screen::for_test(80, false);
            let typed: Vec<OsString> = words.iter().map(OsString::from).collect();
            assert_eq!(usage(&mut screen, &error, &typed), Exit::Usage);
            all.push_str(&format!("$ {}\n{}", words.join(" "), printed.text()));
        }
        insta::assert_snapshot!(all);
    }
}
