//! What a dialect is made of, as a value.

use serde::{Deserialize, Serialize};

use super::{Dialect, Lsp, Mcp, Native};

/// A dialect's whole state, as it goes over to the supervisor's next build.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Kept {
    Native(Native),
    Mcp(Mcp),
    Lsp(Lsp),
}

impl Kept {
    /// The dialect, where it was.
    #[must_use]
    pub fn into_dialect(self) -> Box<dyn Dialect> {
        match self {
            Self::Native(native) => Box::new(native),
            Self::Mcp(mcp) => Box::new(mcp),
            Self::Lsp(lsp) => Box::new(lsp),
        }
    }
}
