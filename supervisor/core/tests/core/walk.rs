//! Everything an honest host can do, breadth first to a bounded depth: what the table calls impossible does not
//! happen, and no order of events leads to two processes, a lost deadline or a lie.

use std::collections::{BTreeSet, HashSet, VecDeque};

use outboard_core::*;

use crate::world::{fleet_policy, ms, policy, secs};

/// What the host knows of the one process that there may be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
struct Model {
    process: Process,
    first_byte: bool,
    opened: bool,
    ready: bool,
    probes: u8,
    draining: bool,
    asked: bool,
    keeper_lost: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
enum Process {
    #[default]
    None,
    Ordered,
    Spawned,
    Executing,
    Dead,
}

#[derive(Clone)]
struct Node {
    fleet: Fleet,
    model: Model,
    now: Time,
    depth: u32,
    path: Vec<String>,
}

/// Everything that can be told apart without looking at figures.
type Fingerprint = (Model, String);

/// Times, counts and generations taken out: the shape of the state is what is left.
fn without_figures(text: &str) -> String {
    let mut shape = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        shape.push_str(&rest[..at]);
        rest = rest[at..].trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let unit = ["ms", "µs", "ns", "s"].into_iter().find(|unit| rest.starts_with(unit));
        rest = &rest[unit.map_or(0, str::len)..];
    }
    shape + rest
}

fn key_of(fleet: &Fleet) -> Key {
    fleet.by_id("a").expect("registered")
}

impl Node {
    fn fingerprint(&self) -> Fingerprint {
        let whole = format!("{:?}", self.fleet);
        // What the plugin remembers for people, and its policy, decide nothing or never change.
        let state = &whole[whole.find("wanted: ").expect("a plugin")..];
        let told = state.find("last_failure: ").expect("its memory");
        let route = state.find("route: ").expect("its route");
        (self.model, without_figures(&state[..told]) + &without_figures(&state[route..]))
    }

    /// Everything that may come next.
    fn choices(&self) -> Vec<Event> {
        let detail = || Detail { detail: "model", message: String::new() };
        let say = |state| Event::Said(Report { state, message: None, expected: None });
        let mut choices = vec![
            Event::Start,
            Event::Stop { now: false, reason: StopReason::Stop },
            Event::Stop { now: true, reason: StopReason::Stop },
            Event::Restart { now: false },
            Event::Called,
        ];
        if self.fleet.next_deadline().is_some() {
            choices.push(Event::Deadline(Look::default()));
            choices.push(Event::Deadline(Look { working: 1, activity: 1, ..Look::default() }));
        }
        if !self.model.keeper_lost {
            choices.push(Event::KeeperLost);
        }
        let executing_or_spawned =
            matches!(self.model.process, Process::Spawned | Process::Executing);
        match self.model.process {
            Process::None => {}
            Process::Ordered => {
                choices.push(Event::Refused(detail()));
                choices.push(Event::SpawnFailed { permanent: true, detail: detail() });
                choices.push(Event::SpawnFailed { permanent: false, detail: detail() });
                choices.push(Event::Spawned { pid: 7 });
            }
            Process::Spawned => {
                choices.push(Event::Execed);
                // What has written has executed.
                if !self.model.first_byte {
                    choices.push(Event::SpawnFailed { permanent: false, detail: detail() });
                }
            }
            Process::Executing => {}
            Process::Dead => choices.push(Event::Gone { swept: 0 }),
        }
        if executing_or_spawned {
            choices.push(Event::Died(Exit::Code(0)));
            choices.push(Event::Died(Exit::Code(1)));
            choices.push(Event::Died(Exit::Code(125)));
            choices.push(Event::LinkBroken(detail()));
            choices.push(Event::Noisy(true));
            // Its bytes may be faster than the keeper's word that it executes.
            if !self.model.first_byte {
                choices.push(Event::FirstByte);
            } else if self.model.opened {
                for state in [Saying::Ready, Saying::Degraded, Saying::Unhealthy, Saying::Busy] {
                    choices.push(say(state));
                }
            } else {
                choices.push(Event::StartProgress);
                choices.push(say(Saying::Busy));
                choices.push(Event::Opened(Opening { ready: true }));
                choices.push(Event::Opened(Opening { ready: false }));
                choices.push(Event::OpenFailed { permanent: false, detail: detail() });
                choices.push(Event::OpenFailed { permanent: true, detail: detail() });
            }
            if self.model.probes > 0 {
                choices.push(Event::ProbeAnswered);
            }
            if self.model.draining {
                choices.push(Event::Drained);
                choices.push(Event::NothingToDrain);
            }
            if self.model.asked {
                choices.push(Event::Asked);
            }
        }
        choices
    }

