//! What an attached client says, line by line: to the plugin, to the host in its place, or to be taken back.

use std::sync::{Arc, Weak};
use std::time::Duration;

use outboard_core::{Time, WhileRestarting};
use outboard_manifest::Glob;
use outboard_wire::dialect::own_token;
use outboard_wire::error::Kind;
use outboard_wire::session::{Noted, Speaks, Verdict, concerns};
use outboard_wire::{CallError, Id, Message};
use serde_json::value::RawValue;

use super::client::Client;
use super::opening::{self, Opens};
use crate::host::{Answer, Call, Caller, Listen, More, Slot, Supervisor, Token};

/// What a connection is attached to, once its first line has said so.
pub(super) struct Session {
    pub(super) slot: Arc<Slot>,
    /// What is spoken, by a client that shares the plugin's session. A command that makes one call has no part in it.
    pub(super) speaks: Option<Speaks>,
    pub(super) caller: Caller,
    /// For calls of this connection; `None` leaves their end to the client.
    pub(super) deadline: Option<Duration>,
    /// What calls of this connection do while the plugin is not up; `None` leaves it to the manifest.
    pub(super) while_restarting: Option<WhileRestarting>,
    /// How long the answer to its opening may be held.
    pub(super) wait: Duration,
}

pub(super) fn message(
    message: Message<'_>,
    client: &Arc<Client>,
    session: &Session,
    supervisor: &Supervisor,
) {
    let Session { slot, speaks, .. } = session;
    match message {
        Message::Request { id, method, params } => {
            let params = params.map_or("", RawValue::get);
            client.owe();
            if method == "ping" || speaks.is_some_and(|speaks| concerns(speaks, &method)) {
                request(id, &method, params, client, session, supervisor);
            } else {
                submit(id, &method, params, client, session, supervisor);
            }
        }
        Message::Notification { method, params } => {
            let params = params.map_or("", RawValue::get);
            let noted = match speaks {
                Some(speaks) if !concerns(*speaks, &method) => Noted::Pass,
                Some(_) | None => client.session().note(&method, params),
            };
            match noted {
                Noted::Kept => {}
                Noted::Cancel(id) => slot.cancel_where(&is_call(client, &id), "caller"),
                Noted::Pass => {
                    if let Err(error) = slot.notify(&method, params) {
                        refused(client, &slot.id, (&method, params), &error);
                    }
                }
            }
        }
        Message::Response { id, outcome } => {
            if let Some(relayed) = client.take_asked(&id) {
                relayed.answer(outcome.as_ref().map(|result| *result));
            }
        }
        Message::OrphanError { .. } => {}
    }
}

/// A notification was not sent. It has no answer, so that has nowhere to go but the log, save what an editor says of a
/// document: a process that is there and has missed it means another text from then on.
fn refused(client: &Client, plugin: &str, (method, params): (&str, &str), error: &CallError) {
    tracing::debug!(plugin, %error, "a client's notification was not sent");
    let CallError::Host(error) = error else { return };
    if !matches!(error.kind, Kind::Overloaded | Kind::TooLarge | Kind::TooDeep) {
        return;
    }
    let told = client.session().missed(method, params, &error.message);
    if let Some((method, params)) = told {
        client.push(method, &params);
    }
}

/// A request that may be the host's to answer.
fn request(
    id: Id,
    method: &str,
    params: &str,
    client: &Arc<Client>,
    session: &Session,
    supervisor: &Supervisor,
) {
    let slot = &session.slot;
    let opens = matches!(method, "initialize" | "server/discover");
    let opening = if opens { slot.opening() } else { None };
    // Judged apart from the match: the session's lock is not held while the client is answered.
    let verdict = client.session().request(method, params, opening.as_deref());
    match verdict {
        Verdict::Call => submit(id, method, params, client, session, supervisor),
        Verdict::Done(answer) => {
            if method.starts_with("outboard/") {
                listen(client, supervisor);
            }
            client.answer(&id, Ok(&answer));
        }
        Verdict::Failed { code, message, data } => {
            client.fail(&id, code, &message, data.as_deref());
        }
        Verdict::Waits => {
            let (method, params) = (method.into(), params.into());
            let opens = Opens { id, method, params, wait: session.wait };
            tokio::spawn(opening::wait(client.clone(), slot.clone(), opens));
        }
        Verdict::Kept => {
            client.answer(&id, Ok("{}"));
            slot.wants_changed();
        }
        Verdict::Subscribed(uri) => {
            client.subscribing(id.clone(), uri);
            submit(id, method, params, client, session, supervisor);
        }
        Verdict::Unsubscribed(uri) => {
            if slot.guests.wants_resource(&uri) {
                client.answer(&id, Ok("{}"));
            } else {
                submit(id, method, params, client, session, supervisor);
            }
        }
    }
}

/// The topics that it wants have changed.
pub(super) fn listen(client: &Arc<Client>, supervisor: &Supervisor) {
    let wants: Vec<Glob> = client.session().topics().map(Glob::new).collect();
    let to: Weak<dyn Listen> = Arc::<Client>::downgrade(client);
    client.listen((!wants.is_empty()).then(|| supervisor.listen_for(&wants, to)));
}

fn submit(
    id: Id,
    method: &str,
    params: &str,
    client: &Arc<Client>,
    session: &Session,
    supervisor: &Supervisor,
) {
    let began: Time = supervisor.clock().now();
    let progress = own_token(params);
    let more = (progress.is_some() || session.while_restarting.is_some()).then(|| {
        Box::new(More {
            while_restarting: session.while_restarting,
            progress: progress.map(Into::into),
            ..More::default()
        })
    });
    session.slot.submit(Call {
        method: method.into(),
        params: params.into(),
        deadline: session.deadline.map(|span| began + span),
        began,
        caller: session.caller.clone(),
        token: Token::Client(client.clone(), id),
        more,
    });
}

/// The client's call of this id.
fn is_call<'a>(client: &'a Arc<Client>, id: &'a Id) -> impl Fn(&Token) -> bool + 'a {
    move |token| token.belongs_to(client) && matches!(token, Token::Client(_, own) if own == id)
}
