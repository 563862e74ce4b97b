//! What `upgrade` has to say.

use super::fields::Fields;
use super::screen::Screen;
use crate::cli::exit::Exit;
use crate::cli::trouble::Trouble;
use crate::control::ClientError;
use crate::control::api::Event;
use crate::control::words::count;

/// The whole of it in two lines: what goes on, and for how long nothing did.
pub(in crate::cli) fn upgraded(screen: &mut Screen, event: &Event) {
    let f = Fields(event);
    let (from, to) = (f.text("from"), f.text("to"));
    let same = if from == to { ", the same version" } else { "" };
    screen.line(&format!("outboard {from} goes on as {to}{same}"));
    screen.line(&format!(
        "kept: {}, {}; pid {} stays; it stood still for {}",
        count(f.number("plugins"), "running plugin", "running plugins"),
        count(f.number("clients"), "attached client", "attached clients"),
        f.text("pid"),
        f.span("ms"),
    ));
}

/// Nothing has changed, and why.
pub(in crate::cli) fn refused(error: ClientError) -> Trouble {
    match error {
        ClientError::Answered { message, data, .. } => {
            let class = data.map(|data| data.class).unwrap_or_default();
            let exit = if class == "conflict" { Exit::Conflict } else { Exit::Unavailable };
            Trouble::new(exit, "not upgraded: nothing has changed")
                .cause(message)
                .cause(format!("class {class}"))
                .help("outboard events | tail -3")
        }
        error => error.into(),
    }
}

/// It could not be executed, and everything went on as it was.
pub(in crate::cli) fn failed(event: &Event) -> Trouble {
    let why = Fields(event).text("message");
    Trouble::new(Exit::Unavailable, "not upgraded: the build that ran goes on")
        .cause(why)
        .help("outboard status")
}
