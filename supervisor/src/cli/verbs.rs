//! Verbs that do not exist: the nearest of ours, by meaning or by spelling.

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue};

use super::args::Args;
use super::exit::Exit;
use super::trouble::Trouble;
use crate::nearest::nearest;

/// What other tools call it, and what it is called here. Only verbs that exist.
const ELSEWHERE: [(&str, &str); 17] = [
    ("up", "run DIR"),
    ("down", "shutdown"),
    ("quit", "shutdown"),
    ("ps", "status"),
    ("ls", "status"),
    ("show", "status"),
    ("describe", "status"),
    ("inspect", "status"),
    ("validate", "check"),
    ("lint", "check"),
    ("kill", "stop --now"),
    ("tail", "logs -f"),
    ("log", "logs"),
    ("serve", "run DIR"),
    ("diagnose", "doctor"),
    ("test", "conformance MANIFEST"),
    ("verify", "conformance MANIFEST"),
];

/// The word that clap did not know.
pub(super) fn of_error(error: &clap::Error) -> Option<String> {
    match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(word)) => Some(word.clone()),
        _ => None,
    }
}

/// Whether there is such a verb.
pub(super) fn is_one(word: &str) -> bool {
    Args::command().get_subcommands().any(|verb| verb.get_name() == word)
}

/// There is no such verb.
pub(super) fn unknown(word: &str) -> Trouble {
    let trouble = Trouble::new(Exit::Usage, format!("there is no verb `{word}`"));
    match meant(word) {
        Some(verb) => trouble.help(format!("outboard {verb}")),
        None => trouble.help("outboard --help"),
    }
}

fn meant(word: &str) -> Option<String> {
    let lower = word.to_lowercase();
    if let Some((_, ours)) = ELSEWHERE.iter().find(|(theirs, _)| *theirs == lower) {
        return Some((*ours).to_owned());
    }
    let command = Args::command();
    let ours = command.get_subcommands().map(clap::Command::get_name);
    nearest(&lower, ours).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_other_tools_lead_to_verbs_that_exist() {
        let command = Args::command();
        let verbs: Vec<_> = command.get_subcommands().map(clap::Command::get_name).collect();
        for (theirs, ours) in ELSEWHERE {
            let verb = ours.split(' ').next().unwrap();
            assert!(verbs.contains(&verb), "{theirs} leads to {ours}, which does not exist");
            assert!(!verbs.contains(&theirs), "{theirs} exists: it is not unknown");
        }
    }

    #[test]
    fn a_misspelt_verb_is_understood() {
        assert_eq!(meant("statsu").as_deref(), Some("status"));
        assert_eq!(meant("PS").as_deref(), Some("status"));
        assert_eq!(meant("frobnicate"), None);
    }
}
