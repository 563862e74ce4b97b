//! From a state to a supervisor.
//!
//! [`Rebuilt::of`] is pure: it makes sure of everything that can be made sure of without a descriptor, and a rehearsal
//! stops there. [`Rebuilt::thaw`] goes on with the descriptors.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, RwLock};

use outboard_keeper::reaper::Record;
use outboard_keeper::{ContainmentChoice, RunMark};
use outboard_manifest::{Manifest, Problem, Settings, Texts};
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::watch;

use super::image::{Image, Unreadable, VERSION};
use super::state::{AskedContainment, HostState, KeptLive, KeptPlugin, KeptRoute};
use super::{Clients, Descriptors, Program, Upgrades};
use crate::host::call::Answer;
use crate::host::clock::Clock;
use crate::host::dispatch::{Dispatcher, Live};
use crate::host::happening::{Happening, Happenings};
use crate::host::journal::Journal;
use crate::host::keeper_line::KeeperLine;
use crate::host::link::{Link, Surroundings, Unfilled};
use crate::host::logbook::LogBook;
use crate::host::persist::Persist;
use crate::host::record::Recorder;
use crate::host::reload::InForce;
use crate::host::route::Router;
use crate::host::shared::{KeeperInfo, Shared};
use crate::host::sink::{Rotation, Sink};
use crate::host::slot::{Slot, Ways};
use crate::host::state_dir::StateDir;
use crate::host::supervisor::Supervisor;
use crate::host::view::EventRecord;
use crate::host::waiters::Waiters;
use crate::host::whose::Leaders;

/// A supervisor that could go on: all that does not need its descriptors.
#[derive(Debug)]
pub struct Rebuilt {
    version: u32,
    state: HostState,
    run: RunMark,
    manifests: Vec<Arc<Manifest>>,
    settings: Settings,
}

impl Rebuilt {
    /// Makes what the image says: manifests in this build's sense, the keeper's language, the run mark.
    ///
    /// # Errors
    /// Why this build cannot go on with it. Nothing has been touched.
    pub fn of(image: Image) -> Result<Self, Unreadable> {
        let Image { version, host: mut state, .. } = image;
        let content = |why: String| Unreadable::Content { version, why };
        let run: RunMark =
            state.run.parse().map_err(|_| content("its run mark is none".to_owned()))?;
        if let Some(keeper) = &state.keeper {
            keeper.speaks_our_messages().map_err(content)?;
        }
        let settings =
            state.in_force.settings().map_err(|problems| content(sentences(&problems)))?;
        let mut manifests = Vec::with_capacity(state.plugins.len());
        for plugin in &mut state.plugins {
            let texts = Texts::from(plugin.manifest.clone());
            let manifest = outboard_manifest::restore(&texts).map_err(|problems| {
                content(format!("{}: {}", texts.path.display(), sentences(&problems)))
            })?;
            if state.fleet.by_id(&manifest.id) != Some(plugin.key) {
                return Err(content(format!("{} is not in its fleet", manifest.id)));
            }
            manifests.push(Arc::new(manifest));
        }
        Ok(Self { version, state, run, manifests, settings })
    }

    /// How many plugins there are, and how many of them have a process.
    #[must_use]
    pub fn plugins(&self) -> (usize, usize) {
        let running = self.state.plugins.iter().filter(|plugin| plugin.live.is_some()).count();
        (self.state.plugins.len(), running)
    }

    /// What `outboard.toml` says of the supervisor itself.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Every manifest in force.
    pub fn manifests(&self) -> impl Iterator<Item = &Manifest> + Clone {
        self.manifests.iter().map(|manifest| &**manifest)
    }

