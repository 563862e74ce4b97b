//! One running supervisor, seen from outside.

use std::cell::{Cell, RefCell};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::attach::{Attach, CallError};
use crate::clock::Deadline;
use crate::control;
use crate::event::Event;
use crate::tail::{Tail, Watch};
use crate::witness::{Ended, Later, Moment, Process, Spawn};
use crate::world::{Output, World};

/// How often a wait for an event looks whether the supervisor is there at all.
const LOOK: Duration = Duration::from_millis(250);

/// A supervisor that a test started. Dropped, it is asked to stop, and has to do so well.
#[derive(Debug)]
pub struct Running<'w> {
    world: &'w World,
    /// The process that was started.
    pub pid: u32,
    pub state_dir: PathBuf,
    stdout: PathBuf,
    stderr: PathBuf,
    journal: RefCell<Tail>,
    events: RefCell<Vec<Event>>,
    exit: Later<Ended>,
    ended: Cell<Option<Ended>>,
}

impl<'w> Running<'w> {
    #[track_caller]
    pub(crate) fn start(world: &'w World, state_dir: PathBuf, spawn: Spawn) -> Self {
        let journal = Tail::from_end(&state_dir.join("events.jsonl")).unwrap();
        let stdout = spawn.stdout.clone().unwrap_or_default();
        let stderr = spawn.stderr.clone().unwrap_or_default();
        let pid = world.witness().spawn(spawn);
        Self {
            world,
            pid,
            state_dir,
            stdout,
            stderr,
            journal: journal.into(),
            events: RefCell::default(),
            exit: world.witness().exit(pid),
            ended: Cell::new(None),
        }
    }

    /// The first event of this run that `fits`, among those that were and those that come.
    ///
    /// # Panics
    ///
    /// When the supervisor ends without it, or it does not come within [`hang_bound`](crate::clock::hang_bound).
    #[track_caller]
    pub fn event(&self, fits: impl Fn(&Event) -> bool) -> Event {
        self.event_after(0, fits)
    }

    /// The first event above a number that `fits`.
    ///
    /// # Panics
    ///
    /// As [`Self::event`].
    #[track_caller]
    pub fn event_after(&self, seq: u64, fits: impl Fn(&Event) -> bool) -> Event {
        match self.look_for(seq, fits, Deadline::hang()) {
            Ok(event) => event,
            Err(why) => panic!("the event did not come: {why}"),
        }
    }

    fn look_for(
        &self,
        seq: u64,
        fits: impl Fn(&Event) -> bool,
        deadline: Deadline,
    ) -> Result<Event, String> {
        let fits = |event: &&Event| event.seq > seq && fits(event);
        if let Some(event) = self.events.borrow().iter().find(fits) {
            return Ok(event.clone());
        }
        loop {
            let over = self.has_ended();
            if let Some(event) = self.read_event(Deadline::after(LOOK)) {
                if fits(&&event) {
                    return Ok(event);
                }
            } else if let Some(ended) = over {
                return Err(format!("the supervisor has ended: {ended:?}"));
            } else if deadline.left().is_none() {
                return Err("the bound has passed".to_owned());
            }
        }
    }

    fn read_event(&self, deadline: Deadline) -> Option<Event> {
        let line = self.journal.borrow_mut().line(deadline).unwrap()?;
        let event: Event = serde_json::from_str(&line).unwrap_or_else(|error| {
            panic!("the journal has a line that is no event: {error}: {line}")
        });
        self.events.borrow_mut().push(event.clone());
        Some(event)
    }

    /// Every event of this run so far.
    pub fn events(&self) -> Vec<Event> {
        while self.read_event(Deadline::after(Duration::ZERO)).is_some() {}
        self.events.borrow().clone()
    }

    /// How many events of this run so far fit.
    pub fn count(&self, fits: impl Fn(&Event) -> bool) -> usize {
        self.events().iter().filter(|event| fits(event)).count()
    }

    /// Waits until a plugin is active for the first time in this run.
    #[track_caller]
    pub fn active(&self, id: &str) -> Event {
        self.event(|event| event.is_state(id, "active"))
    }

    /// Waits until a later generation of a plugin is active.
    #[track_caller]
    pub fn active_above(&self, id: &str, generation: u64) -> Event {
        self.event(|event| event.is_state(id, "active") && event.generation > generation)
    }

    /// Waits until a plugin has come into a state.
    #[track_caller]
    pub fn state(&self, id: &str, state: &str) -> Event {
        self.event(|event| event.is_state(id, state))
    }

