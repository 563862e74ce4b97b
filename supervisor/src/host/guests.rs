//! The clients that share one plugin, and what they are told of it when it does not run.

use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use outboard_wire::Id;
use outboard_wire::session::{Opening, Wants};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::call::Answer;
use super::link::{Askers, Relayed};

/// Somebody on a connection. Nothing here blocks: what there is no room for is dropped and counted.
pub(crate) trait Guest: Answer + Debug {
    /// A notification of the plugin that names no call. The client knows whether it is its.
    fn hear(&self, method: &str, params: &str);

    /// Adds what it wants of the plugin beside calls.
    fn add_wants(&self, all: &mut Wants);

    /// Whether it said that it answers such requests of the plugin.
    fn answers(&self, method: &str) -> bool;

    /// Asks it what the plugin has asked.
    ///
    /// # Errors
    /// It cannot be asked any more; the question back.
    fn ask(&self, method: &str, params: &str, relayed: Relayed) -> Result<(), Relayed>;

    /// Another process image goes on: those who ask are there again.
    fn find_askers(&self, askers: &Askers<'_>);

    /// The plugin takes back a question (`Some`), or the generation that asked is gone (`None`). Whether there was one.
    fn withdraw(&self, generation: u64, question: Option<&Id>) -> bool;

    /// It has not answered this question in its time, and is told that nobody waits for it any more. Gives the question, which
    /// is still to be answered, and the client's name.
    fn give_up(&self, generation: u64, question: &Id) -> Option<(Relayed, String)>;

    /// Adds what a process has to be told that knows nothing of what the client has open: method and params.
    fn add_again(&self, all: &mut Vec<(&'static str, String)>);

    /// Another generation of the plugin serves, which opened like this.
    fn reopened(&self, opening: &Opening);

    /// Its connection has to end, for this reason.
    fn dismiss(&self, class: &'static str, why: &str);
}

/// The clients of one plugin.
#[derive(Debug, Default)]
pub(crate) struct Guests {
    /// How many there are, for whoever has nothing to say to nobody.
    count: AtomicUsize,
    inner: Mutex<Inner>,
    /// Something that a waiting client may wait for has changed: the opening, or the plugin's state.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    list: Vec<Arc<dyn Guest>>,
    opening: Option<Arc<Opening>>,
    /// What the opening hangs on; empty until the first start of this run.
    launch: String,
    /// The generation whose service the clients were told of.
    told: u64,
    /// Who holds a plugin that takes one client at a time.
    holder: Option<String>,
}

/// What there is to know beside the clients, written down.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct KeptGuests {
    opening: Option<Opening>,
    launch: String,
    told: u64,
}

/// A plugin that takes one client at a time has one.
#[derive(Debug)]
pub(crate) struct Held {
    pub by: String,
}

impl Guests {
    /// One more client. `alone`: only if there is none, and with its name for whoever comes after it.
    ///
    /// # Errors
    /// Who is there.
    pub(crate) fn join(&self, guest: Arc<dyn Guest>, alone: Option<String>) -> Result<(), Held> {
        let mut inner = self.inner();
        if let Some(name) = alone {
            if let Some(by) = &inner.holder {
                return Err(Held { by: by.clone() });
            }
            inner.holder = Some(name);
        }
        inner.list.push(guest);
        self.count.store(inner.list.len(), Ordering::Relaxed);
        Ok(())
    }

    /// A client has gone.
    pub(crate) fn leave(&self, guest: &dyn Guest) {
        let mut inner = self.inner();
        let before = inner.list.len();
        inner.list.retain(|other| !std::ptr::addr_eq(Arc::as_ptr(other), guest));
        if inner.list.len() < before {
            // There is one holder, and then it is alone.
            inner.holder = inner.holder.take().filter(|_| !inner.list.is_empty());
        }
        self.count.store(inner.list.len(), Ordering::Relaxed);
    }

    /// How the plugin opened, and whom that was told to: for the supervisor's next build.
    #[must_use]
    pub(crate) fn kept(&self) -> KeptGuests {
        let inner = self.inner();
        let opening = inner.opening.as_deref().cloned();
        KeptGuests { opening, launch: inner.launch.clone(), told: inner.told }
    }

    /// Takes back what [`Guests::kept`] gave; the clients join by themselves.
    pub(crate) fn restore(&self, kept: KeptGuests) {
        let KeptGuests { opening, launch, told } = kept;
        let mut inner = self.inner();
        inner.opening = opening.map(Arc::new);
        inner.launch = launch;
        inner.told = told;
    }

    /// How many there are.
    #[must_use]
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// All of them. The lock is not held while they are told anything.
    #[must_use]
    fn all(&self) -> Vec<Arc<dyn Guest>> {
        if self.count() == 0 { Vec::new() } else { self.inner().list.clone() }
    }

    /// What all of them want of the plugin beside calls.
    #[must_use]
    pub(crate) fn wants(&self) -> Wants {
        let mut wants = Wants::default();
        self.all().iter().for_each(|guest| guest.add_wants(&mut wants));
        wants
    }

    /// Whether anybody is subscribed to a resource.
    #[must_use]
    pub(crate) fn wants_resource(&self, uri: &str) -> bool {
        self.wants().resources.contains(uri)
    }

    /// A notification of the plugin that names no call.
    pub(crate) fn hear(&self, method: &str, params: &str) {
        self.all().iter().for_each(|guest| guest.hear(method, params));
    }

    /// The plugin takes back a question of its own. Whether one of the clients had it.
    pub(crate) fn withdraw(&self, generation: u64, question: &Id) -> bool {
        self.all().iter().any(|guest| guest.withdraw(generation, Some(question)))
    }

    /// A question of the plugin that a client has not answered in its time, and the name of that client.
    pub(crate) fn give_up(&self, generation: u64, question: &Id) -> Option<(Relayed, String)> {
        self.all().iter().find_map(|guest| guest.give_up(generation, question))
    }

    /// How the plugin opened, this time or last time.
    #[must_use]
    pub(crate) fn opening(&self) -> Option<Arc<Opening>> {
        self.inner().opening.clone()
    }

    /// Whether the plugin has been started in this run; until then nobody knows which opening would be its.
    #[must_use]
    pub(crate) fn was_launched(&self) -> bool {
        !self.inner().launch.is_empty()
    }

    /// A generation is started from this launch; `remembered` is how that opened last. What the one before asked of
    /// clients has no use any more.
    pub(crate) fn launched(
        &self,
        generation: u64,
        launch: String,
        remembered: impl FnOnce(&str) -> Option<Arc<Opening>>,
    ) {
        let mut inner = self.inner();
        if inner.launch != launch {
            inner.opening = remembered(&launch);
            inner.launch = launch;
        }
        drop(inner);
        for guest in self.all() {
            guest.withdraw(generation, None);
        }
        self.changed();
    }

    /// The plugin has opened. Gives the launch that did.
    #[must_use]
    pub(crate) fn opened(&self, opening: Arc<Opening>) -> String {
        let mut inner = self.inner();
        inner.opening = Some(opening);
        let launch = inner.launch.clone();
        drop(inner);
        self.changed();
        launch
    }

    /// What a generation that is about to serve has to be told before any call; nothing if it has served before.
    #[must_use]
    pub(crate) fn again(&self, generation: u64) -> Vec<(&'static str, String)> {
        let mut again = Vec::new();
        if self.count() > 0 && self.inner().told != generation {
            self.all().iter().for_each(|guest| guest.add_again(&mut again));
        }
        again
    }

    /// A generation serves: calls flow to it from now on.
    pub(crate) fn serves(&self, generation: u64) {
        let mut inner = self.inner();
        if inner.told == generation {
            return;
        }
        inner.told = generation;
        let Some(opening) = inner.opening.clone() else { return };
        drop(inner);
        self.all().iter().for_each(|guest| guest.reopened(&opening));
    }

    /// The connections of all clients have to end.
    pub(crate) fn dismiss(&self, class: &'static str, why: &str) {
        self.all().iter().for_each(|guest| guest.dismiss(class, why));
    }

    /// What a waiting client waits for may have come.
    pub(crate) fn changed(&self) {
        self.changed.notify_waiters();
    }

    /// The next change. It counts from when the future is made.
    pub(crate) fn next_change(&self) -> Notified<'_> {
        self.changed.notified()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while it holds this")
    }
}
