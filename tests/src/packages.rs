//! Virtual environments, and packages that pip builds from their sources and installs into them.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::runtimes::{bins, repository};
use crate::world::{Output, World};

/// Where packages lie: those that are well, and those that are wrong.
const SOURCES: [&str; 2] = ["plugins/platforms", "tests/entrypoints"];

/// Where this run finds the wheels of all of them.
static HOUSE: OnceLock<PathBuf> = OnceLock::new();

/// The environment that has pip and the build backend: `cargo xtask setup` makes it.
fn tools() -> PathBuf {
    repository().join("tests/entrypoints/.venv")
}

/// Whether packages can be installed here at all.
#[must_use]
pub fn can_install() -> bool {
    tools().join(".installed").is_file()
}

/// A virtual environment of one test.
#[derive(Debug)]
pub struct Venv<'w> {
    world: &'w World,
    folder: PathBuf,
}

impl<'w> Venv<'w> {
    /// Makes an empty one in the world's folder.
    ///
    /// # Panics
    ///
    /// When `python3` cannot.
    #[track_caller]
    #[must_use]
    pub fn make(world: &'w World, name: &str) -> Self {
        let folder = world.folder().join(name);
        let words = ["python3", "-m", "venv", "--without-pip", &folder.display().to_string()];
        world.finish(world.spawn(words.map(str::to_owned).into())).code(0);
        Self { world, folder }
    }

    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    #[must_use]
    pub fn python(&self) -> PathBuf {
        self.folder.join("bin/python")
    }

    /// Where packages are installed.
    #[must_use]
    pub fn packages(&self) -> PathBuf {
        site_packages(&self.folder)
    }

    /// Installs packages, in the place of earlier versions of them: `sdk`, or folders of `plugins/platforms` and
    /// `tests/entrypoints`.
    ///
    /// # Panics
    ///
    /// When pip cannot.
    #[track_caller]
    pub fn install(&self, packages: &[&str]) {
        let house = HOUSE.get_or_init(|| self.build());
        let wheel = |package: &&str| {
            let place = |place| repository().join(place).join(package);
            let sdk = repository().join("plugin-sdk/python");
            let sources = match *package {
                "sdk" => sdk,
                _ => SOURCES.map(place).into_iter().find(|path| path.is_dir()).unwrap(),
            };
            let text = fs::read_to_string(sources.join("pyproject.toml")).unwrap();
            let project = text.parse::<toml::Table>().unwrap()["project"].clone();
            let name = project["name"].as_str().unwrap().replace('-', "_");
            let version = project["version"].as_str().unwrap();
            house.join(format!("{name}-{version}-py3-none-any.whl")).display().to_string()
        };
        let words = ["install", "--no-index"].map(str::to_owned).into_iter();
        self.pip(words.chain(packages.iter().map(wheel)).collect());
    }

    /// Has pip build every package from its sources, as it does on the way of each installation; once, until one of them
    /// changes, because it takes some seconds.
    #[track_caller]
    fn build(&self) -> PathBuf {
        let mut sources = vec![repository().join("plugin-sdk/python")];
        for place in SOURCES {
            let entries = fs::read_dir(repository().join(place)).unwrap();
            let folders = entries.map(|entry| entry.unwrap().path());
            sources.extend(folders.filter(|path| path.join("pyproject.toml").is_file()));
        }
        sources.sort();
        let mut hasher = DefaultHasher::new();
        sources.iter().for_each(|path| hash(path, &mut hasher));
        let houses = bins().join("wheels");
        let house = houses.join(format!("{:016x}", hasher.finish()));
        if house.is_dir() {
            return house;
        }
        fs::remove_dir_all(&houses).unwrap_or_default();
        fs::create_dir_all(&houses).unwrap();
        let building = tempfile::tempdir_in(&houses).unwrap().keep();
        // Two versions of a package are not built in one breath, and no wait is to be a long one.
        let (later, first): (Vec<_>, Vec<_>) =
            sources.into_iter().partition(|path| path.to_string_lossy().ends_with("-next"));
        for some in first.chunks(6).chain(later.chunks(1)) {
            let mut words = vec!["wheel", "--no-index", "--no-deps", "--no-build-isolation"];
            words.push("--wheel-dir");
            let paths = [&building].into_iter().chain(some).map(|path| path.display().to_string());
            self.pip(words.into_iter().map(str::to_owned).chain(paths).collect());
        }
        fs::rename(building, &house).unwrap();
        house
    }

    /// # Panics
    ///
    /// When pip cannot.
    #[track_caller]
    pub fn uninstall(&self, name: &str) {
        self.pip(["uninstall", "--yes", name].map(str::to_owned).into());
    }

    /// pip, as the environment's own Python runs it. It is lent, with the backend, by `PYTHONPATH`: an environment with a
    /// pip of its own takes ten seconds to make.
    #[track_caller]
    fn pip(&self, words: Vec<String>) -> Output {
        let mut argv = vec![self.python().display().to_string()];
        argv.extend(["-m", "pip", "--quiet", "--disable-pip-version-check"].map(str::to_owned));
        argv.extend(words);
        let mut spawn = self.world.spawn(argv);
        let lent = site_packages(&tools()).display().to_string();
        spawn.env.insert("PYTHONPATH".to_owned(), lent);
        self.world.finish(spawn).code(0)
    }
}

/// Everything of a package that a wheel is made of.
fn hash(path: &Path, hasher: &mut DefaultHasher) {
    let name = path.file_name().unwrap();
    if name == "__pycache__" {
        return;
    }
    name.hash(hasher);
    if !path.is_dir() {
        return fs::read(path).unwrap().hash(hasher);
    }
    let mut entries: Vec<_> = fs::read_dir(path).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    entries.iter().for_each(|entry| hash(entry, hasher));
}

fn site_packages(venv: &Path) -> PathBuf {
    let version = fs::read_dir(venv.join("lib")).unwrap().next().unwrap().unwrap();
    version.path().join("site-packages")
}
