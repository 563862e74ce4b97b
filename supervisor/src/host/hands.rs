//! Carries out what the core orders. Nothing here waits, and nothing here decides.

use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use outboard_core::{
    Effect, Event, Key, Note, Route, Rung, Settle, StopReason, Verdict, Version, WhileRestarting,
};
use outboard_keeper::Order;
use outboard_wire::dialect::OpenCx;
use serde_json::json;

use super::call::Call;
use super::diagnose::FileIdentity;
use super::dispatch::{DRAIN_AFTER_EXIT, Dispatcher, Live};
use super::launch::{self, NoLaunch};
use super::link::{Link, Parts, refuse_all};
use super::openings::launch_key;
use super::redact::Redactor;
use super::reload::Fingerprint;
use super::slot::Slot;
use super::told::Shown;

impl Dispatcher {
    pub(super) fn act(&mut self, key: Key, generation: u64, effect: Effect) {
        let Some(slot) = self.slots.get(&key).cloned() else { return };
        match effect {
            Effect::Spawn { generation, version } => self.spawn(key, &slot, generation, version),
            Effect::Adopt => self.adopt(key, &slot),
            Effect::Discard => {}
            Effect::Probe { second } => {
                if let Some(live) = self.live.get(&(key, generation)) {
                    live.link.probe(second);
                }
            }
            Effect::Route(route) => self.route(key, generation, &slot, &route),
            Effect::Settle(settle) => {
                let link = self.live.get(&(key, generation)).map(|live| live.link.clone());
                if let Some(link) = link {
                    self.settle(key, &link, &settle);
                }
            }
            Effect::Rung { rung, within, reason } => {
                self.rung((key, generation), &slot, rung, within, reason);
            }
            Effect::Retire { generation } => self.retire(key, generation),
            Effect::LookAtFile => self.look_at_file(key, &slot),
            Effect::Note(note) => self.note(key, generation, &slot, &note),
        }
    }

    fn spawn(&mut self, key: Key, slot: &Arc<Slot>, generation: u64, version: Version) {
        let still = self.live.keys().find(|(owner, _)| *owner == key).map(|(_, other)| *other);
        slot.begin_generation(generation, still);
        self.persist.generation(&slot.id, generation, self.clock.now());
        match self.try_spawn(key, slot, generation, version) {
            Ok(()) => {}
            Err(NoLaunch::Refused(detail)) => self.step(key, generation, Event::Refused(detail)),
            Err(NoLaunch::Failed { permanent, detail }) => {
                self.step(key, generation, Event::SpawnFailed { permanent, detail });
            }
        }
    }

    fn try_spawn(
        &mut self,
        key: Key,
        slot: &Arc<Slot>,
        generation: u64,
        version: Version,
    ) -> Result<(), NoLaunch> {
        let manifest = self.manifest_of(key, slot, version);
        let mut launch = launch::prepare(&manifest)?;
        if version == Version::InForce {
            self.start_from_pin(key, slot, &mut launch)?;
        }
        slot.log.set_redactor(Redactor::new(launch.secrets.iter().cloned()));
        let identity = FileIdentity::of(&launch.program);
        let digest = launch.digest(manifest.dialect.name());
        let launched = match version {
            Version::InForce => {
                slot.launched(generation, &digest);
                String::new()
            }
            Version::Next => launch_key(&digest, &manifest),
        };
        let hint = self.persist.hint(&digest);
        let (ours, theirs) = launch::pipes().map_err(|error| launch::failed_here(&error))?;
        let own_env = [
            ("OUTBOARD_PROTOCOL", "1".to_owned()),
            ("OUTBOARD_PLUGIN", slot.id.to_string()),
            ("OUTBOARD_INSTANCE", format!("{}-0", slot.id)),
            ("OUTBOARD_GENERATION", generation.to_string()),
        ];
        self.next_order += 1;
        let number = self.next_order;
        let order = launch::order(number, &launch, &manifest, &own_env, theirs)?;
        // Sent before anything else is made ready: the rest is done while the plugin starts. A keeper that takes no orders
        // is dead, and its death takes this generation with it.
        if let Some(keeper) = &mut self.keeper
            && let Err(error) = keeper.order(Order::Spawn(Box::new(order)))
        {
            return Err(launch::failed_here(&std::io::Error::other(error.to_string())));
        }
        let link = Link::start(Parts {
            key,
            generation,
            slot: slot.clone(),
            shared: Arc::downgrade(&self.shared),
            manifest: manifest.clone(),
            recorder: self.shared.recorder.clone(),
            happenings: self.happenings.clone(),
            clock: self.clock,
            stdin: ours.stdin,
            stdout: ours.stdout,
            stderr: ours.stderr,
            dialect: crate::dialects::make(&manifest),
            limits: crate::dialects::limits(&manifest),
            strict: manifest.wire.stdout_junk == outboard_manifest::StdoutJunk::Strict,
        });
        let ran = Fingerprint::of(&manifest, &launch, identity);
        let shown = Shown {
            generation,
            protocol: None,
            offers: None,
            executable: Some(launch.program.clone()),
            command: launch.shown,
            digest,
            launch: launched,
            opening: None,
            identity,
            ran: Some(ran),
            reloads: false,
            concurrency: None,
            opened_us: None,
        };
        match version {
            Version::InForce => {
                let before = std::mem::replace(&mut slot.told().shown, shown);
                // A crash is not to be blamed on the file that ran before.
                if before.identity.is_some() && before.identity != identity {
                    let fields = json!({
                        "executable": launch.program.display().to_string(),
                        "before": before.identity.map(FileIdentity::shown),
                        "now": identity.map(FileIdentity::shown),
                    });
                    self.shared.recorder.plugin(
                        slot,
                        generation,
                        "plugin.executable_changed",
                        fields,
                    );
                }
            }
            Version::Next => slot.told().trial = Some(shown),
        }
        link.open(&OpenCx {
            plugin: &slot.id,
            instance: &format!("{}-0", slot.id),
            generation,
            config: &manifest.config,
            host_pid: None,
            hint: hint.as_deref(),
            call: &super::permit::patterns(&manifest.permissions.call),
            publish: &super::permit::patterns(&manifest.permissions.publish),
            events: true,
            limits: crate::dialects::open_limits(&manifest),
        });
        self.orders.insert(number, (key, generation));
        let live = Live {
            order: number,
            link,
            pidfd: None,
            execed: false,
            died: false,
            program: launch.program,
            cwd: launch.cwd,
            identity,
        };
        if let Some(old) = self.live.insert((key, generation), live) {
            old.link.retire();
        }
        Ok(())
    }

