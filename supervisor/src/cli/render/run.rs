//! The screens of `run`: the way up, what happens then, the way down.

mod row;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use row::{Row, runs, since, verdict};

use super::change::{Asked, ChangeScreen, ended};
use super::events::{about, describe, failure, gave_up, opened};
use super::fields::Fields;
use super::screen::{Screen, Tone};
use super::text::{clock, fit, pad, path, visible};
use super::{events, logs};
use crate::control::api::{Change, Event, LogLine, Source, State, Status};
use crate::control::words::{count, seconds, span};

/// Log lines kept while the way up is shown.
const HELD_LINES: usize = 1_000;

/// A start that takes longer than this is explained, and again each time it has taken twice as long.
const EXPLAIN_AFTER: Duration = Duration::from_secs(4);

/// How `run` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Mode {
    /// A line for each change.
    Pretty,
    /// A line for each event, time and level first.
    Plain,
    /// The same as JSON lines.
    Json,
}

/// What the manifests ask for, by id.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct Expected {
    /// To come up by themselves: the way up is not over before each has had its first verdict.
    pub(in crate::cli) up: BTreeSet<String>,
    /// To start at their first call.
    pub(in crate::cli) lazy: BTreeSet<String>,
    /// The file in which variables of a plugin may be set, by id, as people would type it.
    pub(in crate::cli) env_files: BTreeMap<String, String>,
}

/// Shows a supervisor that runs in this process.
pub(in crate::cli) struct RunScreen {
    mode: Mode,
    began: Timestamp,
    width: usize,
    rows: BTreeMap<String, Row>,
    /// `None` once the way up is over.
    held: Option<VecDeque<LogLine>>,
    held_dropped: u64,
    env_files: BTreeMap<String, String>,
    down: Option<ChangeScreen>,
}

impl RunScreen {
    /// `began`: when the plugins are started.
    pub(in crate::cli) fn new(
        mode: Mode,
        status: &Status,
        expected: &Expected,
        began: Timestamp,
    ) -> Self {
        let rows: BTreeMap<String, Row> = status
            .plugins
            .iter()
            .map(|plugin| {
                let row = Row {
                    dialect: plugin.dialect.clone(),
                    state: plugin.state,
                    awaited: expected.up.contains(&plugin.id),
                    lazy: expected.lazy.contains(&plugin.id),
                    waiting: false,
                    starting_since: began,
                    step: String::new(),
                    program: String::new(),
                    explained: Duration::ZERO,
                    opened: plugin.offers.clone(),
                    failure: None,
                    gave_up: None,
                };
                (plugin.id.clone(), row)
            })
            .collect();
        let width = rows.keys().map(|id| id.chars().count()).max().unwrap_or(0).max(8);
        Self {
            mode,
            began,
            width,
            rows,
            held: Some(VecDeque::new()),
            held_dropped: 0,
            env_files: expected.env_files.clone(),
            down: None,
        }
    }

    /// The head, and the plugins that rest from the beginning.
    pub(in crate::cli) fn head(&mut self, screen: &mut Screen, status: &Status) {
        if self.mode != Mode::Pretty {
            return;
        }
        let supervisor = &status.supervisor;
        let sources: Vec<String> = supervisor.sources.iter().map(|source| path(source)).collect();
        let head = format!(
            "outboard {} · {} in {} · containment: {} · Ctrl-C stops all",
            supervisor.version,
            count(status.plugins.len() as u64, "plugin", "plugins"),
            sources.join(" "),
            supervisor.containment
        );
        screen.line(&head);
        let resting = |state| matches!(state, State::Registered | State::Failed);
        let mut rows: Vec<_> =
            status.plugins.iter().filter(|plugin| resting(plugin.state)).collect();
        rows.sort_by_key(|plugin| plugin.id.as_str());
        for plugin in rows {
            let awaited = self.rows.get(&plugin.id).is_some_and(|row| row.awaited);
            if !awaited && plugin.next.is_none() {
                let note = plugin.note.clone().unwrap_or_default();
                self.row(screen, &plugin.id, plugin.state, "-", &note);
            }
        }
    }

