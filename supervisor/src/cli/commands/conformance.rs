//! `outboard conformance`: whether a plugin keeps to the protocol, without a supervisor.

use std::path::Path;

use outboard_conformance::{Book, Error};
use outboard_manifest::{Dialect, Manifest};

use super::Ended;
use crate::cli::args::ConformanceArgs;
use crate::cli::exit::Exit;
use crate::cli::render::{Screen, conformance, junit};
use crate::cli::trouble::Trouble;

pub(super) fn run(args: &ConformanceArgs, screen: &mut Screen) -> Ended {
    let Some(path) = args.manifest.as_deref() else {
        conformance::rules(screen, Book::of(args.dialect.map_or(Dialect::Native, Dialect::from)));
        return Ok(Exit::Done);
    };
    let manifest = match one_manifest(path, screen)? {
        Some(manifest) => manifest,
        None => return Ok(Exit::Usage),
    };
    let book = Book::of(manifest.dialect);
    if args.list {
        conformance::rules(screen, book);
        return Ok(Exit::Done);
    }
    let only = (!args.only.is_empty()).then_some(&*args.only);
    conformance::begin(screen, &manifest.id, path, book);
    let report = outboard_conformance::run(&manifest, crate::dialects::make(&manifest), only)
        .map_err(|error| trouble(&manifest, path, &error))?;
    conformance::report(screen, &manifest.id, path, &report);
    if let Some(file) = &args.junit {
        let xml = junit::report(&manifest.id, &report);
        std::fs::write(file, xml).map_err(|error| {
            Trouble::new(Exit::Usage, format!("{} cannot be written", file.display()))
                .cause(error.to_string())
        })?;
    }
    Ok(if report.conforms() { Exit::Done } else { Exit::PluginError })
}

/// The one plugin that is named; `None` when its problems were printed.
fn one_manifest(path: &Path, screen: &mut Screen) -> Result<Option<Manifest>, Trouble> {
    let mut set = outboard_manifest::load(&[path.to_owned()], None)
        .map_err(|error| Trouble::new(Exit::Usage, error.to_string()))?;
    if set.has_errors() {
        let here = std::env::current_dir().unwrap_or_default();
        let errors = set.problems().into_iter().filter(|problem| problem.is_error());
        screen.complain(&errors.map(|problem| problem.render(&here)).collect::<String>());
        return Ok(None);
    }
    match (set.manifests.pop(), set.manifests.len()) {
        (Some(manifest), 0) => Ok(Some(manifest)),
        (None, _) => {
            Err(Trouble::new(Exit::Usage, format!("there is no manifest in {}", path.display())))
        }
        (Some(_), more) => {
            let what = format!("there are {} plugins in {}", more + 1, path.display());
            let file = path.join(format!("{}.toml", set.manifests[0].id));
            Err(Trouble::new(Exit::Usage, what)
                .cause("one is checked at a time")
                .help(format!("outboard conformance {}", file.display())))
        }
    }
}

fn trouble(manifest: &Manifest, path: &Path, error: &Error) -> Trouble {
    let cannot = || format!("{} cannot be checked", manifest.id);
    match error {
        Error::NotOfIts { .. } => Trouble::new(Exit::Usage, cannot())
            .cause(error.to_string())
            .help(format!("outboard conformance {} --list, which prints those", path.display())),
        Error::Era => Trouble::new(Exit::Usage, cannot()).cause(error.to_string()).help(format!(
            "outboard run {} --once-active, which opens and probes it",
            path.display()
        )),
        Error::Surroundings(reasons) => {
            reasons.iter().fold(Trouble::new(Exit::Usage, cannot()), Trouble::cause)
        }
        Error::Start { .. } => Trouble::new(Exit::Unavailable, cannot())
            .cause(error.to_string())
            .help(format!("outboard check {}", path.display())),
        Error::Keeper(_) => Trouble::new(Exit::Unavailable, cannot())
            .cause(error.to_string())
            .help("outboard doctor"),
    }
}
