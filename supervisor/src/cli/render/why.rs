//! The why screen: the verdict in one sentence, then the evidence, in the order in which a tired person needs it.

use std::time::Duration;

use jiff::Timestamp;

use super::events::describe;
use super::screen::{Screen, Tone};
use super::text::{clock, fit, visible};
use crate::control::api::{Direction, Dossier, Event, Failure, Plugin, State, Why};
use crate::control::words::{count, failure, span};

/// The column in which the evidence begins.
const INDENT: usize = 10;

/// Lines of standard error in the timeline; `--stderr` has all that is kept.
const LINES: usize = 5;

/// The whole dossier. `older`: of a failure that need not be the last one. `now` turns "in 11s" into a time of day.
pub(in crate::cli) fn why(screen: &mut Screen, why: &Why, older: bool, now: Timestamp) {
    if screen.is_json() {
        screen.json(why);
        return;
    }
    let plugin = &why.plugin;
    let id = visible(&plugin.id).into_owned();
    let Some(dossier) = &why.dossier else {
        let (tone, after) = match &why.refused {
            Some(_) => (Tone::of_state(plugin.state), ": its manifest is refused."),
            None => (Tone::of_state(plugin.state), ", and has not failed."),
        };
        screen.toned(&format!("{id} is "), tone, plugin.state.word(), after);
        for line in why.refused.iter().flat_map(|text| text.lines()) {
            screen.line(&format!("  {}", visible(line)));
        }
        return;
    };
    if older {
        let failed = &dossier.failure;
        let words = visible(&failure(failed)).into_owned();
        screen.line(&format!("{id} failed in generation {}: {words}", failed.generation));
    } else {
        headline(screen, &id, why, dossier);
    }
    said(screen, dossier);
    for hint in hints(dossier) {
        field(screen, "hint", &hint);
    }
    if let Some(pattern) = pattern(dossier) {
        field(screen, "pattern", &pattern);
    }
    lost(screen, dossier);
    timeline(screen, dossier);
    if !older {
        if let Some(next) = next(screen, plugin, now) {
            field(screen, "next", &next);
        }
        field(screen, "do", &advice(plugin, dossier));
    }
    screen.line(&tail(dossier));
}

fn headline(screen: &mut Screen, id: &str, why: &Why, dossier: &Dossier) {
    let plugin = &why.plugin;
    let after = verdict(plugin, dossier);
    let is = match plugin.state {
        State::Backoff => "is in",
        _ => "is",
    };
    let before = format!("{id} {is} ");
    screen.toned(&before, Tone::of_state(plugin.state), plugin.state.word(), &after);
    for line in why.refused.iter().flat_map(|text| text.lines()) {
        screen.line(&format!("  {}", visible(line)));
    }
}

/// Only what it wrote to standard error.
pub(in crate::cli) fn stderr(screen: &mut Screen, why: &Why) {
    let Some(dossier) = &why.dossier else { return };
    for line in &dossier.stderr {
        if screen.is_json() {
            screen.json_line(&serde_json::json!({ "stderr": line }));
        } else {
            screen.line(&visible(line));
        }
    }
}

/// What follows on "github is failed": `: exit 1, 6 times in 27s. One careful try in 11s.`
pub(in crate::cli) fn verdict(plugin: &Plugin, dossier: &Dossier) -> String {
    let mut text = visible(&failure(&dossier.failure)).into_owned();
    let alike: Vec<&Failure> = alike(dossier);
    if let Some(first) = alike.first() {
        let times = alike.len() + 1;
        match between(&first.at, &dossier.failure.at) {
            Some(within) => text.push_str(&format!(", {times} times in {}", span(within))),
            None => text.push_str(&format!(", {times} times")),
        }
    }
    match (plugin.state, plugin.next_try_ms) {
        // What cannot be started is not tried: only whether the file is another one by then.
        (State::Failed, Some(ms)) if dossier.failure.class == "spawn" => {
            format!(": {text}. Its file is looked at again in {}.", millis(ms))
        }
        (State::Failed, Some(ms)) => {
            let then = match plugin.retry_max_ms {
                Some(max) => format!(", then at growing gaps up to {}", millis(max)),
                None => String::new(),
            };
            format!(": {text}. One careful try in {}{then}.", millis(ms))
        }
        (State::Failed, None) => format!(": {text}. It stays down until it is started."),
        (State::Backoff, Some(ms)) => format!(": {text}. It starts again in {}.", millis(ms)),
        (State::Active | State::Degraded, _) if rolled_back(plugin, dossier) => {
            let (serves, tried) = (plugin.generation, dossier.failure.generation);
            format!(", generation {serves}. Generation {tried} was to follow, and failed: {text}.")
        }
        (State::Active | State::Degraded, _) => {
            format!(" again, generation {}. Its last failure: {text}.", plugin.generation)
        }
        _ => format!(". Its last failure: {text}."),
    }
}

