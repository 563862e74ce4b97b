//! The methods of the management socket: one definition for server and client.

use jsonrpsee::core::{RpcResult, SubscriptionResult};
use jsonrpsee::proc_macros::rpc;

use super::api;

/// JSON-RPC 2.0 over HTTP or WebSocket. Parameters are objects; all of them may be left out unless said otherwise.
///
/// `curl --unix-socket control.sock -H 'content-type: application/json' http://localhost/ -d
/// '{"jsonrpc":"2.0","id":1,"method":"status"}'` works.
#[rpc(server, client)]
pub trait ControlApi {
    /// Everything at a glance; `ids` (globs allowed) narrows the plugins down.
    #[method(name = "status", param_kind = map)]
    async fn status(&self, ids: Option<Vec<String>>) -> RpcResult<api::Status>;

    /// Probes the plugins that run, now, and answers with all of `ids` (globs allowed; all without) as they are then.
    #[method(name = "health", param_kind = map)]
    async fn health(&self, ids: Option<Vec<String>>) -> RpcResult<api::Status>;

    /// Wants plugins up. `ids` (globs allowed) or `all` is needed. Answers with each one's outcome, or at once with
    /// `wait: false`. Goes on when the client goes away.
    #[method(name = "start", param_kind = map)]
    async fn start(
        &self,
        ids: Option<Vec<String>>,
        all: Option<bool>,
        wait: Option<bool>,
    ) -> RpcResult<api::Change>;

    /// Wants plugins down; `now` goes straight to the kill. Otherwise as `start`.
    #[method(name = "stop", param_kind = map)]
    async fn stop(
        &self,
        ids: Option<Vec<String>>,
        all: Option<bool>,
        now: Option<bool>,
        wait: Option<bool>,
    ) -> RpcResult<api::Change>;

    /// Stops and starts plugins. Otherwise as `stop`.
    #[method(name = "restart", param_kind = map)]
    async fn restart(
        &self,
        ids: Option<Vec<String>>,
        all: Option<bool>,
        now: Option<bool>,
        wait: Option<bool>,
    ) -> RpcResult<api::Change>;

    /// Stops every plugin and ends the supervisor. Answers when all are down, just before it ends.
    #[method(name = "shutdown", param_kind = map)]
    async fn shutdown(&self, now: Option<bool>) -> RpcResult<api::Change>;

    /// The last failure of one plugin. `id` is needed.
    #[method(name = "why", param_kind = map)]
    async fn why(&self, id: String) -> RpcResult<api::Why>;

    /// A page of events with numbers above `since`, oldest first; at most 1,000.
    #[method(name = "events", param_kind = map)]
    async fn events(&self, since: Option<u64>, limit: Option<u32>) -> RpcResult<Vec<api::Event>>;

    /// The newest log lines that match, oldest first; 100 unless said otherwise, at most 10,000.
    #[method(name = "logs", param_kind = map)]
    async fn logs(&self, filter: Option<api::LogFilter>) -> RpcResult<Vec<api::LogLine>>;

    /// Events as they happen, after those above `since` that are still there.
    #[subscription(name = "subscribe_events" => "event", unsubscribe = "unsubscribe_events", item = api::EventItem, param_kind = map)]
    async fn subscribe_events(&self, since: Option<u64>) -> SubscriptionResult;

    /// Log lines that match, as they come.
    #[subscription(name = "subscribe_logs" => "log", unsubscribe = "unsubscribe_logs", item = api::LogItem, param_kind = map)]
    async fn subscribe_logs(&self, filter: Option<api::LogFilter>) -> SubscriptionResult;
}
