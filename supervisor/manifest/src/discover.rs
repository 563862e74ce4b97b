//! `[[discover.python]]`: plugins that no file describes. What is found where is looked up by whoever loads the set; here
//! each entry point becomes a manifest like any other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use outboard_core::PluginId;
use toml::de::{DeArray, DeTable, DeValue};

use crate::keys::MANIFEST;
use crate::problem::{Problem, ticked};
use crate::read::{Problems, Reader, id_of, parse};
use crate::set::{Refused, Set};
use crate::source::{Source, Spot};
use crate::value::Values;

/// The Python package that runs entry points, as its environment imports it.
const RUNNER: &str = "outboard_plugin.runner";

/// One `[[discover.python]]`: every entry point of the group becomes a plugin.
#[derive(Clone, Debug)]
pub struct PythonGroup {
    /// The virtual environment, absolute.
    pub environment: PathBuf,
    pub group: String,
    /// `[discover.python.defaults]`: sections of a manifest, checked.
    defaults: toml::Table,
    /// Where the two keys stand.
    spots: Option<(Spot, Spot)>,
}

impl PythonGroup {
    /// A group that no file names.
    #[must_use]
    pub fn new(environment: &Path, group: &str) -> Self {
        let environment = std::path::absolute(environment).unwrap_or_else(|_| environment.into());
        let defaults = toml::Table::new();
        Self { environment, group: group.to_owned(), defaults, spots: None }
    }

    /// The program that the environment's packages run in.
    #[must_use]
    pub fn python(&self) -> PathBuf {
        self.environment.join("bin/python")
    }
}

/// One entry point of the metadata of installed packages; nothing of it has been imported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    pub name: String,
    /// `package.module:Object`.
    pub value: String,
    pub distribution: String,
    pub version: String,
    /// When its package, or the file that it names, was last written: RFC 3339.
    pub installed: String,
}

/// Looks up the entry points of a group, or says why they are not to be had.
pub type Look<'a> = dyn Fn(&PythonGroup) -> Result<Vec<Listed>, Box<Problem>> + 'a;

/// A manifest that nobody has written.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) id: PluginId,
    pub(crate) source: Arc<Source>,
}

impl Offer {
    /// What it says: the layer below a file for the same plugin.
    pub(crate) fn values(&self) -> Values {
        let mut problems = Problems::new(&self.source);
        let (table, _) = parse(&self.source, &mut problems);
        let mut reader = Reader::new(&self.source, &mut problems);
        reader.section(&MANIFEST, "", table.get_ref());
        reader.values
    }
}

/// The groups that a file names. What is misshapen has been noted by its reader already.
pub(crate) fn groups(
    source: &Arc<Source>,
    table: &DeTable<'_>,
    problems: &mut Problems<'_>,
) -> Vec<PythonGroup> {
    let Some(items) = tables(table) else { return Vec::new() };
    let folder = source.path().parent().unwrap_or(Path::new(""));
    let plain: toml::Table = toml::from_str(source.text()).unwrap_or_default();
    let mut groups: Vec<PythonGroup> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let DeValue::Table(keys) = item.get_ref() else { continue };
        let mut text = |name: &str, example: &str| match keys.get_key_value(name) {
            Some((_, value)) => match value.get_ref() {
                DeValue::String(text) => Some((text.to_string(), Spot::new(source, value.span()))),
                _ => None,
            },
            None => {
                let what = format!("`[[discover.python]] {name}` is missing");
                let help = format!("{name} = \"{example}\" below [[discover.python]]");
                problems.push(&item.span(), Problem::error(what).help(help));
                None
            }
        };
        let (environment, group) = (text("environment", ".venv"), text("group", "NAME"));
        let (Some((environment, at)), Some((group, group_at))) = (environment, group) else {
            continue;
        };
        let mut found = PythonGroup::new(&beside(folder, Path::new(&environment)), &group);
        let twin = |known: &&PythonGroup| {
            known.environment == found.environment && known.group == found.group
        };
        if groups.iter().any(|known| twin(&known)) {
            let what = format!("the group {} of this environment is named twice", ticked(&group));
            problems.push(&group_at.span(), Problem::error(what));
            continue;
        }
        found.defaults = defaults(&plain, index);
        found.spots = Some((at, group_at));
        groups.push(found);
    }
    groups
}

/// A path relative to a folder, without the `..` that it may begin with: people read it in every command.
fn beside(folder: &Path, path: &Path) -> PathBuf {
    if !path.starts_with("..") {
        return folder.join(path);
    }
    // Above a link lies another folder than its name says.
    let Ok(mut folder) = folder.canonicalize() else { return folder.join(path) };
    let mut rest = path;
    while let Ok(below) = rest.strip_prefix("..") {
        folder.pop();
        rest = below;
    }
    folder.join(rest)
}

