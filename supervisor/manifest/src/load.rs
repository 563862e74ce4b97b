//! Folders and files in, a [`Set`] out.

mod found;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use found::Found;
use outboard_core::PluginId;
use toml::de::{DeTable, DeValue};

use crate::build::{self, Surroundings};
use crate::check;
use crate::digest::digest_of;
use crate::discover::{self, Look, Offer, PythonGroup};
use crate::file::{self, MAX_FILE, Trust};
use crate::keys::MANIFEST;
use crate::manifest::{Manifest, Texts};
use crate::problem::{Place, Problem, shown};
use crate::read::{Problems, Reader, built_in, id_of, parse};
use crate::scalar::Refusal;
use crate::set::{self, Refused, Set};
use crate::settings::{self, ForeignManifests, Settings};
use crate::source::{Source, Spot};
use crate::value::Values;

/// The most manifests in one set.
pub const MAX_FILES: usize = 4096;
/// The most text in one set; with [`MAX_FILES`] it bounds what a folder can cost.
pub const MAX_TEXT: usize = 64 << 20;
/// The name that is never a manifest.
pub const SETTINGS_FILE: &str = "outboard.toml";

/// Why there is no set at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// A folder or file that was named does not exist.
    Missing { path: PathBuf },
    /// It exists and cannot be read.
    Unreadable { path: PathBuf, why: String },
    /// It is neither a folder nor a file that could be a manifest.
    NoSource { path: PathBuf, why: String },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |path: &Path| shown(path, "".as_ref());
        match self {
            Self::Missing { path } => write!(f, "{} does not exist", show(path)),
            Self::Unreadable { path, why } => write!(f, "{} cannot be read: {why}", show(path)),
            Self::NoSource { path, why } => {
                write!(f, "{} is no source of manifests: {why}", show(path))
            }
        }
    }
}

impl std::error::Error for LoadError {}

/// Reads every manifest of the sources, and the `outboard.toml` beside them or at `config`.
///
/// Folders are not searched below. A file that is found is never a reason to fail: it is in [`Set::refused`] with all
/// of its problems. Files are read without blocking, whatever they turn out to be.
pub fn load(sources: &[PathBuf], config: Option<&Path>) -> Result<Set, LoadError> {
    load_with(sources, config, &|_| Ok(Vec::new()))
}

/// The same, with the plugins of `[[discover.python]]`: `look` says what is in an environment.
///
/// A file with the id of what is found completes it; one that has a command of its own replaces it. A group that cannot
/// be looked at is in [`Set::refused`], under its own name.
pub fn load_with(
    sources: &[PathBuf],
    config: Option<&Path>,
    look: &Look<'_>,
) -> Result<Set, LoadError> {
    load_as(sources, config, Trust::of_process(), look)
}

pub(crate) fn load_as(
    sources: &[PathBuf],
    config: Option<&Path>,
    trust: Trust,
    look: &Look<'_>,
) -> Result<Set, LoadError> {
    let mut found = Found::default();
    for source in sources {
        found.source(source)?;
    }
    let mut set = Set::default();
    let config = match config {
        Some(path) => {
            fs::metadata(path).map_err(|error| of_io(path, error))?;
            Some(path.to_owned())
        }
        None => found.settings(&mut set),
    };
    if let Some(path) = config {
        set.files += 1;
        set.settings = read_settings(&path, trust, &mut set.settings_problems);
    }
    let trust = match set.settings.foreign_manifests {
        ForeignManifests::Auto => trust,
        ForeignManifests::Refuse => Trust { refuse: true, ..trust },
        ForeignManifests::Warn => Trust { refuse: false, ..trust },
    };
    for folder in &found.folders {
        let metadata = fs::metadata(folder).map_err(|error| of_io(folder, error))?;
        if let Some(problem) = trust.judge(folder, &metadata) {
            set.found(problem);
        }
    }
    if found.files.len() > MAX_FILES {
        let what = format!("{} manifests; a set has at most {MAX_FILES}", found.files.len());
        set.settings_problems.push(Problem::error(what));
        found.files.truncate(MAX_FILES);
    }
    let base = base(&set.settings);
    let mut offers = discover::gather(look, &mut set);
    let mut text = 0;
    for path in &found.files {
        set.files += 1;
        if text > MAX_TEXT {
            let what =
                format!("the set is larger than {}", crate::scalar::write_size(MAX_TEXT as u64));
            set.settings_problems.push(Problem::error(what));
            break;
        }
        text += one(path, trust, &base, &mut offers, &mut set);
    }
    for offer in &offers {
        take(&offer.source, &base, &[], None, &mut set);
    }
    set::judge(&mut set);
    Ok(set)
}

/// The plugins of one group, which no `outboard.toml` names.
#[must_use]
pub fn load_group(group: PythonGroup, look: &Look<'_>) -> Set {
    let mut set = Set::default();
    set.settings.python.push(group);
    let base = base(&set.settings);
    for offer in discover::gather(look, &mut set) {
        take(&offer.source, &base, &[], None, &mut set);
    }
    set::judge(&mut set);
    set
}

