//! Plans and reloads: what is shown of them.

use std::time::Duration;

use outboard_core::plan::{Action, Difference};

use super::{World, left, three};
use crate::control::fake::{Fake, outcome};
use crate::host::{Ended, Plan, ReloadError, Step};

fn step(id: &str, action: Action, changes: &[(&'static str, &str, &str)]) -> Step {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let change = |(key, from, to): &(&'static str, &str, &str)| Difference {
        key: (*key).into(),
        from: text(from),
        to: text(to),
    };
    Step {
        id: id.into(),
        action,
        manifest: format!("manifests/{id}.toml").into(),
        changes: changes.iter().map(change).collect(),
        clients: 0,
        held_for: None,
        mended: false,
        rests: false,
        calls_wait: true,
        start_took: None,
    }
}

fn planned(fake: Fake) -> Fake {
    fake.with(|state| {
        let deadline = ("calls.deadline", "30s", "10s");
        state.plan = Plan {
            revision: 7,
            steps: vec![
                Step {
                    held_for: Some(Duration::from_secs(7200)),
                    ..step("files", Action::Hold, &[deadline])
                },
                step("geo", Action::InPlace, &[deadline]),
                step("github", Action::Swap, &[("executable", "2026.8.1", "2026.8.31")]),
                step("kept", Action::Tell, &[("config.units", "", "")]),
                step(
                    "lazy",
                    Action::Rest,
                    &[
                        deadline,
                        ("description", "", "new"),
                        ("lazy", "", ""),
                        ("wire.max_depth", "128", "99"),
                    ],
                ),
                Step { mended: true, ..step("mended", Action::Start, &[]) },
                step("off", Action::Stop, &[("enabled", "true", "false")]),
                Step {
                    start_took: Some(Duration::from_secs(1)),
                    ..step("postgres", Action::Restart, &[("process.env.PG_URL", "", "")])
                },
                Step {
                    calls_wait: false,
                    ..step("refuses", Action::Restart, &[("dialect", "native", "mcp")])
                },
                Step { clients: 2, ..step("time", Action::Remove, &[]) },
                step("weather", Action::Add, &[]),
                Step { rests: true, ..step("wrapped", Action::Add, &[]) },
            ],
            settings: vec![(
                false,
                Difference { key: "logs.journal".into(), from: Some("64MiB".into()), to: None },
            )],
            untouched: 4,
            excepted: vec!["broken".into()],
            warnings: vec!["`docker run` without --init (jira.toml:3)".to_owned()],
        };
        state.outcomes = vec![
            outcome("postgres", 1_200, Ended::Active),
            outcome("time", 20, Ended::Stopped(Some(left()))),
            outcome("weather", 480, Ended::Active),
        ];
    });
    fake
}

#[tokio::test]
async fn a_reload_says_what_and_why_and_what_it_costs() {
    let world = World::new(planned(three()));
    let mut all = String::new();
    let mut type_ = async |fake: &Fake, words: &[&str]| {
        let (exit, text) = world.types(words).await;
        let asked = fake.with(|state| std::mem::take(&mut state.asked)).join(", ");
        all.push_str(&format!(
            "$ outboard {}  ({}: {asked})\n{text}\n",
            words.join(" "),
            exit as u8
        ));
    };
    let fake = world.fake.clone();
    type_(&fake, &["reload", "--plan"]).await;
    type_(&fake, &["reload", "--except", "broken", "odd"]).await;
    fake.with(|state| {
        state.reload_error = Some(ReloadError::Conflict { plan: Box::new(state.plan.clone()) })
    });
    type_(&fake, &["reload", "--if-revision", "6"]).await;
    fake.with(|state| {
        state.reload_error = Some(ReloadError::Rejected {
            problems: vec!["a".into(), "b".into()],
            text: "error: a\nerror: b\n".into(),
            files: vec![],
        });
    });
    type_(&fake, &["reload"]).await;
    fake.with(|state| {
        state.reload_error = None;
        state.outcomes.clear();
        state.plan = Plan { revision: 7, untouched: 3, ..Default::default() };
    });
    type_(&fake, &["reload"]).await;
    fake.with(|state| state.drift.files = ["geo.toml", "weather.toml"].map(str::to_owned).into());
    type_(&fake, &["status"]).await;
    insta::assert_snapshot!(all);
}
