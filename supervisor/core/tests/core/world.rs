//! A host, a keeper and plugin processes as a model: honest about what a process can do, in virtual time.
//!
//! It carries out every effect as the real host does and checks, after every step, what must always hold:
//! never two living generations, no `active` without a living process that answered, no deadline in the past, a
//! deadline whenever something lives or is to be retried, and nothing that the core calls impossible.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use outboard_core::*;

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) fn at(span: Duration) -> Time {
    Time::from_start(span)
}

/// The defaults of the manifest reference, without jitter where a test wants figures.
pub(crate) fn policy() -> Policy {
    Policy {
        enabled: true,
        lazy: false,
        after: Vec::new(),
        requires: Vec::new(),
        start: StartPolicy {
            spawn_timeout: secs(5),
            first_byte_timeout: secs(30),
            first_byte_cap: secs(300),
            handshake_timeout: secs(30),
            ready_timeout: secs(60),
        },
        health: HealthPolicy {
            interval: secs(10),
            timeout: secs(5),
            misses: 3,
            suspect_interval: secs(2),
            busy_cap: secs(120),
            on_unhealthy: OnUnhealthy::Report,
            unhealthy_after: 3,
        },
        restart: RestartPolicy {
            policy: RestartWhen::Always,
            backoff: Backoff { initial: ms(100), max: secs(30), factor: 2.0, jitter: 0.0 },
            budget: Budget { restarts: 10, within: secs(300) },
            reset_after: secs(60),
            retry_after: RetryAfter::Growing { initial: secs(15), max: secs(300) },
        },
        stop: StopPolicy {
            drain: secs(5),
            shutdown: secs(5),
            exit: secs(2),
            term: secs(5),
            kill: secs(2),
            total: None,
        },
        while_restarting: WhileRestarting::Wait,
        idle_after: None,
    }
}

pub(crate) fn fleet_policy() -> FleetPolicy {
    FleetPolicy {
        start_concurrency: 8,
        shutdown_cap: secs(25),
        storm: Budget { restarts: 50, within: secs(10) },
    }
}

/// What the processes of a plugin do, from their start on.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) launch: Launch,
    /// After `exec`; `None`: never writes.
    pub(crate) first_byte: Option<Duration>,
    pub(crate) opens: Opens,
    /// After `exec`.
    pub(crate) opens_after: Duration,
    /// After the opening, for one that opened as not ready.
    pub(crate) ready_after: Option<Duration>,
    pub(crate) answers: Answers,
    pub(crate) answers_in: Duration,
    pub(crate) ends: Option<(When, Duration, Exit)>,
    /// The rungs that make it leave.
    pub(crate) obeys: Vec<Rung>,
    /// From such a rung to its end.
    pub(crate) leaves_in: Duration,
    /// Until its calls are done; `None`: never.
    pub(crate) drains_in: Option<Duration>,
    pub(crate) asked_in: Option<Duration>,
    /// Processes that outlive it.
    pub(crate) leaves_behind: u32,
    /// Activity (stderr, CPU) in any unit a second, from `exec` on.
    pub(crate) active_for: Duration,
    pub(crate) reads_input: bool,
    /// What a look at the executable finds.
    pub(crate) file_changed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Launch {
    Executes,
    Refused,
    Missing,
    Busy,
    Stalls,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opens {
    Ready,
    NotReady,
    Refuses,
    NoCommonVersion,
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    Both,
    SecondOnly,
    None,
}

/// From when on the end of a process is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Executed,
    Active,
}

impl Script {
    /// Starts at once, answers everything, leaves when asked.
    pub(crate) fn good() -> Self {
        Self {
            launch: Launch::Executes,
            first_byte: Some(ms(2)),
            opens: Opens::Ready,
            opens_after: ms(3),
            ready_after: None,
            answers: Answers::Both,
            answers_in: ms(1),
            ends: None,
            obeys: vec![Rung::Leave, Rung::Term, Rung::Kill],
            leaves_in: ms(5),
            drains_in: Some(Duration::ZERO),
            asked_in: Some(ms(1)),
            leaves_behind: 0,
            active_for: Duration::ZERO,
            reads_input: true,
            file_changed: false,
        }
    }

