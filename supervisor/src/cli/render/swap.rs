//! The swap screen: first who serves, then whether anybody was hurt, then why.

use std::path::Path;
use std::time::Duration;

use super::screen::Screen;
use super::text::{pad, visible};
use crate::cli::verbs;
use crate::control::api::{End, Outcome, Plugin, State, Swap, SwapVerdict};
use crate::control::words::{count, failure, seconds, span};

/// The narrowest first column: that of the evidence.
const INDENT: usize = 6;

/// Before the answer, which may take a while.
pub(in crate::cli) fn begin(screen: &mut Screen, plugin: &Plugin) {
    let serves = matches!(plugin.state, State::Active | State::Degraded);
    if screen.is_json() || !serves {
        return;
    }
    // Which number the new one gets is not known yet; whoever is quicker than this look does no harm.
    field(screen, &plugin.id, &plugin.id, &format!("generation {} serves", plugin.generation));
}

/// The verdict, and what follows from it.
pub(in crate::cli) fn finish(screen: &mut Screen, swap: &Swap, file: Option<&Path>) {
    if screen.is_json() {
        return screen.json(swap);
    }
    let id = &swap.plugin;
    if let Some(tried) = tried(swap) {
        field(screen, id, id, &tried);
    }
    field(screen, id, id, &verdict(swap));
    if swap.verdict != SwapVerdict::InForce {
        field(screen, id, "calls", &calls(swap));
    }
    if let Some(said) = &swap.said {
        field(screen, id, "said", &visible(said));
    }
    field(screen, id, "next", next(swap, file));
    if swap.verdict == SwapVerdict::RolledBack {
        // The serving generation may have failures of its own.
        let of = swap.trial.map_or_else(String::new, |trial| format!(" --generation {trial}"));
        field(screen, id, "do", &format!("outboard why {id}{of}"));
    }
}

fn field(screen: &mut Screen, id: &str, name: &str, text: &str) {
    let width = id.chars().count().max(INDENT);
    screen.line(&format!("{}  {text}", pad(&visible(name), width)));
}

/// `generation 7 active after 0.42s · canary 1 ok 2ms · 2 ok 2ms · 3 no answer in 5s`
fn tried(swap: &Swap) -> Option<String> {
    let trial = swap.trial?;
    let active = Duration::from_millis(swap.active_after_ms?);
    let mut text = format!("generation {trial} active after {}", seconds(active));
    for (n, probe) in swap.canary.iter().enumerate() {
        let word = if probe.answered { "ok" } else { "no answer in" };
        let name = if n == 0 { "canary " } else { "" };
        let took = span(Duration::from_millis(probe.ms));
        text.push_str(&format!(" · {name}{} {word} {took}", n + 1));
    }
    Some(text)
}

fn verdict(swap: &Swap) -> String {
    let why = swap.reason.as_deref().map(visible).unwrap_or_default();
    let from = swap.from.unwrap_or_default();
    let serving = swap.serving.unwrap_or_default();
    match swap.verdict {
        SwapVerdict::Switched => {
            format!("switched: generation {serving} serves, generation {from} has left.")
        }
        SwapVerdict::RolledBack if serving == from => {
            format!("rolled back: {why}. Generation {from} never stopped serving.")
        }
        SwapVerdict::RolledBack => {
            format!("rolled back: {why}. The old version is back as generation {serving}.")
        }
        SwapVerdict::Abandoned => format!("given up: {why}."),
        SwapVerdict::InForce => match &swap.outcome {
            Some(outcome) => plainly(outcome),
            None => "in force from its next start on; nothing runs now.".to_owned(),
        },
        SwapVerdict::Unknown => "done.".to_owned(),
    }
}

/// Nothing served, so it was a plain start.
fn plainly(outcome: &Outcome) -> String {
    let took = seconds(Duration::from_millis(outcome.took_ms));
    match outcome.end {
        End::Active | End::Unchanged => {
            format!("started with the new version, which nothing had to make room for: {took}.")
        }
        End::Failed => {
            let why = outcome.failure.as_ref().map(failure).unwrap_or_default();
            format!("the new version is in force, and its start failed: {why}.")
        }
        End::Waiting => {
            format!(
                "the new version is in force, and waits for {}.",
                outcome.waiting_for.join(", ")
            )
        }
        End::Resting
        | End::Stopped
        | End::Unkillable
        | End::Overtaken
        | End::Swapping
        | End::Unknown => "the new version is in force.".to_owned(),
    }
}

/// `812 during the swap: 812 answered by generation 6, 0 failed`
fn calls(swap: &Swap) -> String {
    let answered: u64 = swap.calls.answered.iter().map(|one| one.calls).sum();
    let mut text = format!("{} during the swap: ", answered + swap.calls.failed);
    let those = swap.calls.answered.iter().filter(|one| one.calls > 0);
    for (n, one) in those.enumerate() {
        let answered = if n == 0 { " answered" } else { "" };
        text.push_str(&format!("{}{answered} by generation {}, ", one.calls, one.generation));
    }
    text + &count(swap.calls.failed, "failed", "failed")
}

fn next(swap: &Swap, file: Option<&Path>) -> &'static str {
    match (swap.verdict, file) {
        (SwapVerdict::Switched | SwapVerdict::InForce, Some(_)) if verbs::is_one("reload") => {
            "the folder still holds the old version; `reload` would go back to it"
        }
        (SwapVerdict::Switched | SwapVerdict::InForce, Some(_)) => {
            "the folder still holds the old version; once that changes it counts again"
        }
        _ => "nothing by itself; its manifest on disk is what runs",
    }
}