    /// Something happened.
    pub(in crate::cli) fn event(&mut self, screen: &mut Screen, event: &Event) {
        match self.mode {
            Mode::Json => screen.json_line(event),
            Mode::Plain => {
                let (level, words) = describe(event);
                let time = clock(&event.at, screen.zone());
                let words = format!(" {} {}", about(event), visible(&words));
                let before = format!("{}{time} ", screen.priority(level.word()));
                screen.toned(&before, level.tone(), &pad(level.word(), 5), &words);
            }
            Mode::Pretty => {}
        }
        let at = event.at.parse().unwrap_or(self.began);
        match &event.plugin {
            Some(id) => {
                let id = id.clone();
                self.plugin_event(screen, &id, event, at);
            }
            None => self.supervisor_event(screen, event),
        }
        self.summary_if_due(screen, at);
    }

    fn supervisor_event(&mut self, screen: &mut Screen, event: &Event) {
        match event.event.as_str() {
            "supervisor.stopping" => self.go_down(screen),
            "supervisor.started" | "supervisor.stopped" | "keeper.started" => {}
            _ if self.mode == Mode::Pretty => {
                let (level, words) = describe(event);
                let before = format!("{}  ", pad("outboard", self.width));
                screen.toned(&before, level.tone(), &visible(&words), "");
            }
            _ => {}
        }
    }

    /// Everything stops from now on.
    pub(in crate::cli) fn go_down(&mut self, screen: &mut Screen) {
        if self.down.is_some() {
            return;
        }
        let running = self.rows.iter().filter(|(_, row)| runs(row.state));
        let ids: Vec<String> = running.map(|(id, _)| id.clone()).collect();
        self.release(screen);
        if self.mode == Mode::Pretty {
            let plugins = count(ids.len() as u64, "plugin", "plugins");
            screen.line(&format!("stopping {plugins} · Ctrl-C again kills them at once"));
        }
        self.down = Some(ChangeScreen::new(Asked::Stop, &ids).at_least(self.width));
    }

    fn plugin_event(&mut self, screen: &mut Screen, id: &str, event: &Event, at: Timestamp) {
        if let Some(down) = &mut self.down {
            if self.mode == Mode::Pretty {
                down.event(screen, event);
            }
            if let ("plugin.state", Some(row)) = (event.event.as_str(), self.rows.get_mut(id)) {
                row.state = State::of_word(&Fields(event).text("to"));
            }
            return;
        }
        let f = Fields(event);
        // A plugin that was registered later.
        let Some(row) = self.rows.get_mut(id) else { return };
        let took = since(row.starting_since, at);
        let line = match event.event.as_str() {
            "plugin.opened" => {
                row.opened = opened(event);
                None
            }
            "plugin.failure" => {
                row.failure = Some(failure(event));
                None
            }
            "plugin.spawned" => {
                row.program = f.first("command");
                None
            }
            "plugin.phase" => {
                row.step = describe(event).1;
                None
            }
            "plugin.phase_extended" => {
                row.step = row.at_work(&f.span("up_to_ms"));
                None
            }
            "dependency.waiting" => {
                row.waiting = true;
                Some((State::Registered, None, format!("waits for {}", f.list("on"))))
            }
            "restart.scheduled" => {
                let failure = row.failure.clone().unwrap_or_else(|| "ended".to_owned());
                Some((
                    State::Backoff,
                    Some(took),
                    format!("{failure}; starts again in {}", f.span("after_ms")),
                ))
            }
            "restart.gave_up" => {
                row.gave_up = Some(gave_up(event));
                None
            }
            "plugin.unkillable"
            | "plugin.executable_changed"
            | "log.dropped"
            | "wire.junk"
            | "wire.too_long" => Some((row.state, None, describe(event).1)),
            "plugin.state" => row.turn(State::of_word(&f.text("to")), &f.text("reason"), at),
            _ => None,
        };
        if let (Some((state, took, words)), Mode::Pretty) = (line, self.mode) {
            let took = took.map_or_else(|| "-".to_owned(), seconds);
            self.row(screen, id, state, &took, &words);
        }
    }

