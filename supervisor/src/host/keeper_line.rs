//! The brain's end of the keeper, on the runtime.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use outboard_core::Time;
use outboard_keeper::{Keeper, KeeperError, Order, Report};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::watch::{Watched, register};

/// How often the keeper is asked whether it lives.
const PING_EVERY: Duration = Duration::from_secs(5);

/// How long it may take over the answer before it is treated as dead.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// A keeper that dies more often than this within [`DEATHS_WITHIN`] ends the supervisor.
pub(super) const DEATHS: usize = 3;
pub(super) const DEATHS_WITHIN: Duration = Duration::from_secs(60);

/// A living keeper.
pub(super) struct KeeperLine {
    keeper: Keeper,
    /// Copies of its descriptors, only watched; the keeper's own end reads and writes.
    socket: AsyncFd<Watched<OwnedFd>>,
    death: AsyncFd<Watched<OwnedFd>>,
    backlog: bool,
    /// The socket has ended. Its descriptor stays readable for ever then, so only the pidfd is waited for.
    over: bool,
    pings: u32,
    asked_at: Option<Time>,
    next_ping: Time,
    /// Heard while looking for something else.
    heard: VecDeque<Word>,
}

/// What the keeper says, or that there is none any more.
#[derive(Debug)]
pub(super) enum Word {
    Report(Report),
    Dead,
}

impl KeeperLine {
    /// Watches a keeper that has just greeted.
    ///
    /// # Errors
    /// No descriptor can be had, or the runtime's poll refuses one.
    pub(super) fn new(keeper: Keeper, now: Time) -> io::Result<Self> {
        let socket = register(
            keeper.socket().try_clone_to_owned()?,
            Interest::READABLE | Interest::WRITABLE,
        )?;
        let death = register(keeper.pidfd().try_clone_to_owned()?, Interest::READABLE)?;
        Ok(Self {
            keeper,
            socket,
            death,
            backlog: false,
            over: false,
            pings: 0,
            asked_at: None,
            next_ping: now + PING_EVERY,
            heard: VecDeque::new(),
        })
    }

    /// Goes on with a keeper in the middle of the talk.
    ///
    /// # Errors
    /// As [`KeeperLine::new`].
    pub(super) fn go_on(
        keeper: Keeper,
        (pings, asked_at, next_ping): (u32, Option<Time>, Time),
    ) -> io::Result<Self> {
        // What waits for room may have it by now.
        Ok(Self { pings, asked_at, next_ping, backlog: true, ..Self::new(keeper, next_ping)? })
    }

    /// How far the talk has come.
    #[must_use]
    pub(super) fn talk(&self) -> (u32, Option<Time>, Time) {
        (self.pings, self.asked_at, self.next_ping)
    }

    /// What was heard while something else was looked for.
    #[must_use]
    pub(super) fn take_heard(&mut self) -> VecDeque<Word> {
        std::mem::take(&mut self.heard)
    }

    /// The keeper itself.
    #[must_use]
    pub(super) fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// Gives an order; written now if the socket takes it, else when it does.
    ///
    /// # Errors
    /// The order cannot be put into a message, or the keeper has closed its end.
    pub(super) fn order(&mut self, order: Order) -> Result<(), KeeperError> {
        self.keeper.order(order)?;
        self.flush();
        Ok(())
    }

    fn flush(&mut self) {
        // A broken socket shows as the keeper's death, which is watched.
        self.backlog = self.keeper.flush().unwrap_or(false);
    }

    /// Waits for the keeper's next words. Dropping the future loses nothing.
    pub(super) async fn hear(&mut self, words: &mut VecDeque<Word>) {
        words.append(&mut self.heard);
        if !words.is_empty() {
            return;
        }
        loop {
            let (backlog, over) = (self.backlog, self.over);
            tokio::select! {
                guard = self.socket.readable(), if !over => {
                    let Ok(mut guard) = guard else { return words.push_back(Word::Dead) };
                    guard.clear_ready();
                }
                guard = self.socket.writable(), if backlog && !over => {
                    if let Ok(mut guard) = guard {
                        guard.clear_ready();
                    }
                    self.flush();
                }
                _ = self.death.readable() => {
                    self.receive(words);
                    return words.push_back(Word::Dead);
                }
            }
            self.receive(words);
            if !words.is_empty() {
                return;
            }
        }
    }

    /// Everything that lies in the socket now.
    fn receive(&mut self, words: &mut VecDeque<Word>) {
        loop {
            match self.keeper.receive() {
                Ok(Some(Report::Pong { n })) => {
                    if n == self.pings {
                        self.asked_at = None;
                    }
                }
                Ok(Some(report)) => words.push_back(Word::Report(report)),
                Ok(None) => return,
                // The pidfd tells when the keeper is really gone.
                Err(_) => {
                    self.over = true;
                    return;
                }
            }
        }
    }

    /// When [`KeeperLine::tick`] is due.
    #[must_use]
    pub(super) fn next_tick(&self) -> Time {
        match self.asked_at {
            Some(at) => at + PING_TIMEOUT,
            None => self.next_ping,
        }
    }

    /// Pings the keeper, or finds that it has not answered: then it is killed, and its death is noticed as any other.
    pub(super) fn tick(&mut self, now: Time) {
        match self.asked_at {
            Some(at) if now.since(at) >= PING_TIMEOUT => {
                // This side may have stood still and not the keeper: its answer lies in the socket then.
                let mut heard = std::mem::take(&mut self.heard);
                self.receive(&mut heard);
                self.heard = heard;
                if self.asked_at.is_some() {
                    // It may have died meanwhile: that is what is wanted.
                    self.keeper.kill().unwrap_or_default();
                    // Not again before the death has been noticed.
                    self.asked_at = Some(now);
                }
            }
            Some(_) => {}
            None if now >= self.next_ping => {
                self.pings = self.pings.wrapping_add(1);
                self.asked_at = Some(now);
                self.next_ping = now + PING_EVERY;
                // A keeper that takes no order any more is found by the answer that does not come.
                self.order(Order::Ping { n: self.pings }).unwrap_or_default();
            }
            None => {}
        }
    }
}
