//! What is no message: junk, rejects, answers to nobody. Counted, bounded, said now and then; and never a reason to
//! leave a call to its deadline.

use outboard_core::{Detail, Event, Seen};
use outboard_wire::dialect::Tag;
use outboard_wire::message::RemoteError;
use outboard_wire::peer::{Answered, Resolved};
use outboard_wire::{CallError, Id, Reason, Reject};
use serde_json::json;

use super::super::call::Token;
use super::super::noise::Heard;
use super::super::procfs;
use super::super::view::LogSource;
use super::{Link, Pending, State};

/// Bytes of a junk line that are logged.
const JUNK_SHOWN: usize = 512;

impl Link {
    /// An answer to an id that nobody asked for; an error among them may be all that the plugin says of its trouble.
    pub(super) fn orphan(&self, id: &Id, error: Option<&RemoteError<'_>>) {
        let mut state = self.state();
        self.say_orphan(&mut state, Some(id), error);
        // Unknown ids count like junk; they are said under their own name.
        let heard = state.noise.hear(self.clock.now(), 0);
        drop(state);
        self.heard(Heard { say: None, ..heard }, None);
    }

    /// While the opening is out, its id is said too: the answer may have been meant for it.
    fn say_orphan(&self, state: &mut State, id: Option<&Id>, error: Option<&RemoteError<'_>>) {
        self.slot.stats.orphan_replies.add(1);
        let opening = |pending: &Pending| matches!(pending.token, Token::Tagged(Tag::Open(_)));
        let waiting = if state.opened { None } else { state.peer.find(opening).pop() };
        let total = self.slot.stats.orphan_replies.now();
        let id = id.map_or_else(|| "null".to_owned(), Id::to_string);
        let message = error.map(error_text);
        let fields = json!({"id": id, "waiting": waiting, "total": total, "message": message});
        self.say(state, "wire.orphan_reply", fields);
    }

    /// An answer to a call that was given up before it came: told, and no noise.
    pub(super) fn late(&self, state: &mut State, id: &Id) {
        self.slot.stats.late_replies.add(1);
        let total = self.slot.stats.late_replies.now();
        let fields = json!({"id": id.to_string(), "total": total, "late": true});
        self.say(state, "wire.orphan_reply", fields);
    }

    /// Bytes at the end of the stream without the end of their line are no frame: shown, and never acted upon.
    pub(super) fn fragment(&self, bytes: u64, kept: &[u8]) {
        let fields = json!({"bytes": bytes, "excerpt": self.excerpt(kept)});
        self.recorder.plugin(&self.slot, self.generation, "wire.fragment", fields);
    }

    pub(super) fn reject(&self, frame: &str, reject: &Reject) {
        let name = reject.reason.as_str();
        if let Some(id) = reject.blamed() {
            let error = CallError::rejected(self.callee(), reject, self.max_depth);
            if reject.request {
                // A request of the plugin that cannot be read gets an answer all the same.
                self.state().peer.answer_error(id, &error.to_json());
                self.kick.notify_one();
            } else {
                self.fail_salvaged(id, error);
            }
        }
        self.slot.stats.rejects.add(1);
        if reject.jsonrpc {
            let fields = json!({"reason": name, "excerpt": self.excerpt(frame.as_bytes())});
            self.say(&mut self.state(), "wire.reject", fields);
        }
        self.junk(name, frame.len() as u64, frame.as_bytes());
        if reject.jsonrpc && reject.reason == Reason::Id && !reject.request {
            let mut state = self.state();
            if state.seen != Seen::Frames {
                state.seen = Seen::OtherId;
            }
            self.say_orphan(&mut state, None, None);
        }
    }

    pub(super) fn too_long(&self, bytes: u64, id: Option<&Id>) {
        self.slot.stats.too_long.add(1);
        let fields = json!({"bytes": bytes, "id": id.map(Id::to_string)});
        self.say(&mut self.state(), "wire.too_long", fields);
        if let Some(id) = id {
            let error = CallError::inbound_too_large(self.callee(), bytes, self.max_frame);
            self.fail_salvaged(id, error);
        }
    }

