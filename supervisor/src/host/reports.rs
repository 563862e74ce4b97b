//! What the keeper says, and what its pidfds say first: how processes begin and end.

use std::sync::Arc;
use std::time::Duration;

use outboard_core::{Class, Event, Exit, Key, Settle};
use outboard_keeper::pidfd::Pidfd;
use outboard_keeper::{ExitStatus, Report};
use serde_json::json;

use super::diagnose::diagnose;
use super::dispatch::Dispatcher;
use super::happening::Happening;
use super::keeper_line::{DEATHS, DEATHS_WITHIN};
use super::slot::Used;

/// How long the keeper may take to say how a process ended before its calls are settled without the word.
const WORD_FOR_CALLS: Duration = Duration::from_millis(100);

/// And before the plugin goes on without it.
const WORD_FOR_STATUS: Duration = Duration::from_secs(2);

impl Dispatcher {
    pub(super) fn reported(&mut self, report: Report) {
        match report {
            Report::Spawned { key: order, pid, pidfd } => self.spawned(order, pid, pidfd.into()),
            Report::Execed { key: order } => {
                let Some((key, generation)) = self.order(order) else { return };
                if let Some(live) = self.live.get_mut(&(key, generation)) {
                    live.execed = true;
                }
                self.step(key, generation, Event::Execed);
            }
            Report::SpawnFailed { key: order, step, errno } => {
                self.shared.leaders.remove(order);
                let Some((key, generation)) = self.orders.remove(&order) else { return };
                let Some(live) = self.live.get(&(key, generation)) else { return };
                let found = diagnose(step, errno, &live.program, &live.cwd);
                live.link.close();
                self.step(
                    key,
                    generation,
                    Event::SpawnFailed { permanent: found.permanent, detail: found.detail },
                );
            }
            Report::Died { key: order, exit } => {
                let Some((key, generation)) = self.order(order) else { return };
                self.died(key, generation, exit_of(exit));
            }
            Report::Gone { key: order, swept, rusage, took: _ } => {
                self.shared.leaders.remove(order);
                let Some((key, generation)) = self.orders.remove(&order) else { return };
                if let Some(slot) = self.slots.get(&key) {
                    let (cpu, peak_kib) = (rusage.user + rusage.system, rusage.max_rss_kib);
                    slot.history().used = Used { generation, cpu, peak_kib, swept };
                }
                let died = self.live.get(&(key, generation)).is_none_or(|live| live.died);
                if !died {
                    self.died(key, generation, Exit::Unknown);
                }
                self.step(key, generation, Event::Gone { swept });
            }
            Report::Stray { pid } => {
                self.shared.recorder.supervisor("process.stray", json!({"pid": pid}));
            }
            Report::Pong { .. } => {}
            Report::Reexecuted { version: [major, minor, patch] } => {
                let pid = self.shared.keeper_info().pid;
                let fields = json!({"pid": pid, "version": format!("{major}.{minor}.{patch}")});
                self.shared.recorder.supervisor("keeper.reexecuted", fields);
            }
            Report::Kept { errno } => {
                let why = match errno {
                    Some(errno) => Report::errno_text(errno),
                    None => "this build does not read what it writes down",
                };
                self.shared.recorder.supervisor("keeper.kept", json!({"message": why}));
            }
        }
    }

    fn order(&self, order: u64) -> Option<(Key, u64)> {
        self.orders.get(&order).copied()
    }

    fn spawned(&mut self, order: u64, pid: u32, pidfd: Pidfd) {
        let Some((key, generation)) = self.order(order) else { return };
        let Some(live) = self.live.get_mut(&(key, generation)) else { return };
        let pidfd = Arc::new(pidfd);
        live.pidfd = Some(pidfd.clone());
        live.link.set_pid(pid);
        self.persist.leader(order, pid, self.clock.now());
        if let Some(slot) = self.slots.get(&key) {
            self.shared.leaders.add(pid, order, slot.id.clone());
        }
        super::watch::watch(pidfd, self.happenings.clone(), key, generation);
        if let Some(slot) = self.slots.get(&key) {
            let command = slot.told().of(generation).command.clone();
            let fields = json!({"pid": pid, "command": command});
            self.shared.recorder.plugin(slot, generation, "plugin.spawned", fields);
        }
        self.step(key, generation, Event::Spawned { pid });
    }

    /// The pidfd says so first, perhaps; the keeper says how.
    pub(super) fn ended(&mut self, key: Key, generation: u64) {
        let Some(live) = self.live.get(&(key, generation)).filter(|live| !live.died) else {
            return;
        };
        live.link.close();
        for (after, last) in [(WORD_FOR_CALLS, false), (WORD_FOR_STATUS, true)] {
            let happenings = self.happenings.clone();
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                happenings.tell(Happening::Overdue { key, generation, last });
            });
        }
    }

    pub(super) fn overdue(&mut self, key: Key, generation: u64, last: bool) {
        let Some(live) = self.live.get(&(key, generation)).filter(|live| !live.died) else {
            return;
        };
        if last {
            self.died(key, generation, Exit::Unknown);
        } else {
            let link = live.link.clone();
            let settle = Settle::Crashed { class: Class::Exit, exit: None };
            self.settle(key, &link, &settle);
        }
    }

    fn died(&mut self, key: Key, generation: u64, exit: Exit) {
        let Some(live) = self.live.get_mut(&(key, generation)).filter(|live| !live.died) else {
            return;
        };
        live.died = true;
        let link = live.link.clone();
        link.close();
        link.finish_words();
        // What the plugin answered with its last breath was read just now and comes before its end.
        self.fetch_told();
        if let Some(slot) = self.slots.get(&key) {
            let fields = json!({"exit": crate::observe::exit_json(&exit)});
            self.shared.recorder.plugin(slot, generation, "plugin.exited", fields);
        }
        self.step(key, generation, Event::Died(exit));
    }

    pub(super) async fn keeper_died(&mut self) {
        let now = self.clock.now();
        self.keeper = None;
        self.shared.recorder.supervisor("keeper.died", json!({}));
        self.keeper_deaths.push_back(now);
        while self.keeper_deaths.front().is_some_and(|at| now.since(*at) > DEATHS_WITHIN) {
            self.keeper_deaths.pop_front();
        }
        for live in self.live.values_mut() {
            live.died = true;
            live.link.close();
            live.link.finish_words();
        }
        let effects = self.fleet.keeper_lost(now);
        self.carry_out(effects);
        self.orders.clear();
        self.shared.sweep_after_keeper().await;
        self.shared.leaders.clear();
        if self.keeper_deaths.len() >= DEATHS {
            self.gave_up = true;
            return;
        }
        match self.shared.start_keeper(self.clock.now()) {
            Ok(keeper) => {
                self.persist
                    .set_fleet(keeper.keeper().containment().fleet.clone(), self.clock.now());
                self.keeper = Some(keeper);
                let effects = self.fleet.keeper_back(self.clock.now());
                self.carry_out(effects);
            }
            Err(error) => {
                self.shared
                    .recorder
                    .supervisor("keeper.died", json!({"message": error.to_string()}));
                self.gave_up = true;
            }
        }
    }
}

fn exit_of(exit: ExitStatus) -> Exit {
    match exit {
        ExitStatus::Code(code) => Exit::Code(code),
        ExitStatus::Signal { oom: true, .. } => Exit::Oom,
        ExitStatus::Signal { core, .. } => {
            Exit::Signal { name: exit.signal_name().unwrap_or("a real-time signal"), core }
        }
    }
}
