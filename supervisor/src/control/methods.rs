//! The management API over a [`Backend`].

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use jsonrpsee::SubscriptionSink;
use jsonrpsee::core::{RpcResult, SubscriptionError, SubscriptionResult};
use outboard_core::PluginId;
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Semaphore, watch};

use super::answer::MAX_ANSWER;
use super::api;
use super::api::Refusal;
use super::backend::{Backend, LogQuery};
use super::convert::{self, Clocks};
use super::refusals::{broken, ending, not_reloaded, not_upgraded, one, pick, unknown};
use super::rpc::{ASKING, Pending, Serve, refused, refused_with};
use super::server::Ending;
use super::swap;
use crate::host::upgrade::Granted;
use crate::host::{By, EventRecord, Outcome, ReloadRequest, Via, Which};

const MOST_EVENTS: usize = 1_000;
const MOST_LINES: usize = 10_000;
const DEFAULT_LINES: usize = 100;

/// Methods whose answers are long, and made on the disk.
pub(super) const LONG: &[&str] = &["logs"];

/// Looks at the log at the same time; more wait for their turn.
const LOOKS: usize = 2;

// The host gives at most 4 MiB of log lines, whatever their number.
const _: () = assert!(MOST_EVENTS * 4_096 < MAX_ANSWER);

/// Serves any backend.
pub(super) struct Methods<B> {
    backend: B,
    /// Says why when the server ends and answers must be given up.
    end: watch::Receiver<Option<Ending>>,
    /// For looks at the log: each may hold some MiB.
    looks: Semaphore,
}

impl<B: Backend> Methods<B> {
    pub(super) fn new(backend: B, end: watch::Receiver<Option<Ending>>) -> Self {
        Self { backend, end, looks: Semaphore::new(LOOKS) }
    }

    fn selected(&self, ids: Option<Vec<String>>, all: Option<bool>) -> RpcResult<Vec<PluginId>> {
        pick(&self.backend.view(), &ids.unwrap_or_default(), all.unwrap_or(false))
    }

    /// Begins a change and, unless told otherwise, waits for its outcome.
    ///
    /// It runs in a task of its own: a client that goes away must not leave a stop half done.
    async fn change<F>(
        &self,
        ids: Vec<PluginId>,
        wait: Option<bool>,
        work: F,
    ) -> RpcResult<api::Change>
    where
        F: Future<Output = Vec<Outcome>> + Send + 'static,
    {
        let task = tokio::spawn(work);
        let mut end = self.end.clone();
        let outcomes = if wait.unwrap_or(true) {
            tokio::select! {
                outcomes = task => outcomes.map_err(|_| broken())?,
                // An error here says that the server is gone without a word, which is an end as well.
                why = end.wait_for(Option::is_some) => {
                    return Err(ending(why.ok().and_then(|why| *why)));
                }
            }
        } else {
            Vec::new()
        };
        Ok(convert::change(&ids, &outcomes, self.clocks()))
    }

    fn clocks(&self) -> Clocks {
        Clocks { wall: wall(), now: self.backend.view().now }
    }

    fn query(&self, filter: Option<api::LogFilter>) -> RpcResult<LogQuery> {
        let filter = filter.unwrap_or_default();
        let plugin = match filter.plugin {
            Some(id) => Some(one(&self.backend.view(), &id)?),
            None => None,
        };
        let since_us = match filter.since {
            Some(text) => {
                let at: Timestamp = text.parse().map_err(|_| {
                    let message = format!("`{text}` is no RFC 3339 time");
                    refused(&Refusal::INVALID_PARAMS, message)
                })?;
                Some(at.as_microsecond())
            }
            None => None,
        };
        Ok(LogQuery {
            plugin,
            lines: filter.lines.map_or(DEFAULT_LINES, |n| (n as usize).min(MOST_LINES)),
            since_us,
            generation: filter.generation,
            sources: filter.sources.into_iter().map(convert::source).collect(),
        })
    }
}

/// Who sends the request that is being answered.
fn asking() -> By {
    ASKING.try_with(|by| *by).unwrap_or_else(|_| By::own(Via::Api))
}

/// The wall clock, for people; nothing is decided by it.
fn wall() -> Timestamp {
    Timestamp::now()
}

impl<B: Backend> Serve for Methods<B> {
    async fn status(&self, params: api::Select) -> RpcResult<api::Status> {
        let view = self.backend.view();
        let mut status = convert::status(&view, wall());
        status.supervisor.caller = asking().caller().to_owned();
        let drift = self.backend.drift().await;
        status.drift = drift.files.into_iter().collect();
        for plugin in &mut status.plugins {
            plugin.drift = Some(drift.plugins.contains(&*plugin.id));
        }
        if let Some(patterns) = params.ids.filter(|ids| !ids.is_empty()) {
            let picked = pick(&view, &patterns, false)?;
            status.plugins.retain(|plugin| picked.iter().any(|id| **id == *plugin.id));
        }
        Ok(status)
    }