    /// Waits for a plugin's first failure.
    #[track_caller]
    pub fn failure(&self, id: &str) -> Event {
        self.event(|event| event.is("plugin.failure", id))
    }

    /// `status`, by the management socket.
    #[track_caller]
    pub fn status(&self) -> Value {
        self.control("status", &json!({})).unwrap()
    }

    /// A plugin's row of `status`.
    #[track_caller]
    pub fn plugin(&self, id: &str) -> Value {
        let status = self.control("status", &json!({"ids": [id]})).unwrap();
        status["plugins"][0].clone()
    }

    /// A plugin's pid, which it has to have.
    #[track_caller]
    pub fn plugin_pid(&self, id: &str) -> u32 {
        let plugin = self.plugin(id);
        let pid = plugin["pid"].as_u64().unwrap_or_else(|| panic!("{id} does not run: {plugin}"));
        u32::try_from(pid).unwrap()
    }

    /// The supervisor's own pid, also where a shell started it.
    #[track_caller]
    pub fn supervisor_pid(&self) -> u32 {
        let started = self.event(|event| event.event == "supervisor.started");
        u32::try_from(started.number("pid")).unwrap()
    }

    /// The pid of its newest keeper.
    #[track_caller]
    pub fn keeper_pid(&self) -> u32 {
        self.event(|event| event.event == "keeper.started");
        let events = self.events();
        let newest = events.iter().rfind(|event| event.event == "keeper.started").unwrap();
        u32::try_from(newest.number("pid")).unwrap()
    }

    /// Calls the management API.
    ///
    /// # Errors
    ///
    /// Its error answer.
    #[track_caller]
    pub fn control(&self, method: &str, params: &Value) -> Result<Value, Value> {
        control::call(&self.socket("control.sock"), method, params)
    }

    /// Attaches to a plugin.
    #[track_caller]
    pub fn attach(&self, id: &str) -> Attach {
        self.try_attach(id, None).unwrap()
    }

    /// Attaches to a plugin; `deadline` is for each call.
    ///
    /// # Errors
    ///
    /// What is answered in place of a welcome.
    #[track_caller]
    pub fn try_attach(&self, id: &str, deadline: Option<Duration>) -> Result<Attach, CallError> {
        Attach::open(&self.socket("attach.sock"), id, deadline)
    }

    /// Attaches to a plugin with more members in the first line.
    ///
    /// # Errors
    ///
    /// What is answered in place of a welcome.
    #[track_caller]
    pub fn attach_as(&self, id: &str, more: &Value) -> Result<Attach, CallError> {
        Attach::open_as(&self.socket("attach.sock"), id, more)
    }

    /// One call to a plugin.
    ///
    /// # Errors
    ///
    /// An error answer, whoever made it.
    #[track_caller]
    pub fn call(&self, id: &str, method: &str, params: &Value) -> Result<Value, CallError> {
        self.try_attach(id, None)?.call(method, params)
    }

    /// The path of a socket, once somebody listens there.
    #[track_caller]
    pub fn socket(&self, name: &str) -> PathBuf {
        let path = self.state_dir.join(name);
        let watch = Watch::new(&self.state_dir).unwrap();
        let deadline = Deadline::hang();
        // Between bind and listen a socket is there and refuses, and nothing tells of the change.
        while UnixStream::connect(&path).is_err() {
            let ended = self.has_ended();
            assert!(ended.is_none(), "{name} is not served: the supervisor has ended: {ended:?}");
            assert!(deadline.left().is_some(), "{name} is not served");
            watch.wait(Deadline::after(LOOK / 10));
        }
        path
    }

    /// Runs a command against this supervisor.
    #[track_caller]
    pub fn cli(&self, args: &[&str]) -> Output {
        let name = self.state_dir.file_name().unwrap().to_string_lossy().into_owned();
        self.world.cli_on(&name, args)
    }

