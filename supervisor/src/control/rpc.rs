//! The methods of the management socket: one table for server, client and document.
//!
//! A row of [`methods!`] below is all that a method consists of beside its work: name, what it does, parameters, answer, and
//! the errors it may answer with. From it come
//!
//! - `Serve`, the trait that `methods.rs` implements: a row without its work does not compile;
//! - `register`, which puts each method where requests find it;
//! - `Calls`, what `client.rs` asks with;
//! - the OpenRPC document (`document.rs`), which `rpc.discover` and `outboard schema api` print.
//!
//! **To add a method:** its parameters in `api/params.rs` and its answer in `api.rs` (both derive `JsonSchema`; doc comments
//! become their descriptions), a new error in `api/errors.rs`, a row here, its work in `methods.rs`, a function in
//! `client.rs`, and a call in `tests/tests/suite/management.rs`, which calls every method of the document.

use std::future::Future;
use std::sync::LazyLock;

use jsonrpsee::core::client::{Client, ClientT, Error, Subscription, SubscriptionClientT};
use jsonrpsee::core::server::SubscriptionSink;
use jsonrpsee::core::traits::ToRpcParams;
use jsonrpsee::core::{RpcResult, SubscriptionResult};
use jsonrpsee::types::{ErrorObject, ErrorObjectOwned, Params};
use jsonrpsee::{PendingSubscriptionSink, RpcModule};
use schemars::{Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};

use super::api::{self, Refusal};
use super::document;
use crate::host::{By, Via};

/// A row of the table, for whoever documents it.
#[derive(Clone, Copy)]
pub(super) struct Row {
    pub(super) name: &'static str,
    /// Its doc comment, line by line.
    pub(super) doc: &'static [&'static str],
    pub(super) params: fn(&mut SchemaGenerator) -> Schema,
    /// The answer, or each item of a subscription.
    pub(super) answer: fn(&mut SchemaGenerator) -> Schema,
    /// Besides `invalid_params` and `plugin_client`, which any method may answer with.
    pub(super) errors: &'static [Refusal],
    pub(super) stream: Option<Stream>,
}

/// What a subscription has beside a method's.
#[derive(Clone, Copy)]
pub(super) struct Stream {
    /// The method of the notifications that carry its items.
    pub(super) notification: &'static str,
    /// The method that ends it.
    pub(super) end: &'static str,
}

