//! A swap's end in the words of the API.

use jsonrpsee::core::RpcResult;
use jsonrpsee::types::ErrorObjectOwned;
use outboard_core::NoSwap;

use super::api::{self, Refusal, SwapVerdict};
use super::convert::{self, Clocks};
use super::rpc::refused_with;
use crate::host::{Judged, NoVersion, Swapped};
use crate::observe;

/// The answer, or why nothing was done.
pub(super) fn answer(id: &str, swapped: Swapped, clocks: Clocks) -> RpcResult<api::Swap> {
    let nothing = api::Swap {
        schema: api::SCHEMA,
        plugin: id.to_owned(),
        verdict: SwapVerdict::InForce,
        reason: None,
        mode: None,
        from: None,
        trial: None,
        serving: None,
        active_after_ms: None,
        canary: Vec::new(),
        probes: 0,
        took_ms: 0,
        calls: api::SwapCalls::default(),
        said: None,
        outcome: None,
    };
    let report = match swapped {
        Swapped::Refused(refused) => return Err(refusal(id, &refused)),
        Swapped::InForce(outcome) => {
            let outcome = outcome.as_ref().map(|outcome| convert::outcome(outcome, clocks));
            return Ok(api::Swap { outcome, ..nothing });
        }
        Swapped::Done(report) => report,
    };
    let (verdict, reason) = match report.verdict {
        Judged::Switched => (SwapVerdict::Switched, None),
        Judged::RolledBack(why) => (SwapVerdict::RolledBack, Some(why)),
        Judged::Abandoned(why) => (SwapVerdict::Abandoned, Some(why)),
    };
    let ms = convert::millis;
    let answered = report.answered.into_iter();
    Ok(api::Swap {
        verdict,
        reason,
        mode: Some(observe::swap_mode(report.mode).to_owned()),
        from: Some(report.from),
        trial: Some(report.trial).filter(|generation| *generation != 0),
        serving: Some(report.now),
        active_after_ms: report.active_after.map(ms),
        canary: report
            .canary
            .into_iter()
            .map(|(answered, took)| api::CanaryProbe { answered, ms: ms(took) })
            .collect(),
        probes: report.probes,
        took_ms: ms(report.took),
        calls: api::SwapCalls {
            answered: answered
                .map(|(generation, calls)| api::Answered { generation, calls })
                .collect(),
            failed: report.failed,
        },
        said: report.said,
        ..nothing
    })
}

/// There is no such version to swap in.
pub(super) fn no_version(id: &str, wrong: NoVersion) -> ErrorObjectOwned {
    match wrong {
        NoVersion::Unknown => error(id, &Refusal::NOT_FOUND, format!("no plugin `{id}`")),
        NoVersion::Wrong(problems) => {
            let errors = problems.iter().filter(|problem| problem.is_error());
            let said: Vec<String> = errors.map(|problem| problem.sentence()).collect();
            error(id, &Refusal::BAD_MANIFEST, said.join("\n"))
        }
    }
}

fn refusal(id: &str, refused: &NoSwap) -> ErrorObjectOwned {
    let (refusal, message) = match refused {
        NoSwap::UnderWay => {
            (&Refusal::UNDER_WAY, format!("a swap of {id} is under way; it ends by itself"))
        }
        NoSwap::Stopping => {
            (&Refusal::STOPPED, format!("{id} is being stopped, which was asked for before"))
        }
        NoSwap::Unkillable => (
            &Refusal::UNKILLABLE,
            format!("a process of {id} survived SIGKILL: nothing is started beside it"),
        ),
        NoSwap::Requires(ids) => (
            &Refusal::NOT_READY,
            format!("the new version of {id} requires {}, which is not active", ids.join(", ")),
        ),
        NoSwap::HostExit => (&Refusal::HOST_EXIT, "the supervisor is going away".to_owned()),
    };
    error(id, refusal, message)
}

fn error(id: &str, refusal: &Refusal, message: String) -> ErrorObjectOwned {
    let data = api::ErrorData { plugin: Some(id.to_owned()), ..api::ErrorData::default() };
    refused_with(refusal, message, data)
}
