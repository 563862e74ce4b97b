//! One client of `attach.sock`: what it is owed, what it may have open, and what it is told unasked.

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use nix::sys::socket::{Shutdown, shutdown};
use outboard_wire::session::{Opening, Session, Speaks, Wants};
use outboard_wire::{CallError, Id, encode};
use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;
use tokio::sync::Notify;

use super::budget::{Budget, Share};
use super::peer;
use crate::host::{
    Address, Answer, Askers, Guest, Listen, Published, Relayed, Subscription, Whose,
};

mod kept;
mod write;

pub(super) use kept::KeptClient;

/// Answers that may lie here unread before the client is not read from any more. Notifications beyond it are dropped.
const UNREAD: usize = 1 << 20;

/// Answers that may lie here unread at all. A client that is owed more has lost its connection: answers cannot be left
/// out, and memory is not without end.
const MOST_UNREAD: usize = 64 << 20;

/// Calls of one client that may be open before it is not read from any more.
const OPEN_CALLS: usize = 1024;

/// How long a client that is owed much may read nothing at all.
const STALLED: Duration = Duration::from_secs(60);

/// One client. Its state is behind two locks, held for microseconds, never both at once.
#[derive(Debug)]
pub(super) struct Client {
    number: u64,
    /// Whose process it is, as it was when it came.
    whose: Whose,
    stream: UnixStream,
    out: Mutex<Out>,
    session: Mutex<Session>,
    /// Something is to be written.
    kick: Notify,
    /// There is room again.
    room: Notify,
}

#[derive(Debug, Default)]
struct Out {
    bytes: Vec<u8>,
    /// Bytes that the writer has taken and not written yet.
    writing: usize,
    open: usize,
    /// The reader waits for room.
    starved: bool,
    over: bool,
    /// Questions of the plugin that the client has been asked, by the ids that it knows them by.
    asked: Vec<(i64, Relayed)>,
    last_asked: i64,
    /// Subscriptions that the plugin may still refuse.
    subscribing: Vec<(Id, Box<str>)>,
    missed: Missed,
    /// Events that were delivered: the last one has this number.
    heard: u64,
    /// Listens for events, if it wants any.
    listening: Option<Subscription>,
    cut_off: Option<CutOff>,
    /// Its share of what all clients may be owed.
    counted: Share,
    /// What the writer has put down while the client does not read.
    unwritten: Unwritten,
    /// Another process, or another runtime, goes on with the connection.
    elsewhere: bool,
}

/// Bytes on their way to the client, and how many of them it has.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Unwritten {
    #[serde(with = "outboard_wire::octets")]
    bytes: Vec<u8>,
    written: usize,
}

impl Out {
    /// Bytes that the client has not read.
    fn owed(&self) -> usize {
        self.bytes.len() + self.writing
    }

    /// The writer has only this much of what it took left to write.
    fn wrote_down_to(&mut self, left: usize) {
        self.writing = left;
        self.counted.shrinks(self.owed());
    }

    /// Nothing more can be told.
    fn close(&mut self) {
        self.over = true;
        self.writing = 0;
        self.bytes = Vec::new();
        self.counted.shrinks(0);
    }
}

/// Notifications for which there was no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Missed {
    /// Events since the last one that was delivered.
    events: u64,
    all: u64,
}

/// Why a client lost its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CutOff {
    /// `unread`, `stalled`, `crowded`: it was owed too much, read nothing for too long, or owed most when all clients
    /// together were owed too much.
    pub(super) why: &'static str,
    pub(super) owed_bytes: usize,
    pub(super) open_calls: usize,
}

/// Numbers clients. A client that comes from the image before keeps its number, so the next are above it.
static NUMBERS: AtomicU64 = AtomicU64::new(1);

impl Client {
    pub(super) fn new(stream: UnixStream, budget: &Budget, whose: Whose) -> Self {
        let out = Out { counted: budget.share(), ..Out::default() };
        Self {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            whose,
            stream,
            out: Mutex::new(out),
            session: Mutex::new(Session::new(Speaks::Native)),
            kick: Notify::new(),
            room: Notify::new(),
        }
    }