    /// Every line of a plugin's log that is stored, oldest first, over rotated files: what a plain reader of the files
    /// meets.
    ///
    /// # Panics
    ///
    /// When a line is no JSON.
    #[track_caller]
    pub fn stored_log(&self, id: &str) -> Vec<Value> {
        let current = self.state_dir.join(format!("logs/{id}.jsonl"));
        let rotated = (1..=9).rev().map(|n| self.state_dir.join(format!("logs/{id}.jsonl.{n}")));
        let texts = rotated.chain([current]).map(|path| read(&path));
        let mut lines = Vec::new();
        for text in texts {
            // The last line may be half written.
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            lines.extend(whole.lines().map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            }));
        }
        lines
    }

    /// Waits until a line of a plugin's log fits, and gives it.
    ///
    /// # Panics
    ///
    /// When none comes within [`hang_bound`](crate::clock::hang_bound).
    #[track_caller]
    pub fn log_line(&self, id: &str, fits: impl Fn(&str) -> bool) -> Value {
        let text = |line: &Value| line["text"].as_str().is_some_and(&fits);
        let mut found = None;
        crate::clock::wait_until("the line is stored", || {
            found = self.stored_log(id).into_iter().find(text);
            found.is_some()
        });
        found.unwrap_or_default()
    }

    /// Everything it has printed.
    #[must_use]
    pub fn stdout(&self) -> String {
        read(&self.stdout)
    }

    /// Everything it has complained.
    #[must_use]
    pub fn stderr(&self) -> String {
        read(&self.stderr)
    }

    /// Waits until a line on its standard output fits.
    ///
    /// # Panics
    ///
    /// When none comes within [`hang_bound`](crate::clock::hang_bound).
    #[track_caller]
    pub fn printed(&self, fits: impl Fn(&str) -> bool) -> String {
        let mut tail = Tail::from_start(&self.stdout).unwrap();
        let deadline = Deadline::hang();
        while let Some(line) = tail.line(deadline).unwrap() {
            if fits(&line) {
                return line;
            }
        }
        panic!("no such line on its standard output")
    }

    /// Signals it.
    #[track_caller]
    pub fn signal(&self, signal: i32) -> Moment {
        self.signal_after(signal, Duration::ZERO)
    }

    /// Signals it after a time by the witness' clock.
    #[track_caller]
    pub fn signal_after(&self, signal: i32, after: Duration) -> Moment {
        if signal == libc::SIGKILL {
            self.world.was_killed();
        }
        self.world.witness().signal_after(self.pid, signal, after).get()
    }

    /// How it ended, if it has.
    pub fn has_ended(&self) -> Option<Ended> {
        if self.ended.get().is_none() {
            self.ended.set(self.exit.now());
        }
        self.ended.get()
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// When it does not come within [`hang_bound`](crate::clock::hang_bound).
    #[track_caller]
    pub fn ended(&self) -> Ended {
        if self.has_ended().is_none() {
            let end = self.world.witness().exit(self.pid).try_get().unwrap_or_else(|why| {
                self.diagnose();
                panic!("the supervisor does not end: {why}")
            });
            self.ended.set(Some(end));
        }
        self.ended.get().unwrap()
    }

    /// Asks it to stop, and waits for its end.
    #[track_caller]
    pub fn stop(&self) -> Ended {
        if self.has_ended().is_none() {
            self.signal(libc::SIGTERM);
        }
        self.ended()
    }

    /// Kills it, and waits until nothing is left: gives how long that took from the signal on.
    #[track_caller]
    pub fn kill_and_wait_until_nothing_is_left(&self) -> Duration {
        let killed = self.signal(libc::SIGKILL);
        self.ended();
        match self.world.witness().empty().try_get() {
            Ok(empty) => Duration::from_micros(empty.at_us - killed.at_us),
            Err(why) => panic!("{why}; left after SIGKILL: {:#?}", self.world.witness().below()),
        }
    }

    /// Everything below the witness save the supervisor itself and its keeper.
    #[track_caller]
    pub fn plugin_processes(&self) -> Vec<Process> {
        let ours = |process: &Process| process.pid == self.pid || process.name == "obkeeper";
        let mut below = self.world.witness().below();
        below.retain(|process| !ours(process));
        below
    }

    fn diagnose(&self) {
        let events = self.events();
        let skipped = events.len().saturating_sub(40);
        crate::say(format_args!("---- supervisor {} in {}", self.pid, self.state_dir.display()));
        for event in &events[skipped..] {
            crate::say(event);
        }
        crate::say(format_args!("---- its stderr\n{}", self.stderr()));
        crate::say("---- below the witness");
        for process in self.world.witness().below() {
            crate::say(format_args!("{process:?}"));
        }
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A panic within a panic would hide the first.
            let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.diagnose()));
            drop(told);
        } else if self.has_ended().is_none() {
            let ended = self.stop();
            assert_eq!(ended.code, Some(0), "the supervisor did not stop well: {}", self.stderr());
        }
    }
}
