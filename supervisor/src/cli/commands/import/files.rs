//! Reads and writes files so that nothing of anybody's is lost: manifests are only ever made anew, `.env` and `.gitignore`
//! only grow.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use outboard_import::{Beside, Plan, tilde};

use super::{MAX_FILE, Places};
use crate::cli::exit::Exit;
use crate::cli::trouble::Trouble;

pub(super) const DOTENV: &str = ".env";
const GITIGNORE: &str = ".gitignore";

/// A whole text, at most `most` bytes of it.
///
/// # Errors
///
/// Why not, in words.
pub(super) fn read(path: &Path, most: u64) -> Result<String, String> {
    // Looked at before it is opened: a pipe that nobody writes to would be waited for.
    let about = fs::metadata(path).map_err(|error| error.to_string())?;
    if !about.is_file() {
        return Err("it is no file".to_owned());
    }
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > most {
        return Err(format!("it is larger than {} MiB", most >> 20));
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}

/// What an imported file names, as it lies on the disk.
#[derive(Debug)]
pub(super) struct OnDisk;

/// Names of one folder that are looked at.
const MOST_NAMES: usize = 10_000;

impl Beside for OnDisk {
    fn text(&self, path: &Path) -> Result<String, String> {
        read(path, MAX_FILE)
    }

    fn names(&self, folder: &Path) -> Vec<String> {
        let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        names.take(MOST_NAMES).collect()
    }
}

/// Writes what is planned. Secrets first, and what keeps them out of a repository before them: whatever stops it half
/// way, typing it again goes on.
pub(super) fn write(plan: &Plan, places: &Places) -> Result<(), Trouble> {
    let folder = &places.folder;
    if plan.drafts.is_empty() {
        return Ok(());
    }
    fs::create_dir_all(folder).map_err(|error| cannot(folder, &error))?;
    if !plan.dotenv.is_empty() {
        let ignore = folder.join(GITIGNORE);
        let there = read(&ignore, outboard_manifest::MAX_FILE).unwrap_or_default();
        if !there.lines().any(|line| matches!(line.trim(), ".env" | "/.env" | "*")) {
            append(&ignore, 0o644, &there, ".env\n").map_err(|error| cannot(&ignore, &error))?;
        }
        let env = folder.join(DOTENV);
        let there = read(&env, outboard_manifest::MAX_FILE).unwrap_or_default();
        let from = tilde(&places.file, places.home.as_deref());
        let lines = format!("# Taken out of {from}\n{}", plan.dotenv_lines());
        append(&env, 0o600, &there, &lines).map_err(|error| cannot(&env, &error))?;
    }
    for draft in plan.drafts.iter().filter(|draft| !draft.is_there) {
        let path = folder.join(draft.file_name());
        create(&path, 0o644, draft.text.as_bytes()).map_err(|error| cannot(&path, &error))?;
    }
    Ok(())
}

/// Appends whole lines to what is there.
fn append(path: &Path, mode: u32, there: &str, lines: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).mode(mode).open(path)?;
    let open = !there.is_empty() && !there.ends_with('\n');
    file.write_all(format!("{}{lines}", if open { "\n" } else { "" }).as_bytes())
}

/// Makes a file that is not there. What could not be written whole is not left behind.
pub(super) fn create(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        let _gone = fs::remove_file(path);
    }
    written
}

/// A file that cannot be written.
pub(super) fn cannot(path: &Path, error: &io::Error) -> Trouble {
    let trouble =
        Trouble::new(Exit::Usage, format!("{} cannot be written: {error}", path.display()));
    match error.kind() {
        ErrorKind::AlreadyExists => trouble.cause("nothing that is there is overwritten"),
        _ => trouble.help("outboard import FILE --out DIR"),
    }
}