fn millis(ms: u64) -> String {
    span(Duration::from_millis(ms))
}

/// The failures just before the last one that are like it, oldest first.
fn alike(dossier: &Dossier) -> Vec<&Failure> {
    let like = |failure: &&Failure| {
        failure.class == dossier.failure.class && failure.exit == dossier.failure.exit
    };
    let mut alike: Vec<&Failure> = dossier.earlier.iter().rev().take_while(like).collect();
    alike.reverse();
    alike
}

fn between(from: &str, to: &str) -> Option<Duration> {
    let (from, to): (Timestamp, Timestamp) = (from.parse().ok()?, to.parse().ok()?);
    Duration::try_from(to.duration_since(from)).ok()
}

fn said(screen: &mut Screen, dossier: &Dossier) {
    match dossier.stderr.iter().rev().find(|line| !line.trim().is_empty()) {
        Some(last) => {
            let more = match dossier.stderr_lines {
                0 | 1 => String::new(),
                n => format!("  (last of {n} stderr lines: --stderr)"),
            };
            let room = screen.width().saturating_sub(INDENT);
            let words = visible(last.trim()).into_owned();
            // What it said last is the evidence: where to find more may go to a line of its own.
            if words.chars().count() + more.chars().count() <= room {
                field(screen, "said", &format!("{words}{more}"));
            } else {
                field(screen, "said", &fit(&words, room));
                if !more.is_empty() {
                    field(screen, "", more.trim_start());
                }
            }
        }
        // Nothing ran that could have said something.
        None if matches!(dossier.failure.class.as_str(), "config" | "spawn") => {}
        None => field(screen, "said", "nothing on stderr"),
    }
}

/// What may explain the end beyond itself: what its code means by custom, and that it was not the whole plugin.
fn hints(dossier: &Dossier) -> Vec<String> {
    let failure = &dossier.failure;
    let meaning = failure.message.split_once(": ").filter(|_| failure.class == "exit");
    let mut hints: Vec<String> =
        meaning.map(|(_, meaning)| visible(meaning).into_owned()).into_iter().collect();
    if let Some(n) = dossier.swept.filter(|n| *n > 0) {
        let left = count(u64::from(n), "process", "processes");
        hints.push(format!("its first process ended and left {left}, killed since"));
    }
    hints
}

fn pattern(dossier: &Dossier) -> Option<String> {
    let alike = alike(dossier);
    match (alike.len(), dossier.earlier.len()) {
        (_, 0) => None,
        (0, _) => {
            let before = dossier.earlier.last().map(failure).unwrap_or_default();
            Some(format!("the one before ended otherwise: {}", visible(&before)))
        }
        (n, all) if n == all => {
            Some(format!("all {} ended like this{}", n + 1, regularly(dossier, &alike)))
        }
        (n, all) => {
            let after = regularly(dossier, &alike);
            Some(format!("the last {} of {} ended like this{after}", n + 1, all + 1))
        }
    }
}

/// `, about 3s after they were active`, where each of them lived about as long.
fn regularly(dossier: &Dossier, alike: &[&Failure]) -> String {
    let lived = alike.iter().copied().chain([&dossier.failure]).map(|failure| failure.up_ms);
    let Some(lived) = lived.collect::<Option<Vec<u64>>>() else { return String::new() };
    let (least, most) =
        (lived.iter().min().copied().unwrap_or(0), lived.iter().max().copied().unwrap_or(0));
    if most - least > (most / 2).max(250) {
        return String::new();
    }
    format!(", about {} after they were active", millis(rounded((least + most) / 2)))
}

