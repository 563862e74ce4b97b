//! Whom a request means, and what is said to one that cannot be granted.

use jsonrpsee::core::RpcResult;
use jsonrpsee::types::ErrorObjectOwned;
use outboard_core::PluginId;

use super::api::{self, Refusal};
use super::convert;
use super::rpc::{refused, refused_with};
use super::select::{SelectError, select};
use super::server::Ending;
use crate::host::upgrade::{NoRehearsal, Refused};
use crate::host::{ReloadError, SupervisorView};
use crate::nearest::nearest;

fn ids(view: &SupervisorView) -> Vec<&str> {
    view.plugins.iter().map(|plugin| &*plugin.snapshot.id).collect()
}

pub(super) fn pick(
    view: &SupervisorView,
    patterns: &[String],
    all: bool,
) -> RpcResult<Vec<PluginId>> {
    match select(&ids(view), patterns, all) {
        Ok(picked) => Ok(picked.into_iter().map(PluginId::from).collect()),
        Err(SelectError::Nothing) => {
            let data = api::ErrorData { ids: names(view), ..Default::default() };
            let message = "no plugin is named: give ids, or all";
            Err(refused_with(&Refusal::NOTHING_NAMED, message, data))
        }
        Err(SelectError::Unknown { pattern, nearest }) => Err(unknown(view, &pattern, nearest)),
    }
}

/// The plugin of exactly this id.
pub(super) fn one(view: &SupervisorView, id: &str) -> RpcResult<PluginId> {
    let found = view.plugins.iter().find(|plugin| *plugin.snapshot.id == *id);
    found
        .map(|plugin| plugin.snapshot.id.clone())
        .ok_or_else(|| unknown(view, id, nearest(id, ids(view).into_iter()).map(str::to_owned)))
}

pub(super) fn unknown(
    view: &SupervisorView,
    id: &str,
    nearest: Option<String>,
) -> ErrorObjectOwned {
    let data = api::ErrorData {
        plugin: Some(id.to_owned()),
        nearest,
        ids: names(view),
        ..Default::default()
    };
    refused_with(&Refusal::NOT_FOUND, format!("no plugin `{id}`"), data)
}

fn names(view: &SupervisorView) -> Vec<String> {
    ids(view).into_iter().map(str::to_owned).collect()
}

/// Why a reload changed nothing.
pub(super) fn not_reloaded(error: ReloadError) -> ErrorObjectOwned {
    let message = error.to_string();
    match error {
        ReloadError::Unreadable(_) => {
            let data = api::ErrorData { problems: vec![message.clone()], ..Default::default() };
            refused_with(&Refusal::REJECTED, message, data)
        }
        ReloadError::Rejected { problems, text, .. } => {
            let message = match problems.len() {
                1 => "1 error; nothing was changed".to_owned(),
                n => format!("{n} errors; nothing was changed"),
            };
            let data = api::ErrorData { problems, text: Some(text), ..Default::default() };
            refused_with(&Refusal::REJECTED, message, data)
        }
        ReloadError::Conflict { plan } => {
            let message = format!(
                "nothing was changed: revision {} is in force, and another one was meant",
                plan.revision
            );
            let plan = Some(Box::new(convert::plan(&plan)));
            refused_with(&Refusal::CONFLICT, message, api::ErrorData { plan, ..Default::default() })
        }
        ReloadError::UnknownId { id, known } => {
            let nearest = nearest(&id, known.iter().map(String::as_str)).map(str::to_owned);
            let data =
                api::ErrorData { plugin: Some(id), nearest, ids: known, ..Default::default() };
            refused_with(&Refusal::NOT_FOUND, message, data)
        }
        ReloadError::Ended => ending(None),
    }
}

pub(super) fn ending(why: Option<Ending>) -> ErrorObjectOwned {
    match why {
        Some(Ending::Upgrade) => refused(
            &Refusal::UPGRADE,
            "the supervisor goes over to another build; what was asked for goes on",
        ),
        Some(Ending::HostExit) | None => {
            refused(&Refusal::HOST_EXIT, "the supervisor is going away")
        }
    }
}

pub(super) fn not_upgraded(why: &Refused) -> Refusal {
    match why {
        Refused::NotOffered => Refusal::UPGRADE_NOT_OFFERED,
        Refused::NotNow(_) => Refusal::CONFLICT,
        Refused::Rehearsal(NoRehearsal::NotStarted { .. }) => Refusal::UPGRADE_NOT_STARTED,
        Refused::Rehearsal(NoRehearsal::Hung { .. }) => Refusal::UPGRADE_HUNG,
        Refused::Rehearsal(NoRehearsal::Crashed { .. }) => Refusal::UPGRADE_CRASHED,
        Refused::Rehearsal(NoRehearsal::Unreadable { .. }) => Refusal::UPGRADE_UNREADABLE,
    }
}

/// The task of a change panicked: the host's own net has dealt with that, but nobody knows the outcome.
pub(super) fn broken() -> ErrorObjectOwned {
    refused(&Refusal::INTERNAL, "the outcome is not known")
}
