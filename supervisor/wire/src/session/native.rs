//! Clients of a plugin that speaks this project's own protocol.

use super::{Noted, Opening, Session, Shown, Verdict, id_member};

/// A client that opens with `initialize` gets what the plugin answered to it; nobody has to.
pub(super) fn open(session: &mut Session, opening: Option<&Opening>) -> Verdict {
    let Some(opening) = opening else { return Verdict::Waits };
    session.shown = Some(Shown { protocol: opening.protocol.clone(), capabilities: String::new() });
    Verdict::Done(opening.result.clone().into())
}

pub(super) fn note(session: &mut Session, method: &str, params: &str) -> Noted {
    match method {
        "initialized" => {
            session.ready = true;
            Noted::Kept
        }
        "$/cancel" | "$/cancelRequest" => {
            id_member(params, "id").map_or(Noted::Kept, Noted::Cancel)
        }
        _ => Noted::Pass,
    }
}

/// What the plugin says to the host is not for clients; what is left is its own.
pub(super) fn hears(method: &str) -> bool {
    !method.starts_with("$/") && !method.starts_with("host/")
}
