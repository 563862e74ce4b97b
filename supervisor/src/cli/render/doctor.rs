//! The doctor screen: a line for each thing that was tried, then what the manifests ask for.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::screen::{Screen, Tone};
use super::text::{pad, visible, wrap};
use crate::control::api::SCHEMA;
use crate::control::words::count;

/// Columns of the first two words of a line.
const NAME: usize = 23;
const VERDICT: usize = 9;

/// One thing that was tried.
#[derive(Clone, Debug, Serialize)]
pub(in crate::cli) struct Check {
    name: &'static str,
    pub(in crate::cli) verdict: Verdict,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::cli) enum Verdict {
    Yes,
    Partly,
    No,
    /// It works, and something about it should be known.
    Warn,
}

/// What manifests ask for.
#[derive(Clone, Debug, Serialize)]
pub(in crate::cli) struct Asked {
    pub(in crate::cli) plugins: usize,
    pub(in crate::cli) asks: Vec<Ask>,
    pub(in crate::cli) refused: Vec<Refused>,
}

/// One plugin asks for one thing.
#[derive(Clone, Debug, Serialize)]
pub(in crate::cli) struct Ask {
    pub(in crate::cli) what: String,
    pub(in crate::cli) plugin: String,
    /// The machine has it.
    pub(in crate::cli) held: bool,
    /// It does not run without.
    pub(in crate::cli) required: bool,
}

/// A manifest that gives no plugin.
#[derive(Clone, Debug, Serialize)]
pub(in crate::cli) struct Refused {
    pub(in crate::cli) plugin: String,
    pub(in crate::cli) why: String,
    /// So many more errors.
    pub(in crate::cli) more: usize,
}

impl Check {
    pub(in crate::cli) fn new(
        name: &'static str,
        verdict: Verdict,
        detail: impl Into<String>,
    ) -> Self {
        Self { name, verdict, detail: detail.into(), help: None }
    }

    pub(in crate::cli) fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Partly => "partly",
            Self::No => "no",
            Self::Warn => "warn",
        }
    }

    fn tone(self) -> Tone {
        match self {
            Self::Yes => Tone::Good,
            Self::Partly | Self::Warn => Tone::Warning,
            Self::No => Tone::Bad,
        }
    }
}

impl Asked {
    /// The plugins that will not run, for want of something or for what is wrong with them.
    pub(in crate::cli) fn lost(&self) -> Vec<String> {
        let wanting = self.asks.iter().filter(|ask| ask.required && !ask.held);
        let wanting = wanting.map(|ask| ask.plugin.clone());
        let all = wanting.chain(self.refused.iter().map(|refused| refused.plugin.clone()));
        all.collect::<BTreeSet<String>>().into_iter().collect()
    }
}

pub(in crate::cli) fn report(screen: &mut Screen, checks: &[Check], asked: Option<&Asked>) {
    if screen.is_json() {
        #[derive(Serialize)]
        struct Report<'a> {
            schema: u32,
            checks: &'a [Check],
            asked: Option<&'a Asked>,
            missing: bool,
        }
        let missing = asked.is_some_and(|asked| !asked.lost().is_empty());
        screen.json(&Report { schema: SCHEMA, checks, asked, missing });
        return;
    }
    for check in checks {
        line(screen, check);
    }
    if let Some(asked) = asked {
        demands(screen, asked);
    }
}

fn line(screen: &mut Screen, check: &Check) {
    let left = screen.width().saturating_sub(NAME + VERDICT).max(20);
    let mut details = wrap(&visible(&check.detail), left);
    let rest = details.split_off(1.min(details.len()));
    let first = details.pop().unwrap_or_default();
    let (name, word) = (pad(check.name, NAME), pad(check.verdict.word(), VERDICT));
    screen.toned(&name, check.verdict.tone(), &word, &first);
    let margin = " ".repeat(NAME + VERDICT);
    for line in rest {
        screen.line(&format!("{margin}{line}"));
    }
    if let Some(help) = &check.help {
        let help = format!("help: {}", visible(help));
        // What is to be typed is not cut: it begins further to the left instead.
        let room = screen.width().saturating_sub(help.chars().count()).max(2);
        screen.line(&format!("{}{help}", " ".repeat(room.min(NAME + VERDICT))));
    }
}

