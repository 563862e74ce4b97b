//! A client goes over to another process image, or to another runtime of this one.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use outboard_wire::Id;
use outboard_wire::session::Session;
use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;
use tokio::sync::Notify;

use super::super::budget::Budget;
use super::{Client, Missed, NUMBERS, Out, Unwritten};
use crate::host::upgrade::{Descriptors, Fd};
use crate::host::{KeptRelayed, Relayed, Whose};

/// A client, written down.
#[derive(Debug, Serialize, Deserialize)]
pub(in super::super) struct KeptClient {
    number: u64,
    #[serde(default)]
    whose: Whose,
    stream: Fd,
    session: Session,
    #[serde(with = "outboard_wire::octets")]
    bytes: Vec<u8>,
    unwritten: Unwritten,
    open: usize,
    over: bool,
    #[serde(default)]
    asked: Vec<(i64, KeptRelayed)>,
    last_asked: i64,
    subscribing: Vec<(Id, Box<str>)>,
    missed: Missed,
    heard: u64,
}

impl Client {
    /// All that it is. Sound only while its writer does not run: that puts down what it holds before it waits.
    ///
    /// # Errors
    /// No descriptor is to be had.
    pub(in super::super) fn kept(&self, fds: &mut Descriptors) -> io::Result<KeptClient> {
        let (stream, session) = (fds.hold(&self.stream)?, self.session().clone());
        let out = self.out();
        Ok(KeptClient {
            number: self.number,
            whose: self.whose,
            stream,
            session,
            bytes: out.bytes.clone(),
            unwritten: out.unwritten.clone(),
            open: out.open,
            over: out.over,
            asked: out.asked.iter().map(|(id, relayed)| (*id, relayed.kept())).collect(),
            last_asked: out.last_asked,
            subscribing: out.subscribing.clone(),
            missed: out.missed,
            heard: out.heard,
        })
    }

    /// The client where it was; its questions wait for [`Guest::find_askers`](crate::host::Guest::find_askers).
    ///
    /// # Errors
    /// Its descriptor is not there, or the runtime refuses it.
    pub(in super::super) fn restore(
        kept: KeptClient,
        fds: &mut Descriptors,
        budget: &Budget,
    ) -> io::Result<Self> {
        NUMBERS.fetch_max(kept.number + 1, Ordering::Relaxed);
        let stream = UnixStream::from_std(fds.take(kept.stream)?.into())?;
        let asked = kept.asked.into_iter();
        let out = Out {
            writing: kept.unwritten.bytes.len().saturating_sub(kept.unwritten.written),
            bytes: kept.bytes,
            unwritten: kept.unwritten,
            open: kept.open,
            over: kept.over,
            asked: asked.map(|(id, kept)| (id, Relayed::restore(kept))).collect(),
            last_asked: kept.last_asked,
            subscribing: kept.subscribing,
            missed: kept.missed,
            heard: kept.heard,
            counted: budget.share(),
            ..Out::default()
        };
        Ok(Self {
            number: kept.number,
            whose: kept.whose,
            stream,
            out: Mutex::new(out),
            session: Mutex::new(kept.session),
            kick: Notify::new(),
            room: Notify::new(),
        })
    }

    /// From now on nothing here touches the connection.
    pub(in super::super) fn go_elsewhere(&self) {
        self.out().elsewhere = true;
        self.kick.notify_one();
    }

    pub(in super::super) fn number(&self) -> u64 {
        self.number
    }

    pub(in super::super) fn is_elsewhere(&self) -> bool {
        self.out().elsewhere
    }
}
