//! The file of an MCP client: rewritten with a copy kept, and put back.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use outboard_import::{Alone, Plan, Reading, Source, Start, attach, is_attached};

use super::files::{self, create};
use super::{MAX_FILE, Places, unreadable};
use crate::cli::exit::Exit;
use crate::cli::render::import::Undone;
use crate::cli::trouble::Trouble;

/// Behind the name of a file: what it was before `--attach`.
const COPY: &str = ".before-outboard";

/// Behind the name of a file: what it was before `--undo`, where somebody had changed it meanwhile.
const CHANGED: &str = ".with-outboard";

/// A client's file that is to be replaced.
pub(super) struct Rewritten {
    /// The file itself, where the client's path is a link to it.
    file: PathBuf,
    before: String,
    after: String,
    copy: PathBuf,
}

/// The client's file with `outboard attach` in it; `None` when there is nothing left to change.
///
/// # Errors
///
/// When an earlier copy is still there: it is what `--undo` would put back, and must not be lost.
pub(super) fn prepare(
    text: &str,
    reading: &Reading,
    plan: &Plan,
    places: &Places,
) -> Result<Option<Rewritten>, Trouble> {
    if plan.drafts.is_empty() {
        return Ok(None);
    }
    let copy = copy_of(&places.file);
    if copy.symlink_metadata().is_ok() {
        let what = format!("{} is there: an earlier --attach was not undone", copy.display());
        return Err(Trouble::new(Exit::Conflict, what)
            .cause("it is what --undo puts back, and is not overwritten; nothing was written")
            .help(format!("outboard import --undo {}", places.typed.display())));
    }
    // Clients start programs with a short PATH and in a folder of their own.
    let program = std::env::current_exe().map_err(|error| {
        Trouble::new(Exit::Unavailable, format!("this program has no path: {error}"))
    })?;
    let folder = &places.folder;
    let start = |index: usize| {
        let draft = plan.drafts.iter().find(|draft| draft.index == index)?;
        let mut args = vec!["attach".to_owned()];
        if let Some(dir) = &places.state_dir {
            args.extend(["--state-dir".to_owned(), dir.display().to_string()]);
        }
        args.extend(["--autostart".to_owned(), folder.display().to_string(), draft.id.clone()]);
        Some(Start { program: program.display().to_string(), args })
    };
    let file = fs::canonicalize(&places.file)
        .map_err(|error| unreadable(&places.typed, &error.to_string()))?;
    let after = attach(text, reading, &start);
    Ok(Some(Rewritten { file, before: text.to_owned(), after, copy }))
}

/// Keeps the copy, and replaces the file in one step.
pub(super) fn put(rewritten: Rewritten) -> Result<(), Trouble> {
    let Rewritten { file, before, after, copy } = rewritten;
    // Whoever may read the file may read its copy, and nobody else.
    let about = fs::metadata(&file).map_err(|error| files::cannot(&file, &error))?;
    let mode = about.permissions().mode() & 0o777;
    create(&copy, mode, before.as_bytes()).map_err(|error| files::cannot(&copy, &error))?;
    let placed = own(&copy, &about).and_then(|()| replace(&file, &about, after.as_bytes()));
    if let Err(error) = placed {
        // The file is as it was: the copy would only be in the way.
        let _gone = fs::remove_file(&copy);
        return Err(files::cannot(&file, &error));
    }
    Ok(())
}

/// Where the copy of a client's file is.
pub(super) fn copy_of(file: &Path) -> PathBuf {
    beside(file, COPY)
}

/// Puts the copy back. What somebody changed since `--attach` is kept beside it.
pub(super) fn undo(places: &Places) -> Result<Undone, Trouble> {
    let copy = copy_of(&places.file);
    let before = files::read(&copy, MAX_FILE).map_err(|why| {
        Trouble::new(Exit::Usage, format!("{} cannot be put back: {why}", copy.display()))
            .cause("--attach keeps a copy there; without it there is nothing to undo")
    })?;
    let file = fs::canonicalize(&places.file).unwrap_or_else(|_| places.file.clone());
    let now = files::read(&file, MAX_FILE).ok();
    let kept = match &now {
        None => None,
        Some(now) => {
            let home = places.home.as_deref();
            let source = Source { path: &places.file, text: now, home, beside: &Alone };
            (!is_attached(&source, &before)).then(|| beside(&places.file, CHANGED))
        }
    };
    if let (Some(kept), Some(now)) = (&kept, &now) {
        let mode = fs::metadata(&file).map_or(0o600, |about| about.permissions().mode() & 0o777);
        create(kept, mode, now.as_bytes()).map_err(|error| files::cannot(kept, &error))?;
    }
    // The copy may lie beside a link, on another file system than the file.
    let about = fs::metadata(&copy).map_err(|error| files::cannot(&copy, &error))?;
    replace(&file, &about, before.as_bytes()).map_err(|error| files::cannot(&file, &error))?;
    fs::remove_file(&copy).map_err(|error| files::cannot(&copy, &error))?;
    Ok(Undone { file: places.typed.clone(), kept })
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// In one step, so that nobody reads half of it; mode and owner stay.
fn replace(file: &Path, about: &fs::Metadata, bytes: &[u8]) -> io::Result<()> {
    let new = beside(file, &format!(".outboard-{}", std::process::id()));
    create(&new, about.permissions().mode() & 0o777, bytes)?;
    let placed = own(&new, about).and_then(|()| fs::rename(&new, file));
    if placed.is_err() {
        let _gone = fs::remove_file(&new);
    }
    placed
}

fn own(path: &Path, about: &fs::Metadata) -> io::Result<()> {
    // The umask may have taken something from the mode.
    fs::set_permissions(path, fs::Permissions::from_mode(about.permissions().mode() & 0o777))?;
    let there = fs::metadata(path)?;
    if (there.uid(), there.gid()) == (about.uid(), about.gid()) {
        return Ok(());
    }
    chown(path, Some(about.uid()), Some(about.gid()))
}
