//! `outboard reload`: read the manifests again; plan, or do it.

use std::path::Path;

use super::change::watched;
use super::{Ended, connect};
use crate::cli::args::ReloadArgs;
use crate::cli::exit::Exit;
use crate::cli::render::change::{Asked, ChangeScreen};
use crate::cli::render::{Screen, plan};
use crate::cli::trouble::Trouble;
use crate::control::api::{Action, Change, End, Reload, Reloading, SCHEMA};
use crate::control::{ClientError, ControlClient};

pub(super) async fn run(args: &ReloadArgs, dir: &Path, screen: &mut Screen) -> Ended {
    let client = connect(dir).await?;
    let request = Reloading {
        plan: args.plan.then_some(true),
        if_revision: args.if_revision,
        except: Some(args.except.clone()).filter(|ids| !ids.is_empty()),
        wait: None,
    };
    let answer = match args.plan || screen.is_json() {
        true => client.reload(request).await,
        false => apply(&client, request, screen).await,
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Err(refused(error, args, screen)),
    };
    if screen.is_json() {
        screen.json(&answer);
    } else if !answer.applied {
        plan::planned(screen, &answer.plan, &exactly(args, answer.plan.revision));
    }
    Ok(Exit::of_change(&change(&answer)))
}

/// Shows the plan, then how it comes about.
async fn apply(
    client: &ControlClient,
    request: Reloading,
    screen: &mut Screen,
) -> Result<Reload, ClientError> {
    // What cannot be planned cannot be applied either, and the attempt is told to whoever follows events.
    let first = client.reload(Reloading { plan: Some(true), ..request.clone() }).await;
    let Ok(first) = first else { return client.reload(request).await };
    let is_empty = first.plan.steps.is_empty() && first.plan.settings.is_empty();
    if !is_empty {
        plan::applying(screen, &first.plan);
    }
    let ids: Vec<String> = first
        .plan
        .steps
        .iter()
        .filter(|step| !matches!(step.action, Action::InPlace | Action::Rest | Action::Held))
        .map(|step| step.plugin.clone())
        .collect();
    let mut shown = ChangeScreen::new(Asked::Restart, &ids);
    let mut answer = None;
    // On top of what was shown, and of nothing else.
    let request = Reloading { if_revision: Some(first.plan.revision), ..request };
    let work = async {
        let reloaded = client.reload(request).await?;
        let outcome = change(&reloaded);
        answer = Some(reloaded);
        Ok(outcome)
    };
    let outcome = watched(client, &mut shown, screen, work).await?;
    let Some(reloaded) = answer else { return Err(ClientError::Lost) };
    shown.finish_quietly(screen, &outcome);
    for id in rolled_back(&reloaded) {
        let then = "the version before it serves on; once it is mended: outboard reload";
        screen.line(&format!("{id}: {then}"));
    }
    if reloaded.revision == reloaded.plan.revision {
        plan::unchanged(screen, &reloaded.plan);
    } else {
        screen.line(&format!("revision {} is in force", reloaded.revision));
    }
    Ok(reloaded)
}

/// Those whose new version failed while the old one went on.
fn rolled_back(answer: &Reload) -> impl Iterator<Item = &str> {
    let swaps = answer.plan.steps.iter().filter(|step| step.action == Action::Swap);
    let failed = |id: &str| {
        let mut outcomes = answer.outcomes.iter();
        outcomes.any(|outcome| outcome.plugin == id && outcome.end == End::Failed)
    };
    swaps.map(|step| &*step.plugin).filter(move |id| failed(id))
}

fn change(answer: &Reload) -> Change {
    let plugins = answer.plan.steps.iter().map(|step| step.plugin.clone()).collect();
    Change { schema: SCHEMA, plugins, outcomes: answer.outcomes.clone() }
}

/// What applies the plan that was shown.
fn exactly(args: &ReloadArgs, revision: u64) -> String {
    let mut words = format!("outboard reload --if-revision {revision}");
    for id in &args.except {
        words.push_str(&format!(" --except {id}"));
    }
    words
}

/// Nothing was changed: every error with its place, or the plan for the revision that is in force instead.
fn refused(error: ClientError, args: &ReloadArgs, screen: &mut Screen) -> Trouble {
    let ClientError::Answered { data: Some(data), .. } = &error else { return error.into() };
    match (&data.text, &data.plan) {
        (Some(text), _) => screen.complain(text),
        (None, Some(plan)) if screen.is_json() => screen.json(&Reload {
            schema: SCHEMA,
            revision: plan.revision,
            applied: false,
            plan: (**plan).clone(),
            outcomes: Vec::new(),
        }),
        (None, Some(plan)) => plan::planned(screen, plan, &exactly(args, plan.revision)),
        (None, None) => {}
    }
    error.into()
}
