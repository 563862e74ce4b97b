//! One request to one answer, whatever brought it.

use std::sync::Arc;

use jsonrpsee::core::id_providers::RandomIntegerIdProvider;
use jsonrpsee::core::server::{
    ConnectionId, MethodCallback, MethodResponse, MethodSink, SubscriptionState, prepare_error,
};
use jsonrpsee::types::error::{
    BATCHES_NOT_SUPPORTED_CODE, BATCHES_NOT_SUPPORTED_MSG, ErrorCode, reject_too_big_request,
    reject_too_many_subscriptions,
};
use jsonrpsee::types::{ErrorObject, Id, Notification, Params, Request};
use jsonrpsee::{Extensions, Methods};
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::api::Refusal;
use super::methods::LONG;
use super::rpc::refused;
use super::server::Asker;

/// The longest answer. The longest that there is in earnest is a page of log lines.
pub(super) const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// The longest request. The longest that there is in earnest names a thousand plugins.
pub(super) const MAX_REQUEST: usize = 128 * 1024;

/// Subscriptions of one connection at the same time.
pub(super) const SUBSCRIPTIONS: usize = 16;

/// What a connection over which notifications can be sent has besides.
#[derive(Clone, Debug)]
pub(super) struct Subscriber {
    pub(super) connection: ConnectionId,
    /// Where answers to subscriptions and their items go.
    pub(super) sink: MethodSink,
    /// For one long answer: the next is made when it has been written. Who reads nothing must not keep the disk busy, and
    /// others from it.
    pub(super) long: Arc<Semaphore>,
    /// For more subscriptions, [`SUBSCRIPTIONS`] in all.
    pub(super) room: Arc<Semaphore>,
}

impl Subscriber {
    /// Whether it has any subscription, or asks for one.
    #[must_use]
    pub(super) fn is_subscribed(&self) -> bool {
        self.room.available_permits() < SUBSCRIPTIONS
    }
}

/// An answer, and what its connection gets back when it is written.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) json: Box<RawValue>,
    pub(super) long: Option<OwnedSemaphorePermit>,
}

impl Answer {
    fn of(response: MethodResponse) -> Self {
        Self { json: response.into_json(), long: None }
    }
}

/// Answers one message; `None` where no answer is due, or the subscription itself sends it.
/// `asker` is who sent it.
pub(super) async fn answer(
    methods: &Methods,
    message: &[u8],
    asker: &Asker,
    subscriber: Option<&Subscriber>,
) -> Option<Answer> {
    let Ok(request) = serde_json::from_slice::<Request<'_>>(message) else {
        return what_else(message).map(Answer::of);
    };
    let Request { id, method, params, .. } = request;
    if let Some(why) = &asker.refused {
        let error = refused(&Refusal::PLUGIN_CLIENT, &**why);
        return Some(Answer::of(MethodResponse::error(id, error)));
    }
    let params = Params::new(params.as_ref().map(|params| params.get()));
    let told = || {
        let mut told = Extensions::new();
        told.insert(asker.by);
        told
    };
    let long = match subscriber {
        Some(it) if LONG.contains(&&*method) => Arc::clone(&it.long).acquire_owned().await.ok(),
        _ => None,
    };
    let response = match (methods.method(&method), subscriber) {
        (None, _) => failed(id, ErrorCode::MethodNotFound),
        (Some(MethodCallback::Sync(work)), _) => work(id, params, MAX_ANSWER, told()),
        (Some(MethodCallback::Async(work)), _) => {
            let connection = subscriber.map_or(ConnectionId(0), |it| it.connection);
            work(id.into_owned(), params.into_owned(), connection, MAX_ANSWER, told()).await
        }
        (Some(MethodCallback::Subscription(work)), Some(it)) => {
            match Arc::clone(&it.room).try_acquire_owned() {
                Ok(subscription_permit) => {
                    let state = SubscriptionState {
                        conn_id: it.connection,
                        id_provider: &RandomIntegerIdProvider,
                        subscription_permit,
                    };
                    work(id, params, it.sink.clone(), state, told()).await
                }
                Err(_) => {
                    MethodResponse::error(id, reject_too_many_subscriptions(SUBSCRIPTIONS as u32))
                }
            }
        }
        (Some(MethodCallback::Unsubscription(work)), Some(it)) => {
            work(id, params, it.connection, MAX_ANSWER, told())
        }
        (Some(MethodCallback::Subscription(_) | MethodCallback::Unsubscription(_)), None) => {
            let code = ErrorCode::InvalidRequest.code();
            let message = format!(
                "`{method}` needs a WebSocket: nothing can be sent later over this connection"
            );
            MethodResponse::error(id, ErrorObject::owned(code, message, None::<()>))
        }
    };
    response.is_method_call().then(|| Answer { long, ..Answer::of(response) })
}

/// A message that was longer than [`MAX_REQUEST`].
pub(super) fn too_long() -> Answer {
    Answer::of(MethodResponse::error(Id::Null, reject_too_big_request(MAX_REQUEST as u32)))
}

fn failed(id: Id<'_>, code: ErrorCode) -> MethodResponse {
    MethodResponse::error(id, ErrorObject::from(code))
}

/// What is no request: a notification, which nobody here has any use for, a batch, or nonsense.
fn what_else(message: &[u8]) -> Option<MethodResponse> {
    if serde_json::from_slice::<Notification<'_, Option<&RawValue>>>(message).is_ok() {
        return None;
    }
    if message.trim_ascii_start().starts_with(b"[") {
        let error =
            ErrorObject::borrowed(BATCHES_NOT_SUPPORTED_CODE, BATCHES_NOT_SUPPORTED_MSG, None);
        return Some(MethodResponse::error(Id::Null, error));
    }
    let (id, code) = prepare_error(message);
    Some(failed(id, code))
}
