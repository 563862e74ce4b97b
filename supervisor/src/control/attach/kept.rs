//! The attach socket and everybody on it go over to another process image, or to another runtime of this one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use outboard_core::{PluginId, WhileRestarting};
use outboard_manifest::Clients as Alone;
use outboard_wire::Framer;
use outboard_wire::peer::Turn;
use outboard_wire::session::Speaks;
use serde::{Deserialize, Serialize};

use super::budget::Budget;
use super::client::{Client, KeptClient};
use super::messages::{Session, listen};
use super::peer;
use super::seat::{Reading, Seat, Seats};
use super::{AttachServer, serve};
use crate::control::socket::{BindError, BoundSocket};
use crate::control::upgrade::KeptSocket;
use crate::host::upgrade::{Clients, Descriptors};
use crate::host::{Answer, Caller, Supervisor};

/// The server, written down.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::control) struct KeptAttach {
    socket: KeptSocket,
    seats: Vec<KeptSeat>,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptSeat {
    client: KeptClient,
    framer: Framer,
    session: Option<KeptSession>,
    strange: usize,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptSession {
    plugin: PluginId,
    caller: (String, bool, Turn),
    speaks: Option<Speaks>,
    wait: Duration,
    deadline: Option<Duration>,
    while_restarting: Option<WhileRestarting>,
}

/// What of a server can be written down at any moment.
#[derive(Clone, Debug)]
pub(in crate::control) struct Leaving {
    socket: Arc<BoundSocket>,
    seats: Arc<Seats>,
    accepting: tokio::task::AbortHandle,
}

impl AttachServer {
    pub(in crate::control) fn leaving(&self) -> Leaving {
        Leaving {
            socket: Arc::clone(&self.socket),
            seats: Arc::clone(&self.seats),
            accepting: self.accepting.abort_handle(),
        }
    }
}

impl Leaving {
    /// Sound only while no task of the server runs: they put down what they hold before they wait.
    ///
    /// # Errors
    /// No descriptor is to be had.
    pub(in crate::control) fn kept(&self, fds: &mut Descriptors) -> io::Result<KeptAttach> {
        let socket = self.socket.kept(fds)?;
        let mut seats = Vec::new();
        for seat in self.seats.all() {
            let client = seat.client.kept(fds)?;
            let Reading { framer, session, strange } = &*seat.reading();
            let session = session.as_ref().map(|session| KeptSession {
                plugin: session.slot.id.clone(),
                caller: session.caller.kept(),
                speaks: session.speaks,
                wait: session.wait,
                deadline: session.deadline,
                while_restarting: session.while_restarting,
            });
            seats.push(KeptSeat { client, framer: framer.clone(), session, strange: *strange });
        }
        Ok(KeptAttach { socket, seats })
    }

    /// Another process has it all: nobody is accepted, read from or written to here any more.
    pub(in crate::control) fn leave(&self) {
        self.accepting.abort();
        self.socket.leave();
        self.seats.all().iter().for_each(|seat| seat.client.go_elsewhere());
    }
}

/// Clients that are there again, and nobody serves them yet: there is no supervisor.
pub(in crate::control) struct Waiting {
    socket: Arc<BoundSocket>,
    budget: Budget,
    seats: Vec<(Arc<Seat>, Option<KeptSession>)>,
}

impl KeptAttach {
    /// How many clients there are.
    pub(in crate::control) fn clients(&self) -> usize {
        self.seats.len()
    }

    /// # Errors
    /// A descriptor is not there.
    pub(in crate::control) fn back(self, fds: &mut Descriptors) -> io::Result<Waiting> {
        let socket = Arc::new(BoundSocket::go_on(self.socket, fds)?);
        let budget = Budget::default();
        let mut seats = Vec::with_capacity(self.seats.len());
        for KeptSeat { client, framer, session, strange } in self.seats {
            let client = Client::restore(client, fds, &budget)?;
            let seat = Seat::with(client, Reading { framer, session: None, strange });
            seats.push((seat, session));
        }
        Ok(Waiting { socket, budget, seats })
    }
}

impl Waiting {
    /// For the supervisor, whose calls know their clients by number.
    pub(in crate::control) fn clients(&self) -> Clients {
        let seats = self.seats.iter().map(|(seat, _)| &seat.client);
        seats.map(|client| (client.address(), Arc::clone(client) as Arc<dyn Answer>)).collect()
    }

    /// Serves them again, and whoever comes.
    pub(in crate::control) fn serve(
        self,
        supervisor: &Supervisor,
    ) -> Result<AttachServer, BindError> {
        let seats: Arc<Seats> = Arc::default();
        for (seat, session) in self.seats {
            // A plugin that is gone takes its clients with it, as it did before.
            let session = session.and_then(|kept| {
                let slot = supervisor.slot(&kept.plugin)?;
                Some(Session {
                    slot,
                    speaks: kept.speaks,
                    caller: Caller::restore(kept.caller),
                    deadline: kept.deadline,
                    while_restarting: kept.while_restarting,
                    wait: kept.wait,
                })
            });
            if let Some(session) = &session {
                rejoin(&seat.client, session, supervisor);
            }
            seat.reading().session = session;
            let (supervisor, seats) = (supervisor.clone(), Arc::clone(&seats));
            seats.take(&seat);
            tokio::spawn(async move { serve(seat, &supervisor, &seats).await });
        }
        AttachServer::serve(self.socket, seats, self.budget, supervisor.clone())
    }
}

/// A client shares the plugin's session again, and hears what it wanted to hear.
fn rejoin(client: &Arc<Client>, session: &Session, supervisor: &Supervisor) {
    if session.speaks.is_none() {
        return;
    }
    let slot = &session.slot;
    let alone = slot.manifest().attach.clients == Alone::One;
    let alone = alone.then(|| peer::name_of(client.stream()));
    // There is a second one only where the manifest has changed since; then both stay.
    if slot.guests.join(client.clone(), alone).is_err()
        && slot.guests.join(client.clone(), None).is_err()
    {
        tracing::debug!("a client without a claim of its own is refused by nobody");
    }
    listen(client, supervisor);
}