fn tables<'t, 'a>(table: &'t DeTable<'a>) -> Option<&'t DeArray<'a>> {
    let DeValue::Table(discover) = table.get("discover")?.get_ref() else { return None };
    match discover.get("python")?.get_ref() {
        DeValue::Array(items) => Some(items),
        _ => None,
    }
}

fn defaults(plain: &toml::Table, index: usize) -> toml::Table {
    let table = plain
        .get("discover")
        .and_then(|discover| discover.get("python")?.get(index)?.get("defaults")?.as_table());
    table.cloned().unwrap_or_default()
}

/// Looks at every group. What is found is an offer; what is wrong with a group is a row of its own name and hurts nobody
/// else.
pub(crate) fn gather(look: &Look<'_>, set: &mut Set) -> Vec<Offer> {
    let mut offers: Vec<Offer> = Vec::new();
    let settings = set.settings.source.clone().unwrap_or_default();
    for group in set.settings.python.clone() {
        let listed = match look(&group) {
            Ok(listed) => listed,
            Err(problem) => {
                let problem = group.at(*problem, |(environment, _)| environment);
                let id = id_of(&group.group).is_ok().then(|| group.group.as_str().into());
                let problems = vec![problem];
                set.refused.push(Refused { id, source: settings.clone(), problems, text: 0 });
                continue;
            }
        };
        if listed.is_empty() {
            let what =
                format!("no package has an entry point in the group {}", ticked(&group.group));
            set.warnings.push(group.at(Problem::warning(what), |(_, group)| group));
        }
        let mut by_name: BTreeMap<String, Vec<Listed>> = BTreeMap::new();
        for point in listed {
            by_name.entry(point.name.clone()).or_default().push(point);
        }
        for (name, points) in by_name {
            match plain_id(&name) {
                Some(id) if offers.iter().all(|offer| offer.id != id) => {
                    offers.push(offer(&group, id, &points, &settings));
                }
                _ => {
                    let what = format!("the entry point {} cannot be a plugin", ticked(&name));
                    let why = "it has no name of its own: 1 to 64 of A-Z a-z 0-9 . _ -";
                    let problem = Problem::warning(what).cause(why);
                    set.warnings.push(group.at(problem, |(_, group)| group));
                }
            }
        }
    }
    offers
}

impl PythonGroup {
    fn at(&self, mut problem: Problem, which: impl Fn(&(Spot, Spot)) -> &Spot) -> Problem {
        problem.place = self.spots.as_ref().map(|spots| which(spots).place());
        problem
    }
}

/// The id that an entry point's name gives: what an id cannot have becomes `-`.
fn plain_id(name: &str) -> Option<PluginId> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let id: String = name.chars().map(|c| if fits(c) { c } else { '-' }).collect();
    id_of(&id).is_ok().then(|| id.as_str().into())
}

/// The manifest of an entry point. Of several of one name nothing is imported: the runner refuses them, with the names of
/// the packages.
fn offer(group: &PythonGroup, id: PluginId, points: &[Listed], settings: &Path) -> Offer {
    let all = |of: fn(&Listed) -> &str| {
        let texts: Vec<&str> = points.iter().map(of).collect();
        texts.join(", ")
    };
    let name = points.first().map(|point| point.name.clone()).unwrap_or_default();
    let python = group.python().display().to_string().replace('$', "$$");
    let command = [&python, "-I", "-m", RUNNER, "--group", &group.group, "--name", &name];
    let mut table = group.defaults.clone();
    table.insert("id".to_owned(), (*id).into());
    let process = table.entry("process").or_insert_with(|| toml::Table::new().into());
    if let Some(process) = process.as_table_mut() {
        let words = command.map(|word| toml::Value::from(word.to_owned()));
        process.entry("command").or_insert_with(|| words.to_vec().into());
    }
    let newest = points.iter().map(|point| point.installed.as_str()).max().unwrap_or_default();
    let said = [
        ("environment", group.environment.display().to_string()),
        ("group", group.group.clone()),
        ("name", name),
        ("value", all(|point| &point.value)),
        ("distribution", all(|point| &point.distribution)),
        ("version", all(|point| &point.version)),
        ("installed", newest.to_owned()),
    ];
    let said = said.into_iter().filter(|(_, text)| !text.is_empty());
    let said: toml::Table = said.map(|(key, text)| (key.to_owned(), text.into())).collect();
    table.insert("entry_point".to_owned(), said.into());
    // `outboard.toml#geo`: it stands in the same folder, which is what relative paths mean.
    let mut path = settings.as_os_str().to_owned();
    path.push(format!("#{id}"));
    // A table of strings, lists and tables can always be written.
    let text = toml::to_string(&table).unwrap_or_default();
    Offer { id, source: Source::new(Path::new(&path), text) }
}