/// Reads one manifest from text, with the built-in defaults below it and no look at other manifests.
///
/// The first list holds warnings, the second everything that is wrong.
pub fn parse_manifest(path: &Path, text: &str) -> Result<(Manifest, Vec<Problem>), Vec<Problem>> {
    let settings = Settings::default();
    let source = Source::new(path, text.to_owned());
    let (manifest, _, problems) = from_source(&source, &settings, &base(&settings), &[], None);
    match manifest {
        Some(manifest) => Ok((manifest, problems)),
        None => Err(problems),
    }
}

/// Reads another version of the plugin `id` from a file, whatever that is called, with `settings` below it.
///
/// # Errors
/// Everything that is wrong, with its place; also when the file says that it is for another plugin.
pub fn load_version(
    id: &PluginId,
    path: &Path,
    settings: &Settings,
) -> Result<(Manifest, Vec<Problem>), Vec<Problem>> {
    let trust = Trust::of_process();
    let trust = match settings.foreign_manifests {
        ForeignManifests::Auto => trust,
        ForeignManifests::Refuse => Trust { refuse: true, ..trust },
        ForeignManifests::Warn => Trust { refuse: false, ..trust },
    };
    let (source, warning) = read_source(path, trust).map_err(|problem| vec![*problem])?;
    let (manifest, mut problems) = version(id, &source, settings)?;
    problems.splice(0..0, warning);
    Ok((manifest, problems))
}

/// The same from text that was read from `path` before.
///
/// # Errors
/// Everything that is wrong, with its place.
pub fn parse_version(
    id: &PluginId,
    path: &Path,
    text: &str,
    settings: &Settings,
) -> Result<(Manifest, Vec<Problem>), Vec<Problem>> {
    version(id, &Source::new(path, text.to_owned()), settings)
}

fn version(
    id: &PluginId,
    source: &Arc<Source>,
    settings: &Settings,
) -> Result<(Manifest, Vec<Problem>), Vec<Problem>> {
    let (manifest, _, mut problems) = from_source(source, settings, &base(settings), &[], Some(id));
    match manifest {
        Some(manifest) if manifest.id != *id => {
            let what = format!("this is a version of `{}`, not of `{id}`", manifest.id);
            problems.push(Problem::error(what).at(manifest.id_spot.place()));
            Err(problems)
        }
        Some(manifest) => Ok((manifest, problems)),
        None => Err(problems),
    }
}

/// Reads a manifest again from the texts that an earlier build of the supervisor kept of it: this build's keys, defaults
/// and digest, and nothing of what has happened to the files since.
///
/// # Errors
/// Everything that this build finds wrong with what the earlier one took.
pub fn restore(texts: &Texts) -> Result<Manifest, Vec<Problem>> {
    let settings = restore_settings(texts.settings.as_ref())?;
    let source = Source::new(&texts.path, texts.text.clone());
    let below = texts.below.as_ref().map(|(path, text)| Offer {
        id: texts.id.clone(),
        source: Source::new(path, text.clone()),
    });
    let (manifest, _, problems) =
        from_source(&source, &settings, &base(&settings), below.as_slice(), None);
    match manifest {
        Some(manifest) => Ok(Manifest { id: texts.id.clone(), ..manifest }),
        None => Err(problems),
    }
}

/// Reads settings again from the text that an earlier build of the supervisor kept of them; the built-in ones for none.
///
/// # Errors
/// Everything that this build finds wrong with them.
pub fn restore_settings(text: Option<&(PathBuf, String)>) -> Result<Settings, Vec<Problem>> {
    let Some((path, text)) = text else { return Ok(Settings::default()) };
    let (settings, mut problems) = settings::read(&Source::new(path, text.clone()));
    problems.retain(Problem::is_error);
    if problems.is_empty() { Ok(settings) } else { Err(problems) }
}

/// What lies below every manifest: the built-in defaults, then those of `outboard.toml`.
fn base(settings: &Settings) -> Values {
    let mut base = built_in(&MANIFEST);
    base.merge(&settings.defaults);
    base
}

fn of_io(path: &Path, error: std::io::Error) -> LoadError {
    let path = path.to_owned();
    if error.kind() == std::io::ErrorKind::NotFound {
        LoadError::Missing { path }
    } else {
        LoadError::Unreadable { path, why: file::why(error) }
    }
}

fn read_settings(path: &Path, trust: Trust, problems: &mut Vec<Problem>) -> Settings {
    match read_source(path, trust) {
        Ok((source, warning)) => {
            let (settings, found) = settings::read(&source);
            problems.extend(warning);
            problems.extend(found);
            settings
        }
        Err(problem) => {
            problems.push(*problem);
            Settings::default()
        }
    }
}

/// A file as text; the second value is a warning about who may change it.
fn read_source(path: &Path, trust: Trust) -> Result<(Arc<Source>, Option<Problem>), Box<Problem>> {
    let (bytes, metadata) = file::read(path, MAX_FILE).map_err(|why| {
        Box::new(Problem::error(format!("cannot be read: {why}")).at(Place::whole(path)))
    })?;
    let judged = trust.judge(path, &metadata);
    match judged {
        Some(problem) if problem.is_error() => Err(Box::new(problem)),
        warning => Ok((file::text(path, bytes)?, warning)),
    }
}

