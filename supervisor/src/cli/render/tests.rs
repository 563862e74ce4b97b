//! Every screen, as people see it. Words, order and columns count; figures do not.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use outboard_core::{Class, Exit, HealthName, Phase, Rung, StateName, StopRecord};
use serde_json::json;

use super::change::{Asked, ChangeScreen};
use super::run::{Expected, Mode, RunScreen};
use super::screen::Screen;
use super::{change, events, logs, status, swap, why};
use crate::control::convert::{self, Clocks};
use crate::control::fake::{
    self, AT_US, NOW, active, ago, failed, failure, line, outcome, registered, supervisor,
};
use crate::control::{api, convert::rfc3339};
use crate::host::{Dossier, Ended, EventRecord, LogSource, LostCall, PastFailure, PluginView};

fn clocks() -> Clocks {
    Clocks { wall: at(0), now: NOW }
}

/// So many milliseconds after the fake's moment.
fn at(ms: i64) -> Timestamp {
    Timestamp::from_microsecond(AT_US + ms * 1000).unwrap()
}

fn printed(width: usize, f: impl FnOnce(&mut Screen)) -> String {
    let (mut screen, printed) = Screen::for_test(width, false);
    f(&mut screen);
    printed.text()
}

fn fleet() -> Vec<PluginView> {
    let mut geo = active("geo", 7_860);
    geo.snapshot.state = StateName::Degraded;
    geo.snapshot.health = HealthName::Degraded;
    geo.snapshot.health_message = Some("cache cold".to_owned());
    geo.in_flight = 1;
    let mut postgres = active("postgres", 2_460);
    postgres.snapshot.health = HealthName::Busy;
    postgres.snapshot.last_life = Some(ago(14));
    postgres.snapshot.restarts = 1;
    postgres.in_flight = 2;
    let mut time = active("time", 11_520);
    time.clients = 2;
    vec![time, active("files", 11_520), postgres, geo, registered("bash-ls"), failed("github")]
}

fn show_status(width: usize, plugins: Vec<PluginView>) -> String {
    let answer = convert::status(&supervisor(plugins), at(0));
    printed(width, |screen| status::status(screen, &answer))
}

#[test]
fn status_shows_trouble_first_with_a_note() {
    insta::assert_snapshot!(show_status(100, fleet()));
}

#[test]
fn status_lets_columns_fall_on_a_narrow_terminal() {
    insta::assert_snapshot!([80, 60, 40].map(|width| show_status(width, fleet())).join("\n"));
}

