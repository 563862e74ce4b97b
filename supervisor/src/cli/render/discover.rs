//! The discovery screen: each plugin that there is to run, and how it is where it runs.

use outboard_manifest::{Manifest, Problem, Set};
use serde::Serialize;

use super::screen::{Screen, Tone};
use super::status::package;
use super::table::{Align, Table};
use crate::control::api::{EntryPoint, Failure, Health, Plugin, SCHEMA, State, Status};
use crate::control::words::count;

#[derive(Serialize)]
struct Report<'a> {
    schema: u32,
    plugins: Vec<Row<'a>>,
    refused: Vec<Refused<'a>>,
    warnings: Vec<String>,
}

/// One plugin. What is known only of one that a supervisor has is `null` without one.
#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    /// Where it is described; of what no file names, nowhere.
    manifest: Option<String>,
    entry_point: Option<EntryPoint>,
    state: Option<State>,
    health: Option<&'a Health>,
    loaded_at: Option<&'a str>,
    last_failure: Option<&'a Failure>,
    /// What runs, where another version is installed by now.
    running_version: Option<&'a str>,
}

#[derive(Serialize)]
struct Refused<'a> {
    id: Option<&'a str>,
    source: String,
    problems: Vec<Said<'a>>,
}

#[derive(Serialize)]
struct Said<'a> {
    what: &'a str,
    cause: Option<&'a str>,
    help: Option<&'a str>,
}

/// Everything that was found, and what a running supervisor knows of it.
pub(in crate::cli) fn show(set: &Set, status: Option<&Status>, screen: &mut Screen) {
    let rows: Vec<Row<'_>> = set.manifests.iter().map(|manifest| row(manifest, status)).collect();
    if screen.is_json() {
        screen.json(&report(set, rows));
        return;
    }
    let mut table = Table::new(vec![
        ("ID", Align::Left),
        ("STATE", Align::Left),
        ("HEALTH", Align::Left),
        ("LOADED", Align::Left),
        ("FROM", Align::Left),
    ]);
    for row in &rows {
        let state = row.state.map_or("-", State::word);
        let serves = matches!(row.state, Some(State::Active | State::Degraded));
        let health = row.health.filter(|_| serves).map_or("-", |health| health.status.word());
        let loaded = row.loaded_at.map_or("-".to_owned(), second);
        let cells =
            vec![row.id.to_owned(), state.to_owned(), health.to_owned(), loaded, row.origin()];
        table.row(row.state.map_or(Tone::Plain, Tone::of_state), cells);
    }
    if !rows.is_empty() {
        table.print(screen);
    }
    for row in &rows {
        let down = matches!(row.state, Some(State::Failed | State::Backoff));
        if let Some(failure) = row.last_failure.filter(|_| down) {
            screen.line(&format!("{}: {}", row.id, failure.message));
        }
    }
    let here = std::env::current_dir().unwrap_or_default();
    screen.print(&set.render(&here));
    let refused = match set.refused.len() {
        0 => String::new(),
        n => format!(", {} refused", count(n as u64, "source", "sources")),
    };
    screen.line(&format!("{} found{refused}", count(rows.len() as u64, "plugin", "plugins")));
}

fn row<'a>(manifest: &'a Manifest, status: Option<&'a Status>) -> Row<'a> {
    let entry_point = manifest.entry_point.clone().map(EntryPoint::from);
    let plugins = status.map(|status| status.plugins.as_slice()).unwrap_or_default();
    let runs = plugins.iter().find(|plugin| {
        *plugin.id == *manifest.id && is_same(plugin.entry_point.as_ref(), entry_point.as_ref())
    });
    let version = |plugin: &'a Plugin| plugin.entry_point.as_ref().map(|point| &*point.version);
    let newest = entry_point.as_ref().map(|point| point.version.clone());
    Row {
        id: &manifest.id,
        manifest: Some(manifest.source.display().to_string()).filter(|file| !file.starts_with('#')),
        state: runs.map(|plugin| plugin.state),
        health: runs.map(|plugin| &plugin.health),
        loaded_at: runs.and_then(|plugin| plugin.loaded_at.as_deref()),
        last_failure: runs.and_then(|plugin| plugin.last_failure.as_ref()),
        running_version: runs
            .and_then(version)
            .filter(|version| Some(*version) != newest.as_deref()),
        entry_point,
    }
}

/// Whether two are of one place; their versions may differ.
fn is_same(a: Option<&EntryPoint>, b: Option<&EntryPoint>) -> bool {
    let place =
        |point: &EntryPoint| (point.environment.clone(), point.group.clone(), point.name.clone());
    a.map(place) == b.map(place)
}

impl Row<'_> {
    fn origin(&self) -> String {
        let Some(point) = &self.entry_point else {
            return super::text::path(self.manifest.as_deref().unwrap_or_default());
        };
        let runs = self.running_version.map(|version| format!(" ({version} runs)"));
        format!("{}{} · {}", package(point), runs.unwrap_or_default(), point.value)
    }
}

/// `2026-11-26 01:40:12` of an RFC 3339 time.
fn second(at: &str) -> String {
    at.get(..19).unwrap_or(at).replace('T', " ")
}

fn report<'a>(set: &'a Set, plugins: Vec<Row<'a>>) -> Report<'a> {
    let refused = set.refused.iter().map(|refused| Refused {
        id: refused.id.as_deref(),
        source: refused.source.display().to_string(),
        problems: refused.problems.iter().filter(|problem| problem.is_error()).map(said).collect(),
    });
    let about_all = set.settings_problems.iter().chain(&set.warnings);
    Report {
        schema: SCHEMA,
        plugins,
        refused: refused.collect(),
        warnings: about_all.map(Problem::sentence).collect(),
    }
}

fn said(problem: &Problem) -> Said<'_> {
    Said { what: &problem.what, cause: problem.cause.as_deref(), help: problem.help.as_deref() }
}