    /// Exits at once, every time.
    pub(crate) fn crashes(code: i32) -> Self {
        Self { ends: Some((When::Executed, ms(1), Exit::Code(code))), ..Self::good() }
    }

    /// Exits so long after it was active.
    pub(crate) fn crashes_after(active: Duration, exit: Exit) -> Self {
        Self { ends: Some((When::Active, active, exit)), ..Self::good() }
    }

    pub(crate) fn launches(launch: Launch) -> Self {
        Self { launch, ..Self::good() }
    }

    pub(crate) fn obeys(rungs: &[Rung]) -> Self {
        Self { obeys: rungs.to_vec(), ..Self::good() }
    }
}

/// A process, or the order for one.
#[derive(Clone, Debug)]
struct Process {
    generation: u64,
    version: Version,
    /// Its version is not the one in force any more, and cannot be changed.
    left_over: Option<Script>,
    executed: Option<Time>,
    alive: bool,
    /// Its end has been reported.
    died: bool,
    answered: bool,
    hung: bool,
    last_life: Option<Time>,
    probe_written: Option<Time>,
}

#[derive(Clone, Debug)]
struct Actor {
    script: Script,
    /// Of the version that a swap brings.
    next: Option<Script>,
    /// At most two, and two only while one version takes over from another.
    processes: Vec<Process>,
    route: Route,
    /// The generation that the open route leads to.
    leads_to: u64,
    /// The dialect has learnt that the second kind of probe is the one that is answered.
    usual_is_second: bool,
}

/// What the host's looks say besides what the model knows; set by tests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seeming {
    pub(crate) working: u32,
    /// Nobody wants anything of it, since then.
    pub(crate) idle_since: Option<Time>,
    pub(crate) latest_deadline: Option<Time>,
    pub(crate) traced: bool,
    pub(crate) stopped: bool,
    pub(crate) mid_frame: bool,
    pub(crate) seen: Seen,
}

/// One line of what happened.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) at: Time,
    pub(crate) id: PluginId,
    pub(crate) generation: u64,
    pub(crate) what: Effect,
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) fleet: Fleet,
    pub(crate) now: Time,
    /// What will happen, by time and then by order of cause.
    agenda: BTreeMap<(Time, u64), (Key, u64, Happening)>,
    sequence: u64,
    actors: HashMap<Key, Actor>,
    pub(crate) seeming: HashMap<Key, Seeming>,
    pub(crate) journal: Vec<Line>,
    /// To be checked after the step.
    touched: Vec<Key>,
    pub(crate) keeper_up: bool,
    /// Whose last swap was exclusive.
    exclusive: Vec<Key>,
}

impl Actor {
    fn process(&mut self, generation: u64) -> Option<&mut Process> {
        self.processes.iter_mut().find(|process| process.generation == generation)
    }

    /// How this generation behaves.
    fn script_of(&self, generation: u64) -> Script {
        let process = self.processes.iter().find(|process| process.generation == generation);
        let script = match process {
            Some(Process { left_over: Some(script), .. }) => script,
            Some(Process { version: Version::Next, .. }) => {
                self.next.as_ref().expect("a next version")
            }
            Some(_) | None => &self.script,
        };
        script.clone()
    }

    fn forget(&mut self, generation: u64) {
        self.processes.retain(|process| process.generation != generation);
    }
}

