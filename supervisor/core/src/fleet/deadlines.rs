//! The deadlines of all plugins, in order.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::fleet::Key;
use crate::time::Time;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Deadlines {
    ordered: BTreeSet<(Time, Key)>,
    filed: Vec<Option<Time>>,
}

impl Deadlines {
    pub(crate) fn file(&mut self, key: Key, due: Option<Time>) {
        if self.filed.len() <= key.index() {
            self.filed.resize(key.index() + 1, None);
        }
        let filed = &mut self.filed[key.index()];
        if *filed == due {
            return;
        }
        if let Some(old) = filed.take() {
            self.ordered.remove(&(old, key));
        }
        if let Some(due) = due {
            self.ordered.insert((due, key));
        }
        *filed = due;
    }

    pub(crate) fn next(&self) -> Option<Time> {
        self.ordered.first().map(|&(due, _)| due)
    }

    /// Earliest first.
    pub(crate) fn due(&self, now: Time) -> impl Iterator<Item = Key> {
        self.ordered.range(..=(now, Key::LAST)).map(|&(_, key)| key)
    }
}
