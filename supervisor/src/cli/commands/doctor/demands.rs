//! What manifests ask of the machine, beside what it can do.

use outboard_keeper::trial::{Descriptors, Findings, Limited};
use outboard_manifest::{Limits, Problem, Set};

use super::programs::Programs;
use crate::cli::render::doctor::{Ask, Asked, Refused};

pub(super) fn of(
    set: &Set,
    found: &Findings,
    descriptors: Descriptors,
    programs: &Programs,
) -> Asked {
    let mut asks = Vec::new();
    for manifest in &set.manifests {
        let Limits { memory, processes, cpu, open_files, require } = manifest.limits;
        let wanted = [
            ("memory", memory.is_some(), found.memory == Limited::Plugin),
            ("processes", processes.is_some(), found.processes == Limited::Plugin),
            ("cpu", cpu.is_some(), found.cpu),
            (
                "open_files",
                open_files.is_some(),
                open_files.is_some_and(|files| u64::from(files) <= descriptors.allowed),
            ),
        ];
        for (what, _, held) in wanted.into_iter().filter(|(_, asked, _)| *asked) {
            let plugin = manifest.id.to_string();
            asks.push(Ask { what: what.to_owned(), plugin, held, required: require });
        }
    }
    asks.sort_by(|a, b| a.what.cmp(&b.what).then_with(|| a.plugin.cmp(&b.plugin)));
    // Without its program a plugin does not run, whatever it says it requires.
    for (program, plugins) in &programs.lacking {
        asks.extend(plugins.iter().map(|plugin| Ask {
            what: program.clone(),
            plugin: plugin.clone(),
            held: false,
            required: true,
        }));
    }
    let mut refused: Vec<Refused> = set
        .refused
        .iter()
        .filter_map(|refused| {
            let errors: Vec<&Problem> =
                refused.problems.iter().filter(|problem| problem.is_error()).collect();
            let why = errors.first()?.sentence();
            let plugin = match &refused.id {
                Some(id) => id.to_string(),
                None => refused.source.display().to_string(),
            };
            Some(Refused { plugin, why, more: errors.len() - 1 })
        })
        .collect();
    let settings = set.settings_problems.iter().filter(|problem| problem.is_error());
    refused.extend(settings.map(|problem| Refused {
        plugin: "outboard.toml".to_owned(),
        why: problem.sentence(),
        more: 0,
    }));
    Asked { plugins: set.manifests.len(), asks, refused }
}
