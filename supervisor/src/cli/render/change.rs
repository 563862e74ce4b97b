//! The screens of `start`, `stop`, `restart` and `shutdown`: who is waited for, in which step, for how long at most.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::events::{offer, opened};
use super::fields::Fields;
use super::screen::{Screen, Tone};
use super::stop;
use super::text::{pad, pad_time, visible};
use crate::control::api::{Change, End, Event, Outcome, State, Status};
use crate::control::words::{failure, seconds};

/// A wait that lasts longer than this is explained.
const EXPLAIN_AFTER: Duration = Duration::from_secs(1);

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Asked {
    Start,
    Stop,
    Restart,
}

/// Shows a change as it comes about: outcomes as they are known, and whom it waits for.
pub(in crate::cli) struct ChangeScreen {
    asked: Asked,
    width: usize,
    rows: BTreeMap<String, Row>,
    shown: BTreeSet<String>,
}

/// A plugin under way.
struct Row {
    began: Option<Timestamp>,
    /// Whether it stops or starts at the moment, and what it is waited for.
    step: Option<(&'static str, String)>,
    explained: bool,
    opened: Option<String>,
}

impl ChangeScreen {
    pub(in crate::cli) fn new(asked: Asked, ids: &[String]) -> Self {
        let row = || Row { began: None, step: None, explained: false, opened: None };
        Self {
            asked,
            width: ids.iter().map(|id| id.chars().count()).max().unwrap_or(0),
            rows: ids.iter().map(|id| (id.clone(), row())).collect(),
            shown: BTreeSet::new(),
        }
    }

    /// With a first column of at least this width, to stand under other lines.
    pub(in crate::cli) fn at_least(mut self, width: usize) -> Self {
        self.width = self.width.max(width);
        self
    }

    /// Something happened; events of others are passed over.
    pub(in crate::cli) fn event(&mut self, screen: &mut Screen, event: &Event) {
        let Some((id, row)) = event.plugin.as_ref().and_then(|id| self.rows.get_key_value(id))
        else {
            return;
        };
        let (id, at) = (id.clone(), event.at.parse().unwrap_or(Timestamp::UNIX_EPOCH));
        let began = row.began.unwrap_or(at);
        let took = since(began, at);
        let to = State::of_word(&Fields(event).text("to"));
        match (event.event.as_str(), self.asked) {
            ("stop.rung", _) => self.step(&id, at, "stopping", stop::step(event)),
            ("stop.finished", Asked::Stop) => {
                let took = Fields(event).millis("took_ms");
                self.show(screen, &id, State::Registered, "stopped", took, &stop::finished(event));
            }
            ("plugin.opened", _) => {
                if let Some(row) = self.rows.get_mut(&id) {
                    row.opened = opened(event);
                }
            }
            ("plugin.phase" | "plugin.phase_extended", Asked::Start | Asked::Restart) => {
                self.step(&id, at, "starting", super::events::describe(event).1);
            }
            ("plugin.state", Asked::Start | Asked::Restart)
                if matches!(to, State::Active | State::Degraded) =>
            {
                let opened = row.opened.clone().unwrap_or_default();
                self.show(screen, &id, to, to.word(), took, &opened);
            }
            _ => {}
        }
    }

    fn step(&mut self, id: &str, at: Timestamp, word: &'static str, words: String) {
        if let Some(row) = self.rows.get_mut(id) {
            row.began.get_or_insert(at);
            row.step = Some((word, words));
            row.explained = false;
        }
    }

    /// Time has passed: explains each wait that has become long, once for each step.
    pub(in crate::cli) fn tick(&mut self, screen: &mut Screen, now: Timestamp) {
        let width = self.width;
        for (id, row) in &mut self.rows {
            let (Some(began), Some((word, step))) = (row.began, &row.step) else { continue };
            let waited = since(began, now);
            if row.explained || waited < EXPLAIN_AFTER || self.shown.contains(id) {
                continue;
            }
            row.explained = true;
            let whole = Duration::from_secs(waited.as_secs());
            screen.progress(&line(id, width, word, &seconds_whole(whole), &visible(step)));
        }
    }

    /// Those that are active, and of which nobody has said yet what they offer.
    pub(in crate::cli) fn unopened(&self, change: &Change) -> Vec<String> {
        let unopened = |outcome: &&Outcome| {
            outcome.end == End::Active
                && !self.shown.contains(&outcome.plugin)
                && self.rows.get(&outcome.plugin).is_some_and(|row| row.opened.is_none())
        };
        change.outcomes.iter().filter(unopened).map(|outcome| outcome.plugin.clone()).collect()
    }

    /// What they offer, as their status has it.
    pub(in crate::cli) fn opened_as(&mut self, status: &Status) {
        for plugin in &status.plugins {
            if let Some(row) = self.rows.get_mut(&plugin.id) {
                let of = |words: &Option<String>| words.clone().unwrap_or_default();
                row.opened = offer(of(&plugin.protocol), of(&plugin.offers));
            }
        }
    }

    /// The answer is there: shows what was not known before, and the count.
    pub(in crate::cli) fn finish(&mut self, screen: &mut Screen, change: &Change) {
        if screen.is_json() {
            screen.json(change);
            return;
        }
        if change.outcomes.is_empty() {
            let verb = match self.asked {
                Asked::Start => "start",
                Asked::Stop => "stop",
                Asked::Restart => "restart",
            };
            screen.line(&format!("{verb} is under way: {}", change.plugins.join(", ")));
            return;
        }
        self.finish_quietly(screen, change);
        let said = count(self.asked, &change.outcomes);
        if !said.is_empty() {
            screen.line(&said);
        }
    }

