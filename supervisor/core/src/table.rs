//! The table of all pairs of state and event.

/// Prints it.
#[must_use]
pub fn state_table() -> String {
    String::new()
}