    /// Time has passed: explains each start that has become long, and each stop.
    pub(in crate::cli) fn tick(&mut self, screen: &mut Screen, now: Timestamp) {
        if self.mode != Mode::Pretty {
            return;
        }
        if let Some(down) = &mut self.down {
            down.tick(screen, now);
            return;
        }
        let mut lines = Vec::new();
        for (id, row) in &mut self.rows {
            let waited = since(row.starting_since, now);
            let due = waited >= EXPLAIN_AFTER && waited >= row.explained * 2;
            if !matches!(row.state, State::Starting | State::Loaded) || !due {
                continue;
            }
            row.explained = waited;
            let whole = span(Duration::from_secs(waited.as_secs()));
            lines.push((id.clone(), row.state, whole, row.step.clone()));
        }
        for (id, state, took, words) in lines {
            self.row(screen, &id, state, &took, &words);
        }
    }

    /// A line of a plugin's log. The supervisor's own acts are events already, and are not shown twice.
    pub(in crate::cli) fn log(&mut self, screen: &mut Screen, line: LogLine) {
        match (self.mode, &mut self.held) {
            _ if line.source == Source::Host => {}
            (Mode::Json, _) => screen.json_line(&line),
            (Mode::Plain, _) => {
                let level = line.level.as_deref().unwrap_or("info");
                let time = clock(&line.at, screen.zone());
                let source =
                    format!("{}/{} {}", visible(&line.plugin), line.generation, line.source.word());
                let priority = screen.priority(level);
                screen.line(&format!(
                    "{priority}{time} {} {source}: {}",
                    pad(level, 5),
                    visible(&line.text)
                ));
            }
            (Mode::Pretty, Some(held)) => {
                if held.len() == HELD_LINES {
                    held.pop_front();
                    self.held_dropped += 1;
                }
                held.push_back(line);
            }
            (Mode::Pretty, None) => self.prefixed(screen, &line),
        }
    }

    /// Events or lines went by faster than they could be shown.
    pub(in crate::cli) fn missed(&mut self, screen: &mut Screen, lines: bool, missed: u64) {
        match (self.mode, lines) {
            (Mode::Pretty | Mode::Plain, true) => logs::missed(screen, missed),
            (Mode::Json, _) | (_, false) => {
                events::item(screen, &crate::control::api::EventItem::Missed(missed));
            }
        }
    }

    /// Whether each plugin that was to come up has had its first verdict.
    pub(in crate::cli) fn is_settled(&self) -> bool {
        self.rows.values().all(|row| !row.awaited || row.waiting || verdict(row.state))
    }

    /// The plugins in one of these states.
    pub(in crate::cli) fn in_state(&self, states: &[State]) -> Vec<String> {
        let found = self.rows.iter().filter(|(_, row)| states.contains(&row.state));
        found.map(|(id, _)| id.clone()).collect()
    }

    /// The plugins that are to come up and are not there yet.
    pub(in crate::cli) fn missing(&self) -> Vec<String> {
        let serves = |state| matches!(state, State::Active | State::Degraded);
        let missing = self.rows.iter().filter(|(_, row)| row.awaited && !serves(row.state));
        missing.map(|(id, _)| id.clone()).collect()
    }