/// Reads one manifest into the set, and takes what was found for the same plugin; returns the size of its text.
fn one(path: &Path, trust: Trust, base: &Values, offers: &mut Vec<Offer>, set: &mut Set) -> usize {
    let (id, size) = match read_source(path, trust) {
        Err(problem) => {
            let (id, source) = (stem(path), path.to_owned());
            set.refused.push(Refused { id: id.clone(), source, problems: vec![*problem], text: 0 });
            (id, 0)
        }
        Ok((source, warning)) => (take(&source, base, offers, warning, set), source.text().len()),
    };
    offers.retain(|offer| Some(&offer.id) != id.as_ref());
    size
}

/// Puts what a text says into the set, sound or refused, and gives its id.
fn take(
    source: &Arc<Source>,
    base: &Values,
    offers: &[Offer],
    warning: Option<Problem>,
    set: &mut Set,
) -> Option<PluginId> {
    let (manifest, id, mut problems) = from_source(source, &set.settings, base, offers, None);
    problems.splice(0..0, warning);
    match manifest {
        Some(manifest) => {
            set.warnings.extend(problems);
            let id = manifest.id.clone();
            set.manifests.push(manifest);
            Some(id)
        }
        None => {
            let (source, text) = (source.path().to_owned(), digest_of(source.text()));
            set.refused.push(Refused { id: id.clone(), source, problems, text });
            id
        }
    }
}

/// The name that the file gives, where it could be one.
fn stem(path: &Path) -> Option<PluginId> {
    let stem = path.file_stem()?.to_str()?;
    id_of(stem).is_ok().then(|| stem.into())
}

/// A manifest and its warnings; or no manifest, the best guess of its id, and all of its problems. Where the text names
/// no id, `name` does, and without that the file. Where it has no command, what `offers` hold for that id lies below.
fn from_source(
    source: &Arc<Source>,
    settings: &Settings,
    base: &Values,
    offers: &[Offer],
    name: Option<&PluginId>,
) -> (Option<Manifest>, Option<PluginId>, Vec<Problem>) {
    let mut problems = Problems::new(source);
    let (table, sound) = parse(source, &mut problems);
    let table = table.get_ref();
    let by_file = || name.cloned().or_else(|| stem(source.path()));
    let guess = guess_id(table).or_else(by_file);
    if !sound {
        return (None, guess, problems.into_list());
    }
    let mut reader = Reader::new(source, &mut problems);
    reader.section(&MANIFEST, "", table);
    let own = reader.values;
    if own.get("id").is_none() && !table.contains_key("id") && by_file().is_none() {
        let name = source.path().file_stem().unwrap_or_default().to_string_lossy();
        if let Err(refusal) = id_of(&name) {
            let help = "id = \"NAME\" at the top of the file gives it another one";
            problems.refuse(&(0..0), Refusal { help: Some(help), ..refusal });
        }
    }
    let mut problems = problems.into_list();
    let has_errors = problems.iter().any(Problem::is_error);

    let mut values = base.clone();
    let completes =
        |offer: &&Offer| Some(&offer.id) == guess.as_ref() && own.get("process.command").is_none();
    let below = offers.iter().find(completes);
    if let Some(offer) = below {
        values.merge(&offer.values());
    }
    values.merge(&own);
    let process = table.get_key_value("process").map(|(name, _)| Spot::new(source, name.span()));
    let whole = check::whole(&values, source, process, speaks_of_command(table));
    problems.extend(whole);
    if has_errors || problems.iter().any(Problem::is_error) {
        return (None, guess, problems);
    }
    let Some(id) = guess else { return (None, None, problems) };
    let at_top = Spot::new(source, 0..0);
    let folder = match source.path().parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let dir = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let about = Surroundings {
        id,
        id_spot: own.spot("id").cloned().unwrap_or_else(|| at_top.clone()),
        env_file: settings.env_file_of(&dir),
        dir,
        path_prepend: settings.path_prepend.clone(),
        settings: settings.file.clone(),
        below: below.map(|offer| offer.source.clone()),
    };
    let command = values.spot("process.command").cloned().unwrap_or(at_top);
    (Some(build::manifest(&values, source, command, about)), None, problems)
}

/// Whether a command that is not there has been refused already, or stands in the wrong place: then it is not missing.
fn speaks_of_command(table: &DeTable<'_>) -> bool {
    let process = table.get("process").map(|process| process.get_ref());
    let misread = match process {
        Some(DeValue::Table(process)) => process.contains_key("command"),
        other => other.is_some(),
    };
    misread || table.contains_key("command")
}

/// The id that a file names, even when other parts of it are wrong.
fn guess_id(table: &DeTable<'_>) -> Option<PluginId> {
    match table.get("id")?.get_ref() {
        DeValue::String(text) if id_of(text).is_ok() => Some(text.as_ref().into()),
        _ => None,
    }
}