    /// The supervisor, where it was. `upgraded`: it is another image that goes on, and not the one that stopped.
    ///
    /// Must be called within the runtime, on its one thread. The events begin with the one that says so.
    ///
    /// # Errors
    /// A descriptor is missing, or no thread is to be had: then there is no supervisor any more.
    pub(crate) fn thaw(
        self,
        fds: &mut Descriptors,
        clients: &Clients,
        why: Thaw<'_>,
    ) -> io::Result<(Supervisor, Receiver<Arc<EventRecord>>)> {
        let Self { version, state, run, manifests, settings } = self;
        if state.pid != std::process::id() {
            return Err(io::Error::other("the state is that of another process"));
        }
        let state_dir = StateDir::go_on(state.state_dir, fds.take(state.lock)?);
        let clock = Clock::since(state.began);
        let (happenings, inbox) = Happenings::new();
        let trouble = happenings.clone();
        let sink = Arc::new(Sink::start(move |text| trouble.tell(Happening::SinkTrouble(text)))?);
        let limits = Rotation { size: state.logs.file_size, keep: state.logs.file_keep };
        let journal = state_dir.file("events.jsonl");
        let journal = Journal::open(journal.as_path().into(), state.logs.journal, sink.clone());
        journal.go_on(state.next_seq);
        let recorder = Recorder {
            journal: Arc::new(journal),
            logs: Arc::new(LogBook::new(state_dir.file("logs"), limits, sink.clone(), clock)),
            clock,
        };
        // What `exec` keeps (a subreaper, the raised limit) is said again all the same, and what it loses is not.
        if state.adopts {
            outboard_keeper::become_subreaper()?;
        }
        outboard_keeper::set_non_dumpable()?;
        crate::host::limits::were_given(state.open_files);
        crate::host::limits::raise_open_files();
        let record = Record::new(run);
        let persist =
            Persist::restore(state.persist, record, &state_dir, sink.clone(), clock.now());
        let shared = Arc::new(Shared {
            clock,
            recorder,
            happenings: happenings.clone(),
            plugins: RwLock::default(),
            settings: settings.clone(),
            topics: Arc::default(),
            state_dir,
            sources: state.sources,
            revision: AtomicU64::new(state.revision),
            drift: Mutex::default(),
            run,
            containment_choice: match state.containment {
                AskedContainment::Auto => ContainmentChoice::Auto,
                AskedContainment::Cgroup => ContainmentChoice::Cgroup,
                AskedContainment::Session => ContainmentChoice::Session,
            },
            adopts: state.adopts,
            program: Program::at(state.program),
            upgrades: Upgrades::default(),
            keeper: Mutex::new(KeeperInfo::default()),
            leaders: Leaders::default(),
            stopped: watch::Sender::new(None),
            sink,
            dossiers: settings.logs.dossiers as usize,
        });
        let keeper = match state.keeper {
            Some(kept) => {
                let talk = (kept.pings, kept.asked_at, kept.next_ping);
                let keeper = kept.back(run, fds)?;
                shared.go_on_with(&keeper);
                Some(KeeperLine::go_on(keeper, talk)?)
            }
            None => None,
        };
        let mut dispatcher = Dispatcher {
            fleet: state.fleet,
            shared: shared.clone(),
            clock,
            inbox,
            happenings,
            keeper,
            keeper_deaths: state.keeper_deaths.into(),
            slots: HashMap::new(),
            live: HashMap::new(),
            swaps: HashMap::new(),
            pins: HashMap::new(),
            orders: state.orders.into_iter().map(|(order, key, n)| (order, (key, n))).collect(),
            next_order: state.next_order,
            waiters: Waiters::default(),
            holds: BTreeSet::new(),
            persist,
            suspended: state.suspended,
            ending: false,
            gave_up: false,
            leaving: state.leaving.into_iter().collect(),
            in_force: InForce::from_parts(settings, state.in_force.refused),
            fading: Vec::new(),
            freezing: None,
            answers: VecDeque::new(),
            stepping: false,
        };
        let (mut running, mut unfilled) = (0, Vec::new());
        for (plugin, manifest) in state.plugins.into_iter().zip(manifests) {
            running += usize::from(plugin.live.is_some());
            unfilled.push(dispatcher.plugin_back(plugin, manifest, fds)?);
        }
        dispatcher.fill(unfilled, clients);
        dispatcher.publish_all();
        let now = clock.now();
        let stood_still = u64::try_from(now.since(state.froze).as_millis()).unwrap_or(u64::MAX);
        let mut fields = json!({
            "pid": state.pid,
            "from": state.version,
            "to": env!("CARGO_PKG_VERSION"),
            "state_from": version,
            "state_to": VERSION,
            "ms": stood_still,
            "plugins": running,
            "clients": clients.len(),
        });
        let event = match why {
            Thaw::Upgraded => "supervisor.upgraded",
            Thaw::StillHere(error) => {
                fields["message"] = error.into();
                "supervisor.upgrade_failed"
            }
        };
        let events = shared.recorder.journal.listen();
        shared.recorder.supervisor(event, fields);
        if let Thaw::Upgraded = why {
            dispatcher.renew_keeper();
        }
        dispatcher.start();
        Ok((Supervisor { shared }, events))
    }
}

