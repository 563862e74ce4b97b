//! Programs that plugins are started with: on PATH, elsewhere, or nowhere.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use outboard_manifest::resolve::{self, look_up};
use outboard_manifest::{Manifest, Set};

use crate::cli::render::doctor::{Check, Verdict};

/// What most manifests begin with.
const USUAL: [&str; 4] = ["npx", "uvx", "node", "python3"];

/// Where installers put programs that a short PATH does not have. Relative ones are below the home folder; `*` is one
/// folder of any name, the last in order of names.
const ELSEWHERE: [&str; 17] = [
    ".local/bin",
    ".cargo/bin",
    ".nvm/versions/node/*/bin",
    ".local/share/fnm/aliases/default/bin",
    ".local/share/mise/shims",
    ".asdf/shims",
    ".volta/bin",
    ".pyenv/shims",
    ".bun/bin",
    ".deno/bin",
    "go/bin",
    "/usr/local/bin",
    "/opt/homebrew/bin",
    "/home/linuxbrew/.linuxbrew/bin",
    "/snap/bin",
    "/usr/bin",
    "/bin",
];

/// Each program by name.
pub(super) struct Programs {
    found: BTreeMap<String, Place>,
    /// Programs that were found missing, each with the plugins that are started with it.
    pub(super) lacking: BTreeMap<String, Vec<String>>,
    /// Whether manifests say what is needed.
    judged: bool,
}

enum Place {
    OnPath,
    /// In this folder, as it may be written.
    Elsewhere(String),
    Nowhere,
}

/// Looks for the usual programs, and for those of the manifests on their own PATH.
pub(super) fn look(set: Option<&Set>) -> Programs {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_else(|| resolve::DEFAULT_PATH.into());
    let mut programs =
        Programs { found: BTreeMap::new(), lacking: BTreeMap::new(), judged: set.is_some() };
    for name in USUAL {
        let on_path = std::env::split_paths(&path).any(|folder| is_program(&folder.join(name)));
        let place = if on_path { Place::OnPath } else { elsewhere(name, home.as_deref()) };
        programs.found.insert(name.to_owned(), place);
    }
    let env: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    for manifest in set.iter().flat_map(|set| &set.manifests) {
        // What cannot be filled in is for `check` to say.
        let Some((name, there)) = program_of(manifest, &env) else { continue };
        if there {
            programs.found.insert(name, Place::OnPath);
        } else {
            let place = elsewhere(&name, home.as_deref());
            programs.found.insert(name.clone(), place);
            programs.lacking.entry(name).or_default().push(manifest.id.to_string());
        }
    }
    programs
}

/// A manifest's program as it is named there, and whether it is found; `None` when its surroundings are not to be had.
fn program_of(manifest: &Manifest, env: &[(OsString, OsString)]) -> Option<(String, bool)> {
    let vars = match &manifest.env_file {
        Some(path) => resolve::dotenv(path).ok()?.vars,
        None => Vec::new(),
    };
    let resolved = resolve::resolve(manifest, &|name| std::env::var_os(name), &vars, env).ok()?;
    let name = resolved.shown.first()?.clone();
    Some((name, look_up(manifest, &resolved).is_ok()))
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(file)
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn elsewhere(name: &str, home: Option<&Path>) -> Place {
    if name.contains('/') {
        return Place::Nowhere;
    }
    for folder in ELSEWHERE {
        let Some(real) = real_folder(folder, home) else { continue };
        if is_program(&real.join(name)) {
            let below = home.and_then(|home| real.strip_prefix(home).ok());
            return Place::Elsewhere(match below {
                Some(rest) => format!("~/{}", rest.display()),
                None => real.display().to_string(),
            });
        }
    }
    Place::Nowhere
}

fn real_folder(folder: &str, home: Option<&Path>) -> Option<PathBuf> {
    let path = if folder.starts_with('/') { folder.into() } else { home?.join(folder) };
    let Some((before, after)) = path.to_str()?.split_once("/*/") else { return Some(path) };
    let folders = std::fs::read_dir(before).ok()?;
    let last = folders.flatten().map(|entry| entry.path()).max()?;
    Some(last.join(after))
}

impl Programs {
    pub(super) fn check(&self) -> Check {
        let words: Vec<String> = self
            .found
            .iter()
            .map(|(name, place)| match place {
                Place::OnPath => format!("{name}: found"),
                Place::Elsewhere(folder) => format!("{name}: not on PATH, but in {folder}"),
                Place::Nowhere => format!("{name}: not found"),
            })
            .collect();
        let matters = |name: &String| !self.judged || self.lacking.contains_key(name);
        let missing =
            |(name, place): &(&String, &Place)| matters(name) && !matches!(place, Place::OnPath);
        let missing: Vec<_> = self.found.iter().filter(missing).collect();
        let folder = missing.iter().find_map(|(_, place)| match place {
            Place::Elsewhere(folder) => Some(folder),
            Place::OnPath | Place::Nowhere => None,
        });
        let help = folder.map(|folder| format!("path_prepend = [\"{folder}\"] in outboard.toml"));
        let verdict = if missing.is_empty() { Verdict::Yes } else { Verdict::Warn };
        Check::new("programs", verdict, words.join(" · ")).maybe_help(help)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::OpenOptionsExt as _;

    use super::*;

    #[test]
    fn a_program_in_a_folder_of_any_name_is_found_in_the_last_one() {
        let home = tempfile::tempdir().unwrap();
        for version in ["v18", "v20"] {
            let folder = home.path().join(format!(".nvm/versions/node/{version}/bin"));
            std::fs::create_dir_all(&folder).unwrap();
            let mut options = std::fs::File::options();
            options.create(true).write(true).mode(0o755).open(folder.join("npx-of-test")).unwrap();
        }
        let Place::Elsewhere(folder) = elsewhere("npx-of-test", Some(home.path())) else {
            panic!("not found")
        };
        assert_eq!(folder, "~/.nvm/versions/node/v20/bin");
        assert!(matches!(elsewhere("no-such-program", Some(home.path())), Place::Nowhere));
        assert!(matches!(elsewhere("../bin/npx-of-test", Some(home.path())), Place::Nowhere));
    }
}
