//! Virtual environments with packages in them, laid out as an installer leaves them: no network, no build.

use std::fs;
use std::path::{Path, PathBuf};

use crate::runtimes::repository;
use crate::world::World;

/// A virtual environment of one test, with the Python SDK.
#[derive(Debug)]
pub struct Venv {
    folder: PathBuf,
}

impl Venv {
    /// Makes an empty one in the world's folder.
    ///
    /// # Panics
    ///
    /// When `python3` cannot.
    #[track_caller]
    #[must_use]
    pub fn make(world: &World, name: &str) -> Self {
        let folder = world.folder().join(name);
        let words = ["python3", "-m", "venv", "--without-pip", &folder.display().to_string()];
        world.finish(world.spawn(words.map(str::to_owned).into())).code(0);
        let venv = Self { folder };
        let sdk = repository().join("plugin-sdk/python/src");
        fs::write(venv.packages().join("outboard.pth"), sdk.display().to_string()).unwrap();
        venv
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
        let version = fs::read_dir(self.folder.join("lib")).unwrap().next().unwrap().unwrap();
        version.path().join("site-packages")
    }

    /// Installs a package of `tests/entrypoints`, in the place of an earlier version of it.
    pub fn install(&self, package: &str) {
        let source = repository().join("tests/entrypoints").join(package);
        let text = fs::read_to_string(source.join("pyproject.toml")).unwrap();
        let project = text.parse::<toml::Table>().unwrap()["project"].clone();
        let (name, version) =
            (project["name"].as_str().unwrap(), project["version"].as_str().unwrap());
        self.uninstall(name);
        for entry in fs::read_dir(&source).unwrap() {
            let path = entry.unwrap().path();
            let file = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() || file.ends_with(".py") {
                copy(&path, &self.packages().join(file));
            }
        }
        self.announce(name, version, project["entry-points"].as_table().unwrap());
    }

    /// Writes the metadata of a package: its name, and what it announces under each group.
    pub fn announce(&self, name: &str, version: &str, groups: &toml::Table) {
        let info = self.packages().join(format!("{}-{version}.dist-info", name.replace('-', "_")));
        fs::create_dir(&info).unwrap();
        let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
        fs::write(info.join("METADATA"), metadata).unwrap();
        let mut points = String::new();
        for (group, names) in groups {
            points += &format!("[{group}]\n");
            for (name, value) in names.as_table().unwrap() {
                points += &format!("{name} = {}\n", value.as_str().unwrap());
            }
        }
        fs::write(info.join("entry_points.txt"), points).unwrap();
        fs::write(info.join("RECORD"), "").unwrap();
    }

    /// Takes the metadata of a package away, if it is there; its modules stay until something is put in their place.
    pub fn uninstall(&self, name: &str) {
        let start = format!("{}-", name.replace('-', "_"));
        for entry in fs::read_dir(self.packages()).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_str().unwrap().starts_with(&start) {
                fs::remove_dir_all(path).unwrap();
            }
        }
    }
}

fn copy(from: &Path, to: &Path) {
    if !from.is_dir() {
        // Python goes by the second and the size: an upgrade within a second of the same length would be the old one.
        if let Some(cache) = to.parent().map(|folder| folder.join("__pycache__")) {
            fs::remove_dir_all(cache).unwrap_or_default();
        }
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        copy(&path, &to.join(path.file_name().unwrap()));
    }
}