    fn route(&mut self, key: Key, generation: u64, slot: &Slot, route: &Route) {
        let link = self.live.get(&(key, generation)).map(|live| live.link.clone());
        // The state that the refusals name is the one that has just been decided.
        slot.publish(self.fleet.snapshot(key));
        let calls = slot.router().set(route, link.as_ref());
        match (route, link) {
            (Route::Open, Some(link)) => {
                link.say_again(&slot.guests.again(link.generation));
                link.call_all(calls);
                link.wants_changed();
                slot.guests.serves(link.generation);
                self.persist.learnt_more(self.clock.now());
            }
            (Route::Open, None) => refuse_all(slot, calls, StopReason::Stop),
            (Route::Hold(why) | Route::Refuse(why), _) => {
                for call in calls {
                    call.refuse(slot.with_refusal(|refusal| refusal.unavailable(*why)));
                }
            }
        }
    }

    /// Settles what is pending on a link. What may wait, and what may be made again, waits for the next generation if
    /// the route holds it.
    pub(super) fn settle(&mut self, key: Key, link: &Link, settle: &Settle) {
        let Some(slot) = self.slots.get(&key).cloned() else { return };
        let usual = if slot.router().takes_over_from(link) {
            // Whatever the manifest says of restarts: another version takes what was not written.
            WhileRestarting::Wait
        } else {
            slot.while_restarting()
        };
        let unsent = link.settle_all(settle, usual);
        self.give_back(
            key,
            &slot,
            unsent,
            match settle {
                Settle::Stopped(reason) => *reason,
                Settle::Crashed { .. } => StopReason::Stop,
            },
        );
    }

    fn give_back(&mut self, key: Key, slot: &Slot, calls: Vec<Call>, reason: StopReason) {
        if calls.is_empty() {
            return;
        }
        // Another generation has taken over meanwhile: what was not written yet is its.
        let open = slot.router().link().cloned();
        if let Some(open) = open {
            return open.call_all(calls);
        }
        let again = calls.iter().filter(|call| call.is_replay()).count();
        let all = calls.len();
        let refused = slot.router().put_back(calls);
        if refused.len() < all {
            // Whoever was about to rest is not to rest on them.
            self.step(key, 0, Event::Called);
        }
        let again = again - refused.iter().filter(|call| call.is_replay()).count();
        if again > 0 {
            let generation = self.fleet.generation(key);
            let fields = json!({"n": again});
            self.shared.recorder.plugin(slot, generation, "call.kept_for_replay", fields);
        }
        let wake = slot.router().next_deadline();
        self.holds.extend(wake.map(|at| (at, key)));
        refuse_all(slot, refused, reason);
    }

