//! Who is connected to the management socket, and how much is kept for each.
//!
//! There is room for a number of connections, and for a number of bytes over all of them: requests in work, and answers that
//! are not read yet. When either runs out, one connection is sent away, so that whoever comes with an honest request finds
//! room: of those that ask for nothing, the one that has done so for longest; then of those that do not read what is sent to
//! them; and for bytes, whoever has most. One that is served, or is subscribed and reads, is never sent away for a newcomer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

/// How a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// It has asked for nothing, or not for a whole thing yet.
    Idle,
    /// Something is being written to it.
    Written,
    /// It waits for an answer, or is subscribed.
    Served,
}

/// Every connection. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Crowd(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    members: Mutex<Members>,
    /// Connections at the same time.
    room: usize,
    /// Bytes over all of them.
    most: usize,
}

#[derive(Debug, Default)]
struct Members {
    by_number: HashMap<u64, Member>,
    /// Counts entries and changes of standing: an order without a clock.
    turn: u64,
    kept: usize,
}

#[derive(Debug)]
struct Member {
    standing: Standing,
    /// The turn at which it came to stand so.
    since: u64,
    kept: usize,
    away: Arc<Notify>,
}

impl Crowd {
    #[must_use]
    pub(super) fn of(room: usize, most: usize) -> Self {
        Self(Arc::new(Shared { members: Mutex::default(), room, most }))
    }

    /// Takes a place, if need be that of somebody who makes no use of it; `None` when everybody does.
    pub(super) fn enter(&self) -> Option<Place> {
        let mut members = self.0.members();
        if members.by_number.len() >= self.0.room {
            let by_standing = |member: &Member| match member.standing {
                Standing::Idle | Standing::Written => Some((member.standing, member.since)),
                Standing::Served => None,
            };
            let found = members.by_number.iter().filter_map(|(n, it)| Some((by_standing(it)?, *n)));
            let (_, number) = found.min()?;
            members.send_away(number);
        }
        members.turn += 1;
        let (number, away) = (members.turn, Arc::new(Notify::new()));
        let member =
            Member { standing: Standing::Idle, since: number, kept: 0, away: Arc::clone(&away) };
        members.by_number.insert(number, member);
        Some(Place { number, away, crowd: Arc::clone(&self.0) })
    }
}

impl Shared {
    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().expect("nothing panics while it holds this")
    }
}

impl Members {
    /// What is kept for it counts until its connection lets go of it.
    fn send_away(&mut self, number: u64) {
        if let Some(member) = self.by_number.remove(&number) {
            self.kept -= member.kept;
            member.away.notify_one();
        }
    }
}

/// One connection's place among the others. Dropped, it is free.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    away: Arc<Notify>,
    crowd: Arc<Shared>,
}

impl Place {
    /// Its number, which no other connection of this server has had.
    #[must_use]
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// It comes to stand otherwise.
    pub(super) fn stands(&self, standing: Standing) {
        let mut members = self.crowd.members();
        members.turn += 1;
        let turn = members.turn;
        if let Some(member) = members.by_number.get_mut(&self.number)
            && member.standing != standing
        {
            (member.standing, member.since) = (standing, turn);
        }
    }

    /// Something is kept for it until the debt is dropped.
    #[must_use]
    pub(super) fn owes(&self, bytes: usize) -> Debt {
        let mut members = self.crowd.members();
        if let Some(member) = members.by_number.get_mut(&self.number) {
            member.kept += bytes;
            members.kept += bytes;
        }
        if members.kept > self.crowd.most {
            let most = members.by_number.iter().max_by_key(|(_, member)| member.kept);
            if let Some(number) = most.map(|(number, _)| *number) {
                members.send_away(number);
            }
        }
        Debt { bytes, number: self.number, crowd: Arc::clone(&self.crowd) }
    }

    /// Ends when it has to go. Cancel-safe.
    pub(super) async fn sent_away(&self) {
        self.away.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut members = self.crowd.members();
        if let Some(member) = members.by_number.remove(&self.number) {
            members.kept -= member.kept;
        }
    }
}

/// Bytes that are kept for one connection.
#[derive(Debug)]
pub(super) struct Debt {
    bytes: usize,
    number: u64,
    crowd: Arc<Shared>,
}

impl Drop for Debt {
    fn drop(&mut self) {
        let mut members = self.crowd.members();
        // One that was sent away has been taken off as a whole.
        if let Some(member) = members.by_number.get_mut(&self.number) {
            member.kept -= self.bytes;
            members.kept -= self.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away(place: &Place) -> bool {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        std::pin::pin!(place.sent_away()).poll(&mut context).is_ready()
    }

    #[test]
    fn a_newcomer_takes_the_place_of_who_makes_no_use_of_it() {
        let crowd = Crowd::of(3, 100);
        let places: Vec<_> = (0..3).map(|_| crowd.enter().unwrap()).collect();
        places[0].stands(Standing::Served);
        places[1].stands(Standing::Written);
        let fourth = crowd.enter().unwrap();
        assert!(away(&places[2]), "it asked for nothing");
        fourth.stands(Standing::Served);
        let fifth = crowd.enter().unwrap();
        assert!(away(&places[1]), "it does not read");
        fifth.stands(Standing::Served);
        assert!(crowd.enter().is_none(), "all are served");
        assert!(!away(&places[0]) && !away(&fourth) && !away(&fifth));
        drop(fifth);
        assert!(crowd.enter().is_some());
    }

    #[test]
    fn the_longest_idle_goes_first() {
        let crowd = Crowd::of(2, 100);
        let (first, second) = (crowd.enter().unwrap(), crowd.enter().unwrap());
        first.stands(Standing::Served);
        first.stands(Standing::Idle);
        let third = crowd.enter().unwrap();
        assert!(away(&second) && !away(&first) && !away(&third));
    }

    #[test]
    fn who_has_most_goes_when_there_is_too_much() {
        let crowd = Crowd::of(3, 100);
        let (first, second) = (crowd.enter().unwrap(), crowd.enter().unwrap());
        let debt = first.owes(60);
        let small = second.owes(40);
        assert!(!away(&first) && !away(&second));
        drop(second.owes(1));
        assert!(away(&first) && !away(&second));
        // What was taken off with it is not taken off again.
        drop((debt, small));
        let third = crowd.enter().unwrap();
        let full = third.owes(100);
        assert!(!away(&third));
        drop(full);
        drop(third.owes(100));
        assert!(!away(&third), "a debt that was paid is none");
    }
}
