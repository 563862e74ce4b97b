//! What a first attempt ended in, written down.

use std::time::Duration;

use outboard_core::word::{self, Word};
use outboard_wire::CallError;
use outboard_wire::error::{Exit, HostError, Kind, RemoteCallError};
use serde::{Deserialize, Serialize};

/// A [`CallError`], written down.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum KeptError {
    Host(Box<KeptHostError>),
    Remote { code: i64, message: String, raw: String, callee: Option<String> },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KeptHostError {
    kind: Kind,
    #[serde(with = "word")]
    class: Word,
    message: String,
    plugin: String,
    generation: u64,
    retryable: bool,
    sent: Option<bool>,
    attempt: Option<u32>,
    elapsed: Option<Duration>,
    retry_after: Option<Duration>,
    exit: Option<Exit>,
    stderr: Vec<String>,
    dossier: Option<String>,
    extra: Vec<(String, String)>,
}

impl KeptError {
    pub(crate) fn of(error: &CallError) -> Self {
        match error {
            CallError::Host(error) => {
                let HostError {
                    kind,
                    class,
                    message,
                    plugin,
                    generation,
                    retryable,
                    sent,
                    attempt,
                    elapsed,
                    retry_after,
                    exit,
                    stderr,
                    dossier,
                    extra,
                } = (**error).clone();
                let extra = extra.into_iter().map(|(name, json)| (name.to_owned(), json)).collect();
                Self::Host(Box::new(KeptHostError {
                    kind,
                    class,
                    message,
                    plugin,
                    generation,
                    retryable,
                    sent,
                    attempt,
                    elapsed,
                    retry_after,
                    exit,
                    stderr,
                    dossier,
                    extra,
                }))
            }
            CallError::Remote(error) => {
                let RemoteCallError { code, message, raw, callee } = (**error).clone();
                Self::Remote { code, message, raw, callee }
            }
        }
    }

    pub(crate) fn back(self) -> CallError {
        match self {
            Self::Host(kept) => {
                let extra = kept.extra.iter().map(|(name, json)| (word::keep(name), json.clone()));
                CallError::Host(Box::new(HostError {
                    extra: extra.collect(),
                    kind: kept.kind,
                    class: kept.class,
                    message: kept.message,
                    plugin: kept.plugin,
                    generation: kept.generation,
                    retryable: kept.retryable,
                    sent: kept.sent,
                    attempt: kept.attempt,
                    elapsed: kept.elapsed,
                    retry_after: kept.retry_after,
                    exit: kept.exit,
                    stderr: kept.stderr,
                    dossier: kept.dossier,
                }))
            }
            Self::Remote { code, message, raw, callee } => {
                CallError::Remote(Box::new(RemoteCallError { code, message, raw, callee }))
            }
        }
    }
}