/// "About" with one figure that counts.
fn rounded(ms: u64) -> u64 {
    let unit = match ms {
        0..1_000 => 10,
        1_000..10_000 => 500,
        _ => 1_000,
    };
    (ms + unit / 2) / unit * unit
}

fn lost(screen: &mut Screen, dossier: &Dossier) {
    if dossier.lost_total == 0 {
        return;
    }
    let mut text = count(dossier.lost_total, "call", "calls");
    if let Some(first) = dossier.lost.first() {
        let safe = match first.sent {
            true => "not safe to repeat: it was sent",
            false => "safe to repeat: it was not sent",
        };
        let after = millis(first.after_ms);
        text.push_str(&format!(": {}, failed after {after}; {safe}", visible(&first.method)));
    }
    field(screen, "lost", &text);
    for call in dossier.lost.iter().skip(1).take(4) {
        let sent = if call.sent { "sent" } else { "not sent" };
        field(
            screen,
            "",
            &format!("{}, failed after {}; {sent}", visible(&call.method), millis(call.after_ms)),
        );
    }
    let shown = dossier.lost.len().min(5) as u64;
    if dossier.lost_total > shown && shown > 0 {
        field(screen, "", &format!("and {} more", dossier.lost_total - shown));
    }
}

/// One line of the timeline.
struct Moment<'a> {
    at: &'a str,
    words: String,
    /// A step of a start: several share a line, they are one story.
    step: bool,
}

/// Events, calls and standard error, on one clock.
fn moments(dossier: &Dossier) -> Vec<Moment<'_>> {
    let mut all = Vec::new();
    let mut before = "";
    for event in &dossier.timeline {
        let name = std::mem::replace(&mut before, &event.event);
        // The failure was said above: what follows the end of the process only draws conclusions from it.
        if event.event == "plugin.failure" && name == "plugin.exited" {
            continue;
        }
        let Some(words) = told(event) else { continue };
        all.push(Moment { at: &event.at, words, step: is_step(event) });
    }
    for frame in dossier.frames.iter().filter(|frame| frame.direction == Direction::To) {
        // The opening is told by what came of it.
        let method = frame.text.split('{').next().unwrap_or_default();
        if let Some(id) = frame.id.filter(|_| method != "initialize") {
            all.push(Moment {
                at: &frame.at,
                words: format!("call {method} id {id}"),
                step: false,
            });
        }
    }
    let lines = dossier.stderr.iter().zip(&dossier.stderr_at);
    let skipped = dossier.stderr.len().saturating_sub(LINES);
    for (line, at) in lines.skip(skipped).filter(|(line, _)| !line.trim().is_empty()) {
        all.push(Moment { at, words: format!("stderr: {}", line.trim()), step: false });
    }
    // All of them are of one form, in which the order of texts is that of times.
    all.sort_by(|a, b| a.at.cmp(b.at));
    all
}

fn timeline(screen: &mut Screen, dossier: &Dossier) {
    let room = screen.width().saturating_sub(INDENT);
    let mut label = "timeline";
    let mut open: Option<String> = None;
    for Moment { at, words, step } in moments(dossier) {
        let words = format!("{}  {}", clock(at, screen.zone()), visible(&words));
        open = match open.take() {
            Some(line) if step && line.chars().count() + words.chars().count() + 2 < room => {
                Some(format!("{line} · {}", words.replacen("  ", " ", 1)))
            }
            Some(line) => {
                field(screen, label, &fit(&line, room));
                label = "";
                Some(words)
            }
            None => Some(words),
        };
        if !step && let Some(line) = open.take() {
            field(screen, label, &fit(&line, room));
            label = "";
        }
    }
    if let Some(line) = open {
        field(screen, label, &fit(&line, room));
    }
}