#[derive(Clone, Debug)]
enum Happening {
    /// Said to the core if the process it comes from is alive (or its end is what is said).
    Event(Event),
    /// The process answers the probe that it was sent.
    Answers,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(fleet_policy())
    }

    pub(crate) fn with(policy: FleetPolicy) -> Self {
        Self {
            fleet: Fleet::new(policy, 42),
            now: Time::ZERO,
            agenda: BTreeMap::new(),
            sequence: 0,
            actors: HashMap::new(),
            seeming: HashMap::new(),
            journal: Vec::new(),
            touched: Vec::new(),
            keeper_up: true,
            exclusive: Vec::new(),
        }
    }

    /// Asks for another version, which behaves as `script` says.
    pub(crate) fn swap(
        &mut self,
        key: Key,
        policy: Policy,
        how: SwapPolicy,
        script: Script,
    ) -> Result<Swapping, NoSwap> {
        let before = self.actors.get_mut(&key).expect("added").next.replace(script);
        let answer = self.fleet.swap(self.now, key, policy, how);
        self.touched.push(key);
        match answer {
            Ok((swapping, effects)) => {
                // One that was refused is no swap: the one under way goes on as it is.
                self.exclusive.retain(|other| *other != key);
                if how.mode == SwapMode::Exclusive {
                    self.exclusive.push(key);
                }
                self.carry_out(effects);
                self.check();
                Ok(swapping)
            }
            Err(refused) => {
                self.actors.get_mut(&key).expect("added").next = before;
                Err(refused)
            }
        }
    }

    /// What was told of swaps, and of which generation.
    pub(crate) fn swap_trail(&self, key: Key) -> Vec<(u64, Note)> {
        let id = self.fleet.id(key).clone();
        let of_it = self.journal.iter().filter(|line| line.id == id);
        of_it
            .filter_map(|line| match &line.what {
                Effect::Note(
                    note @ (Note::SwapStarted { .. }
                    | Note::SwapActive { .. }
                    | Note::SwapCanary { .. }
                    | Note::SwapJudged(_)
                    | Note::SwapDone { .. }),
                ) => Some((line.generation, note.clone())),
                _ => None,
            })
            .collect()
    }

    /// One plugin, started and given a second: enough for a good one to be active.
    pub(crate) fn of_one(policy: Policy, script: Script) -> (Self, Key) {
        let mut world = Self::new();
        let key = world.add("a", policy, script);
        world.start();
        world.run_for(secs(1));
        (world, key)
    }

    pub(crate) fn add(&mut self, id: &str, policy: Policy, script: Script) -> Key {
        let key = self.fleet.register(self.now, Arc::from(id), policy, 0);
        let route = Route::Refuse(Unavailable::Down);
        let (next, processes) = (None, Vec::new());
        let actor = Actor { script, next, processes, route, leads_to: 0, usual_is_second: false };
        self.actors.insert(key, actor);
        key
    }

    pub(crate) fn start(&mut self) {
        let effects = self.fleet.start_enabled(self.now);
        self.carry_out(effects);
    }

    pub(crate) fn script(&mut self, key: Key) -> &mut Script {
        &mut self.actors.get_mut(&key).expect("added").script
    }

    /// What is on trial, and has not been started or is started again, is good.
    pub(crate) fn next_is_good(&mut self, key: Key) {
        if let Some(next) = &mut self.actors.get_mut(&key).expect("added").next {
            *next = Script::good();
        }
    }

    pub(crate) fn seeming(&mut self, key: Key) -> &mut Seeming {
        self.seeming.entry(key).or_default()
    }

    /// The living process stops answering probes and calls.
    pub(crate) fn hang(&mut self, key: Key) {
        for process in &mut self.actors.get_mut(&key).expect("added").processes {
            process.hung = true;
        }
    }

    /// An answer to a call arrives.
    pub(crate) fn answers_a_call(&mut self, key: Key) {
        let (now, generation) = (self.now, self.fleet.generation(key));
        if let Some(process) = self.actors.get_mut(&key).expect("added").process(generation) {
            process.last_life = Some(now);
        }
    }

    /// The process ends by itself, now.
    pub(crate) fn dies(&mut self, key: Key, exit: Exit) {
        let generation = self.fleet.generation(key);
        self.schedule(Duration::ZERO, key, generation, Event::Died(exit));
        self.run_for(Duration::ZERO);
    }

    pub(crate) fn command(&mut self, key: Key, event: Event) {
        let effects = self.fleet.step(self.now, key, 0, event);
        self.carry_out(effects);
        self.check();
    }

    pub(crate) fn stop(&mut self, key: Key) {
        self.command(key, Event::Stop { now: false, reason: StopReason::Stop });
    }

    /// The plugin itself says something, in its current generation.
    pub(crate) fn say(&mut self, key: Key, event: Event) {
        let generation = self.fleet.generation(key);
        if matches!(event, Event::SpawnFailed { .. } | Event::Refused(_)) {
            self.actors.get_mut(&key).expect("added").forget(generation);
        }
        let effects = self.fleet.step(self.now, key, generation, event);
        self.touched.push(key);
        self.carry_out(effects);
        self.check();
    }

    pub(crate) fn reports(&mut self, key: Key, state: Saying, message: &str) {
        self.answers_a_call(key);
        let report = Report { state, message: Some(message.to_owned()), expected: None };
        self.say(key, Event::Said(report));
    }

    pub(crate) fn reconfigure(&mut self, key: Key, policy: Policy) {
        let effects = self.fleet.reconfigure(self.now, key, policy);
        self.carry_out(effects);
        self.check();
    }

    pub(crate) fn shut_down(&mut self, kill_now: bool) {
        let effects = self.fleet.shutdown(self.now, kill_now);
        self.carry_out(effects);
        self.check();
    }

    /// The keeper dies and takes every process along.
    pub(crate) fn keeper_dies(&mut self) {
        self.keeper_up = false;
        for actor in self.actors.values_mut() {
            actor.processes.clear();
        }
        self.agenda.clear();
        let effects = self.fleet.keeper_lost(self.now);
        self.carry_out(effects);
        self.check();
    }

    pub(crate) fn keeper_comes_back(&mut self) {
        self.keeper_up = true;
        let effects = self.fleet.keeper_back(self.now);
        self.carry_out(effects);
        self.check();
    }

    /// The host does not run for this long; the plugins do.
    pub(crate) fn stall(&mut self, span: Duration) {
        self.now = self.now + span;
        let effects = self.fleet.fleet_due(self.now);
        self.carry_out(effects);
    }

    pub(crate) fn suspend(&mut self, by: Duration) {
        let effects = self.fleet.suspended(self.now, by);
        self.carry_out(effects);
    }

    pub(crate) fn run_for(&mut self, span: Duration) {
        self.run_until(self.now + span);
    }

    /// Jumps from happening to happening; what the pipe holds is read before a deadline is honoured.
    pub(crate) fn run_until(&mut self, end: Time) {
        loop {
            let happening = self.agenda.first_key_value().map(|(&(time, _), _)| time);
            let deadline = self.fleet.next_deadline();
            match (happening, deadline) {
                (Some(time), deadline)
                    if time <= end && deadline.is_none_or(|due| time <= due.max(self.now)) =>
                {
                    self.now = self.now.max(time);
                    self.happen();
                }
                (_, Some(due)) if due <= end => {
                    self.now = self.now.max(due);
                    self.deadlines();
                }
                _ => break,
            }
            self.check();
        }
        self.now = self.now.max(end);
    }

    fn deadlines(&mut self) {
        let effects = self.fleet.fleet_due(self.now);
        self.carry_out(effects);
        let mut rounds = 0;
        loop {
            let due = self.fleet.due(self.now);
            if due.is_empty() {
                break;
            }
            for (key, generation, _) in due {
                let look = self.look(key, generation);
                let effects = self.fleet.step(self.now, key, generation, Event::Deadline(look));
                self.carry_out(effects);
            }
            rounds += 1;
            assert!(rounds < 20, "deadlines do not move on: {:?}", self.fleet.due(self.now));
        }
        let next = self.fleet.next_deadline();
        assert!(
            next.is_none_or(|next| next > self.now),
            "a deadline in the past: {next:?} at {:?}",
            self.now
        );
    }

    fn look(&self, key: Key, generation: u64) -> Look {
        let actor = &self.actors[&key];
        let seeming = self.seeming.get(&key).cloned().unwrap_or_default();
        let process = actor.processes.iter().find(|process| process.generation == generation);
        let executed = process.and_then(|process| process.executed);
        Look {
            last_life: process.and_then(|process| process.last_life),
            probe_written: process.and_then(|process| process.probe_written),
            working: seeming.working,
            idle_since: seeming.idle_since,
            latest_deadline: seeming.latest_deadline,
            traced: seeming.traced,
            doing: None,
            stopped: seeming.stopped,
            activity: executed.map_or(0, |executed| {
                let active = actor.script_of(generation).active_for;
                1 + self.now.since(executed).min(active).as_millis() as u64
            }),
            mid_frame: seeming.mid_frame,
            seen: seeming.seen,
            read: 0,
            written: 0,
        }
    }

    fn schedule(&mut self, after: Duration, key: Key, generation: u64, event: Event) {
        self.plan(after, key, generation, Happening::Event(event));
    }

    fn plan(&mut self, after: Duration, key: Key, generation: u64, happening: Happening) {
        self.sequence += 1;
        self.agenda.insert((self.now + after, self.sequence), (key, generation, happening));
    }

    /// The next thing on the agenda happens, if the process it needs is still there.
    fn happen(&mut self) {
        let Some((_, (key, generation, happening))) = self.agenda.pop_first() else { return };
        let actor = self.actors.get_mut(&key).expect("added");
        let Some(process) = actor.process(generation) else { return };
        let event = match happening {
            Happening::Answers => {
                if !process.alive || process.hung {
                    return;
                }
                process.last_life = Some(self.now);
                process.answered = true;
                Event::ProbeAnswered
            }
            Happening::Event(event) => event,
        };
        let now = self.now;
        let script = actor.script_of(generation);
        let Some(process) = actor.process(generation) else { return };
        match &event {
            Event::Spawned { .. } => process.alive = true,
            Event::Execed => {
                process.executed = Some(now);
                self.begin(key, generation, &script);
            }
            Event::Refused(_) | Event::SpawnFailed { .. } => actor.forget(generation),
            Event::Died(_) => {
                if !process.alive {
                    return;
                }
                process.alive = false;
                process.died = true;
                let swept_in = if script.leaves_behind > 0 { ms(500) } else { Duration::ZERO };
                let swept = script.leaves_behind;
                self.schedule(swept_in, key, generation, Event::Gone { swept });
            }
            Event::Gone { .. } => actor.forget(generation),
            Event::FirstByte | Event::Opened(_) | Event::OpenFailed { .. } | Event::Said(_) => {
                if !process.alive {
                    return;
                }
                process.last_life = Some(now);
            }
            _ => {
                if !process.alive {
                    return;
                }
            }
        }
        let answered_first = matches!(event, Event::ProbeAnswered);
        self.touched.push(key);
        let effects = self.fleet.step(self.now, key, generation, event);
        self.carry_out(effects);
        if answered_first
            && let Some((When::Active, after, exit)) = script.ends
            && !self.agenda.values().any(|(k, g, what)| {
                (*k, *g) == (key, generation) && matches!(what, Happening::Event(Event::Died(_)))
            })
        {
            self.schedule(after, key, generation, Event::Died(exit));
        }
    }

    /// A process has just executed: its script runs.
    fn begin(&mut self, key: Key, generation: u64, script: &Script) {
        if let Some(first_byte) = script.first_byte {
            self.schedule(first_byte, key, generation, Event::FirstByte);
            let after = script.opens_after.max(first_byte);
            let refused = |permanent| Event::OpenFailed {
                permanent,
                detail: Detail { detail: "refused", message: "it refused".into() },
            };
            match script.opens {
                Opens::Ready => {
                    self.schedule(after, key, generation, Event::Opened(Opening { ready: true }))
                }
                Opens::NotReady => {
                    self.schedule(after, key, generation, Event::Opened(Opening { ready: false }));
                    if let Some(ready) = script.ready_after {
                        let report = Report { state: Saying::Ready, message: None, expected: None };
                        self.schedule(after + ready, key, generation, Event::Said(report));
                    }
                }
                Opens::Refuses => self.schedule(after, key, generation, refused(false)),
                Opens::NoCommonVersion => self.schedule(after, key, generation, refused(true)),
                Opens::Never => {}
            }
        }
        if let Some((When::Executed, after, exit)) = script.ends.clone() {
            self.schedule(after, key, generation, Event::Died(exit));
        }
    }

    pub(crate) fn carry_out(&mut self, effects: Effects) {
        for (key, generation, effect) in effects {
            self.touched.push(key);
            let id = self.fleet.id(key).clone();
            if let Effect::Note(Note::Surprised { state, event }) = &effect {
                panic!("{event} in {state:?} happened to {id} at {:?}", self.now);
            }
            self.journal.push(Line { at: self.now, id, generation, what: effect.clone() });
            self.act(key, generation, effect);
        }
    }

    fn act(&mut self, key: Key, generation: u64, effect: Effect) {
        let actor = self.actors.get_mut(&key).expect("added");
        let script = actor.script_of(generation);
        match effect {
            Effect::Spawn { generation, version } => self.spawn(key, generation, version),
            Effect::Adopt => {
                let next = actor.next.take().expect("a next version");
                let old = std::mem::replace(&mut actor.script, next);
                for process in &mut actor.processes {
                    match process.version {
                        Version::InForce => process.left_over = Some(old.clone()),
                        Version::Next => process.version = Version::InForce,
                    }
                }
            }
            Effect::Discard => {
                let next = actor.next.take().expect("a next version");
                let of_it = actor.processes.iter_mut().filter(|p| p.version == Version::Next);
                of_it.for_each(|process| process.left_over = Some(next.clone()));
            }
            Effect::Probe { second } => {
                let now = self.now;
                let usual_is_second = actor.usual_is_second;
                let Some(process) = actor.process(generation) else { return };
                process.probe_written = script.reads_input.then_some(now);
                let answers = match script.answers {
                    Answers::Both => true,
                    Answers::SecondOnly => second != usual_is_second,
                    Answers::None => false,
                };
                // As a dialect does: the kind that is answered is the usual one.
                if answers && script.answers == Answers::SecondOnly {
                    actor.usual_is_second = true;
                }
                if answers && script.reads_input {
                    self.plan(script.answers_in, key, generation, Happening::Answers);
                }
            }
            Effect::Route(route) => {
                if route == Route::Open {
                    let process = actor.process(generation);
                    assert!(process.is_some_and(|p| p.answered), "open to {generation}");
                    actor.leads_to = generation;
                }
                actor.route = route;
            }
            Effect::Rung { rung, .. } => match rung {
                Rung::Drain => {
                    if let Some(after) = script.drains_in {
                        self.schedule(after, key, generation, Event::Drained);
                    }
                }
                Rung::Ask => {
                    if let Some(after) = script.asked_in {
                        self.schedule(after, key, generation, Event::Asked);
                    }
                    self.leave(key, generation, rung, &script);
                }
                Rung::Leave | Rung::Term | Rung::Kill => self.leave(key, generation, rung, &script),
            },
            Effect::LookAtFile => {
                self.plan_for_nobody(key, Event::FileLooked { changed: script.file_changed });
            }
            Effect::Settle(_) | Effect::Retire { .. } | Effect::Note(_) => {}
        }
    }

    fn plan_for_nobody(&mut self, key: Key, event: Event) {
        let effects = self.fleet.step(self.now, key, 0, event);
        self.carry_out(effects);
    }

    fn spawn(&mut self, key: Key, generation: u64, version: Version) {
        assert!(self.keeper_up, "an order to spawn without a keeper");
        let swapping = self.fleet.snapshot(key).swap.is_some();
        let actor = self.actors.get_mut(&key).expect("added");
        let most = usize::from(swapping);
        assert!(
            actor.processes.len() <= most,
            "{} living generations and one more of {}",
            actor.processes.len(),
            self.fleet.id(key)
        );
        let script = match version {
            Version::InForce => actor.script.clone(),
            Version::Next => actor.next.clone().expect("a next version"),
        };
        actor.processes.push(Process {
            generation,
            version,
            left_over: None,
            executed: None,
            alive: false,
            died: false,
            answered: false,
            hung: false,
            last_life: None,
            probe_written: None,
        });
        let detail = |detail| Detail { detail, message: format!("{detail}, says the model") };
        match script.launch {
            Launch::Executes => {
                self.schedule(ms(1), key, generation, Event::Spawned { pid: 100 });
                self.schedule(ms(2), key, generation, Event::Execed);
            }
            Launch::Stalls => self.schedule(ms(1), key, generation, Event::Spawned { pid: 100 }),
            Launch::Refused => {
                self.schedule(ms(0), key, generation, Event::Refused(detail("secret-missing")))
            }
            Launch::Missing => {
                let event = Event::SpawnFailed { permanent: true, detail: detail("exe-missing") };
                self.schedule(ms(1), key, generation, event);
            }
            Launch::Busy => {
                let event = Event::SpawnFailed { permanent: false, detail: detail("busy") };
                self.schedule(ms(1), key, generation, event);
            }
        }
    }

    fn leave(&mut self, key: Key, generation: u64, rung: Rung, script: &Script) {
        let Some(process) = self.actors.get_mut(&key).and_then(|actor| actor.process(generation))
        else {
            return;
        };
        if !script.obeys.contains(&rung) || (process.hung && rung != Rung::Kill) {
            return;
        }
        let exit = match rung {
            Rung::Drain | Rung::Ask | Rung::Leave => Exit::Code(0),
            Rung::Term => Exit::Signal { name: "SIGTERM", core: false },
            Rung::Kill => Exit::Signal { name: "SIGKILL", core: false },
        };
        // A process that is not there yet is killed as soon as it is.
        let after = script.leaves_in.max(ms(2));
        self.schedule(after, key, generation, Event::Died(exit));
    }

    /// What must hold whenever the core has been asked something.
    fn check(&mut self) {
        let next = self.fleet.next_deadline();
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        for key in touched {
            let snapshot = self.fleet.snapshot(key);
            let id = &snapshot.id;
            let actor = &self.actors[&key];
            let generation = snapshot.generation;
            let process = actor.processes.iter().find(|process| process.generation == generation);
            let open = matches!(actor.route, Route::Open);
            let serving = matches!(snapshot.state, StateName::Active | StateName::Degraded);
            // `exclusive`: what is on trial in place is active, and calls wait for the verdict; one that is taken back because
            // everything stops is active until its level's turn comes.
            let in_place = matches!(snapshot.swap, Some(SwapStage::Trial | SwapStage::Leaving));
            let on_trial = in_place && self.exclusive.contains(&key);
            assert_eq!(
                open,
                serving && !on_trial,
                "{id}: {:?} while {:?}",
                actor.route,
                snapshot.state
            );
            if open {
                assert_eq!(actor.leads_to, generation, "{id}: calls go to another generation");
            }
            if serving {
                let process = process
                    .unwrap_or_else(|| panic!("{id} is {:?} without a process", snapshot.state));
                assert!(
                    process.answered && !process.died,
                    "{id} is {:?}: {process:?}",
                    snapshot.state
                );
            }
            let runs = !actor.processes.is_empty();
            assert_eq!(
                snapshot.next.as_ref().is_some_and(|next| next.generation == 0),
                snapshot.next.as_ref().is_some_and(|next| {
                    !actor.processes.iter().any(|p| p.generation == next.generation)
                        && next.state == StateName::Starting
                }),
                "{id}: {:?} beside {:?}",
                snapshot.next,
                actor.processes
            );
            let fenced = snapshot.state == StateName::Unkillable
                || snapshot.next.as_ref().is_some_and(|next| next.state == StateName::Unkillable);
            if runs && !fenced {
                assert!(
                    next.is_some(),
                    "{id} lives, is {:?}, and no deadline is open",
                    snapshot.state
                );
            }
            if snapshot.state == StateName::Backoff {
                assert!(
                    next.is_some() && snapshot.next_try.is_some(),
                    "{id}: no end of its backoff"
                );
            }
            if !runs && self.agenda.values().all(|(k, _, _)| *k != key) {
                let down = matches!(
                    snapshot.state,
                    StateName::Registered | StateName::Backoff | StateName::Failed
                );
                let queued = snapshot.phase == Some(Phase::Queued);
                assert!(down || queued, "{id} is {:?} and nothing of it runs", snapshot.state);
            }
        }
    }

    // Questions.

    pub(crate) fn snapshot(&self, key: Key) -> Snapshot {
        self.fleet.snapshot(key)
    }

    pub(crate) fn state(&self, key: Key) -> StateName {
        self.fleet.snapshot(key).state
    }

    pub(crate) fn route(&self, key: Key) -> Route {
        self.actors[&key].route.clone()
    }

    /// A process is there, executes, and has not ended.
    pub(crate) fn is_alive(&self, key: Key) -> bool {
        let mut processes = self.actors[&key].processes.iter();
        processes.any(|process| process.alive && process.executed.is_some())
    }

    pub(crate) fn lives(&self, key: Key) -> bool {
        !self.actors[&key].processes.is_empty()
    }

    /// What happened to one plugin, with the time.
    pub(crate) fn lines(&self, key: Key) -> impl Iterator<Item = (Time, &Effect)> {
        let id = self.fleet.id(key).clone();
        self.journal.iter().filter(move |line| line.id == id).map(|line| (line.at, &line.what))
    }

    pub(crate) fn notes(&self, key: Key) -> impl Iterator<Item = (Time, &Note)> {
        self.lines(key).filter_map(|(at, what)| match what {
            Effect::Note(note) => Some((at, note)),
            _ => None,
        })
    }

    /// The times of its spawns.
    pub(crate) fn spawns(&self, key: Key) -> Vec<Time> {
        self.lines(key)
            .filter(|(_, what)| matches!(what, Effect::Spawn { .. }))
            .map(|(at, _)| at)
            .collect()
    }

    pub(crate) fn states(&self, key: Key) -> Vec<StateName> {
        self.notes(key)
            .filter_map(|(_, note)| match note {
                Note::StateChanged { to, .. } => Some(*to),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn failures(&self, key: Key) -> Vec<(Class, &'static str)> {
        self.notes(key)
            .filter_map(|(_, note)| match note {
                Note::Failed(failure) => Some((failure.class, failure.detail.detail)),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn rungs(&self, key: Key) -> Vec<(Rung, u128)> {
        self.lines(key)
            .filter_map(|(_, what)| match what {
                Effect::Rung { rung, within, .. } => Some((*rung, within.as_millis())),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn probes(&self, key: Key) -> Vec<(Time, bool)> {
        self.lines(key)
            .filter_map(|(at, what)| match what {
                Effect::Probe { second } => Some((at, *second)),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn settles(&self, key: Key) -> Vec<&Settle> {
        self.lines(key)
            .filter_map(|(_, what)| match what {
                Effect::Settle(settle) => Some(settle),
                _ => None,
            })
            .collect()
    }

    /// How many notes of this kind there are, over all plugins.
    pub(crate) fn count(&self, is: impl Fn(&Note) -> bool) -> usize {
        self.journal
            .iter()
            .filter(|line| matches!(&line.what, Effect::Note(note) if is(note)))
            .count()
    }

    pub(crate) fn forget_the_past(&mut self) {
        self.journal.clear();
    }
}