    fn rung(
        &mut self,
        (key, generation): (Key, u64),
        slot: &Arc<Slot>,
        rung: Rung,
        within: Duration,
        reason: StopReason,
    ) {
        let Some(live) = self.live.get(&(key, generation)) else { return };
        let link = live.link.clone();
        match rung {
            Rung::Drain => {
                let unsent = link.drain(reason, within);
                self.give_back(key, slot, unsent, reason);
            }
            Rung::Ask => link.ask(reason, within),
            Rung::Leave => link.leave(reason, within),
            Rung::Term => self.terminate(key, generation),
            Rung::Kill => {
                let order = live.order;
                if let Some(keeper) = &mut self.keeper {
                    // A keeper that takes no orders is dead, and everything below it dies by that.
                    keeper.order(Order::Kill { key: order }).unwrap_or_default();
                }
            }
        }
    }

    /// SIGTERM, then SIGCONT, to the group: by pidfd where the kernel can, else by the keeper.
    fn terminate(&mut self, key: Key, generation: u64) {
        let Some(live) = self.live.get(&(key, generation)) else { return };
        let by_pidfd = live.execed
            && live.pidfd.as_ref().is_some_and(|pidfd| {
                pidfd.send_signal_group(Signal::SIGTERM as i32).is_ok()
                    && pidfd.send_signal_group(Signal::SIGCONT as i32).is_ok()
            });
        let order = live.order;
        if !by_pidfd && let Some(keeper) = &mut self.keeper {
            keeper.order(Order::Terminate { key: order }).unwrap_or_default();
        }
    }

    fn retire(&mut self, key: Key, generation: u64) {
        let Some(Live { link, order, .. }) = self.live.remove(&(key, generation)) else { return };
        self.persist.forget_leader(order, self.clock.now());
        if let Some(slot) = self.slots.get(&key) {
            let dropped = self.shared.recorder.logs.take_dropped(&slot.log);
            self.shared.recorder.dropped(slot, generation, Some(dropped).filter(|n| *n > 0));
            slot.router().forget(&link);
            self.count_calls(key, &link);
        }
        self.fading.retain(|link| link.strong_count() > 0);
        self.fading.push(Arc::downgrade(&link));
        let (shared, slot) = (self.shared.clone(), self.slots.get(&key).cloned());
        tokio::spawn(async move {
            // Whoever starts in its place is on the way by then.
            if let Some(slot) = slot {
                shared.keep_failure(&slot, generation);
            }
            tokio::time::sleep(DRAIN_AFTER_EXIT).await;
            // Whoever outlived it may have spoken last.
            link.finish_words();
            link.retire();
        });
    }

    fn look_at_file(&mut self, key: Key, slot: &Arc<Slot>) {
        let before = slot.told().shown.identity;
        let now = match launch::prepare(&slot.manifest()) {
            Ok(launch) => FileIdentity::of(&launch.program),
            Err(_) => None,
        };
        let generation = self.fleet.generation(key);
        self.step(key, generation, Event::FileLooked { changed: now.is_some() && now != before });
    }

    fn note(&mut self, key: Key, generation: u64, slot: &Arc<Slot>, note: &Note) {
        let generation = match note {
            // The next generation may have begun in the same step.
            Note::StateChanged { generation, .. } | Note::Swept { generation, .. } => *generation,
            Note::Stopped(record) => record.generation,
            Note::Failed(failure) => failure.generation,
            _ => generation,
        };
        // A drain with nothing to wait for is no step that anybody waits in.
        let idle = || {
            let live = self.live.get(&(key, generation));
            live.is_none_or(|live| !live.link.needs_drain())
        };
        if matches!(note, Note::RungReached { rung: Rung::Drain, .. }) && idle() {
            return;
        }
        if let Note::Failed(failure) = note {
            // The link of a start that never came about has none.
            let link = self.live.get(&(key, failure.generation));
            slot.remember_failure(
                failure.clone(),
                link.map_or_else(Vec::new, |live| live.link.frames()),
            );
        }
        if let Note::BecameUnkillable { pid } = note {
            // What the kernel says of it is looked at here: the core reads no files.
            let state = pid.and_then(super::procfs::state);
            let fields = json!({"pid": pid, "state": state});
            return self.shared.recorder.plugin(slot, generation, "plugin.unkillable", fields);
        }
        match note {
            // How much was under way between the two frames is for the host to say.
            Note::SwapJudged(Verdict::Switched { from, to }) => {
                let link = self.live.get(&(key, *from)).map(|live| live.link.in_flight());
                let in_flight = link.unwrap_or_default();
                let fields = json!({"before": from, "serving": to, "in_flight": in_flight});
                self.shared.recorder.plugin(slot, generation, "swap.switched", fields);
            }
            _ => self.shared.recorder.note(slot, generation, note),
        }
        self.note_swap(key, generation, slot, note);
    }
}
