//! How long the plugin's own word lets each of its methods take (`methods.NAME.timeoutMs` of the opening).

use std::time::Duration;

use outboard_wire::dialect::Facts;
use serde::{Deserialize, Serialize};

/// By method, sorted; most plugins say nothing of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Timeouts(Vec<(String, Duration)>);

impl Timeouts {
    #[must_use]
    pub(super) fn of(facts: &Facts) -> Self {
        let methods = facts.methods.iter().flatten();
        let timed = methods.filter_map(|method| Some((method.name.clone(), method.timeout?)));
        let mut timed: Vec<_> = timed.collect();
        timed.sort_unstable();
        Self(timed)
    }

    /// The time that a call of this method has.
    #[must_use]
    pub(super) fn of_method(&self, method: &str) -> Option<Duration> {
        if self.0.is_empty() {
            return None;
        }
        let at = self.0.binary_search_by(|(known, _)| (**known).cmp(method)).ok()?;
        Some(self.0[at].1)
    }
}