    /// One choice, its effects carried out.
    fn then(&self, event: Event) -> Self {
        let mut node = self.clone();
        node.depth += 1;
        let name = format!("{event:?}");
        node.path.push(name);
        let key = key_of(&node.fleet);
        node.now = match (&event, node.fleet.next_deadline()) {
            (Event::Deadline(_), Some(due)) => due.max(node.now),
            _ => node.now + ms(1),
        };
        match &event {
            Event::Refused(_) | Event::SpawnFailed { .. } => {
                node.model = Model { keeper_lost: node.model.keeper_lost, ..Model::default() }
            }
            Event::Spawned { .. } => node.model.process = Process::Spawned,
            Event::Execed => node.model.process = Process::Executing,
            Event::Died(_) => node.model.process = Process::Dead,
            Event::Gone { .. } => {
                node.model = Model { keeper_lost: node.model.keeper_lost, ..Model::default() }
            }
            Event::FirstByte => node.model.first_byte = true,
            Event::Opened(_) | Event::OpenFailed { .. } => node.model.opened = true,
            Event::ProbeAnswered => node.model.probes -= 1,
            Event::Drained | Event::NothingToDrain => node.model.draining = false,
            Event::Asked => node.model.asked = false,
            _ => {}
        }
        let effects = if event == Event::KeeperLost {
            node.model = Model::default();
            let mut effects = node.fleet.keeper_lost(node.now);
            node.carry_out(&effects);
            effects = node.fleet.keeper_back(node.now);
            effects
        } else {
            let deadline = matches!(event, Event::Deadline(_));
            let generation = node.fleet.generation(key);
            let mut effects =
                if deadline { node.fleet.fleet_due(node.now) } else { Effects::new() };
            effects.extend(node.fleet.step(node.now, key, generation, event));
            effects
        };
        node.carry_out(&effects);
        node.check();
        node
    }

    fn carry_out(&mut self, effects: &Effects) {
        for (_, _, effect) in effects {
            match effect {
                Effect::Spawn { .. } => {
                    assert_eq!(
                        self.model.process,
                        Process::None,
                        "two processes: {:#?}",
                        self.path
                    );
                    self.model = Model { process: Process::Ordered, ..self.model };
                }
                Effect::Probe { .. } => {
                    assert!(self.model.opened, "a probe before the opening: {:#?}", self.path);
                    self.model.probes = (self.model.probes + 1).min(2);
                }
                Effect::Rung { rung: Rung::Drain, .. } => self.model.draining = true,
                Effect::Rung { rung: Rung::Ask, .. } => {
                    assert!(self.model.opened, "asked before the opening: {:#?}", self.path);
                    self.model.asked = true;
                }
                Effect::Note(Note::Surprised { state, event }) => {
                    panic!("{event} in {state:?}: {:#?}", self.path)
                }
                _ => {}
            }
        }
    }

    fn check(&self) {
        let seen = self.fleet.snapshot(key_of(&self.fleet));
        let runs = self.model.process != Process::None;
        if matches!(seen.state, StateName::Active | StateName::Degraded) {
            assert!(
                runs && self.model.opened && self.model.process != Process::Dead,
                "{seen:?}: {:#?}",
                self.path
            );
        }
        if runs && seen.state != StateName::Unkillable {
            assert!(
                self.fleet.next_deadline().is_some(),
                "{seen:?} has no deadline: {:#?}",
                self.path
            );
        }
        let down =
            matches!(seen.state, StateName::Registered | StateName::Backoff | StateName::Failed)
                || seen.phase == Some(Phase::Queued);
        assert_eq!(down, !runs, "{seen:?} with {:?}: {:#?}", self.model, self.path);
        if let Some(due) = self.fleet.next_deadline() {
            assert!(due >= self.now, "{due:?} has passed at {:?}: {:#?}", self.now, self.path);
        }
    }
}

/// Walks everything that can be told apart, and says what was seen.
fn walk(policy: Policy, depth: u32) -> (usize, BTreeSet<String>) {
    let mut fleet = Fleet::new(fleet_policy(), 3);
    fleet.register(Time::ZERO, "a".into(), policy, 0);
    let effects = fleet.start_enabled(Time::ZERO);
    let mut start =
        Node { fleet, model: Model::default(), now: Time::ZERO, depth: 0, path: Vec::new() };
    start.carry_out(&effects);
    let mut known = HashSet::from([start.fingerprint()]);
    let mut states = BTreeSet::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        states.insert(format!("{:?}", node.fleet.snapshot(key_of(&node.fleet)).state));
        if node.depth == depth {
            continue;
        }
        for event in node.choices() {
            let next = node.then(event);
            if known.insert(next.fingerprint()) {
                queue.push_back(next);
            }
        }
    }
    (known.len(), states)
}

/// `OUTBOARD_WALK_DEPTH` walks further, for the long form.
fn depth(usual: u32) -> u32 {
    std::env::var("OUTBOARD_WALK_DEPTH").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[test]
fn what_cannot_happen_does_not() {
    let mut hasty = policy();
    hasty.health.misses = 1;
    hasty.restart.budget = Budget { restarts: 1, within: secs(300) };
    let (known, states) = walk(hasty, depth(6));
    let all = [
        "Active",
        "Backoff",
        "Degraded",
        "Failed",
        "Loaded",
        "Registered",
        "Starting",
        "Stopping",
        "Unkillable",
    ];
    assert_eq!(states.iter().map(String::as_str).collect::<Vec<_>>(), all);
    println!("{known} states told apart");
    assert!(known > 1000, "{known}");
}

#[test]
fn what_cannot_happen_does_not_under_other_policies_either() {
    let mut patient = policy();
    patient.health.on_unhealthy = OnUnhealthy::Restart;
    patient.health.unhealthy_after = 1;
    patient.restart.policy = RestartWhen::OnFailure;
    patient.restart.backoff.initial = ms(0);
    let mut lazy = policy();
    lazy.lazy = true;
    lazy.restart.budget.restarts = 0;
    lazy.while_restarting = WhileRestarting::Fail;
    lazy.stop.drain = ms(0);
    let mut never = policy();
    never.restart.policy = RestartWhen::Never;
    never.stop.total = Some(secs(3));
    for policy in [patient, lazy, never] {
        let (known, _) = walk(policy, depth(5));
        println!("{known} states told apart");
        assert!(known > 300, "{known}");
    }
}
