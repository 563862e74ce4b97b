//! Programs that tests start: our own, which must be built, and other people's, which may be missing.

use std::path::{Path, PathBuf};

/// The repository's top folder.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The folder that cargo puts our binaries into: the one above the test program's.
#[must_use]
pub fn bins() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let folder = own.parent().unwrap();
    // A test lies in `deps/`, a binary beside it.
    if folder.ends_with("deps") { folder.parent().unwrap().to_owned() } else { folder.to_owned() }
}

/// A binary of this workspace.
///
/// # Panics
///
/// When it is not built: cargo builds the binaries of other packages only when it is told to.
#[must_use]
pub fn bin(name: &str) -> PathBuf {
    let path = bins().join(name);
    let hint = "cargo build --workspace --bins (`cargo xtask test` does it first)";
    assert!(path.is_file(), "{} is not built. Build it: {hint}", path.display());
    path
}

/// Whether a program is on PATH.
#[must_use]
pub fn on_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

/// Says that a test is skipped for want of something, in one line.
///
/// # Panics
///
/// Where nothing may be skipped: `OUTBOARD_REQUIRE_RUNTIMES=1`, or CI unless that says 0.
pub fn skip(test: &str, what: &str) {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let strict = match set("OUTBOARD_REQUIRE_RUNTIMES").as_deref() {
        Some(value) => value != "0",
        None => set("CI").is_some_and(|ci| ci != "false" && ci != "0"),
    };
    assert!(!strict, "{test} needs {what}, and nothing may be skipped here");
    crate::say(format_args!("skipped {test}: {what} is missing"));
}

/// Ends a test as skipped unless the program is on PATH, or the condition holds.
#[macro_export]
macro_rules! require {
    ($program:literal) => {
        $crate::require!($crate::runtimes::on_path($program), $program)
    };
    ($there:expr, $what:expr) => {
        if !$there {
            $crate::runtimes::skip(module_path!(), $what);
            return;
        }
    };
}