macro_rules! methods {
    (
        calls {
            $(
                $(#[doc = $doc:literal])+
                $call:ident($params:ty) -> $answer:ty, or [$($error:ident),*];
            )+
        }
        streams {
            $(
                $(#[doc = $stream_doc:literal])+
                $stream:ident($stream_params:ty) -> $item:ty as $notification:literal until $end:ident,
                or [$($stream_error:ident),*];
            )+
        }
    ) => {
        /// The work behind the table.
        pub(super) trait Serve: Send + Sync + 'static {
            $(
                $(#[doc = $doc])+
                fn $call(&self, params: $params) -> impl Future<Output = RpcResult<$answer>> + Send;
            )+
            $(
                $(#[doc = $stream_doc])+
                fn $stream(
                    &self,
                    params: $stream_params,
                    pending: Pending,
                ) -> impl Future<Output = SubscriptionResult> + Send;
            )+
        }

        /// The table as data.
        pub(super) const TABLE: &[Row] = &[
            $(Row {
                name: stringify!($call),
                doc: &[$($doc),+],
                params: |schemas| schemas.subschema_for::<$params>(),
                answer: |schemas| schemas.subschema_for::<$answer>(),
                errors: &[$(Refusal::$error),*],
                stream: None,
            },)+
            $(Row {
                name: stringify!($stream),
                doc: &[$($stream_doc),+],
                params: |schemas| schemas.subschema_for::<$stream_params>(),
                answer: |schemas| schemas.subschema_for::<$item>(),
                errors: &[$(Refusal::$stream_error),*],
                stream: Some(Stream { notification: $notification, end: stringify!($end) }),
            },)+
        ];

        /// Everything that a server answers to, `rpc.discover` included.
        pub(super) fn register<S: Serve>(server: S) -> RpcModule<S> {
            const ONCE: &str = "the table has each name once";
            let mut module = RpcModule::new(server);
            $(
                let added = module.register_async_method(stringify!($call), |params, server, request| async move {
                    let by = request.get::<By>().copied().unwrap_or(By::own(Via::Api));
                    let answer = match read::<$params>(&params) {
                        Ok(params) => ASKING.scope(by, server.$call(params)).await,
                        Err(refused) => Err(refused),
                    };
                    answer.inspect_err(|error| expect_documented(stringify!($call), error))
                });
                added.expect(ONCE);
            )+
            $(
                let added = module.register_subscription(
                    stringify!($stream),
                    $notification,
                    stringify!($end),
                    |params, pending, server, _| async move {
                        let pending = Pending { name: stringify!($stream), inner: pending };
                        match read::<$stream_params>(&params) {
                            Ok(params) => server.$stream(params, pending).await,
                            Err(refused) => pending.refuse(refused).await,
                        }
                    },
                );
                added.expect(ONCE);
            )+
            let added = module.register_method("rpc.discover", |_, _, _| RpcResult::Ok(DOCUMENT.clone()));
            added.expect(ONCE);
            module
        }

        /// Asks a supervisor.
        pub(super) struct Calls<'c>(pub(super) &'c Client);

        impl Calls<'_> {
            $(
                pub(super) async fn $call(&self, params: $params) -> Result<$answer, Error> {
                    self.0.request(stringify!($call), Object(params)).await
                }
            )+
            $(
                pub(super) async fn $stream(
                    &self,
                    params: $stream_params,
                ) -> Result<Subscription<$item>, Error> {
                    self.0.subscribe(stringify!($stream), Object(params), stringify!($end)).await
                }
            )+
        }
    };
}

methods! {
    calls {
        /// Everything at a glance.
        status(api::Select) -> api::Status, or [NOT_FOUND];

        /// Probes the plugins that run, now, and answers with all that were asked for as they are then.
        ///
        /// It lasts as long as the slowest probe, at most that plugin's `[health] timeout`.
        health(api::Select) -> api::Status, or [NOT_FOUND];

        /// Wants plugins up, and answers with what became of each.
        ///
        /// `ids` or `all` is needed. It goes on when the client goes away.
        start(api::Start) -> api::Change, or [NOT_FOUND, NOTHING_NAMED, HOST_EXIT, UPGRADE, INTERNAL];

        /// Wants plugins down, and answers once nothing of them is left.
        ///
        /// `ids` or `all` is needed. It goes on when the client goes away.
        stop(api::Stopping) -> api::Change, or [NOT_FOUND, NOTHING_NAMED, HOST_EXIT, UPGRADE, INTERNAL];

        /// Stops and starts plugins, and answers with what became of each.
        ///
        /// `ids` or `all` is needed. It goes on when the client goes away.
        restart(api::Stopping) -> api::Change, or [NOT_FOUND, NOTHING_NAMED, HOST_EXIT, UPGRADE, INTERNAL];

        /// Reads the manifests again, and makes what runs what they say: whole, or not at all.
        ///
        /// With `plan` it answers with what that would change, and changes nothing. It is refused as a conflict when the
        /// configuration changes between the reading and the end. It goes on when the client goes away.
        reload(api::Reloading) -> api::Reload, or [NOT_FOUND, REJECTED, CONFLICT, HOST_EXIT, INTERNAL];

        /// Lets another version of a plugin take over, and answers once there is a verdict and the loser is gone.
        ///
        /// It goes on when the client goes away.
        swap(api::SwapIn) -> api::Swap, or [
            NOT_FOUND, BAD_MANIFEST, UNDER_WAY, STOPPED, UNKILLABLE, NOT_READY, HOST_EXIT, INTERNAL
        ];

        /// Stops every plugin and ends the supervisor.
        ///
        /// It answers when all are down, just before the supervisor ends.
        shutdown(api::Shutdown) -> api::Change, or [HOST_EXIT, UPGRADE, INTERNAL];

        /// Executes the file that the supervisor was started from in its place: plugins and attached clients go on.
        ///
        /// It answers once that build has shown that it can go on. Then this connection ends, and an event above `seq`
        /// tells what became of it: `supervisor.upgraded`, or `supervisor.upgrade_failed`. An error changes nothing.
        upgrade(api::Nothing) -> api::Upgrade, or [
            UPGRADE_NOT_OFFERED, UPGRADE_NOT_STARTED, UPGRADE_HUNG, UPGRADE_CRASHED, UPGRADE_UNREADABLE, CONFLICT
        ];

        /// A failure of one plugin with its evidence, of this run of the supervisor or of an earlier one.
        why(api::OfFailure) -> api::Why, or [NOT_FOUND];

        /// A page of events, oldest first.
        events(api::EventPage) -> Vec<api::Event>, or [];

        /// The newest log lines that match, oldest first.
        ///
        /// 100 unless `lines` says otherwise, at most 10,000.
        logs(api::LogsOf) -> Vec<api::LogLine>, or [NOT_FOUND];
    }
    streams {
        /// Events as they happen.
        ///
        /// A reader that is too slow is told how many events went by when the journal no longer has them.
        subscribe_events(api::EventsFrom) -> api::EventItem as "event" until unsubscribe_events, or [];

        /// Log lines that match, as they come.
        ///
        /// A reader that is too slow is told how many lines went by.
        subscribe_logs(api::LogsOf) -> api::LogItem as "log" until unsubscribe_logs, or [NOT_FOUND];

        /// What plugins publish, as it comes.
        ///
        /// A reader that is too slow is told how many went by.
        subscribe_topics(api::TopicsOf) -> api::TopicItem as "topic" until unsubscribe_topics, or [];
    }
}

tokio::task_local! {
    /// Who sends the request that is being answered.
    pub(super) static ASKING: By;
}

/// The document, made when it is first asked for.
static DOCUMENT: LazyLock<Box<RawValue>> = LazyLock::new(|| {
    to_raw_value(&document::openrpc()).expect("a document of strings, numbers and maps is JSON")
});

/// A subscription that is neither accepted nor refused yet.
pub(super) struct Pending {
    name: &'static str,
    inner: PendingSubscriptionSink,
}

impl Pending {
    /// # Errors
    ///
    /// When the client is gone.
    pub(super) async fn accept(
        self,
    ) -> Result<SubscriptionSink, jsonrpsee::core::server::PendingSubscriptionAcceptError> {
        self.inner.accept().await
    }

    /// Answers with an error, and that was all.
    pub(super) async fn refuse(self, error: ErrorObjectOwned) -> SubscriptionResult {
        expect_documented(self.name, &error);
        self.inner.reject(error).await;
        Ok(())
    }
}

/// Parameters as they came: an object, its members in their order, or nothing at all.
fn read<T: DeserializeOwned>(params: &Params<'_>) -> RpcResult<T> {
    let text = params.as_str().unwrap_or("{}");
    serde_json::from_str(text).map_err(|error| refused(&Refusal::INVALID_PARAMS, text_of(&error)))
}

/// What is wrong, without the place in a text that the client may never have seen.
fn text_of(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what).to_owned()
}

