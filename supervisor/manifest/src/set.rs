//! All manifests together: duplicates, circles, and names that nobody bears.

mod circles;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use outboard_core::PluginId;

use crate::digest::digest_of;
use crate::manifest::Manifest;
use crate::problem::{Problem, Severity, ticked};
use crate::resolve;
use crate::settings::Settings;
use crate::source::Spot;
use crate::suggest::nearest;

/// Everything that was found, sound and refused.
#[derive(Clone, Debug, Default)]
pub struct Set {
    pub settings: Settings,
    /// Problems that belong to no plugin: of `outboard.toml`, of a folder, of the whole. With an error among them
    /// nothing may be started: what it says would have held for every plugin.
    pub settings_problems: Vec<Problem>,
    /// The sound ones, by id.
    pub manifests: Vec<Manifest>,
    /// The others, by file.
    pub refused: Vec<Refused>,
    /// Warnings about sound manifests.
    pub warnings: Vec<Problem>,
    /// What [`Set::look_around`] found missing around sound manifests: secrets, programs, folders.
    pub surroundings: Vec<Problem>,
    /// How many files were looked at, `outboard.toml` included.
    pub files: usize,
}

/// A file that gives no plugin, with everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The best guess: the id in the file, else the file's name, where that could be an id.
    pub id: Option<PluginId>,
    pub source: PathBuf,
    pub problems: Vec<Problem>,
    /// Hash of its text: equal for two loads as long as nobody has touched it. 0 when it could not be read.
    pub text: u64,
}

impl Refused {
    /// All of its problems as text.
    pub fn render(&self, relative_to: &Path) -> String {
        self.problems.iter().map(|problem| problem.render(relative_to)).collect()
    }
}

impl Set {
    /// Every problem once: errors of one place, errors of several (circles, duplicates), then warnings; by place.
    pub fn problems(&self) -> Vec<&Problem> {
        let mut list: Vec<&Problem> = self
            .settings_problems
            .iter()
            .chain(self.refused.iter().flat_map(|refused| &refused.problems))
            .chain(&self.warnings)
            .chain(&self.surroundings)
            .collect();
        list.sort_by_key(|problem| {
            let place = problem.place.as_ref();
            let place = place.map(|place| (&place.file, place.line, place.column));
            (problem.severity, !problem.also.is_empty(), place, &problem.what)
        });
        // A circle or a duplicate belongs to all of its members, and is said once.
        list.dedup();
        list
    }

    /// Whether `check`, `reload` and `run --strict` refuse it.
    pub fn has_errors(&self) -> bool {
        !self.refused.is_empty() || self.settings_problems.iter().any(Problem::is_error)
    }

    /// Looks for what the sound manifests need around them, as seen from here: `inherited` is the environment that they
    /// would be started with. At `run` a plugin whose surroundings are lacking is `failed` alone.
    pub fn look_around(&mut self, inherited: &[(OsString, OsString)]) {
        self.surroundings = self
            .manifests
            .iter()
            .flat_map(|manifest| resolve::check(manifest, inherited))
            .collect();
    }

    /// Whether something that a plugin needs is missing around it.
    pub fn lacks_surroundings(&self) -> bool {
        self.surroundings.iter().any(Problem::is_error)
    }

    /// Every problem as plain text, as [`Problem::render`] shows it.
    pub fn render(&self, relative_to: &Path) -> String {
        self.problems().iter().map(|problem| problem.render(relative_to)).collect()
    }

