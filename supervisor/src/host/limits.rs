//! The supervisor's own descriptor limit: raised for itself, handed on as it was.

use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

static GIVEN: OnceLock<(u64, u64)> = OnceLock::new();

/// Raises the soft limit of open files to the hard one: a plugin costs four descriptors. Plugins get what the
/// supervisor was started with, since `select(2)` in old programs breaks above 1024.
pub(super) fn raise_open_files() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if GIVEN.set((soft, hard)).is_ok() && soft < hard {
        // Refused: then the limit stays, and `doctor` and `EMFILE` say so.
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap_or_default();
    }
}

/// What the image before was started with: the limit has been raised already.
pub(super) fn were_given(given: Option<(u64, u64)>) {
    if let Some(given) = given {
        // Set already where this process itself was started with it.
        GIVEN.set(given).unwrap_or_default();
    }
}

/// The limit that the supervisor was started with, soft and hard, when it was raised.
#[must_use]
pub(super) fn given_open_files() -> Option<(u64, u64)> {
    GIVEN.get().copied()
}