/// An error answer with nothing but its class.
pub(super) fn refused(refusal: &Refusal, message: impl Into<String>) -> ErrorObjectOwned {
    refused_with(refusal, message, api::ErrorData::default())
}

/// An error answer; its class goes into `data`.
pub(super) fn refused_with(
    refusal: &Refusal,
    message: impl Into<String>,
    data: api::ErrorData,
) -> ErrorObjectOwned {
    let data = api::ErrorData { class: refusal.class.to_owned(), ..data };
    ErrorObject::owned(refusal.code, message, Some(data))
}

/// What is answered has to be in the table. Tests run with this; people get the answer all the same.
fn expect_documented(method: &str, error: &ErrorObjectOwned) {
    let class = || {
        let data: api::ErrorData = serde_json::from_str(error.data()?.get()).ok()?;
        Some(data.class)
    };
    debug_assert!(
        class().is_some_and(|class| {
            let row = TABLE.iter().find(|row| row.name == method);
            let errors = row.map_or(&[][..], |row| row.errors);
            let same = |refusal: &Refusal| refusal.class == class && refusal.code == error.code();
            errors.iter().any(same) || same(&Refusal::INVALID_PARAMS)
        }),
        "`{method}` answers with an error that its row does not name: {error:?}"
    );
}

/// Parameters as one object.
struct Object<T>(T);

impl<T: Serialize + Send> ToRpcParams for Object<T> {
    fn to_rpc_params(self) -> Result<Option<Box<RawValue>>, serde_json::Error> {
        to_raw_value(&self.0).map(Some)
    }
}