    /// As [`Self::finish`], without the count. What was not running is not worth a line then.
    pub(in crate::cli) fn finish_quietly(&mut self, screen: &mut Screen, change: &Change) {
        for outcome in &change.outcomes {
            let (state, word, words) = self.words(outcome);
            let took = Duration::from_millis(outcome.took_ms);
            self.show(screen, &outcome.plugin, state, word, took, &words);
        }
    }

    fn words(&self, outcome: &Outcome) -> (State, &'static str, String) {
        match outcome.end {
            End::Active => {
                let opened = self.rows.get(&outcome.plugin).and_then(|row| row.opened.clone());
                (State::Active, "active", opened.unwrap_or_default())
            }
            End::Resting => (State::Registered, "registered", "rests, as asked".to_owned()),
            End::Stopped => {
                let words = outcome
                    .stop
                    .as_ref()
                    .map_or_else(|| "it was not running".to_owned(), stop::how);
                (State::Registered, "stopped", words)
            }
            End::Unchanged => match self.asked {
                Asked::Stop => (State::Registered, "stopped", "it was already".to_owned()),
                Asked::Start | Asked::Restart => {
                    (State::Active, "active", "it was already".to_owned())
                }
            },
            End::Waiting => {
                (State::Starting, "waiting", format!("for {}", outcome.waiting_for.join(", ")))
            }
            End::Failed => {
                let words = outcome.failure.as_ref().map(failure).unwrap_or_default();
                (State::Failed, "failed", format!("{words}; see `why {}`", outcome.plugin))
            }
            End::Unkillable => {
                let pid = outcome.pid.map_or_else(String::new, |pid| format!("pid {pid} "));
                (
                    State::Unkillable,
                    "unkillable",
                    format!(
                        "{pid}survived SIGKILL\nfenced off: its calls are refused, its end will be reported"
                    ),
                )
            }
            End::Overtaken => (
                State::Starting,
                "overtaken",
                "by another change, or by the end of the supervisor".to_owned(),
            ),
            End::Swapping => (
                State::Active,
                "swapping",
                "a new version is on trial; nothing was changed".to_owned(),
            ),
            End::Unknown => (State::Unknown, "unknown", String::new()),
        }
    }

    fn show(
        &mut self,
        screen: &mut Screen,
        id: &str,
        state: State,
        word: &str,
        took: Duration,
        words: &str,
    ) {
        if screen.is_json() || !self.shown.insert(id.to_owned()) {
            return;
        }
        let before = format!("{}  ", pad(&visible(id), self.width));
        let mut lines = words.lines();
        let first = visible(lines.next().unwrap_or_default());
        let after = format!("  {}  {first}", pad_time(&seconds(took)));
        screen.toned(&before, Tone::of_state(state), &pad(word, 10), &after);
        for more in lines {
            // Below the words of the line before.
            screen.line(&format!("{}{}", " ".repeat(self.width + 22), visible(more)));
        }
    }
}

/// A line of these screens, without colour.
fn line(id: &str, width: usize, word: &str, took: &str, words: &str) -> String {
    format!("{}  {}  {}  {words}", pad(&visible(id), width), pad(word, 10), pad_time(took))
}

fn since(began: Timestamp, at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(began)).unwrap_or_default()
}

/// Whole seconds: what is still under way needs no fraction.
fn seconds_whole(span: Duration) -> String {
    match span.as_secs() {
        secs @ 0..100 => format!("{secs}s"),
        _ => seconds(span),
    }
}

/// `3 of 4 stopped, 1 unkillable. They stay down until …`
fn count(asked: Asked, outcomes: &[Outcome]) -> String {
    let n = |ends: &[End]| outcomes.iter().filter(|outcome| ends.contains(&outcome.end)).count();
    let (done, verb) = match asked {
        Asked::Stop => (n(&[End::Stopped, End::Unchanged, End::Resting]), "stopped"),
        Asked::Start | Asked::Restart => (n(&[End::Active, End::Unchanged]), "active"),
    };
    let others = [
        (End::Failed, "failed"),
        (End::Unkillable, "unkillable"),
        (End::Waiting, "waiting"),
        (End::Overtaken, "overtaken"),
        (End::Swapping, "in a swap"),
    ];
    let mut parts = vec![format!("{done} of {} {verb}", outcomes.len())];
    parts.extend(
        others
            .iter()
            .map(|(end, word)| (n(&[*end]), word))
            .filter(|(n, _)| *n > 0)
            .map(|(n, word)| format!("{n} {word}")),
    );
    let one = outcomes.len() == 1;
    let head = if one { String::new() } else { format!("{}.", parts.join(", ")) };
    let tail = match (asked, one) {
        (Asked::Stop, true) => "It stays down until `start` or the next `run`.",
        (Asked::Stop, false) => " They stay down until `start` or the next `run`.",
        (Asked::Start | Asked::Restart, _) => "",
    };
    format!("{head}{tail}")
}

/// Leaves out what did not run: when everything ends it needs no line.
pub(in crate::cli) fn only_those_that_ran(change: &mut Change) {
    change.outcomes.retain(|outcome| match outcome.end {
        End::Unchanged => false,
        End::Stopped => outcome.stop.is_some(),
        _ => true,
    });
}

/// The count alone, for a supervisor that ends.
pub(in crate::cli) fn ended(outcomes: &[Outcome]) -> String {
    let all = count(Asked::Stop, outcomes);
    let plugins = all.split(". ").next().unwrap_or_default().trim_end_matches('.');
    match outcomes.len() {
        0 | 1 => "outboard has ended.".to_owned(),
        _ => format!("outboard has ended; {plugins}."),
    }
}