fn demands(screen: &mut Screen, asked: &Asked) {
    let mut by_what: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for ask in &asked.asks {
        let plugin = &ask.plugin;
        by_what.entry(&ask.what).or_default().push(match (ask.held, ask.required) {
            (true, _) => plugin.clone(),
            (false, true) => format!("{plugin}, required: it will not run"),
            (false, false) => format!("{plugin}: not enforced"),
        });
    }
    let list: Vec<String> =
        by_what.iter().map(|(what, who)| format!("{what} ({})", who.join("; "))).collect();
    let plugins = count(asked.plugins as u64, "manifest asks", "manifests ask");
    let text = match list.is_empty() {
        true => format!("Of this, {plugins} for nothing in particular."),
        false => format!("Of this, manifests ask for: {}.", list.join(", ")),
    };
    for line in wrap(&visible(&text), screen.width()) {
        screen.line(&line);
    }
    for refused in &asked.refused {
        let more = match refused.more {
            0 => String::new(),
            n => format!(" ({n} more)"),
        };
        let text = format!("{} will not run: {}{more}", refused.plugin, refused.why);
        for line in wrap(&visible(&text), screen.width()) {
            screen.line(&line);
        }
    }
    if !asked.refused.is_empty() {
        screen.line("help: outboard check, with the same folders");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(asked: Option<&Asked>, json: bool) -> String {
        let checks = [
            Check::new(
                "kill a whole plugin",
                Verdict::Yes,
                "cgroup v2 leaf; 3 nested processes gone in 4ms",
            ),
            Check::new("memory limit", Verdict::No, "the own cgroup is not delegated to this user")
                .maybe_help(Some(
                    "systemd-run --user --scope -p Delegate=yes outboard run …".to_owned(),
                )),
            Check::new("process limit", Verdict::Partly, "per user only (rlimit)"),
            Check::new(
                "programs",
                Verdict::Warn,
                "npx: found · uvx: not on PATH, but in ~/.local/bin",
            )
            .maybe_help(Some("path_prepend = [\"~/.local/bin\"] in outboard.toml".to_owned())),
        ];
        let (mut screen, printed) = Screen::for_test(80, json);
        report(&mut screen, &checks, asked);
        printed.text()
    }

    fn ask(what: &str, plugin: &str, held: bool, required: bool) -> Ask {
        Ask { what: what.to_owned(), plugin: plugin.to_owned(), held, required }
    }

    #[test]
    fn what_was_tried_and_then_what_matters_to_these_manifests() {
        let asked = Asked {
            plugins: 3,
            asks: vec![
                ask("memory", "vendor-crm", false, true),
                ask("memory", "vendor-sms", false, false),
                ask("open_files", "geo", true, false),
            ],
            refused: vec![Refused {
                plugin: "jira".to_owned(),
                why: "unknown section `restrat` (jira.toml:4)".to_owned(),
                more: 2,
            }],
        };
        insta::assert_snapshot!(printed(Some(&asked), false));
    }

    #[test]
    fn nothing_is_missing_where_nothing_is_asked_for() {
        let asked = Asked { plugins: 2, asks: Vec::new(), refused: Vec::new() };
        let text = printed(Some(&asked), false);
        assert_eq!(
            text.lines().last(),
            Some("Of this, 2 manifests ask for nothing in particular.")
        );
        assert!(asked.lost().is_empty());
        let report: serde_json::Value = serde_json::from_str(&printed(Some(&asked), true)).unwrap();
        assert_eq!((&report["schema"], &report["missing"]), (&1.into(), &false.into()));
        assert_eq!(report["checks"][2]["verdict"], "partly");
    }
}
