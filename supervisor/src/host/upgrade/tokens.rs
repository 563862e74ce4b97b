//! Where answers go, written down: clients by number, since they go over with their connections.

use std::collections::HashMap;
use std::sync::Arc;

use outboard_core::{Time, WhileRestarting};
use outboard_wire::Id;
use outboard_wire::dialect::Tag;
use outboard_wire::peer::Turn;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::errors::KeptError;
use crate::host::call::{Address, Answer, Call, Keeping, More, Token};
use crate::host::caller::Caller;
use crate::host::chain::{Origin, Trace};

/// Everybody who gets answers: attached clients, and generations of plugins.
pub(crate) type Clients = HashMap<Address, Arc<dyn Answer>>;

/// A [`Token`], written down.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum KeptToken {
    To(Address, Id),
    Tagged(Tag),
    /// Its caller did not come along, and was told so.
    Nobody,
}

/// A [`Caller`], written down.
type KeptCaller = (String, bool, Turn);

/// A call that waits at a route, written down.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KeptCall {
    method: Box<str>,
    params: Box<str>,
    deadline: Option<Time>,
    began: Time,
    caller: KeptCaller,
    token: KeptToken,
    more: Option<KeptMore>,
}

/// What a link keeps of a pending call, written down.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KeptPending {
    pub began: Time,
    pub caller: KeptCaller,
    pub token: KeptToken,
    pub more: Option<KeptMore>,
}

/// What only some calls have, written down.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KeptMore {
    while_restarting: Option<WhileRestarting>,
    key: Option<Box<str>>,
    trace: Option<Box<Trace>>,
    progress: Option<Box<str>>,
    origin: Option<Arc<Origin>>,
    first: Option<KeptError>,
    /// Method and params, as the caller gave them.
    given: Option<(Box<str>, Box<str>)>,
    idempotent: bool,
}

impl Token {
    pub(crate) fn kept(&self) -> KeptToken {
        match self {
            Self::Future(_) => KeptToken::Nobody,
            Self::Client(client, id) => KeptToken::To(client.address(), id.clone()),
            Self::Tagged(tag) => KeptToken::Tagged(*tag),
        }
    }
}

impl KeptToken {
    pub(crate) fn back(&self, clients: &Clients) -> Token {
        let nobody = || Token::Future(oneshot::channel().0);
        match self {
            Self::To(address, id) => match clients.get(address) {
                Some(client) => Token::Client(client.clone(), id.clone()),
                None => nobody(),
            },
            Self::Tagged(tag) => Token::Tagged(*tag),
            Self::Nobody => nobody(),
        }
    }
}

impl KeptMore {
    pub(crate) fn of(more: &More) -> Self {
        let More { while_restarting, key, trace, progress, origin, first, given, idempotent } =
            more;
        let given = given.as_ref().map(|given| given.texts());
        Self {
            while_restarting: *while_restarting,
            key: key.clone(),
            trace: trace.clone(),
            progress: progress.clone(),
            origin: origin.clone(),
            first: first.as_ref().map(KeptError::of),
            given: given.map(|(method, params)| (method.into(), params.into())),
            idempotent: *idempotent,
        }
    }

    /// `keeping` counts what is kept of calls that were sent; it was within its bound before.
    pub(crate) fn back(self, keeping: &Keeping) -> More {
        let Self { while_restarting, key, trace, progress, origin, first, given, idempotent } =
            self;
        let given = given.and_then(|(method, params)| keeping.keep(method, params, usize::MAX));
        let first = first.map(KeptError::back);
        More { while_restarting, key, trace, progress, origin, first, given, idempotent }
    }
}

impl KeptCall {
    pub(crate) fn of(call: &Call) -> Self {
        let Call { method, params, deadline, began, caller, token, more } = call;
        Self {
            method: method.clone(),
            params: params.clone(),
            deadline: *deadline,
            began: *began,
            caller: caller.kept(),
            token: token.kept(),
            more: more.as_deref().map(KeptMore::of),
        }
    }

    pub(crate) fn back(self, clients: &Clients) -> Call {
        let Self { method, params, deadline, began, caller, token, more } = self;
        // What a call that waits brings along is in the call itself: nothing is kept of it beside.
        let more = more.map(|more| Box::new(more.back(&Keeping::default())));
        let caller = Caller::restore(caller);
        Call { method, params, deadline, began, caller, token: token.back(clients), more }
    }
}
