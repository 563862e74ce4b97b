//! The file that a command names.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::Resolved;
use crate::manifest::Manifest;
use crate::problem::{Problem, ticked};

/// The program's file: with a slash relative to `cwd`, else the first executable file of that name on the plugin's PATH.
///
/// An empty folder on PATH means the working directory (execvp(3)); relative ones are relative to `cwd`. The kernel has
/// the last word: what is found here may still fail to execute.
///
/// # Errors
///
/// Not found, with the PATH that was looked at; or found and not an executable file. Class `spawn`, permanent.
pub fn look_up(manifest: &Manifest, resolved: &Resolved) -> Result<PathBuf, Box<Problem>> {
    let program = resolved.argv.first().map_or(OsStr::new(""), |program| program.as_os_str());
    let shown = ticked(resolved.shown.first().map_or("", String::as_str));
    let spot = manifest.process.command.first().and_then(|program| program.spot());
    let place = spot.unwrap_or(&manifest.process.spot).place();
    if program.as_bytes().contains(&b'/') {
        let file = resolved.cwd.join(program);
        return match judge(&file) {
            Verdict::Executable => Ok(file),
            Verdict::Missing => {
                let what = format!("{shown} does not exist");
                let cause = format!("looked for in {}", resolved.cwd.display());
                Err(Box::new(Problem::error(what).at(place).cause(cause)))
            }
            Verdict::Other(why) => {
                Err(Box::new(Problem::error(format!("{shown} {why}")).at(place)))
            }
        };
    }
    let mut other = None;
    for folder in resolved.path.as_bytes().split(|byte| *byte == b':') {
        let file = resolved.cwd.join(OsStr::from_bytes(folder)).join(program);
        match judge(&file) {
            Verdict::Executable => return Ok(file),
            Verdict::Missing => {}
            Verdict::Other(why) => other = other.or(Some((file, why))),
        }
    }
    Err(Box::new(match other {
        Some((file, why)) => {
            Problem::error(format!("{} {why}", ticked(&file.to_string_lossy()))).at(place)
        }
        None => Problem::error(format!("{shown} is not on PATH"))
            .at(place)
            .cause(format!("PATH is {}", resolved.path.to_string_lossy())),
    }))
}

enum Verdict {
    Executable,
    Missing,
    Other(&'static str),
}

fn judge(file: &Path) -> Verdict {
    match std::fs::metadata(file) {
        Ok(metadata) if metadata.is_dir() => Verdict::Other("is a folder"),
        Ok(metadata) if !metadata.is_file() => Verdict::Other("is not a regular file"),
        Ok(metadata) if metadata.permissions().mode() & 0o111 == 0 => {
            Verdict::Other("is not executable")
        }
        Ok(_) => Verdict::Executable,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Verdict::Other("is in a folder that may not be searched")
        }
        Err(_) => Verdict::Missing,
    }
}
