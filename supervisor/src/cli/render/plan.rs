//! The plan screen: what, why, and what it costs.

use std::path::Path;
use std::time::Duration;

use super::screen::Screen;
use super::text::{fit, pad, visible};
use crate::control::api::{Action, Difference, Plan, Setting, Step};
use crate::control::words::{count, span};

/// Differences of one plugin that are named; the rest is counted.
const NAMED: usize = 3;

/// A plan that was only made. `then` is what applies exactly this.
pub(in crate::cli) fn planned(screen: &mut Screen, plan: &Plan, then: &str) {
    if plan.steps.is_empty() && plan.settings.is_empty() {
        return unchanged(screen, plan);
    }
    screen.line(&format!("from revision {}; {}", plan.revision, untouched(plan)));
    steps(screen, plan);
    isolation(screen, plan);
    screen.line(&format!("Nothing was changed. Apply exactly this: {then}"));
}

/// Nothing is to be done.
pub(in crate::cli) fn unchanged(screen: &mut Screen, plan: &Plan) {
    let all = match plan.untouched {
        0 => String::new(),
        n => format!(" for {}", count(n, "plugin", "plugins")),
    };
    screen.line(&format!(
        "revision {} is in force, and the manifests say nothing else{all}",
        plan.revision
    ));
    rest(screen, plan);
}

/// A plan that is being carried out.
pub(in crate::cli) fn applying(screen: &mut Screen, plan: &Plan) {
    screen.line(&format!("on top of revision {}; {}", plan.revision, untouched(plan)));
    steps(screen, plan);
}

fn untouched(plan: &Plan) -> String {
    match plan.untouched {
        1 => "1 plugin stays untouched".to_owned(),
        n => format!("{n} plugins stay untouched"),
    }
}

fn steps(screen: &mut Screen, plan: &Plan) {
    let ids = plan.steps.iter().map(|step| step.plugin.chars().count());
    let width = ids.chain([if plan.settings.is_empty() { 0 } else { "outboard.toml".len() }]);
    let width = width.max().unwrap_or(0);
    for step in &plan.steps {
        let (mark, word) = word(step.action);
        line(screen, width, (mark, word), &step.plugin, &reason(step));
    }
    for setting in &plan.settings {
        let word = if setting.at_once { "in place" } else { "later" };
        line(screen, width, ('~', word), "outboard.toml", &reason_of_setting(setting));
    }
    rest(screen, plan);
}

fn rest(screen: &mut Screen, plan: &Plan) {
    if !plan.excepted.is_empty() {
        screen.line(&format!("left as they are: {}", plan.excepted.join(", ")));
    }
    for warning in &plan.warnings {
        screen.line(&format!("warning: {}", visible(warning)));
    }
}

/// What everybody who adds a plugin should know of it.
fn isolation(screen: &mut Screen, plan: &Plan) {
    if plan.isolation == "shared-user" {
        screen.line("isolation: shared-user; plugins of one user can read each other");
    }
}

fn line(screen: &mut Screen, width: usize, (mark, word): (char, &str), who: &str, why: &str) {
    let text = format!("{mark} {}  {}  {}", pad(word, 8), pad(&visible(who), width), visible(why));
    let text = fit(&text, screen.width().max(MOST)).into_owned();
    screen.line(&text);
}

/// Why and at what price is the point of a plan: it may take as much room as a screen has at most.
const MOST: usize = 100;

fn word(action: Action) -> (char, &'static str) {
    match action {
        Action::Add => ('+', "add"),
        Action::Remove => ('-', "remove"),
        Action::InPlace => ('~', "in place"),
        Action::Swap => ('~', "swap"),
        Action::Restart => ('~', "restart"),
        Action::Start => ('~', "start"),
        Action::Stop => ('~', "stop"),
        Action::Rest => ('=', "rest"),
        Action::Held => ('=', "held"),
        Action::Unknown => ('~', "unknown"),
    }
}

fn reason(step: &Step) -> String {
    let file = file(&step.manifest);
    let changes = changes(&step.changes);
    match step.action {
        Action::Add if step.rests => format!("{file} is new; it is not started by this"),
        Action::Add => format!("{file} is new"),
        Action::Remove if step.clients > 0 => {
            let clients = count(u64::from(step.clients), "attached client", "attached clients");
            let are = if step.clients == 1 { "is" } else { "are" };
            format!("{file} is gone; {clients} {are} told \"shutting down\"")
        }
        Action::Remove => format!("{file} is gone"),
        Action::InPlace if step.told => {
            format!("{changes}; it is told, and restarted if it refuses")
        }
        Action::InPlace => format!("{changes}; no restart"),
        Action::Swap => format!("{changes}; no call is lost"),
        Action::Restart => {
            let about =
                step.start_ms.map(|ms| format!("about {}", span(Duration::from_millis(ms))));
            match (step.calls_wait, about) {
                (true, Some(about)) => format!("{changes}; new calls wait {about}"),
                (true, None) => format!("{changes}; new calls wait until it is back"),
                (false, Some(about)) => format!("{changes}; calls are refused for {about}"),
                (false, None) => format!("{changes}; calls meanwhile are refused"),
            }
        }
        Action::Start if step.mended => format!("{file} is mended; it starts"),
        Action::Start => format!("{changes}; it starts"),
        Action::Stop => format!("{changes}; its calls finish first"),
        Action::Rest => format!("{changes}; counts from its next start on"),
        Action::Held => {
            let ago = step.held_ms.map(|ms| format!(" {} ago", span(Duration::from_millis(ms))));
            format!(
                "stopped by hand{}; takes its new settings, stays stopped",
                ago.unwrap_or_default()
            )
        }
        Action::Unknown => changes,
    }
}

fn changes(changes: &[Difference]) -> String {
    let named: Vec<String> = changes.iter().take(NAMED).map(change).collect();
    match changes.len().saturating_sub(NAMED) {
        0 if named.is_empty() => "wanted again".to_owned(),
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// `[calls] deadline 30s -> 10s`, `env PG_URL changed`, `executable changed`.
fn change(change: &Difference) -> String {
    let name = match change.key.split_once('.') {
        _ if change.key.starts_with("process.env.") => {
            format!("env {}", &change.key["process.env.".len()..])
        }
        Some((section, key)) => format!("[{section}] {key}"),
        None => change.key.clone(),
    };
    match (&change.from, &change.to) {
        (Some(from), Some(to)) => format!("{name} {from} -> {to}"),
        (None, Some(to)) => format!("{name} -> {to}"),
        (Some(_), None) | (None, None) => format!("{name} changed"),
    }
}

fn reason_of_setting(setting: &Setting) -> String {
    let changed = change(&setting.change);
    match setting.at_once {
        true => changed,
        false => format!("{changed}; counts from the next `run` on"),
    }
}

fn file(path: &str) -> String {
    Path::new(path)
        .file_name()
        .map_or_else(|| path.into(), |name| name.to_string_lossy().into_owned())
}
