//! Switches of the test build (feature `test-switches`), read from the environment. In any other build they
//! are constants, and the environment is not looked at.

/// `OUTBOARD_TEST_GROUP_SIGNAL=keeper`: `pidfd_send_signal` without the group flag, as before Linux 6.9.
pub(crate) fn no_group_flag() -> bool {
    is("OUTBOARD_TEST_GROUP_SIGNAL", "keeper")
}

/// `OUTBOARD_TEST_CONTAINMENT=session` or `=cgroup`: overrides what the settings ask for.
pub(crate) fn containment() -> Option<crate::ContainmentChoice> {
    if is("OUTBOARD_TEST_CONTAINMENT", "session") {
        Some(crate::ContainmentChoice::Session)
    } else if is("OUTBOARD_TEST_CONTAINMENT", "cgroup") {
        Some(crate::ContainmentChoice::Cgroup)
    } else {
        None
    }
}

#[cfg(feature = "test-switches")]
fn is(name: &str, value: &str) -> bool {
    std::env::var_os(name).is_some_and(|v| v == value)
}

#[cfg(not(feature = "test-switches"))]
fn is(_name: &str, _value: &str) -> bool {
    false
}

/// `OUTBOARD_TEST_HOLD=session` or `=exec` in a *plugin's* environment: its child waits for ever before that step, so
/// that a test can stop it between fork and exec.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "test-switches"),
    allow(dead_code, reason = "made by the test build alone")
)]
pub(crate) enum Hold {
    Nowhere,
    BeforeSession,
    BeforeExec,
}

#[cfg(feature = "test-switches")]
pub(crate) fn hold(env: &[&std::ffi::CStr]) -> Hold {
    env.iter()
        .find_map(|entry| match entry.to_bytes().strip_prefix(b"OUTBOARD_TEST_HOLD=") {
            Some(b"session") => Some(Hold::BeforeSession),
            Some(b"exec") => Some(Hold::BeforeExec),
            Some(_) | None => None,
        })
        .unwrap_or(Hold::Nowhere)
}

#[cfg(not(feature = "test-switches"))]
pub(crate) fn hold(_env: &[&std::ffi::CStr]) -> Hold {
    Hold::Nowhere
}
