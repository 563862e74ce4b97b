//! The image: two versions in front, then the parts as JSON, in which a reader ignores the members that it does not know.

use std::io;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::HostState;

/// The version of what this build writes. It rises with every change of it.
pub const VERSION: u32 = if cfg!(feature = "state-version-next") { 2 } else { 1 };

/// The least version of a build that reads it as it was meant. It rises to [`VERSION`] when an older build would misread
/// what this one writes; a member that may be ignored, and left out, leaves it where it is.
pub(super) const NEEDS: u32 = 1;

const FIRST_LINE: &str = "outboard-state ";

/// Everything in an image.
#[derive(Debug, Deserialize)]
pub struct Image {
    /// The version of the build that wrote it.
    #[serde(skip)]
    pub version: u32,
    pub(crate) host: HostState,
    /// Sockets and clients, as `control` wrote them.
    pub(crate) beside: Box<RawValue>,
}

#[derive(Serialize)]
struct Written<'a> {
    host: &'a HostState,
    beside: &'a RawValue,
}

/// Why this build cannot go on with an image.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("it is no state of a supervisor")]
    Foreign,
    #[error(
        "the state is of version {version} and needs a build that reads {needs}; this one reads {VERSION}"
    )]
    Newer { version: u32, needs: u32 },
    #[error("the state of version {version} cannot be read: {why}")]
    Content { version: u32, why: String },
}

/// The image of a state.
///
/// # Errors
/// What cannot be put into JSON; there is nothing of that kind in a state.
pub(super) fn write(host: &HostState, beside: &RawValue) -> io::Result<Vec<u8>> {
    let mut bytes = format!("{FIRST_LINE}{VERSION} {NEEDS}\n").into_bytes();
    serde_json::to_writer(&mut bytes, &Written { host, beside })?;
    Ok(bytes)
}

impl Image {
    /// Reads an image, of this build's version or of any that can be read by it.
    ///
    /// # Errors
    /// Why not; nothing has been touched then.
    pub fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        let end = memchr::memchr(b'\n', bytes).ok_or(Unreadable::Foreign)?;
        let first = std::str::from_utf8(&bytes[..end]).map_err(|_| Unreadable::Foreign)?;
        let versions = first.strip_prefix(FIRST_LINE).and_then(|rest| rest.split_once(' '));
        let (version, needs) = versions.ok_or(Unreadable::Foreign)?;
        let number = |text: &str| text.parse::<u32>().map_err(|_| Unreadable::Foreign);
        let (version, needs) = (number(version)?, number(needs)?);
        if needs > VERSION {
            return Err(Unreadable::Newer { version, needs });
        }
        let image: Self = serde_json::from_slice(&bytes[end + 1..])
            .map_err(|error| Unreadable::Content { version, why: error.to_string() })?;
        Ok(Self { version, ..image })
    }

    /// The part that is not the host's.
    #[must_use]
    pub fn beside(&self) -> &RawValue {
        &self.beside
    }

    /// The build that wrote it.
    #[must_use]
    pub fn build(&self) -> &str {
        &self.host.version
    }
}
