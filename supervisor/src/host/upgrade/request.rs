//! Somebody asks for an upgrade; whoever owns the process grants it, since only that can execute another image.

use std::sync::Mutex;

use tokio::sync::{mpsc, oneshot};

use super::NoRehearsal;

/// An upgrade that is asked for. Dropped, it is refused.
#[derive(Debug)]
pub struct Request {
    done: oneshot::Sender<Result<Granted, Refused>>,
}

/// The upgrade takes place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The version that runs, and the one that goes on.
    pub from: String,
    pub to: String,
    /// The last event before it: what becomes of it is told by one above.
    pub seq: u64,
}

/// Why there is no upgrade. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("this supervisor is part of an application, which would have to execute itself")]
    NotOffered,
    #[error("{0}")]
    NotNow(String),
    #[error(transparent)]
    Rehearsal(#[from] NoRehearsal),
}

impl Refused {
    /// One word for programs.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::NotOffered => "upgrade_not_offered",
            Self::NotNow(_) => "conflict",
            Self::Rehearsal(error) => error.class(),
        }
    }
}

impl Request {
    /// Tells whoever asked. They may have gone: what was decided stands.
    pub fn answer(self, answer: Result<Granted, Refused>) {
        self.done.send(answer).unwrap_or_default();
    }
}

/// The way from who asks to who grants.
#[derive(Debug, Default)]
pub(crate) struct Upgrades(Mutex<Option<mpsc::UnboundedSender<Request>>>);

impl Upgrades {
    /// Offers upgrades from now on.
    pub(crate) fn offer(&self) -> mpsc::UnboundedReceiver<Request> {
        let (send, receive) = mpsc::unbounded_channel();
        *self.0.lock().expect("nothing panics while it holds this") = Some(send);
        receive
    }

    /// Asks for one, and waits for the answer.
    pub(crate) async fn ask(&self) -> Result<Granted, Refused> {
        let (done, wait) = oneshot::channel();
        let to = self.0.lock().expect("nothing panics while it holds this").clone();
        to.ok_or(Refused::NotOffered)?.send(Request { done }).map_err(|_| Refused::NotOffered)?;
        let gone = || Refused::NotNow("the supervisor is shutting down".to_owned());
        wait.await.unwrap_or_else(|_| Err(gone()))
    }
}
