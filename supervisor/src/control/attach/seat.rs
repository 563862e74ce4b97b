//! Everybody on the attach socket, and how far each has come with what it says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use outboard_wire::Framer;
use tokio::net::UnixStream;

use super::MAX_MESSAGE;
use super::budget::Budget;
use super::client::Client;
use super::messages::Session;
use crate::host::Supervisor;

/// One connection.
pub(super) struct Seat {
    pub(super) client: Arc<Client>,
    reading: Mutex<Reading>,
}

/// What it has said so far. Locked by its reader between two waits only.
pub(super) struct Reading {
    pub(super) framer: Framer,
    pub(super) session: Option<Session>,
    /// Bytes that came before it was attached.
    pub(super) strange: usize,
}

/// All connections, by number.
#[derive(Default)]
pub(super) struct Seats(Mutex<BTreeMap<u64, Arc<Seat>>>);

impl Seat {
    /// A connection that has just been accepted.
    pub(super) fn new(stream: UnixStream, budget: &Budget, supervisor: &Supervisor) -> Arc<Self> {
        let whose = supervisor.whose(&stream);
        let framer = Framer::newline(MAX_MESSAGE as usize);
        Self::with(
            Client::new(stream, budget, whose),
            Reading { framer, session: None, strange: 0 },
        )
    }

    pub(super) fn with(client: Client, reading: Reading) -> Arc<Self> {
        Arc::new(Self { client: Arc::new(client), reading: Mutex::new(reading) })
    }

    pub(super) fn reading(&self) -> MutexGuard<'_, Reading> {
        self.reading.lock().expect("nothing panics while it holds what a client said")
    }

    /// It has gone: what it left unsaid takes no more memory.
    pub(super) fn leave(&self) -> Option<Session> {
        let mut reading = self.reading();
        reading.framer = Framer::newline(MAX_MESSAGE as usize);
        reading.session.take()
    }

    pub(super) fn is_attached(&self) -> bool {
        self.reading().session.is_some()
    }
}

impl Seats {
    pub(super) fn take(&self, seat: &Arc<Seat>) {
        self.lock().insert(seat.client.number(), Arc::clone(seat));
    }

    pub(super) fn leave(&self, seat: &Seat) {
        self.lock().remove(&seat.client.number());
    }

    /// All of them, by number.
    pub(super) fn all(&self) -> Vec<Arc<Seat>> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Seat>>> {
        self.0.lock().expect("nothing panics while it holds the seats")
    }
}

impl std::fmt::Debug for Seats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} clients", self.lock().len())
    }
}