    async fn health(&self, params: api::Select) -> RpcResult<api::Status> {
        let view = self.backend.view();
        let picked = match &params.ids {
            Some(patterns) if !patterns.is_empty() => pick(&view, patterns, false)?,
            _ => view.plugins.iter().map(|plugin| plugin.snapshot.id.clone()).collect(),
        };
        self.backend.check(picked).await;
        self.status(params).await
    }

    async fn start(&self, params: api::Start) -> RpcResult<api::Change> {
        let ids = self.selected(params.ids, params.all)?;
        let (backend, whom, by) = (self.backend.clone(), ids.clone(), asking());
        self.change(ids, params.wait, async move { backend.start(whom, by).await }).await
    }

    async fn stop(&self, params: api::Stopping) -> RpcResult<api::Change> {
        let ids = self.selected(params.ids, params.all)?;
        let (backend, whom, by) = (self.backend.clone(), ids.clone(), asking());
        self.change(ids, params.wait, async move {
            backend.stop(whom, params.now.unwrap_or(false), by).await
        })
        .await
    }

    async fn restart(&self, params: api::Stopping) -> RpcResult<api::Change> {
        let ids = self.selected(params.ids, params.all)?;
        let (backend, whom, by) = (self.backend.clone(), ids.clone(), asking());
        self.change(ids, params.wait, async move {
            backend.restart(whom, params.now.unwrap_or(false), by).await
        })
        .await
    }

    async fn reload(&self, params: api::Reloading) -> RpcResult<api::Reload> {
        let except = params.except.unwrap_or_default();
        let request = ReloadRequest {
            apply: !params.plan.unwrap_or(false),
            if_revision: params.if_revision,
            except: except.into_iter().map(PluginId::from).collect(),
            by: asking(),
        };
        let (backend, wait) = (self.backend.clone(), params.wait.unwrap_or(true));
        let task = tokio::spawn(async move {
            let reloaded = backend.reload(request).await?;
            let answer = api::Reload {
                schema: api::SCHEMA,
                revision: reloaded.revision,
                applied: reloaded.applied,
                plan: convert::plan(&reloaded.plan),
                outcomes: Vec::new(),
            };
            let outcomes = if wait { reloaded.outcomes().await } else { Vec::new() };
            Ok((answer, outcomes))
        });
        let mut end = self.end.clone();
        let done = tokio::select! {
            done = task => done.map_err(|_| broken())?,
            why = end.wait_for(Option::is_some) => {
                return Err(ending(why.ok().and_then(|why| *why)));
            }
        };
        let (answer, outcomes) = done.map_err(not_reloaded)?;
        let change = convert::change(&[], &outcomes, self.clocks());
        Ok(api::Reload { outcomes: change.outcomes, ..answer })
    }

    async fn swap(&self, params: api::SwapIn) -> RpcResult<api::Swap> {
        let id = one(&self.backend.view(), &params.id)?;
        let (backend, whom) = (self.backend.clone(), id.clone());
        let file = params.manifest.map(PathBuf::from);
        let task = tokio::spawn(async move { backend.swap(&whom, file).await });
        let mut end = self.end.clone();
        let swapped = tokio::select! {
            swapped = task => swapped.map_err(|_| broken())?,
            why = end.wait_for(Option::is_some) => {
                return Err(ending(why.ok().and_then(|why| *why)));
            }
        };
        match swapped {
            Ok(swapped) => swap::answer(&id, swapped, self.clocks()),
            Err(wrong) => Err(swap::no_version(&id, wrong)),
        }
    }

    async fn shutdown(&self, params: api::Shutdown) -> RpcResult<api::Change> {
        let ids = pick(&self.backend.view(), &[], true)?;
        let (backend, by) = (self.backend.clone(), asking());
        self.change(
            ids,
            None,
            async move { backend.shutdown(params.now.unwrap_or(false), by).await },
        )
        .await
    }

    async fn upgrade(&self, _: api::Nothing) -> RpcResult<api::Upgrade> {
        match self.backend.upgrade().await {
            Ok(Granted { from, to, seq }) => {
                Ok(api::Upgrade { schema: api::SCHEMA, from, to, seq })
            }
            Err(error) => Err(refused(&not_upgraded(&error), error.to_string())),
        }
    }

    async fn why(&self, params: api::OfFailure) -> RpcResult<api::Why> {
        let view = self.backend.view();
        let id = one(&view, &params.id)?;
        let clocks = Clocks { wall: wall(), now: view.now };
        let which = match (params.failure, params.generation) {
            (_, Some(generation)) => Which::Generation(generation),
            (Some(n), None) => Which::FromEnd(n),
            (None, None) => Which::Last,
        };
        let dossier = self.backend.dossier(&id, which).await;
        if dossier.is_none() && which != Which::Last {
            let what = match which {
                Which::Generation(n) => format!("no failure of generation {n}"),
                Which::FromEnd(_) | Which::Last => "no such failure".to_owned(),
            };
            let data = api::ErrorData { plugin: Some(id.to_string()), ..Default::default() };
            return Err(refused_with(&Refusal::NOT_FOUND, format!("{what} of {id} is kept"), data));
        }
        let now = view.plugins.iter().find(|plugin| plugin.snapshot.id == id);
        let Some(plugin) = now.or(dossier.as_ref().map(|dossier| &dossier.view)) else {
            return Err(unknown(&view, &id, None));
        };
        Ok(api::Why {
            schema: api::SCHEMA,
            plugin: convert::plugin(plugin, clocks),
            refused: plugin.refused.clone(),
            dossier: dossier.as_ref().map(|dossier| convert::dossier(dossier, clocks)),
        })
    }