/// An event in the words of a timeline: what happened, in few words, and no step that only leads to the next one. `None` for
/// what another event says as well.
fn told(event: &Event) -> Option<String> {
    let f = super::fields::Fields(event);
    let words = match event.event.as_str() {
        "plugin.state" => match State::of_word(&f.text("to")) {
            State::Active | State::Degraded => f.text("to"),
            // The way there is told by its steps, the way down by its reason.
            _ => return None,
        },
        "plugin.phase" => match f.text("phase").as_str() {
            "handshake" => "first byte".to_owned(),
            "ready" => "handshake".to_owned(),
            _ => return None,
        },
        "plugin.opened" => super::events::opened(event)?,
        "health.changed" if f.text("to") == "ok" => return None,
        // Its manifest's errors are shown whole.
        "config.rejected" => return None,
        _ => describe(event).1,
    };
    Some(words)
}

fn is_step(event: &Event) -> bool {
    matches!(event.event.as_str(), "plugin.phase" | "plugin.state" | "plugin.opened")
}

fn next(screen: &Screen, plugin: &Plugin, now: Timestamp) -> Option<String> {
    let ms = plugin.next_try_ms?;
    let of_spawn = plugin.last_failure.as_ref().is_some_and(|failure| failure.class == "spawn");
    let what = match plugin.state {
        State::Failed if of_spawn => "if its file is another one by then",
        State::Failed => "alone and watched; calls flow again once a probe is answered",
        State::Backoff => "starts again",
        _ => return None,
    };
    let at = now.checked_add(jiff::SignedDuration::from_millis(i64::try_from(ms).ok()?)).ok()?;
    let at = at.to_zoned_datetime(screen.zone().clone()).strftime("%H:%M:%S").to_string();
    Some(format!("{at}  generation {}, {what}", plugin.generation + 1))
}

fn advice(plugin: &Plugin, dossier: &Dossier) -> String {
    let id = visible(&plugin.id);
    let mended = match dossier.failure.class.as_str() {
        "config" => format!("mend what it names in {}, then: ", visible(&plugin.manifest)),
        "spawn" => "put the program in place, then: ".to_owned(),
        "dependency" => return "outboard status".to_owned(),
        _ => match refused_by(dossier) {
            Some(address) => format!("bring back what listens on {}, then: ", visible(address)),
            None => String::new(),
        },
    };
    match plugin.state {
        State::Active | State::Degraded if rolled_back(plugin, dossier) => {
            "mend the new version, then: outboard reload".to_owned()
        }
        State::Active | State::Degraded => {
            format!("nothing; what it says since: outboard logs {id}")
        }
        State::Backoff | State::Starting | State::Loaded => format!("outboard logs {id} -f"),
        _ => format!("{mended}outboard restart {id}"),
    }
}

/// What failed was the version after the one that serves.
fn rolled_back(plugin: &Plugin, dossier: &Dossier) -> bool {
    plugin.generation < dossier.failure.generation
        && dossier.timeline.iter().any(|event| event.event == "swap.rolled_back")
}

/// Whom the last words miss: `127.0.0.1:5432` of `connect ECONNREFUSED 127.0.0.1:5432`.
fn refused_by(dossier: &Dossier) -> Option<&str> {
    let last = dossier.stderr.iter().rev().find(|line| !line.trim().is_empty())?;
    let (_, address) = last.split_once("ECONNREFUSED ")?;
    let address = address.split_whitespace().next()?;
    address.contains(':').then_some(address)
}

fn tail(dossier: &Dossier) -> String {
    let failure = &dossier.failure;
    let mut parts = vec![format!("class {}", visible(&failure.class))];
    if !failure.detail.is_empty() && failure.detail != failure.class {
        parts.push(format!("detail {}", visible(&failure.detail)));
    }
    parts.push(format!("generation {}", failure.generation));
    // Where nothing ran nothing was used.
    let ran = dossier.peak_kib.is_some_and(|kib| kib > 0);
    if let Some(ms) = dossier.cpu_ms.filter(|_| ran) {
        parts.push(format!("cpu {}", millis(ms)));
    }
    if let Some(kib) = dossier.peak_kib.filter(|_| ran) {
        parts.push(format!("peak {} MiB", kib.div_ceil(1024)));
    }
    if !dossier.earlier.is_empty() {
        parts.push("older: --failure 2".to_owned());
    }
    parts.join(" · ")
}

fn field(screen: &mut Screen, name: &str, text: &str) {
    screen.line(format!("{name:<INDENT$}{text}").trim_end());
}