    /// All are down: what was not said before, and the count.
    pub(in crate::cli) fn finish(&mut self, screen: &mut Screen, change: &Change) {
        if self.mode != Mode::Pretty {
            return;
        }
        if let Some(down) = &mut self.down {
            down.finish_quietly(screen, change);
        }
        match change.outcomes.is_empty() {
            true => screen.line("outboard has ended."),
            false => screen.line(&ended(&change.outcomes)),
        }
    }

    /// Events went by unseen: takes the states from a fresh look.
    pub(in crate::cli) fn resync(&mut self, status: &Status) {
        for plugin in &status.plugins {
            if let Some(row) = self.rows.get_mut(&plugin.id) {
                row.state = plugin.state;
                row.waiting = !plugin.waiting_for.is_empty();
            }
        }
    }

    fn summary_if_due(&mut self, screen: &mut Screen, at: Timestamp) {
        if self.held.is_none() || !self.is_settled() {
            return;
        }
        let took = span(since(self.began, at));
        let n = |states: &[State]| self.in_state(states).len();
        let resting = self.rows.values().filter(|row| row.state == State::Registered);
        let (waiting, resting): (Vec<&Row>, Vec<&Row>) = resting.partition(|row| row.waiting);
        let (lazy, resting): (Vec<&Row>, Vec<&Row>) = resting.into_iter().partition(|row| row.lazy);
        let counts = [
            (n(&[State::Active]), "active"),
            (n(&[State::Degraded]), "degraded"),
            (lazy.len(), "lazy"),
            (resting.len(), "resting"),
            (waiting.len(), "waiting"),
            (n(&[State::Backoff, State::Starting, State::Loaded]), "starting again"),
            (n(&[State::Failed]), "failed"),
            (n(&[State::Unkillable]), "unkillable"),
        ];
        let parts: Vec<String> =
            counts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
        let parts = if parts.is_empty() { "no plugins".to_owned() } else { parts.join(", ") };
        if self.mode == Mode::Pretty {
            screen.line(&format!("{parts} after {took}"));
            for id in self.in_state(&[State::Failed]) {
                let advice = self.advice(&id);
                screen.line(&format!("  {}: {}", visible(&id), visible(&advice)));
            }
        }
        self.release(screen);
    }

    /// What to do about one that failed: what is missing is named where that is all.
    fn advice(&self, id: &str) -> String {
        let failure = self.rows.get(id).and_then(|row| row.failure.as_deref());
        let unset =
            failure.and_then(|words| words.strip_prefix("config: ")?.split_once(" is not set ("));
        match (unset, self.env_files.get(id)) {
            (Some((name, _)), Some(file)) if !name.contains(' ') => {
                format!("put {name}=… into {file}; it is read again at each start")
            }
            _ => format!("outboard why {id}"),
        }
    }

    /// The way up is over: log lines are shown from now on.
    fn release(&mut self, screen: &mut Screen) {
        for line in self.held.take().into_iter().flatten() {
            self.prefixed(screen, &line);
        }
        if std::mem::take(&mut self.held_dropped) > 0 {
            screen.line("earlier lines are in `outboard logs --all`");
        }
    }

    fn prefixed(&self, screen: &mut Screen, line: &LogLine) {
        let tone = match line.level.as_deref() {
            Some("error") => Tone::Bad,
            Some("warn") => Tone::Warning,
            _ => Tone::Plain,
        };
        let before = format!("{} | ", pad(&visible(&line.plugin), self.width));
        screen.toned(&before, tone, &visible(&line.text), "");
    }

    fn row(&self, screen: &mut Screen, id: &str, state: State, took: &str, words: &str) {
        let before = format!("{}  ", pad(&visible(id), self.width));
        let left = screen
            .width()
            .saturating_sub(self.width + 2 + 10 + 2 + took.chars().count().max(5) + 2)
            .max(20);
        let words = visible(words).into_owned();
        let after = format!("  {}  {}", pad(took, 5), fit(&words, left));
        screen.toned(&before, Tone::of_state(state), &pad(state.word(), 10), &after);
    }
}
