//! `outboard check`: every error of every manifest, without starting anything.

use outboard_manifest::Problem;
use serde::Serialize;

use super::Ended;
use crate::cli::args::CheckArgs;
use crate::cli::exit::Exit;
use crate::cli::render::Screen;
use crate::cli::trouble::Trouble;
use crate::control::api::SCHEMA;

#[derive(Serialize)]
struct Report<'a> {
    schema: u32,
    files: usize,
    plugins: Vec<&'a str>,
    problems: Vec<Found<'a>>,
}

#[derive(Serialize)]
struct Found<'a> {
    severity: &'static str,
    what: &'a str,
    cause: Option<&'a str>,
    help: Option<&'a str>,
    places: Vec<At>,
}

#[derive(Serialize)]
struct At {
    file: String,
    line: usize,
    column: usize,
}

pub(super) fn run(args: &CheckArgs, screen: &mut Screen) -> Ended {
    let mut set = crate::discover::load(&args.sources)
        .map_err(|error| Trouble::new(Exit::Usage, error.to_string()))?;
    set.look_around(&std::env::vars_os().collect::<Vec<_>>());
    if screen.is_json() {
        screen.json(&Report {
            schema: SCHEMA,
            files: set.files,
            plugins: set.manifests.iter().map(|manifest| &*manifest.id).collect(),
            problems: set.problems().into_iter().map(found).collect(),
        });
    } else if screen.is_quiet() {
        // Nothing but errors, and those where errors belong.
        let here = std::env::current_dir().unwrap_or_default();
        let errors = set.problems().into_iter().filter(|problem| problem.is_error());
        screen.complain(&errors.map(|problem| problem.render(&here)).collect::<String>());
    } else {
        let here = std::env::current_dir().unwrap_or_default();
        // The problems are the answer: `check` is asked for them.
        let (problems, summary) = (set.render(&here), set.summary());
        screen.print(&format!("{problems}{summary} Nothing was started or changed.\n"));
    }
    let sound = !set.has_errors() && !set.lacks_surroundings();
    Ok(if sound { Exit::Done } else { Exit::Usage })
}

fn found(problem: &Problem) -> Found<'_> {
    let places = problem.place.iter().chain(&problem.also);
    Found {
        severity: problem.severity.word(),
        what: &problem.what,
        cause: problem.cause.as_deref(),
        help: problem.help.as_deref(),
        places: places
            .map(|place| At {
                file: place.file.display().to_string(),
                line: place.line,
                column: place.column,
            })
            .collect(),
    }
}
