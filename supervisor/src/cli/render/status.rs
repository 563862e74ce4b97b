//! The status screen: truth at a glance, trouble first.

use std::collections::BTreeMap;
use std::time::Duration;

use super::screen::{Screen, Tone};
use super::table::{Align, Table};
use super::text;
use crate::control::api::{EntryPoint, HealthStatus, Plugin, State, Status, Supervisor};
use crate::control::words::{count, span};

/// The table with its head and its count.
pub(in crate::cli) fn status(screen: &mut Screen, status: &Status) {
    if screen.is_json() {
        screen.json(status);
        return;
    }
    let head = head(&status.supervisor);
    let head = text::fit(&head, screen.width()).into_owned();
    screen.line(&head);
    let mut table = Table::new(vec![
        ("ID", Align::Left),
        ("STATE", Align::Left),
        ("HEALTH", Align::Left),
        ("UP", Align::Left),
        ("RESTARTS", Align::Right),
        ("CALLS", Align::Right),
        ("NOTE", Align::Left),
    ]);
    for plugin in &status.plugins {
        table.row(Tone::of_state(plugin.state), row(plugin));
    }
    if !status.plugins.is_empty() {
        table.print(screen);
    }
    screen.line(&counted(status.plugins.iter().map(|plugin| plugin.state)));
    if !status.drift.is_empty() {
        let files: Vec<_> = status.drift.iter().map(|file| text::visible(file)).collect();
        let (then, room) = (" (outboard reload --plan)", screen.width());
        let files = format!("changed on disk, not applied: {}", files.join(", "));
        let files = text::fit(&files, room.saturating_sub(then.len())).into_owned();
        screen.line(&format!("{files}{then}"));
    }
}

/// What each plugin reports of itself, after a probe.
pub(in crate::cli) fn health(screen: &mut Screen, status: &Status) {
    if screen.is_json() {
        screen.json(status);
        return;
    }
    let mut table = Table::new(vec![
        ("ID", Align::Left),
        ("HEALTH", Align::Left),
        ("ANSWERED", Align::Left),
        ("SAYS", Align::Left),
    ]);
    for plugin in &status.plugins {
        let ago = plugin.health.last_ok_ms_ago.map(Duration::from_millis);
        let (word, answered) = match plugin.state {
            State::Active | State::Degraded => (
                plugin.health.status.word(),
                ago.map_or_else(|| "-".to_owned(), |ago| format!("{} ago", span(ago))),
            ),
            state => (state.word(), "-".to_owned()),
        };
        let says = plugin.health.message.clone().unwrap_or_default();
        table.row(
            Tone::of_state(plugin.state),
            vec![plugin.id.clone(), word.to_owned(), answered, says],
        );
    }
    if !status.plugins.is_empty() {
        table.print(screen);
    }
}

/// The ids alone, for scripts; with states in JSON.
pub(in crate::cli) fn list(screen: &mut Screen, status: &Status) {
    #[derive(serde::Serialize)]
    struct Row<'a> {
        id: &'a str,
        state: State,
    }
    let mut rows: Vec<_> =
        status.plugins.iter().map(|p| Row { id: &p.id, state: p.state }).collect();
    rows.sort_by_key(|row| row.id);
    for row in rows {
        if screen.is_json() {
            screen.json_line(&row);
        } else {
            screen.line(row.id);
        }
    }
}

fn head(supervisor: &Supervisor) -> String {
    let sources: Vec<String> = supervisor.sources.iter().map(|source| text::path(source)).collect();
    format!(
        "outboard {} · up {} · revision {} · {}",
        text::visible(&supervisor.version),
        span(Duration::from_millis(supervisor.uptime_ms)),
        supervisor.revision,
        sources.join(" ")
    )
}

fn row(plugin: &Plugin) -> Vec<String> {
    let serves = matches!(plugin.state, State::Active | State::Degraded);
    let health = match plugin.health.status {
        HealthStatus::Unknown => "-",
        known if serves => known.word(),
        _ => "-",
    };
    let up = if serves { span(Duration::from_millis(plugin.since_ms)) } else { "-".to_owned() };
    vec![
        plugin.id.clone(),
        plugin.state.word().to_owned(),
        health.to_owned(),
        up,
        plugin.restarts.to_string(),
        plugin.in_flight.to_string(),
        plugin
            .note
            .clone()
            .or_else(|| Some(package(plugin.entry_point.as_ref()?)))
            .unwrap_or_default(),
    ]
}

/// `demi-geo 1.2.0`: where a plugin comes from that no file describes.
pub(in crate::cli) fn package(point: &EntryPoint) -> String {
    format!("{} {}", point.distribution, point.version)
}

/// `6 plugins: 1 failed, 1 degraded, 3 active, 1 registered`.
pub(in crate::cli) fn counted(states: impl Iterator<Item = State>) -> String {
    let mut by_state: BTreeMap<State, u64> = BTreeMap::new();
    for state in states {
        *by_state.entry(state).or_default() += 1;
    }
    let total = count(by_state.values().sum(), "plugin", "plugins");
    let parts: Vec<String> =
        by_state.iter().map(|(state, n)| format!("{n} {}", state.word())).collect();
    if parts.is_empty() { total } else { format!("{total}: {}", parts.join(", ")) }
}
