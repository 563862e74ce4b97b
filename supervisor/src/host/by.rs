//! Who asked for a change of what is wanted.

use serde_json::{Value, json};

use super::whose::Whose;

/// The way by which it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// The command line.
    Cli,
    /// Another client of the management API, or the application that this supervisor is part of.
    Api,
    /// A signal to this process.
    Signal,
    /// A file was seen to change.
    Watch,
    /// Standard input of this process ended.
    Stdin,
}

impl Via {
    /// The word for it, in events.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Cli => "cli",
            Self::Api => "api",
            Self::Signal => "signal",
            Self::Watch => "watch",
            Self::Stdin => "stdin",
        }
    }
}

/// Who asked, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct By {
    pub via: Via,
    /// The kernel's word for who is on the other end of the socket.
    pub uid: Option<u32>,
    pub pid: Option<u32>,
    /// Whose process that is.
    pub whose: Whose,
}

impl By {
    /// This process itself, on its own behalf or for whoever sent it a signal.
    #[must_use]
    pub fn own(via: Via) -> Self {
        let (uid, pid) = (nix::unistd::getuid().as_raw(), std::process::id());
        Self { via, uid: Some(uid), pid: Some(pid), whose: Whose::Other }
    }

    /// Who it is to the plugins that it calls, and in accounts: `cli`, `api`, `plugin:ID`.
    #[must_use]
    pub fn caller(self) -> &'static str {
        self.whose.plugin().unwrap_or(self.via.word())
    }

    /// The `by` of an event.
    #[must_use]
    pub fn to_json(self) -> Value {
        let via = self.via.word();
        // Whoever sends a signal stays unknown to the runtime; of a change on the disk, or of an end, nobody knows it.
        match self.via {
            Via::Signal | Via::Watch | Via::Stdin => json!({"via": via}),
            Via::Cli | Via::Api => {
                let mut by = json!({"via": via, "uid": self.uid, "pid": self.pid});
                if let Some(plugin) = self.whose.plugin() {
                    by["caller"] = plugin.into();
                }
                by
            }
        }
    }
}