    fn out(&self) -> MutexGuard<'_, Out> {
        self.out.lock().expect("nothing panics while it holds a client")
    }

    /// What it said of itself, and was told.
    pub(super) fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().expect("nothing panics while it holds a client's session")
    }

    pub(super) fn whose(&self) -> Whose {
        self.whose
    }

    pub(super) fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// One more of its calls is open.
    pub(super) fn owe(&self) {
        self.out().open += 1;
    }

    /// An error that is no call's end.
    pub(super) fn refuse(&self, id: &Id, code: i64, message: &str) {
        self.put(None, |bytes| encode::error(bytes, id, code, message, None));
    }

    /// The end of a call that was never the plugin's. `data` is JSON text.
    pub(super) fn fail(&self, id: &Id, code: i64, message: &str, data: Option<&str>) {
        self.put(Some((id, false)), |bytes| encode::error(bytes, id, code, message, data));
    }

    /// Keeps in mind that the plugin may refuse a subscription.
    pub(super) fn subscribing(&self, id: Id, uri: Box<str>) {
        self.out().subscribing.push((id, uri));
    }

    /// From now on it listens for these events, and for no others.
    pub(super) fn listen(&self, subscription: Option<Subscription>) {
        let before = std::mem::replace(&mut self.out().listening, subscription);
        // The book of topics is not opened while this client is locked.
        drop(before);
    }

    /// It answered something that it was asked; gives whom it is for.
    pub(super) fn take_asked(&self, id: &Id) -> Option<Relayed> {
        let Id::Num(id) = id else { return None };
        let mut out = self.out();
        let at = out.asked.iter().position(|(asked, _)| asked == id)?;
        Some(out.asked.swap_remove(at).1)
    }

    /// What has to reach the client, whatever lies here already. `ended`: the call that it ends, and whether well.
    fn put(&self, ended: Option<(&Id, bool)>, write: impl FnOnce(&mut Vec<u8>)) {
        let mut out = self.out();
        let mut refused = None;
        if let Some((id, well)) = ended {
            out.open = out.open.saturating_sub(1);
            if !out.subscribing.is_empty()
                && let Some(at) = out.subscribing.iter().position(|(call, _)| call == id)
            {
                refused = Some(out.subscribing.swap_remove(at).1).filter(|_| !well);
            }
        }
        if out.over {
            return;
        }
        let was_empty = out.bytes.is_empty();
        write(&mut out.bytes);
        let room = std::mem::take(&mut out.starved);
        if !was_empty && out.bytes.len() > UNREAD {
            self.bound(&mut out);
        }
        drop(out);
        if was_empty {
            self.kick.notify_one();
        }
        if room {
            self.room.notify_one();
        }
        if let Some(uri) = refused {
            self.session().forget_resource(&uri);
        }
    }

    /// Much is owed: within bounds it is, and beyond them the connection ends.
    fn bound(&self, out: &mut Out) {
        if out.owed() > MOST_UNREAD {
            self.cut_off(out, "unread");
        } else if !out.counted.becomes(out.owed()) {
            self.cut_off(out, "crowded");
        }
    }

    /// Ends the connection of a client that does not read: nothing more can be told to it.
    fn cut_off(&self, out: &mut Out, why: &'static str) {
        if out.cut_off.is_some() {
            return;
        }
        out.cut_off = Some(CutOff { why, owed_bytes: out.owed(), open_calls: out.open });
        out.close();
        // Its reader sees the end of the stream, its writer a broken pipe.
        shutdown(self.stream.as_raw_fd(), Shutdown::Both).unwrap_or_default();
        self.room.notify_one();
        self.kick.notify_one();
    }

    fn full(&self) -> bool {
        let mut out = self.out();
        let full = !out.over && (out.bytes.len() > UNREAD || out.open >= OPEN_CALLS);
        out.starved = full;
        full
    }

    /// Waits until the client has read enough, and enough of its calls have ended.
    pub(super) async fn wait_for_room(&self) {
        while self.full() {
            self.room.notified().await;
        }
    }

    /// Nothing more comes from it. Gives what it was asked and has not answered, and why it was cut off if it was.
    pub(super) fn end(&self) -> (Vec<Relayed>, Option<CutOff>) {
        let mut out = self.out();
        let asked = std::mem::take(&mut out.asked);
        self.kick.notify_one();
        (asked.into_iter().map(|(_, relayed)| relayed).collect(), out.cut_off)
    }

    /// Everything that it is owed has been put here.
    pub(super) fn finish(&self) {
        self.out().over = true;
        self.kick.notify_one();
    }

    /// It can be told nothing more.
    pub(super) fn is_over(&self) -> bool {
        self.out().over
    }

    /// How many notifications it missed since this was last asked.
    pub(super) fn take_missed(&self) -> u64 {
        std::mem::take(&mut self.out().missed.all)
    }
}

impl Answer for Client {
    fn address(&self) -> Address {
        Address::Client(self.number)
    }

