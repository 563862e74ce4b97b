//! Which state directory is meant.

use std::ffi::OsString;
use std::path::PathBuf;

use super::exit::Exit;
use super::trouble::Trouble;

/// `--state-dir`, else `OUTBOARD_STATE_DIR`, else `$XDG_STATE_HOME/outboard/default`, else
/// `~/.local/state/outboard/default` (XDG Base Directory Specification: a relative `XDG_STATE_HOME` is ignored).
///
/// # Errors
///
/// When nothing of this says a place.
pub(super) fn state_dir(
    given: Option<PathBuf>,
    env: impl Fn(&str) -> Option<OsString>,
) -> Result<PathBuf, Trouble> {
    let named = given.or_else(|| env("OUTBOARD_STATE_DIR").map(PathBuf::from));
    if let Some(dir) = named.filter(|dir| !dir.as_os_str().is_empty()) {
        return Ok(std::path::absolute(&dir).unwrap_or(dir));
    }
    let absolute = |name| env(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .map(|base| base.join("outboard/default"))
        .ok_or_else(|| {
            Trouble::new(Exit::Usage, "no state directory is known")
                .cause("neither XDG_STATE_HOME nor HOME is set")
                .help("outboard --state-dir DIR …")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(given: Option<&str>, env: &[(&str, &str)]) -> String {
        let look = |name: &str| {
            env.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        };
        match state_dir(given.map(PathBuf::from), look) {
            Ok(dir) => dir.display().to_string(),
            Err(trouble) => trouble.what,
        }
    }

    #[test]
    fn the_state_directory_is_found_in_order() {
        let both = [("XDG_STATE_HOME", "/xdg"), ("HOME", "/home/u")];
        assert_eq!(place(Some("/given"), &both), "/given");
        let named = [("OUTBOARD_STATE_DIR", "/named"), ("HOME", "/home/u")];
        assert_eq!(place(Some("/given"), &named), "/given");
        assert_eq!(place(None, &named), "/named");
        assert_eq!(place(None, &both), "/xdg/outboard/default");
        assert_eq!(place(Some(""), &both[1..]), "/home/u/.local/state/outboard/default");
        let relative = [("XDG_STATE_HOME", "xdg"), ("HOME", "/home/u")];
        assert_eq!(place(None, &relative), "/home/u/.local/state/outboard/default");
        assert_eq!(place(None, &[]), "no state directory is known");
    }
}
