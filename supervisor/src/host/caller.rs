//! Who makes calls: what plugins are told of it, and whose turn it takes while calls wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use outboard_core::PluginId;
use outboard_wire::peer::Turn;

/// Numbers that are not given out: callers that are not told apart share the first.
const SHARED: Turn = 0;

static NEXT_TURN: AtomicU32 = AtomicU32::new(SHARED + 1);

/// One caller. Its clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    name: Name,
    turn: Turn,
}

#[derive(Clone, Debug)]
enum Name {
    Known(&'static str),
    /// `plugin:ID`.
    Plugin(Arc<str>),
}

impl Caller {
    /// Everybody of this name, who take turns as one.
    #[must_use]
    pub(crate) const fn shared(name: &'static str) -> Self {
        Self { name: Name::Known(name), turn: SHARED }
    }

    /// Somebody who takes turns with all others: one client.
    #[must_use]
    pub(crate) fn client(name: &'static str) -> Self {
        Self { name: Name::Known(name), turn: next_turn() }
    }

    /// One generation of a plugin.
    #[must_use]
    pub(crate) fn plugin(id: &PluginId) -> Self {
        Self { name: Name::Plugin(format!("plugin:{id}").into()), turn: next_turn() }
    }

    /// `cli`, `api:NAME`, `plugin:ID`.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        match &self.name {
            Name::Known(name) => name,
            Name::Plugin(name) => name,
        }
    }

    #[must_use]
    pub(crate) fn turn(&self) -> Turn {
        self.turn
    }
}

/// After four thousand million callers two may share a turn, and that is all that happens.
fn next_turn() -> Turn {
    NEXT_TURN.fetch_add(1, Ordering::Relaxed).max(SHARED + 1)
}