#[test]
fn status_of_nothing_says_so() {
    insta::assert_snapshot!(show_status(80, Vec::new()), @r"
    outboard 0.1.0 · up 3h 12m · revision 7 · manifests/
    0 plugins
    ");
}

#[test]
fn every_state_has_a_note_of_its_own() {
    let state = |id: &str, state, change: fn(&mut PluginView)| {
        let mut view = active(id, 5);
        view.snapshot.state = state;
        view.snapshot.health = HealthName::Unknown;
        change(&mut view);
        view
    };
    let plugins = vec![
        state("backoff", StateName::Backoff, |v| {
            v.snapshot.next_try = Some(NOW + Duration::from_millis(400));
            v.snapshot.last_failure = Some(failure(
                Class::Signal,
                "signal",
                "",
                Some(Exit::Signal { name: "SIGSEGV", core: true }),
            ));
        }),
        state("config", StateName::Failed, |v| {
            v.snapshot.last_failure = Some(failure(
                Class::Config,
                "secret-missing",
                "PG_URL is not set (postgres.toml:5)",
                None,
            ));
        }),
        state("disabled", StateName::Registered, |v| v.snapshot.wanted_up = false),
        state("draining", StateName::Stopping, |v| {
            v.snapshot.rung = Some(Rung::Drain);
            v.snapshot.next_try = Some(NOW + Duration::from_secs(3));
        }),
        state("finished", StateName::Registered, |v| v.snapshot.finished = true),
        state("handshake", StateName::Starting, |v| v.snapshot.phase = Some(Phase::Handshake)),
        state("held", StateName::Registered, |v| {
            v.snapshot.wanted_up = false;
            v.held_since = Some(ago(7_200));
        }),
        state("loaded", StateName::Loaded, |_| {}),
        state("queued", StateName::Starting, |v| v.snapshot.phase = Some(Phase::Queued)),
        state("suspect", StateName::Degraded, |v| {
            v.snapshot.health = HealthName::Suspect;
            v.snapshot.last_life = Some(ago(20));
        }),
        state("unkillable", StateName::Unkillable, |v| v.snapshot.pid = Some(9120)),
        state("waiting", StateName::Registered, |v| {
            v.snapshot.waiting_for = vec!["auth".into(), "cache".into()];
        }),
    ];
    insta::assert_snapshot!(show_status(100, plugins));
}

#[test]
fn what_a_plugin_says_cannot_steer_the_terminal() {
    let mut geo = active("geo", 5);
    geo.snapshot.state = StateName::Degraded;
    geo.snapshot.health = HealthName::Degraded;
    geo.snapshot.health_message = Some("\x1b[2Jgone\r\n".to_owned());
    let text = show_status(100, vec![geo]);
    assert!(text.contains(r"it says: \e[2Jgone\r\n"), "{text}");
    assert!(!text.contains('\x1b'));
}

#[test]
fn list_is_for_scripts() {
    let answer = convert::status(&supervisor(fleet()), at(0));
    let text = printed(80, |screen| status::list(screen, &answer));
    assert_eq!(text, "bash-ls\nfiles\ngeo\ngithub\npostgres\ntime\n");
    let (mut screen, json) = Screen::for_test(80, true);
    status::list(&mut screen, &answer);
    assert!(
        json.text().starts_with("{\"schema\":1,\"id\":\"bash-ls\",\"state\":\"registered\"}\n")
    );
}

fn happened(ms: i64, plugin: &str, name: &'static str, fields: serde_json::Value) -> EventRecord {
    fake::event(u64::try_from(ms + 1).unwrap(), ms, plugin, name, fields)
}

fn dossier(view: PluginView) -> Dossier {
    let last = view.snapshot.last_failure.clone().unwrap();
    let earlier = (1..=5)
        .map(|n| PastFailure {
            failure: outboard_core::Failure {
                at: ago(4 + n * 5),
                generation: 6 - n,
                ..last.clone()
            },
            at_us: None,
            up: Some(Duration::from_millis(2_900 + n * 40)),
        })
        .rev()
        .collect();
    Dossier {
        failure: last,
        view,
        last_words: vec![
            "at connect()".to_owned(),
            "Error: connect ECONNREFUSED 127.0.0.1:5432".to_owned(),
        ],
        stderr_lines: 13,
        at_us: None,
        up: Some(Duration::from_secs(3)),
        words_at: Vec::new(),
        frames: Vec::new(),
        timeline: vec![
            happened(
                0,
                "github",
                "plugin.spawned",
                json!({
                "pid": 8841, "command": ["npx", "-y", "@modelcontextprotocol/server-github"]}),
            ),
            happened(784, "github", "plugin.phase", json!({"phase": "handshake"})),
            happened(
                896,
                "github",
                "plugin.state",
                json!({"from": "loaded", "to": "active", "reason": ""}),
            ),
            happened(4_003, "github", "wire.junk", json!({"lines": 1, "excerpt": "hello"})),
            happened(4_006, "github", "plugin.exited", json!({"exit": {"code": 1}})),
        ],
        lost: vec![
            LostCall {
                method: "tools/call search_code".to_owned(),
                after: Duration::from_millis(34),
                sent: true,
            },
            LostCall {
                method: "tools/list".to_owned(),
                after: Duration::from_millis(2),
                sent: false,
            },
        ],
        lost_total: 9,
        earlier,
        cpu: Some(Duration::from_millis(1_100)),
        peak_kib: Some(82_944),
        swept: Some(0),
    }
}

fn show_why(view: PluginView, change: impl FnOnce(&mut Dossier)) -> String {
    let mut dossier = dossier(view);
    change(&mut dossier);
    let answer = api::Why {
        schema: 1,
        plugin: convert::plugin(&dossier.view, clocks()),
        refused: dossier.view.refused.clone(),
        dossier: Some(convert::dossier(&dossier, clocks())),
    };
    printed(100, |screen| why::why(screen, &answer, false, at(0)))
}

#[test]
fn why_gives_the_verdict_and_then_the_evidence() {
    insta::assert_snapshot!(show_why(failed("github"), |_| {}));
}

#[test]
fn why_tells_a_crash_that_is_over() {
    let mut view = active("github", 60);
    view.snapshot.generation = 7;
    view.snapshot.last_failure = failed("github").snapshot.last_failure;
    let text = show_why(view, |dossier| {
        dossier.lost_total = 0;
        dossier.lost.clear();
        dossier.earlier.clear();
        dossier.last_words.clear();
        dossier.timeline.truncate(1);
    });
    insta::assert_snapshot!(text);
}

#[test]
fn why_shows_a_refused_manifest_as_check_does() {
    let mut view = failed("github");
    view.snapshot.next_try = None;
    view.snapshot.last_failure =
        Some(failure(Class::Config, "manifest", "unknown section `restrat`", None));
    view.refused = Some(
        "error: unknown section `restrat`\n  manifests/github.toml:14:2\n   14 | [restrat]\n      |  ^^^^^^^"
            .to_owned(),
    );
    let text = show_why(view, |dossier| {
        dossier.lost_total = 0;
        dossier.lost.clear();
        dossier.earlier.clear();
        dossier.last_words.clear();
        dossier.timeline.clear();
    });
    insta::assert_snapshot!(text);
}

#[test]
fn why_of_a_plugin_that_never_failed_is_one_sentence() {
    let answer = api::Why {
        schema: 1,
        plugin: convert::plugin(&active("geo", 60), clocks()),
        dossier: None,
        refused: None,
    };
    assert_eq!(
        printed(80, |s| why::why(s, &answer, false, at(0))),
        "geo is active, and has not failed.\n"
    );
}

fn stop_record(rungs: &[(Rung, u64)], exit: Option<Exit>, swept: u32) -> StopRecord {
    let rungs = rungs.iter().map(|(rung, ms)| (*rung, Duration::from_millis(*ms))).collect();
    StopRecord { generation: 1, rungs, exit, swept, took: Duration::ZERO, by_itself: false }
}

fn happens(shown: &mut ChangeScreen, screen: &mut Screen, record: &EventRecord) {
    shown.event(screen, &convert::event(record));
}

#[test]
fn stop_says_who_is_waited_for_in_which_step_for_how_long() {
    let ids = ["vendor-sms", "vendor-crm", "vendor-fax", "vendor-usb"].map(str::to_owned);
    let text = printed(100, |screen| {
        let mut shown = ChangeScreen::new(Asked::Stop, &ids);
        let rung = |ms, id, rung, within| {
            happened(ms, id, "stop.rung", json!({"rung": rung, "within_ms": within}))
        };
        for id in &ids {
            happens(&mut shown, screen, &rung(0, id, "drain", 5_000));
        }
        let gone = json!({"took_ms": 20, "exit": {"code": 0}, "swept": 0, "by_itself": false,
            "rungs": [{"rung": "drain", "ms": 0}, {"rung": "shutdown", "ms": 8}, {"rung": "exit", "ms": 12}]});
        happens(&mut shown, screen, &happened(20, "vendor-sms", "stop.finished", gone));
        shown.tick(screen, at(500));
        shown.tick(screen, at(1_100));
        shown.tick(screen, at(1_300));
        let gone = json!({"took_ms": 4_200, "exit": {"code": 0}, "swept": 0, "by_itself": false,
            "rungs": [{"rung": "drain", "ms": 4_100}, {"rung": "shutdown", "ms": 50}, {"rung": "exit", "ms": 50}]});
        happens(&mut shown, screen, &happened(4_200, "vendor-crm", "stop.finished", gone));
        happens(&mut shown, screen, &rung(7_000, "vendor-fax", "term", 5_000));
        shown.tick(screen, at(7_100));
        let record = stop_record(&[(Rung::Term, 5_000), (Rung::Kill, 100)], None, 3);
        let outcomes = [
            outcome("vendor-sms", 20, Ended::Stopped(None)),
            outcome("vendor-crm", 4_200, Ended::Stopped(None)),
            outcome("vendor-fax", 12_100, Ended::Stopped(Some(record))),
            outcome("vendor-usb", 14_000, Ended::Unkillable { pid: Some(9120) }),
        ];
        shown.finish(screen, &convert::change(&[], &outcomes, clocks()));
    });
    insta::assert_snapshot!(text);
}

#[test]
fn start_reports_each_verdict() {
    let ids = ["geo", "github", "auth"].map(str::to_owned);
    let text = printed(100, |screen| {
        let mut shown = ChangeScreen::new(Asked::Start, &ids);
        let to = |ms, id, to| happened(ms, id, "plugin.state", json!({"to": to, "reason": ""}));
        happens(&mut shown, screen, &happened(0, "geo", "plugin.phase", json!({"phase": "spawn"})));
        happens(
            &mut shown,
            screen,
            &happened(0, "github", "plugin.phase", json!({"phase": "first_byte"})),
        );
        let offers = json!({"protocol": "1", "offers": "3 methods"});
        happens(&mut shown, screen, &happened(10, "geo", "plugin.opened", offers));
        happens(&mut shown, screen, &to(420, "geo", "active"));
        shown.tick(screen, at(2_000));
        let refused = failure(Class::Handshake, "timeout", "no answer in 30s; stderr only", None);
        let outcomes = [
            outcome("geo", 420, Ended::Active),
            outcome("github", 30_000, Ended::Failed(refused)),
            outcome("auth", 10, Ended::Waiting(vec!["db".into()])),
        ];
        shown.finish(screen, &convert::change(&[], &outcomes, clocks()));
    });
    insta::assert_snapshot!(text);
}

#[test]
fn a_change_of_one_needs_no_count() {
    let one = |asked, end| {
        printed(80, |screen| {
            let mut shown = ChangeScreen::new(asked, &["geo".to_owned()]);
            let change = convert::change(&["geo".into()], &[outcome("geo", 5, end)], clocks());
            shown.finish(screen, &change);
        })
    };
    insta::assert_snapshot!(
        [
            one(Asked::Start, Ended::Unchanged),
            one(Asked::Restart, Ended::Overtaken),
            one(Asked::Stop, Ended::Unchanged),
        ]
        .concat(),
        @r"
    geo  active       0.01s  it was already
    geo  overtaken    0.01s  by another change, or by the end of the supervisor
    geo  stopped      0.01s  it was already
    It stays down until `start` or the next `run`.
    "
    );
    assert_eq!(change::ended(&[]), "outboard has ended.");
}

#[test]
fn logs_have_four_sources_and_one_clock() {
    let text = printed(100, |screen| {
        for record in [
            line(0, "github", LogSource::Host, None, "spawned pid 8841"),
            line(522, "github", LogSource::Err, None, "npm warn exec the package was not found"),
            line(1_884, "github", LogSource::Log, Some("info"), "token accepted, scope repo"),
            line(2_000, "github", LogSource::Log, Some("error"), "failed\n  at a\x1b[0m\n  at b\n"),
            line(3_832, "github", LogSource::Out, None, "[INFO] ready \x1b[0m"),
        ] {
            logs::line(screen, &convert::log_line(&record));
        }
        logs::missed(screen, 214);
    });
    insta::assert_snapshot!(text);
}

#[test]
fn every_event_has_words() {
    let samples = [
        ("supervisor.started", json!({"version": "0.1.0", "pid": 7})),
        ("supervisor.stopping", json!({"by": {"via": "signal"}})),
        ("keeper.died", json!({})),
        ("keeper.reexecuted", json!({"pid": 7, "version": "0.2.0"})),
        ("keeper.kept", json!({"message": "Exec format error"})),
        ("plugin.state", json!({"from": "active", "to": "failed", "reason": "exit 1"})),
        ("plugin.phase", json!({"phase": "first_byte"})),
        ("plugin.phase_extended", json!({"phase": "first_byte", "up_to_ms": 300_000})),
        ("plugin.spawned", json!({"pid": 8841, "command": ["npx", "-y", "thing"]})),
        ("plugin.opened", json!({"protocol": "2025-11-25", "offers": "14 tools"})),
        ("plugin.exited", json!({"exit": {"signal": "SIGSEGV", "core": true}})),
        (
            "plugin.failure",
            json!({"class": "exit", "detail": "before-handshake", "message": "", "exit": {"code": 1}}),
        ),
        ("plugin.unkillable", json!({"pid": 9120})),
        ("restart.scheduled", json!({"after_ms": 400, "attempt": 3})),
        (
            "restart.gave_up",
            json!({"restarts": 10, "within_ms": 300_000, "retry_after_ms": 15_000}),
        ),
        ("restart.gave_up", json!({"restarts": 0, "within_ms": 300_000, "retry_after_ms": null})),
        ("probe.missed", json!({"misses": 1, "of": 3})),
        ("probe.excused", json!({"silent_ms": 14_000, "up_to_ms": 120_000})),
        ("health.changed", json!({"from": "ok", "to": "degraded", "message": "cache cold"})),
        ("stop.rung", json!({"rung": "term", "within_ms": 5_000})),
        (
            "stop.finished",
            json!({"took_ms": 9, "swept": 0, "by_itself": true, "exit": {"code": 0}, "rungs": []}),
        ),
        ("swap.started", json!({"mode": "overlap"})),
        ("swap.active", json!({"after_ms": 420})),
        ("swap.canary", json!({"probe": 2, "of": 3, "answered": true, "took_ms": 2})),
        ("swap.canary", json!({"probe": 3, "of": 3, "answered": false, "took_ms": 5_000})),
        ("swap.switched", json!({"before": 6, "serving": 7, "in_flight": 10})),
        ("build.started", json!({"command": ["make"]})),
        ("build.finished", json!({"took_ms": 420})),
        ("build.failed", json!({"message": "exit status: 2", "took_ms": 420})),
        ("swap.rolled_back", json!({"reason": "exit 1"})),
        ("swap.abandoned", json!({"reason": "it was stopped meanwhile"})),
        ("swap.done", json!({"took_ms": 830})),
        ("dependency.waiting", json!({"on": ["auth", "cache"]})),
        ("wire.junk", json!({"lines": 2, "excerpt": "[INFO] hello"})),
        ("log.dropped", json!({"n": 214})),
        ("clock.stall", json!({"ms": 3_000})),
        ("reaper.removed", json!({"n": 1})),
        ("state.unreadable", json!({"file": "state.json", "kept_as": "state.json.unreadable"})),
        ("config.rejected", json!({"problems": ["unknown section `restrat` (github.toml:14)"]})),
        ("config.applied", json!({"revision": 8})),
        ("internal.surprise", json!({"state": "backoff", "what": "Drained"})),
        ("some.day", json!({"a": 1, "b": "two"})),
    ];
    let text = printed(100, |screen| {
        for (n, (name, fields)) in samples.into_iter().enumerate() {
            let plugin = match name {
                name if name.starts_with("stop") || name.starts_with("swap") => "geo",
                name if name.starts_with(['s', 'k']) => "",
                _ => "geo",
            };
            events::line(screen, &convert::event(&happened(n as i64, plugin, name, fields)));
        }
        events::item(screen, &api::EventItem::Missed(5));
    });
    insta::assert_snapshot!(text);
}

#[test]
fn every_name_in_the_list_of_events_is_known_here() {
    let named_only: Vec<_> = crate::observe::EVENTS
        .iter()
        .filter(|name| {
            let event = convert::event(&happened(0, "geo", name, json!({})));
            events::describe(&event).1 == **name
        })
        .collect();
    // These are told by their name and their members, which say it all.
    assert_eq!(named_only, [&"wire.note", &"mcp.resource_updated"]);
}

#[test]
fn events_in_json_are_one_object_a_line() {
    let (mut screen, printed) = Screen::for_test(80, true);
    let event = convert::event(&happened(1, "geo", "probe.missed", json!({"misses": 1, "of": 3})));
    events::line(&mut screen, &event);
    insta::assert_snapshot!(printed.text(), @r#"{"schema":1,"seq":2,"at":"2026-03-01T03:12:04.119000Z","plugin":"geo","generation":6,"event":"probe.missed","misses":1,"of":3}"#);
}

fn expected(up: &[&str], lazy: &[&str]) -> Expected {
    let set = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<_>>();
    let env_files = [("postgres".to_owned(), "manifests/.env".to_owned())].into();
    Expected { up: set(up), lazy: set(lazy), env_files }
}

fn before_start() -> api::Status {
    let rest = |id: &str| {
        let mut view = registered(id);
        view.lazy = id == "bash-ls";
        view
    };
    let plugins = ["bash-ls", "files", "geo", "github", "postgres"].map(rest).to_vec();
    convert::status(&supervisor(plugins), at(0))
}

fn up(mode: Mode, also: impl FnOnce(&mut RunScreen, &mut Screen)) -> String {
    let status = before_start();
    printed(100, |screen| {
        let names = expected(&["files", "geo", "github", "postgres"], &["bash-ls"]);
        let mut shown = RunScreen::new(mode, &status, &names, at(0));
        shown.head(screen, &status);
        let tell = |shown: &mut RunScreen, screen: &mut Screen, ms, id: &str, name, fields| {
            shown.event(screen, &convert::event(&happened(ms, id, name, fields)));
        };
        for id in ["files", "geo", "github", "postgres"] {
            let starting = json!({"from": "registered", "to": "starting", "reason": ""});
            tell(&mut shown, screen, 0, id, "plugin.state", starting);
        }
        shown.log(
            screen,
            convert::log_line(&line(10, "geo", LogSource::Err, None, "index loaded rows=81234")),
        );
        tell(
            &mut shown,
            screen,
            15,
            "geo",
            "plugin.opened",
            json!({"protocol": "1", "offers": "3 methods"}),
        );
        tell(
            &mut shown,
            screen,
            20,
            "geo",
            "plugin.state",
            json!({"from": "loaded", "to": "active", "reason": ""}),
        );
        let missing = json!({"class": "config", "detail": "secret-missing", "message": "PG_URL is not set (postgres.toml:5)"});
        tell(&mut shown, screen, 21, "postgres", "plugin.failure", missing);
        tell(
            &mut shown,
            screen,
            21,
            "postgres",
            "plugin.state",
            json!({"from": "starting", "to": "failed", "reason": "config"}),
        );
        tell(
            &mut shown,
            screen,
            470,
            "files",
            "plugin.opened",
            json!({"protocol": "2025-11-25", "offers": "14 tools"}),
        );
        tell(
            &mut shown,
            screen,
            480,
            "files",
            "plugin.state",
            json!({"from": "loaded", "to": "active", "reason": ""}),
        );
        tell(&mut shown, screen, 500, "github", "plugin.phase", json!({"phase": "first_byte"}));
        shown.tick(screen, at(3_900));
        shown.tick(screen, at(4_100));
        shown.tick(screen, at(4_300));
        shown.tick(screen, at(8_300));
        assert!(!shown.is_settled());
        assert_eq!(shown.missing(), ["github", "postgres"]);
        tell(
            &mut shown,
            screen,
            9_200,
            "github",
            "plugin.state",
            json!({"from": "loaded", "to": "active", "reason": ""}),
        );
        assert!(shown.is_settled());
        also(&mut shown, screen);
    })
}

#[test]
fn run_shows_the_way_up_and_then_the_logs() {
    let text = up(Mode::Pretty, |shown, screen| {
        shown.log(
            screen,
            convert::log_line(&line(9_300, "github", LogSource::Err, None, "running on stdio")),
        );
        let mut tell = |ms, id: &str, name, fields| {
            shown.event(screen, &convert::event(&happened(ms, id, name, fields)));
        };
        let degraded = json!({"from": "active", "to": "degraded", "reason": "it says: cache cold"});
        tell(20_000, "geo", "plugin.state", degraded);
        tell(
            30_000,
            "files",
            "plugin.failure",
            json!({"class": "exit", "detail": "exit", "exit": {"code": 1}}),
        );
        tell(
            30_000,
            "files",
            "plugin.state",
            json!({"from": "active", "to": "backoff", "reason": "exit 1"}),
        );
        tell(30_000, "files", "restart.scheduled", json!({"after_ms": 100, "attempt": 1}));
        tell(
            30_100,
            "files",
            "plugin.state",
            json!({"from": "backoff", "to": "starting", "reason": ""}),
        );
        tell(
            30_500,
            "files",
            "plugin.state",
            json!({"from": "loaded", "to": "active", "reason": ""}),
        );
        tell(31_000, "", "storm.began", json!({}));
    });
    insta::assert_snapshot!(text);
}

#[test]
fn run_shows_the_way_down() {
    let text = up(Mode::Pretty, |shown, screen| {
        let mut tell = |ms, id: &str, name, fields| {
            shown.event(screen, &convert::event(&happened(ms, id, name, fields)));
        };
        tell(40_000, "", "supervisor.stopping", json!({"by": {"via": "signal"}}));
        let gone = json!({"took_ms": 20, "exit": {"code": 0}, "swept": 0, "by_itself": false,
            "rungs": [{"rung": "exit", "ms": 20}]});
        tell(40_020, "geo", "stop.finished", gone);
        tell(
            40_020,
            "geo",
            "plugin.state",
            json!({"from": "stopping", "to": "registered", "reason": "stop"}),
        );
        tell(40_030, "files", "stop.rung", json!({"rung": "term", "within_ms": 5_000}));
        shown.tick(screen, at(41_500));
        let outcomes = [
            outcome("geo", 20, Ended::Stopped(None)),
            outcome(
                "files",
                6_000,
                Ended::Stopped(Some(stop_record(&[(Rung::Kill, 10)], None, 0))),
            ),
        ];
        shown.finish(screen, &convert::change(&[], &outcomes, clocks()));
    });
    insta::assert_snapshot!(text);
}

#[test]
fn run_is_plain_where_nobody_watches() {
    insta::assert_snapshot!(up(Mode::Plain, |_, _| {}));
}

#[test]
fn run_in_json_is_events_and_log_lines() {
    let text = up(Mode::Json, |_, _| {});
    for line in text.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(value["schema"], 1);
        assert!(value["event"].is_string() || value["source"].is_string(), "{line}");
    }
    assert_eq!(text.lines().count(), 13);
}

#[test]
fn a_screen_that_nobody_reads_swallows_what_is_printed() {
    let (mut screen, printed) = Screen::for_test(80, false);
    screen.line("before");
    screen.break_pipe();
    screen.line("after");
    assert!(screen.is_gone());
    assert_eq!(printed.text(), "before\n");
}

#[test]
fn times_in_json_have_a_fixed_width() {
    assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000000Z");
    assert_eq!(rfc3339(AT_US), "2026-03-01T03:12:04.118000Z");
    assert_eq!(rfc3339(i64::MAX), "1970-01-01T00:00:00.000000Z");
}

fn swapped(verdict: api::SwapVerdict) -> api::Swap {
    api::Swap {
        schema: 1,
        plugin: "github".to_owned(),
        verdict,
        reason: None,
        mode: Some("overlap".to_owned()),
        from: Some(6),
        trial: Some(7),
        serving: Some(7),
        active_after_ms: Some(420),
        canary: [2, 2, 3].map(|ms| api::CanaryProbe { answered: true, ms }).into(),
        probes: 3,
        took_ms: 830,
        calls: api::SwapCalls {
            answered: vec![
                api::Answered { generation: 6, calls: 700 },
                api::Answered { generation: 7, calls: 112 },
            ],
            failed: 0,
        },
        said: None,
        outcome: None,
    }
}

#[test]
fn swap_says_first_that_nobody_was_hurt_and_then_why() {
    use api::SwapVerdict::{Abandoned, InForce, RolledBack, Switched};
    let file = std::path::Path::new("github-next.toml");
    let back = api::Swap {
        reason: Some("canary probe 3 of 3 was not answered in 5.0s".to_owned()),
        serving: Some(6),
        canary: [(true, 2), (true, 2), (false, 5000)]
            .map(|(answered, ms)| api::CanaryProbe { answered, ms })
            .into(),
        calls: api::SwapCalls {
            answered: vec![api::Answered { generation: 6, calls: 812 }],
            failed: 0,
        },
        said: Some("TypeError: cannot read properties of undefined (reading 'map')".to_owned()),
        ..swapped(RolledBack)
    };
    let returned =
        api::Swap { serving: Some(8), active_after_ms: None, trial: None, ..back.clone() };
    let abandoned = api::Swap {
        reason: Some("it was stopped meanwhile".to_owned()),
        serving: Some(6),
        ..swapped(Abandoned)
    };
    let mut all = String::new();
    for (swap, file) in [
        (&back, Some(file)),
        (&swapped(Switched), Some(file)),
        (&swapped(Switched), None),
        (&returned, None),
        (&abandoned, Some(file)),
        (&api::Swap { trial: None, ..swapped(InForce) }, None),
    ] {
        all.push_str(&printed(80, |screen| swap::finish(screen, swap, file)));
        all.push('\n');
    }
    insta::assert_snapshot!(all);
}
