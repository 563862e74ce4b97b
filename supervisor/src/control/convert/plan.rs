//! Plans of the host as the API shows them.

use outboard_core::plan as core;

use super::{millis, text};
use crate::control::api;
use crate::host::{Plan, Step};

/// A whole plan, its steps in the order in which screens show them.
#[must_use]
pub fn plan(plan: &Plan) -> api::Plan {
    let mut steps: Vec<api::Step> = plan.steps.iter().map(step).collect();
    steps.sort_by(|a, b| (a.action, &a.plugin).cmp(&(b.action, &b.plugin)));
    let setting = |(at_once, change): &(bool, core::Difference)| api::Setting {
        change: difference(change),
        at_once: *at_once,
    };
    api::Plan {
        revision: plan.revision,
        steps,
        settings: plan.settings.iter().map(setting).collect(),
        untouched: plan.untouched as u64,
        excepted: plan.excepted.iter().map(|id| id.to_string()).collect(),
        warnings: plan.warnings.clone(),
        isolation: crate::host::ISOLATION.to_owned(),
    }
}

fn step(step: &Step) -> api::Step {
    api::Step {
        plugin: step.id.to_string(),
        action: match step.action {
            core::Action::Add => api::Action::Add,
            core::Action::Remove => api::Action::Remove,
            core::Action::InPlace | core::Action::Tell => api::Action::InPlace,
            core::Action::Swap => api::Action::Swap,
            core::Action::Restart => api::Action::Restart,
            core::Action::Start => api::Action::Start,
            core::Action::Stop => api::Action::Stop,
            core::Action::Hold => api::Action::Held,
            core::Action::Rest => api::Action::Rest,
        },
        manifest: text(&step.manifest),
        changes: step.changes.iter().map(difference).collect(),
        told: step.action == core::Action::Tell,
        clients: step.clients,
        held_ms: step.held_for.map(millis),
        mended: step.mended,
        rests: step.rests,
        calls_wait: step.calls_wait,
        start_ms: step.start_took.map(millis),
    }
}

fn difference(difference: &core::Difference) -> api::Difference {
    api::Difference {
        key: difference.key.to_string(),
        from: difference.from.clone(),
        to: difference.to.clone(),
    }
}