fn sentences(problems: &[Problem]) -> String {
    let errors = problems.iter().filter(|problem| problem.is_error());
    errors.map(Problem::sentence).collect::<Vec<_>>().join("; ")
}

/// Why a state thaws.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Thaw<'a> {
    /// In the next image.
    Upgraded,
    /// In the one that wrote it: the other could not be executed, for this reason.
    StillHere(&'a str),
}

impl Dispatcher {
    fn plugin_back(
        &mut self,
        plugin: KeptPlugin,
        manifest: Arc<Manifest>,
        fds: &mut Descriptors,
    ) -> io::Result<(Arc<Slot>, KeptRoute, Option<Unfilled>)> {
        let KeptPlugin { key, manifest: _, told, history, words, stats, log, guests, route, live } =
            plugin;
        let ways = Ways {
            clock: self.clock,
            happenings: self.happenings.clone(),
            learnt: self.persist.learnt(),
            openings: self.persist.openings(),
        };
        let its_log = self.shared.recorder.logs.plugin(manifest.id.clone());
        its_log.restore(log);
        let slot = Arc::new(Slot::new(key, manifest, self.fleet.snapshot(key), its_log, ways));
        slot.guests.restore(guests);
        *slot.told() = told;
        *slot.history() = history;
        *slot.words() = words;
        slot.stats.add_all(&stats);
        let live = live.map(|live| self.live_back(&slot, live, fds)).transpose()?;
        let unfilled = live.map(|(live, unfilled)| {
            self.live.insert((key, live.link.generation), live);
            unfilled
        });
        self.slots.insert(key, slot.clone());
        self.shared
            .plugins
            .write()
            .expect("nothing panics while it holds this")
            .insert(slot.id.clone(), slot.clone());
        Ok((slot, route, unfilled))
    }

    /// Calls are put back where they were, now that everybody is there who made one.
    fn fill(&mut self, unfilled: Vec<(Arc<Slot>, KeptRoute, Option<Unfilled>)>, clients: &Clients) {
        let askers = |(key, generation)| {
            self.live.get(&(key, generation)).map(|live| Arc::downgrade(&live.link))
        };
        for guest in clients.values().cloned().filter_map(Answer::guest) {
            guest.find_askers(&askers);
        }
        let mut clients = clients.clone();
        for live in self.live.values() {
            clients.insert(live.link.address(), live.link.clone());
        }
        for (slot, route, unfilled) in unfilled {
            let key = slot.key;
            let link = self.serving(key).map(|live| live.link.clone());
            if let (Some(link), Some(unfilled)) = (&link, unfilled) {
                link.fill(unfilled, &clients, &self.shared);
            }
            let router = Router::restore(route, &clients, |generation| {
                link.filter(|link| link.generation == generation)
            });
            self.holds.extend(router.next_deadline().map(|at| (at, key)));
            *slot.router() = router;
        }
    }

    fn live_back(
        &self,
        slot: &Arc<Slot>,
        live: KeptLive,
        fds: &mut Descriptors,
    ) -> io::Result<(Live, Unfilled)> {
        let KeptLive { generation, order, link, pidfd, execed, died, program, cwd, identity } =
            live;
        let around = Surroundings {
            slot: slot.clone(),
            shared: Arc::downgrade(&self.shared),
            recorder: self.shared.recorder.clone(),
            happenings: self.happenings.clone(),
            clock: self.clock,
        };
        let (link, unfilled) = Link::restore(link, fds, around)?;
        let pidfd = pidfd.map(|fd| io::Result::Ok(Arc::new(fds.take(fd)?.into()))).transpose()?;
        if let Some(pidfd) = pidfd.clone().filter(|_| !died) {
            // One that ended meanwhile is noticed now, and one whose end was noticed is noticed again.
            crate::host::watch::watch(pidfd, self.happenings.clone(), slot.key, generation);
        }
        if link.pid() != 0 {
            self.shared.leaders.add(link.pid(), order, slot.id.clone());
        }
        let live = Live { order, link, pidfd, execed, died, program, cwd, identity };
        Ok((live, unfilled))
    }
}
