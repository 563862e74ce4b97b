//! Turns what happened into events that people and programs read. No decisions.

mod notes;
mod printable;
mod sentence;

pub use notes::{
    action, class, describe, exit_json, exit_text, health, phase, rung, state, swap_mode,
};
pub use printable::{is_unsafe, printable_json};
pub use sentence::sentence;

/// Every event name there is; a closed list.
pub const EVENTS: &[&str] = &[
    "supervisor.started",
    "supervisor.stopping",
    "supervisor.upgrade_started",
    "supervisor.upgrade_refused",
    "supervisor.upgraded",
    "supervisor.upgrade_failed",
    "supervisor.stopped",
    "keeper.started",
    "keeper.died",
    "keeper.reexecuted",
    "keeper.kept",
    "plugin.registered",
    "plugin.removed",
    "plugin.asked",
    "plugin.reconfigured",
    "plugin.state",
    "plugin.phase",
    "plugin.phase_extended",
    "plugin.spawned",
    "plugin.opened",
    "plugin.exited",
    "plugin.failure",
    "plugin.unkillable",
    "plugin.executable_changed",
    "restart.scheduled",
    "restart.gave_up",
    "probe.missed",
    "probe.excused",
    "health.changed",
    "stop.rung",
    "stop.finished",
    "plugin.swept",
    "dependency.waiting",
    "wire.junk",
    "wire.too_long",
    "wire.fragment",
    "wire.reject",
    "wire.orphan_reply",
    "wire.orphan_error",
    "wire.violation",
    "wire.note",
    "call.kept_for_replay",
    "mcp.list_changed",
    "mcp.resource_updated",
    "event.dropped",
    "client.cut_off",
    "client.missed",
    "client.refused",
    "client.silent",
    "log.dropped",
    "log.trouble",
    "clock.stall",
    "process.stray",
    "storm.began",
    "build.started",
    "build.finished",
    "build.failed",
    "swap.started",
    "swap.active",
    "swap.canary",
    "swap.switched",
    "swap.rolled_back",
    "swap.abandoned",
    "swap.done",
    "reaper.removed",
    "reaper.skipped",
    "state.unreadable",
    "config.rejected",
    "config.applied",
    "config.answered",
    "internal.surprise",
    "internal.panic",
];

/// The one spelling of an event name, if it is in the list.
#[must_use]
pub fn event_name(name: &str) -> Option<&'static str> {
    EVENTS.iter().find(|known| **known == name).copied()
}
