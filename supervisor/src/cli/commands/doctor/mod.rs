//! `outboard doctor`: what this machine can do, tried with throw-away processes, and whether these manifests ask for more.

mod demands;
mod machine;
mod programs;

use outboard_keeper::{ContainmentChoice, trial};
use outboard_manifest::Containment;

use super::Ended;
use crate::cli::args::DoctorArgs;
use crate::cli::exit::Exit;
use crate::cli::render::{Screen, doctor};
use crate::cli::trouble::Trouble;
use crate::control::words::count;

pub(super) fn run(args: &DoctorArgs, screen: &mut Screen) -> Ended {
    let set = match args.sources.is_empty() {
        true => None,
        false => Some(
            crate::discover::load(&args.sources)
                .map_err(|error| Trouble::new(Exit::Usage, error.to_string()))?,
        ),
    };
    let settings = set.as_ref().map(|set| set.settings.clone()).unwrap_or_default();
    let found = trial::run(choice(settings.containment)).map_err(|error| {
        Trouble::new(Exit::Unavailable, "nothing could be tried: no process can be started")
            .cause(error.to_string())
    })?;
    let plugins = set.as_ref().map_or(machine::USUAL_PLUGINS, |set| set.manifests.len() as u64);
    let descriptors = trial::descriptors(machine::descriptors_for(plugins));
    let programs = programs::look(set.as_ref());
    let mut checks = machine::checks(&found, descriptors, plugins, settings.fleet.shutdown_cap);
    checks.push(programs.check());
    let asked = set.as_ref().map(|set| demands::of(set, &found, descriptors, &programs));
    doctor::report(screen, &checks, asked.as_ref());
    match asked.map(|asked| asked.lost()).filter(|lost| !lost.is_empty()) {
        None => Ok(Exit::Done),
        Some(lost) => {
            let plugins = count(lost.len() as u64, "plugin", "plugins");
            Err(Trouble::new(Exit::Usage, format!("{plugins} will not run on this machine"))
                .cause(lost.join(", ")))
        }
    }
}

fn choice(containment: Containment) -> ContainmentChoice {
    match containment {
        Containment::Auto | Containment::PidNamespace => ContainmentChoice::Auto,
        Containment::Cgroup => ContainmentChoice::Cgroup,
        Containment::Session => ContainmentChoice::Session,
    }
}