    fn answer(&self, id: &Id, result: Result<&str, &CallError>) {
        match result {
            Ok(text) => self.put(Some((id, true)), |bytes| encode::result(bytes, id, text)),
            Err(error) => self.put(Some((id, false)), |bytes| {
                encode::error_raw(bytes, id, &error.to_json());
            }),
        }
    }

    fn push(&self, method: &str, params: &str) {
        let mut out = self.out();
        if out.over || out.owed() > UNREAD {
            out.missed.all += 1;
            return;
        }
        let was_empty = out.bytes.is_empty();
        encode::notification(&mut out.bytes, method, Some(params).filter(|p| !p.is_empty()));
        drop(out);
        if was_empty {
            self.kick.notify_one();
        }
    }

    fn guest(self: Arc<Self>) -> Option<Arc<dyn Guest>> {
        Some(self)
    }
}

impl Guest for Client {
    fn hear(&self, method: &str, params: &str) {
        if self.session().hears(method, params) {
            self.push(method, params);
        }
    }

    fn add_wants(&self, all: &mut Wants) {
        all.merge(self.session().wants());
    }

    fn answers(&self, method: &str) -> bool {
        self.session().answers(method)
    }

    fn ask(&self, method: &str, params: &str, relayed: Relayed) -> Result<(), Relayed> {
        let mut out = self.out();
        if out.over || out.owed() > UNREAD {
            return Err(relayed);
        }
        out.last_asked += 1;
        let id = out.last_asked;
        out.asked.push((id, relayed));
        let params = Some(params).filter(|p| !p.is_empty());
        encode::request_with(&mut out.bytes, &Id::Num(id), method, params);
        drop(out);
        self.kick.notify_one();
        Ok(())
    }

    fn find_askers(&self, askers: &Askers<'_>) {
        self.out().asked.iter_mut().for_each(|(_, relayed)| relayed.find_asker(askers));
    }

    fn withdraw(&self, generation: u64, question: Option<&Id>) -> bool {
        let withdrawn: Vec<i64> = {
            let mut out = self.out();
            let gone = |relayed: &Relayed| match question {
                Some(id) => relayed.is(generation, id),
                None => relayed.is_before(generation),
            };
            let gone = out.asked.extract_if(.., |(_, relayed)| gone(relayed));
            gone.map(|(id, _)| id).collect()
        };
        for id in &withdrawn {
            let (method, params) = self.session().withdrawal(&id.to_string());
            self.push(method, &params);
        }
        !withdrawn.is_empty()
    }

    fn give_up(&self, generation: u64, question: &Id) -> Option<(Relayed, String)> {
        let (id, relayed) = {
            let mut out = self.out();
            let at = out.asked.iter().position(|(_, relayed)| relayed.is(generation, question))?;
            out.asked.swap_remove(at)
        };
        self.push("notifications/cancelled", &format!("{{\"requestId\":{id}}}"));
        Some((relayed, peer::name_of(&self.stream)))
    }

    fn add_again(&self, all: &mut Vec<(&'static str, String)>) {
        let session = self.session();
        all.extend(session.documents_again().map(|(method, params)| (method, params.to_owned())));
    }

    fn reopened(&self, opening: &Opening) {
        let notices = self.session().reopened(opening);
        match notices {
            Ok(notices) => {
                for (method, params) in notices {
                    self.push(method, &params);
                }
            }
            Err(why) => self.dismiss("changed", &why),
        }
    }

    fn dismiss(&self, class: &'static str, why: &str) {
        let params = serde_json::json!({"class": class, "message": why}).to_string();
        self.put(None, |bytes| encode::notification(bytes, "outboard/ended", Some(&params)));
        // Its reader ends at that, and what it is owed is still written.
        shutdown(self.stream.as_raw_fd(), Shutdown::Read).unwrap_or_default();
        self.room.notify_one();
    }
}

impl Listen for Client {
    /// An event of a plugin, numbered for this client. One for which there is no room is missed, and the next one says so.
    fn hear(&self, event: &Arc<Published>) -> bool {
        let mut out = self.out();
        if out.over || out.owed() > UNREAD {
            out.missed.events += 1;
            out.missed.all += 1;
            return false;
        }
        let missed = std::mem::take(&mut out.missed.events);
        out.heard += 1;
        let was_empty = out.bytes.is_empty();
        let params = event.params(out.heard, missed);
        encode::notification(&mut out.bytes, "event", Some(&params));
        drop(out);
        if was_empty {
            self.kick.notify_one();
        }
        true
    }
}