    async fn events(&self, params: api::EventPage) -> RpcResult<Vec<api::Event>> {
        let limit = params.limit.map_or(MOST_EVENTS, |n| (n as usize).min(MOST_EVENTS));
        let page = self.backend.events_since(params.since.unwrap_or(0), limit);
        Ok(page.iter().map(|record| convert::event(record)).collect())
    }

    async fn logs(&self, params: api::LogsOf) -> RpcResult<Vec<api::LogLine>> {
        let _look = self.looks.acquire().await.map_err(|_| broken())?;
        let lines = self.backend.logs(self.query(params.filter)?).await;
        Ok(lines.iter().map(convert::log_line).collect())
    }

    async fn subscribe_events(
        &self,
        params: api::EventsFrom,
        pending: Pending,
    ) -> SubscriptionResult {
        // Subscribed before the journal is read, so that nothing falls between the two.
        let mut live = self.backend.subscribe_events();
        let sink = pending.accept().await?;
        let mut sent = match params.since {
            Some(seq) => Some(catch_up(&self.backend, &sink, seq).await?),
            None => None,
        };
        loop {
            let received = tokio::select! {
                received = live.recv() => received,
                () = sink.closed() => return Ok(()),
            };
            match received {
                Ok(record) => {
                    if sent.is_none_or(|last| record.seq > last) {
                        sent = Some(record.seq);
                        send(&sink, &api::EventItem::Event(convert::event(&record))).await?;
                    }
                }
                // The journal still has what this reader was too slow for, or the gap in the numbers says how much
                // it has not: an event is never lost unsaid.
                Err(RecvError::Lagged(missed)) => match sent {
                    Some(last) => sent = Some(catch_up(&self.backend, &sink, last).await?),
                    None => send(&sink, &api::EventItem::Missed(missed)).await?,
                },
                Err(RecvError::Closed) => return Ok(()),
            }
        }
    }

    async fn subscribe_topics(
        &self,
        params: api::TopicsOf,
        pending: Pending,
    ) -> SubscriptionResult {
        let topics = params.topics.unwrap_or_else(|| vec!["*".to_owned()]);
        let mut live = self.backend.listen(&topics.iter().map(String::as_str).collect::<Vec<_>>());
        let sink = pending.accept().await?;
        loop {
            let (event, missed) = tokio::select! {
                heard = live.next() => heard,
                () = sink.closed() => return Ok(()),
            };
            if missed > 0 {
                send(&sink, &api::TopicItem::Missed(missed)).await?;
            }
            send(&sink, &api::TopicItem::Published(convert::published(&event)?)).await?;
        }
    }

    async fn subscribe_logs(&self, params: api::LogsOf, pending: Pending) -> SubscriptionResult {
        let query = match self.query(params.filter) {
            Ok(query) => query,
            Err(error) => return pending.refuse(error).await,
        };
        let mut live = self.backend.subscribe_logs();
        let sink = pending.accept().await?;
        loop {
            let received = tokio::select! {
                received = live.recv() => received,
                () = sink.closed() => return Ok(()),
            };
            match received {
                Ok(line) if query.wants(&line) => {
                    send(&sink, &api::LogItem::Line(convert::log_line(&line))).await?;
                }
                Ok(_) => {}
                Err(RecvError::Lagged(missed)) => {
                    send(&sink, &api::LogItem::Missed(missed)).await?
                }
                Err(RecvError::Closed) => return Ok(()),
            }
        }
    }
}

/// Sends every event above `since` that the journal still has; returns the last number sent (or `since`).
async fn catch_up<B: Backend>(
    backend: &B,
    sink: &SubscriptionSink,
    since: u64,
) -> Result<u64, SubscriptionError> {
    let mut last = since;
    loop {
        let page: Vec<Arc<EventRecord>> = backend.events_since(last, MOST_EVENTS);
        for record in &page {
            if last > 0 && record.seq > last + 1 {
                send(sink, &api::EventItem::Missed(record.seq - last - 1)).await?;
            }
            last = record.seq;
            send(sink, &api::EventItem::Event(convert::event(record))).await?;
        }
        if page.len() < MOST_EVENTS {
            return Ok(last);
        }
    }
}

/// Waits for room in the connection's bounded queue. Only this subscription waits: the broadcast channel it reads
/// from drops the oldest for it alone.
async fn send<T: Serialize>(sink: &SubscriptionSink, item: &T) -> Result<(), SubscriptionError> {
    sink.send(serde_json::value::to_raw_value(item)?).await?;
    Ok(())
}
