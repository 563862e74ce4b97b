//! Clients that open a session before anybody knows how their plugin opens.

use std::sync::Arc;
use std::time::Duration;

use outboard_core::{StopReason, Unavailable};
use outboard_wire::session::Verdict;
use outboard_wire::{CallError, Id};

use super::client::Client;
use super::words;
use crate::host::{Answer, Slot};

/// The opening of a client's session.
pub(super) struct Opens {
    pub(super) id: Id,
    pub(super) method: Box<str>,
    pub(super) params: Box<str>,
    /// How long the answer may be held: many clients give up at 30 s, and then nobody sees the reason.
    pub(super) wait: Duration,
}

/// Answers it when the plugin has opened; or says why not, at once where that is certain, else when the wait is over.
/// The plugin's start goes on either way.
pub(super) async fn wait(client: Arc<Client>, slot: Arc<Slot>, opens: Opens) {
    slot.rouse();
    let Opens { id, method, params, wait } = opens;
    let mut over = std::pin::pin!(tokio::time::sleep(wait));
    loop {
        let mut change = std::pin::pin!(slot.guests.next_change());
        change.as_mut().enable();
        if client.is_over() {
            return;
        }
        let opening = slot.opening();
        // Judged apart from the match: the session's lock is not held while the client is answered.
        let verdict = client.session().request(&method, &params, opening.as_deref());
        match verdict {
            Verdict::Waits => {}
            Verdict::Failed { code, message, data } => {
                return client.fail(&id, code, &message, data.as_deref());
            }
            Verdict::Done(answer) => return client.answer(&id, Ok(&answer)),
            Verdict::Kept | Verdict::Call | Verdict::Subscribed(_) | Verdict::Unsubscribed(_) => {
                return client.answer(&id, Ok("{}"));
            }
        }
        if let Some(error) = hopeless(&slot) {
            return client.answer(&id, Err(&error));
        }
        tokio::select! {
            () = &mut change => {}
            () = &mut over => return client.answer(&id, Err(&still_starting(&slot, wait))),
        }
    }
}

/// Why no opening will come before somebody acts, or before a careful try that is longer off than anybody waits.
fn hopeless(slot: &Slot) -> Option<CallError> {
    let why = slot.router().closed()?;
    match why {
        Unavailable::Down
        | Unavailable::Failed
        | Unavailable::Stopping(StopReason::Stop | StopReason::HostExit) => {}
        Unavailable::Starting
        | Unavailable::Waiting
        | Unavailable::Backoff
        | Unavailable::HalfOpen
        | Unavailable::Stopping(StopReason::Restart | StopReason::Swap | StopReason::Config) => {
            return None;
        }
    }
    let (error, after) =
        slot.with_refusal(|refusal| (refusal.unavailable(why), refusal.retry_after));
    let mut message = format!("outboard: {}", error.message());
    if let Some(after) = after {
        message.push_str(&format!("; one try in {}", words::span(after)));
    }
    message.push_str(&match why {
        Unavailable::Failed => format!("; see: outboard why {}", slot.id),
        _ => format!("; start it with: outboard start {}", slot.id),
    });
    Some(error.with_message(message))
}

fn still_starting(slot: &Slot, waited: Duration) -> CallError {
    let why = slot.router().closed().unwrap_or(Unavailable::Starting);
    let error = slot.with_refusal(|refusal| refusal.unavailable(why));
    let message = format!(
        "outboard: {} ({} were waited, and its start goes on); ask again",
        error.message(),
        words::span(waited)
    );
    error.with_message(message)
}
