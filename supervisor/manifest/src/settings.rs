//! `outboard.toml`: the supervisor itself, and defaults for its plugins.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use outboard_core::{Budget, FleetPolicy};

use crate::change::Said;
use crate::discover::{self, PythonGroup};
use crate::keys::SETTINGS;
use crate::problem::Problem;
use crate::read::{Problems, Reader, built_in, parse};
use crate::source::Source;
use crate::template::Template;
use crate::value::{Value, Values};

/// What `outboard.toml` says, with every default filled in.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The file, when there is one.
    pub source: Option<PathBuf>,
    pub name: Option<String>,
    pub env_file: EnvFile,
    /// Put in front of every plugin's PATH.
    pub path_prepend: Vec<Template>,
    pub fleet: FleetPolicy,
    pub containment: Containment,
    pub watch: bool,
    pub foreign_manifests: ForeignManifests,
    pub control: Control,
    pub logs: Logs,
    /// Where entry points are looked for.
    pub python: Vec<PythonGroup>,
    /// What it says beside the defaults, to be compared with what it will say.
    pub(crate) said: Said,
    /// `[defaults]`: what lies between the built-in defaults and each manifest.
    pub(crate) defaults: Values,
    /// The file's text: it goes over to the supervisor's next build.
    pub(crate) file: Option<Arc<Source>>,
}

/// Which `.env` file is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvFile {
    /// `.env` in the folder of each manifest.
    Beside,
    /// This one for all.
    At(PathBuf),
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Containment {
    Auto,
    PidNamespace,
    Cgroup,
    Session,
}

/// What happens to a manifest that another user owns or may write to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignManifests {
    /// Refused as root, else a warning.
    Auto,
    Refuse,
    Warn,
}

/// `[control]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    pub refuse_plugins: bool,
    pub group: Option<String>,
    pub read_group: Option<String>,
}

/// `[logs]`; sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logs {
    pub file_size: u64,
    pub file_keep: u32,
    pub journal: u64,
    pub dossiers: u32,
    pub total: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        from_values(&built_in(&SETTINGS), None, Values::default())
    }
}

/// Reads `outboard.toml`. With errors the settings hold what was sound, so that the manifests can be checked all the
/// same; nothing may be started with them.
pub(crate) fn read(source: &Arc<Source>) -> (Settings, Vec<Problem>) {
    let mut problems = Problems::new(source);
    let (table, sound) = parse(source, &mut problems);
    let mut values = built_in(&SETTINGS);
    let mut defaults = Values::default();
    let mut python = Vec::new();
    if sound {
        let mut reader = Reader::new(source, &mut problems);
        reader.section(&SETTINGS, "", table.get_ref());
        for (path, entry) in reader.values.iter() {
            if let Some(path) = path.strip_prefix("defaults.") {
                defaults.insert(path.to_owned(), entry.value.clone(), entry.spot.clone());
            }
        }
        values.merge(&reader.values);
        python = discover::groups(source, table.get_ref(), &mut problems);
    }
    let mut settings = from_values(&values, Some(source.path()), defaults);
    settings.file = Some(source.clone());
    settings.python = python;
    if let EnvFile::At(path) = &mut settings.env_file {
        *path = std::path::absolute(&*path).unwrap_or_else(|_| path.clone());
    }
    (settings, problems.into_list())
}

fn from_values(values: &Values, source: Option<&Path>, defaults: Values) -> Settings {
    let beside = |path: &Path| match source.and_then(Path::parent) {
        Some(folder) => folder.join(path),
        None => path.to_owned(),
    };
    Settings {
        source: source.map(Path::to_owned),
        name: values.text("name"),
        env_file: match values.get("env_file") {
            Some(Value::PathOrFalse(Some(path))) => EnvFile::At(beside(path)),
            Some(Value::PathOrFalse(None)) => EnvFile::None,
            _ => EnvFile::Beside,
        },
        path_prepend: values.templates("path_prepend").to_vec(),
        fleet: FleetPolicy {
            start_concurrency: values.size("supervisor.start_concurrency"),
            shutdown_cap: values.duration("supervisor.shutdown_cap"),
            storm: Budget {
                restarts: values.count("supervisor.storm.restarts"),
                within: values.duration("supervisor.storm.within"),
            },
        },
        containment: match values.choice("supervisor.containment") {
            "pidns" => Containment::PidNamespace,
            "cgroup" => Containment::Cgroup,
            "session" => Containment::Session,
            _ => Containment::Auto,
        },
        watch: values.flag("supervisor.watch"),
        foreign_manifests: match values.choice("supervisor.foreign_manifests") {
            "refuse" => ForeignManifests::Refuse,
            "warn" => ForeignManifests::Warn,
            _ => ForeignManifests::Auto,
        },
        control: Control {
            refuse_plugins: values.flag("control.refuse_plugins"),
            group: values.text("control.group"),
            read_group: values.text("control.read_group"),
        },
        logs: Logs {
            file_size: values.number("logs.files.size"),
            file_keep: values.count("logs.files.keep"),
            journal: values.number("logs.journal"),
            dossiers: values.count("logs.dossiers"),
            total: values.maybe_number("logs.total"),
        },
        python: Vec::new(),
        said: Said::of_settings(values),
        defaults,
        file: None,
    }
}

impl Settings {
    /// The file that they were read from, with its text, for [`restore_settings`](crate::restore_settings).
    #[must_use]
    pub fn text(&self) -> Option<(PathBuf, String)> {
        let file = self.file.as_deref()?;
        Some((file.path().to_owned(), file.text().to_owned()))
    }

    /// The `.env` file of a manifest in `folder`.
    pub(crate) fn env_file_of(&self, folder: &Path) -> Option<PathBuf> {
        match &self.env_file {
            EnvFile::Beside => Some(folder.join(".env")),
            EnvFile::At(path) => Some(path.clone()),
            EnvFile::None => None,
        }
    }
}