    /// An answer that is no valid message fails its call and does not leave it to its deadline.
    fn fail_salvaged(&self, id: &Id, error: CallError) {
        let mut state = self.state();
        let Resolved::Pending(Answered { token: pending, id, .. }) = state.peer.resolve(id) else {
            return;
        };
        match pending.token {
            Token::Tagged(tag) => {
                let State { dialect, asks, .. } = &mut *state;
                // As if it had not been answered: the dialect may have another way, and the phase its end.
                dialect.on_tag_timeout(tag, asks);
                if state.probe.as_ref().is_some_and(|probe| probe.id == id) {
                    state.probe = None;
                }
                self.run_asks(&mut state);
            }
            token => {
                state.tally.failed += 1;
                self.check_drained(&mut state);
                drop(state);
                token.fail(error);
            }
        }
    }

    /// A line that is no message; `kind` says in what way.
    pub(super) fn junk(&self, kind: &'static str, bytes: u64, line: &[u8]) {
        self.slot.stats.junk_lines.add(1);
        let now = self.clock.now();
        let heard = {
            let mut state = self.state();
            if state.seen == Seen::Nothing || state.seen == Seen::StderrOnly {
                state.seen = Seen::JunkOnly;
            }
            state.noise.hear(now, bytes)
        };
        // In a flood most lines are only counted: no text is made of them.
        if self.recorder.admits(&self.slot, self.generation) {
            let text = self.excerpt(line);
            self.recorder.log(&self.slot, self.generation, LogSource::Out, None, text);
        } else {
            self.dropped_line(&mut self.state());
        }
        if self.strict {
            let message = format!("a line on stdout is no message: {}", self.excerpt(line));
            self.broken(Detail { detail: "junk", message });
        }
        if heard != Heard::default() {
            self.heard(heard, Some((kind, line)));
        }
    }

    /// Says what junk has changed. `newest` is the kind and the text of the line that it is said of.
    pub(super) fn heard(&self, heard: Heard, newest: Option<(&'static str, &[u8])>) {
        if let Some(lines) = heard.say {
            let total = self.slot.stats.junk_lines.now();
            let mut fields = json!({"lines": lines, "total": total});
            if let Some((kind, line)) = newest {
                fields["kind"] = kind.into();
                fields["excerpt"] = self.excerpt(line).into();
                if let Err(bad) = std::str::from_utf8(line) {
                    fields["offset"] = bad.valid_up_to().into();
                }
                // The usual reason for a torn frame is a child that inherited the plugin's stdout.
                let writers = self.other_writers();
                if !writers.is_empty() {
                    fields["writers"] = writers.into();
                }
            }
            self.recorder.plugin(&self.slot, self.generation, "wire.junk", fields);
        }
        if let Some(noisy) = heard.turned {
            self.tell(Event::Noisy(noisy));
        }
    }

    /// Processes of the plugin's tree, itself left out, that hold its stdout.
    fn other_writers(&self) -> Vec<u32> {
        let Ok(stat) = nix::sys::stat::fstat(&self.stdout) else { return Vec::new() };
        procfs::holders(self.pid(), stat.st_ino)
    }

    /// A log line was dropped for want of a place: more is said than anybody can read.
    pub(super) fn dropped_line(&self, state: &mut State) {
        if let Some(noisy) = state.noise.lose(self.clock.now()) {
            self.tell(Event::Noisy(noisy));
        }
    }

    pub(super) fn broken(&self, detail: Detail) {
        self.tell(Event::LinkBroken(detail));
    }

    /// The beginning of a line, without secrets.
    fn excerpt(&self, line: &[u8]) -> String {
        self.slot.log.redactor().excerpt(line, JUNK_SHOWN)
    }
}

/// A plugin's error as it is told.
pub(super) fn error_text(error: &RemoteError<'_>) -> String {
    format!("error {}: {}", error.code, error.message)
}
