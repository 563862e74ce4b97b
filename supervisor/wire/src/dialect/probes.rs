//! Which of the two kinds of probe a plugin answers.

use serde::{Deserialize, Serialize};

/// Some plugins drop one kind of probe in silence and answer the other.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Probes {
    /// The second kind is the one to send.
    prefers_second: bool,
    first_answered: bool,
}

impl Probes {
    pub(super) fn preferring_second(second: bool) -> Self {
        Self { prefers_second: second, first_answered: false }
    }

    /// Whether the probe to be sent is of the second kind, when `other` asks for the less usual one.
    pub(super) fn kind(&self, other: bool) -> bool {
        self.prefers_second != other
    }

    /// Any answer counts, errors included. The second kind is kept only while the first was never answered.
    pub(super) fn answered(&mut self, second: bool) {
        if second {
            self.prefers_second |= !self.first_answered;
        } else {
            self.first_answered = true;
            self.prefers_second = false;
        }
    }

    pub(super) fn prefers_second(&self) -> bool {
        self.prefers_second
    }
}
