//! Checks that need more than one key of a manifest.

use std::sync::Arc;
use std::time::Duration;

use crate::keys::{Effect, Kind, MANIFEST};
use crate::problem::Problem;
use crate::read::label;
use crate::scalar::write_duration;
use crate::source::{Source, Spot};
use crate::template::Template;
use crate::value::Values;

/// Pairs of durations of which the first must not be longer.
const ORDERED: [(&str, &str); 2] = [
    ("start.first_byte_timeout", "start.first_byte_cap"),
    ("restart.backoff.initial", "restart.backoff.max"),
];

/// What is wrong with a manifest once the defaults lie below it. `process` is where its `[process]` stands; with
/// `spoken_of` a problem with its command has been noted already.
pub(crate) fn whole(
    values: &Values,
    file: &Arc<Source>,
    process: Option<Spot>,
    spoken_of: bool,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    if values.get("process.command").is_none() && !spoken_of {
        let spot = process.unwrap_or_else(|| Spot::new(file, 0..0));
        problems.push(
            Problem::error("`[process] command` is missing")
                .at(spot.place())
                .help("command = [\"PROGRAM\", \"ARGUMENT\"] below [process]"),
        );
    }
    for (shorter, longer) in ORDERED {
        problems.extend(ordered(values, shorter, longer));
    }
    problems.extend(limits(values));
    problems.extend(other_dialect(values, file));
    problems.extend(containers(values));
    problems
}

fn ordered(values: &Values, shorter: &str, longer: &str) -> Option<Problem> {
    let (short, long) = (values.duration(shorter), values.duration(longer));
    if short <= long {
        return None;
    }
    let said = |path: &str, duration: Duration| {
        let origin = if values.spot(path).is_some() { "" } else { ", the default" };
        format!("({}{origin})", write_duration(duration))
    };
    let what = format!(
        "{} {} is longer than {} {}",
        label(shorter),
        said(shorter, short),
        label(longer),
        said(longer, long)
    );
    // Two defaults are in order, so one of the two has a place.
    let mut places =
        [shorter, longer].into_iter().filter_map(|path| values.spot(path)).map(Spot::place);
    let mut problem = Problem::error(what);
    problem.place = places.next();
    Some(problem.also(places))
}

/// Limits that no mechanism enforces yet: a warning, or an error where they are required.
fn limits(values: &Values) -> Vec<Problem> {
    let Some(Kind::Section(section)) = MANIFEST.key("limits").map(|key| key.kind) else {
        return Vec::new();
    };
    let required = values.flag("limits.require");
    let mut problems = Vec::new();
    for key in section.keys().filter(|key| key.effect == Effect::ProtectsIfRequired) {
        let path = format!("limits.{}", key.name);
        let Some(spot) = values.spot(&path) else { continue };
        let problem = if required {
            Problem::error(format!("{} cannot be enforced yet, and is required", label(&path)))
                .cause("leave it out, or `require = true`")
        } else {
            Problem::warning(format!("{} has no effect yet", label(&path)))
        };
        problems.push(problem.at(spot.place()));
    }
    problems
}

/// Settings of a dialect that the plugin does not speak. Defaults for all plugins are not addressed to this one.
fn other_dialect(values: &Values, file: &Source) -> Option<Problem> {
    let dialect = values.choice("dialect");
    values.iter().find_map(|(path, entry)| {
        let section = path.split('.').next()?;
        let foreign = matches!(section, "mcp" | "lsp") && section != dialect;
        let spot = entry.spot.as_ref().filter(|spot| foreign && spot.file() == file.path())?;
        let what = format!("[{section}] has no effect: the dialect is {dialect}");
        Some(Problem::warning(what).at(spot.place()))
    })
}

/// A container is nobody's child and outlives the client that started it.
fn containers(values: &Values) -> Vec<Problem> {
    let command = values.templates("process.command");
    let words: Vec<&str> = command.iter().map(Template::as_written).collect();
    let [program, arguments @ ..] = words.as_slice() else { return Vec::new() };
    let program = program.rsplit('/').next().unwrap_or(program);
    if !matches!(program, "docker" | "podman") || !arguments.contains(&"run") {
        return Vec::new();
    }
    let has = |name: &str| {
        arguments.iter().any(|word| {
            word.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
        })
    };
    let interactive = has("--interactive")
        || arguments.iter().any(|word| {
            word.strip_prefix('-').is_some_and(|flags| {
                !flags.starts_with('-') && flags.len() <= 4 && flags.contains('i')
            })
        });
    let place = values.spot("process.command").map(Spot::place);
    [
        (has("--init"), "--init: the server may not see SIGTERM"),
        (has("--rm"), "--rm: what has ended is kept"),
        (has("--cidfile"), "--cidfile: one that outlives its client cannot be found"),
        (interactive, "-i: its stdin is closed from the start"),
    ]
    .into_iter()
    .filter(|(there, _)| !there)
    .map(|(_, missing)| {
        let mut problem = Problem::warning(format!("`{program} run` without {missing}"));
        problem.place.clone_from(&place);
        problem
    })
    .collect()
}
