//! Who makes calls: what plugins are told of it, and whose turn it takes while calls wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use outboard_core::{PluginId, word};
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

    /// A process of a plugin that came as a client; its name is `plugin:ID` already.
    #[must_use]
    pub(crate) fn plugin_client(name: &'static str) -> Self {
        Self { name: Name::Plugin(name.into()), turn: next_turn() }
    }

    /// One generation of a plugin.
    #[must_use]
    pub(crate) fn plugin(id: &PluginId) -> Self {
        Self { name: Name::Plugin(format!("plugin:{id}").into()), turn: next_turn() }
    }

    /// For the supervisor's next build: its name, whether that is a plugin's, and its turn.
    #[must_use]
    pub(crate) fn kept(&self) -> (String, bool, Turn) {
        (self.name().to_owned(), matches!(self.name, Name::Plugin(_)), self.turn)
    }

    /// Who [`Caller::kept`] told of. The turns of those who come are above its.
    #[must_use]
    pub(crate) fn restore((name, plugin, turn): (String, bool, Turn)) -> Self {
        NEXT_TURN.fetch_max(turn.saturating_add(1), Ordering::Relaxed);
        let name = if plugin { Name::Plugin(name.into()) } else { Name::Known(word::keep(&name)) };
        Self { name, turn }
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