    /// `3 errors, 1 warning in 5 of 7 files.`
    pub fn summary(&self) -> String {
        let problems = self.problems();
        let number =
            |severity: Severity| problems.iter().filter(|p| p.severity == severity).count();
        let plural = |n: usize, word: &str| match n {
            1 => format!("1 {word}"),
            n => format!("{n} {word}s"),
        };
        let (errors, warnings) = (number(Severity::Error), number(Severity::Warning));
        let files = plural(self.files, "file");
        if errors + warnings == 0 {
            return format!("{files}, no errors.");
        }
        let mut bad: BTreeSet<&Path> = self.refused.iter().map(|r| r.source.as_path()).collect();
        let places = problems.iter().flat_map(|problem| problem.place.iter().chain(&problem.also));
        // A folder is no file.
        let folders: BTreeSet<&Path> =
            self.manifests.iter().filter_map(|manifest| manifest.source.parent()).collect();
        bad.extend(places.map(|place| place.file.as_path()).filter(|file| !folders.contains(file)));
        let counts: Vec<String> = [(errors, "error"), (warnings, "warning")]
            .into_iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, word)| plural(n, word))
            .collect();
        format!("{} in {} of {files}.", counts.join(", "), bad.len())
    }

    /// Adds a problem that belongs to no plugin.
    pub(crate) fn found(&mut self, problem: Problem) {
        self.settings_problems.push(problem);
    }

    /// Takes sound manifests out, each with a problem of its own or a shared one.
    fn refuse(&mut self, mut guilty: BTreeMap<usize, Vec<Problem>>) {
        let mut index = 0;
        let mut refused = Vec::new();
        self.manifests.retain(|manifest| {
            let problems = guilty.remove(&index);
            index += 1;
            let Some(problems) = problems else { return true };
            refused.push(Refused {
                id: Some(manifest.id.clone()),
                source: manifest.source.clone(),
                problems,
                text: digest_of(manifest.text()),
            });
            false
        });
        self.refused.extend(refused);
    }
}

/// Finds what is wrong between manifests, and takes out those that cannot run.
pub(crate) fn judge(set: &mut Set) {
    let twins = twins(&set.manifests);
    let mut guilty = circles::find(&set.manifests, &twins);
    for (index, problems) in absent(set) {
        guilty.entry(index).or_default().extend(problems);
    }
    for (index, problems) in twins {
        guilty.entry(index).or_default().extend(problems);
    }
    set.refuse(guilty);
    set.manifests.sort_by(|a, b| a.id.cmp(&b.id));
    set.refused.sort_by(|a, b| a.source.cmp(&b.source));
}

/// Manifests that share an id, or whose ids differ by case only. One of them may be refused already for another
/// reason; then its place is not known, and the other runs.
fn twins(manifests: &[Manifest]) -> BTreeMap<usize, Vec<Problem>> {
    let mut by_name: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, manifest) in manifests.iter().enumerate() {
        by_name.entry(manifest.id.to_ascii_lowercase()).or_default().push(index);
    }
    let mut guilty = BTreeMap::new();
    for group in by_name.into_values().filter(|group| group.len() > 1) {
        let names: BTreeSet<&str> = group.iter().map(|index| &*manifests[*index].id).collect();
        let mut places: Vec<_> =
            group.iter().map(|index| manifests[*index].id_spot.place()).collect();
        places.sort_by(|a, b| a.file.cmp(&b.file));
        let first = places.remove(0);
        let mut problem = if names.len() == 1 {
            Problem::error(format!("{} manifests have the id {}", group.len(), tick_all(&names)))
        } else {
            Problem::error(format!("the ids {} differ only by case", tick_all(&names)))
                .cause("they would share files on some systems, and people mix them up")
        };
        problem = problem.at(first).also(places).help("give each an `id` of its own");
        for index in group {
            guilty.insert(index, vec![problem.clone()]);
        }
    }
    guilty
}

fn tick_all(names: &BTreeSet<&str>) -> String {
    let names: Vec<String> = names.iter().map(|name| ticked(name)).collect();
    names.join(" and ")
}

/// What nobody bears. A refused file still counts: its plugin is a row, and those that need it wait.
fn absent(set: &Set) -> BTreeMap<usize, Vec<Problem>> {
    let refused = set.refused.iter().filter_map(|refused| refused.id.as_deref());
    let known: BTreeSet<&str> =
        set.manifests.iter().map(|manifest| &*manifest.id).chain(refused).collect();
    let mut guilty: BTreeMap<usize, Vec<Problem>> = BTreeMap::new();
    for (index, manifest) in set.manifests.iter().enumerate() {
        for need in &manifest.needs {
            if known.contains(need.id.as_str()) {
                continue;
            }
            let key = if need.required { "requires" } else { "after" };
            let mut problem = Problem::error(format!(
                "{} {key} {}, which no manifest describes",
                manifest.id,
                ticked(&need.id)
            ))
            .at(Spot::place(&need.spot));
            if let Some(near) = nearest(&need.id, known.iter().copied()) {
                problem = problem.cause(format!("did you mean `{near}`?"));
            }
            guilty.entry(index).or_default().push(problem);
        }
    }
    guilty
}
