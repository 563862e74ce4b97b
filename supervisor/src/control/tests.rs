//! Server and client over a real Unix socket, with a backend that has no supervisor behind it.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use outboard_core::Exit;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::fake::{self, Fake, active, failed, registered};
use super::socket::BoundSocket;
use super::{CONTROL_SOCKET, ClientError, ControlClient, ControlServer, api};
use crate::host::{Dossier, Ended, LogSource, LostCall, PastFailure};

struct World {
    dir: tempfile::TempDir,
    fake: Fake,
    server: ControlServer,
}

impl World {
    fn new(fake: Fake) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let server = ControlServer::start(dir.path(), fake.clone()).unwrap();
        Self { dir, fake, server }
    }

    async fn client(&self) -> ControlClient {
        ControlClient::connect(self.dir.path()).await.unwrap()
    }

    /// One HTTP request, as curl would make it.
    async fn http(&self, body: &str) -> String {
        let mut stream = UnixStream::connect(self.server.path()).await.unwrap();
        let request = format!(
            "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

fn three() -> Fake {
    Fake::new(vec![active("geo", 60), failed("github"), registered("bash-ls")])
}

#[tokio::test]
async fn status_comes_over_the_socket_as_it_was() {
    let world = World::new(three());
    let status = world.client().await.status(&[]).await.unwrap();
    let ids: Vec<_> = status.plugins.iter().map(|plugin| plugin.id.as_str()).collect();
    assert_eq!(ids, ["github", "geo", "bash-ls"], "trouble first");
    assert_eq!(status.supervisor.revision, 7);
    let github = &status.plugins[0];
    assert_eq!(github.next_try_ms, Some(11_000));
    assert_eq!(github.note.as_deref(), Some("exit 1; one try in 11s; see `why github`"));
}

#[tokio::test]
async fn status_has_the_members_of_the_contract() {
    let world = World::new(Fake::new(vec![failed("github")]));
    let status = world.client().await.status(&[]).await.unwrap();
    let mut json = serde_json::to_value(&status).unwrap();
    json["plugins"][0]["last_failure"]["at"] = "(time)".into();
    insta::assert_snapshot!(serde_json::to_string_pretty(&json).unwrap());
}

#[tokio::test]
async fn ids_take_globs_and_a_misspelt_one_names_the_nearest() {
    let world = World::new(three());
    let client = world.client().await;
    let status = client.status(&["g*".into()]).await.unwrap();
    assert_eq!(status.plugins.len(), 2);
    let Err(ClientError::Answered { code, data: Some(data), .. }) =
        client.status(&["githup".into()]).await
    else {
        panic!("an unknown id is an error");
    };
    assert_eq!(
        (code, data.class.as_str(), data.nearest.as_deref()),
        (-31001, "not_found", Some("github"))
    );
    assert_eq!(data.ids, ["geo", "github", "bash-ls"]);
}

#[tokio::test]
async fn changes_answer_with_what_became_of_each() {
    let world = World::new(three());
    world.fake.with(|state| state.outcomes = vec![fake::outcome("geo", 420, Ended::Active)]);
    let client = world.client().await;
    let change = client.start(&["geo".into()], false, true).await.unwrap();
    assert_eq!((change.outcomes[0].end, change.outcomes[0].took_ms), (api::End::Active, 420));
    client.restart(&["g*".into()], false, true, true).await.unwrap();
    client.stop(&[], true, false, true).await.unwrap();
    client.shutdown(true).await.unwrap();
    assert_eq!(
        world.fake.with(|state| state.asked.clone()),
        ["start geo", "restart geo github now", "stop geo github bash-ls", "shutdown now"]
    );
}

#[tokio::test]
async fn a_change_of_nobody_in_particular_is_refused() {
    let world = World::new(three());
    let refused = world.client().await.stop(&[], false, false, true).await.unwrap_err();
    let ClientError::Answered { data: Some(data), .. } = refused else { panic!("{refused}") };
    assert_eq!(data.class, "nothing_named");
    assert!(world.fake.with(|state| state.asked.is_empty()));
}

#[tokio::test]
async fn sup_13_a_stop_goes_on_when_its_client_is_gone() {
    let world = World::new(three());
    world.fake.with(|state| state.hold = true);
    let asked = |what: &'static str| {
        let fake = world.fake.clone();
        until(move || fake.with(|state| state.asked.last().is_some_and(|last| last == what)))
    };
    let client = world.client().await;
    let asking =
        tokio::spawn(async move { client.stop(&["geo".into()], false, false, true).await });
    asked("stop geo").await;
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    world.fake.open_gate();
    asked("stop geo done").await;

    // The same over plain HTTP, where a connection that ends takes its request with it.
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"stop","params":{"ids":["github"]}}"#;
    tokio::select! {
        answer = world.http(body) => panic!("no answer is due: {answer}"),
        () = asked("stop github") => {}
    }
    // Once the server has taken the next connection, it has seen this one go.
    world.client().await.status(&[]).await.unwrap();
    world.fake.open_gate();
    asked("stop github done").await;
}

#[tokio::test]
async fn nobody_waits_when_told_not_to() {
    let world = World::new(three());
    world.fake.with(|state| state.hold = true);
    let change = world.client().await.stop(&["geo".into()], false, false, false).await.unwrap();
    assert_eq!(change.plugins, ["geo"]);
    assert!(change.outcomes.is_empty());
}

#[tokio::test]
async fn why_brings_the_dossier_or_says_that_there_is_none() {
    let world = World::new(three());
    let failure =
        fake::failure(outboard_core::Class::Exit, "exit", "it exited", Some(Exit::Code(1)));
    world.fake.with(|state| {
        state.dossier = Some(Dossier {
            failure: failure.clone(),
            view: failed("github"),
            last_words: vec!["connect ECONNREFUSED".to_owned()],
            stderr_lines: 13,
            at_us: None,
            up: None,
            words_at: Vec::new(),
            frames: Vec::new(),
            timeline: vec![fake::event(1, 0, "github", "plugin.spawned", json!({"pid": 8841}))],
            lost: vec![LostCall {
                method: "tools/call".to_owned(),
                after: Duration::from_millis(34),
                sent: true,
            }],
            lost_total: 1,
            earlier: vec![PastFailure { failure, at_us: None, up: None }],
            cpu: Some(Duration::from_millis(1_100)),
            peak_kib: Some(82_944),
            swept: Some(0),
        });
    });
    let client = world.client().await;
    let dossier = client.why("github").await.unwrap().dossier.unwrap();
    assert_eq!(
        (dossier.stderr_lines, dossier.cpu_ms, dossier.lost[0].after_ms),
        (13, Some(1_100), 34)
    );
    assert_eq!(dossier.timeline[0].fields["pid"], 8841);
    assert_eq!(client.why("geo").await.unwrap().dossier, None);
    assert!(
        matches!(client.why("g*").await, Err(ClientError::Answered { code: -31001, .. })),
        "no glob here"
    );
}

fn tick(seq: u64) -> crate::host::EventRecord {
    fake::event(seq, 0, "geo", "probe.missed", json!({"misses": seq, "of": 3}))
}

async fn seqs(
    events: &mut jsonrpsee::core::client::Subscription<api::EventItem>,
    n: usize,
) -> Vec<String> {
    let mut seen = Vec::new();
    for _ in 0..n {
        seen.push(match events.next().await.unwrap().unwrap() {
            api::EventItem::Event(event) => event.seq.to_string(),
            api::EventItem::Missed(missed) => format!("{missed} missed"),
        });
    }
    seen
}

#[tokio::test]
async fn events_come_from_the_journal_first_and_then_live_each_once() {
    let world = World::new(three());
    for seq in 1..=3 {
        world.fake.emit(tick(seq));
    }
    let client = world.client().await;
    let mut events = client.subscribe_events(Some(1)).await.unwrap();
    assert_eq!(seqs(&mut events, 2).await, ["2", "3"]);
    world.fake.emit(tick(4));
    assert_eq!(seqs(&mut events, 1).await, ["4"]);
    let page = client.events(2).await.unwrap();
    assert_eq!(page.iter().map(|event| event.seq).collect::<Vec<_>>(), [3, 4]);
}

#[tokio::test]
async fn sup_12_a_slow_reader_gets_what_the_journal_kept_and_a_count_of_the_rest() {
    let world = World::new(three());
    world.fake.emit(tick(1));
    let client = world.client().await;
    let mut events = client.subscribe_events(Some(0)).await.unwrap();
    assert_eq!(seqs(&mut events, 1).await, ["1"]);
    // Twenty at once overrun the channel of eight before the subscription gets a turn; the journal has lost five.
    for seq in 2..=21 {
        world.fake.emit(tick(seq));
    }
    world.fake.with(|state| state.journal.retain(|record| !(2..=6).contains(&record.seq)));
    assert_eq!(seqs(&mut events, 2).await, ["5 missed", "7"]);
    assert_eq!(seqs(&mut events, 14).await.last().unwrap(), "21");
}

#[tokio::test]
async fn log_lines_are_filtered_on_the_way() {
    let world = World::new(three());
    let line = |plugin, source, text| fake::line(0, plugin, source, None, text);
    world.fake.with(|state| {
        state.lines = (0..5)
            .map(|n| fake::line(n, "geo", LogSource::Err, None, &format!("line {n}")))
            .collect();
    });
    let client = world.client().await;
    let filter = api::LogFilter {
        plugin: Some("geo".into()),
        lines: Some(2),
        sources: vec![api::Source::Err],
        ..Default::default()
    };
    let lines = client.logs(filter.clone()).await.unwrap();
    assert_eq!(
        lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(),
        ["line 3", "line 4"]
    );

    let mut live = client.subscribe_logs(filter).await.unwrap();
    world.fake.say(line("github", LogSource::Err, "not asked for"));
    world.fake.say(line("geo", LogSource::Out, "nor this"));
    world.fake.say(line("geo", LogSource::Err, "this"));
    let api::LogItem::Line(first) = live.next().await.unwrap().unwrap() else {
        panic!("nothing was missed")
    };
    assert_eq!(first.text, "this");

    let wrong = api::LogFilter { since: Some("yesterday".into()), ..Default::default() };
    assert!(matches!(
        client.logs(wrong.clone()).await,
        Err(ClientError::Answered { code: -32602, .. })
    ));
    assert!(matches!(
        client.subscribe_logs(wrong).await,
        Err(ClientError::Answered { code: -32602, .. })
    ));
}

#[tokio::test]
async fn a_subscription_that_nobody_reads_any_more_is_given_up() {
    let world = World::new(three());
    let client = world.client().await;
    let events = client.subscribe_events(None).await.unwrap();
    let logs = client.subscribe_logs(api::LogFilter::default()).await.unwrap();
    assert_eq!(world.fake.readers(), 2);
    drop((events, logs, client));
    until(|| world.fake.readers() == 0).await;
}

#[tokio::test]
async fn plain_http_works_and_batches_do_not() {
    let world = World::new(three());
    let answer =
        world.http(r#"{"jsonrpc":"2.0","id":1,"method":"status","params":{"ids":["geo"]}}"#).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    let body: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(body["result"]["plugins"][0]["id"], "geo");
    assert_eq!(body["result"]["schema"], 1);
    let without_params = world.http(r#"{"jsonrpc":"2.0","id":1,"method":"status"}"#).await;
    assert!(without_params.contains(r#""id":"geo""#), "{without_params}");
    let batch = world.http(r#"[{"jsonrpc":"2.0","id":1,"method":"status"}]"#).await;
    assert!(batch.contains("Batched requests are not supported"), "{batch}");
}

#[tokio::test]
async fn sup_11_garbage_costs_one_connection_and_nobody_else() {
    let world = World::new(three());
    let mut garbage = UnixStream::connect(world.server.path()).await.unwrap();
    garbage.write_all(b"\x00\xff not http at all\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    garbage.read_to_end(&mut rest).await.unwrap();
    let too_large = world.http(&format!("[{}", " ".repeat(100))).await;
    assert!(!too_large.contains("200 OK") || too_large.contains("error"), "{too_large}");
    assert_eq!(world.client().await.status(&[]).await.unwrap().plugins.len(), 3);
}

#[tokio::test]
async fn sup_11_who_asks_for_nothing_makes_room_for_who_does() {
    let world = World::new(three());
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(UnixStream::connect(world.server.path()).await.unwrap());
    }
    assert_eq!(world.client().await.status(&[]).await.unwrap().plugins.len(), 3);
    let mut rest = Vec::new();
    idle[0].read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty(), "the first to come was the first to go");
}

#[tokio::test]
async fn sup_11_the_connection_past_the_bound_is_told_so() {
    let world = World::new(three());
    world.fake.with(|state| state.hold = true);
    let request = r#"{"jsonrpc":"2.0","id":1,"method":"stop","params":{"all":true}}"#;
    let request = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{request}",
        request.len()
    );
    let mut held = Vec::new();
    for number in 1..=128 {
        let mut stream = UnixStream::connect(world.server.path()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        held.push(stream);
        until(|| world.fake.with(|state| state.asked.len() == number)).await;
    }
    let mut one_more = UnixStream::connect(world.server.path()).await.unwrap();
    let mut answer = String::new();
    one_more.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.contains("503") && answer.contains("too many management connections"),
        "{answer}"
    );
    drop(held);
    // Room again, once the server has seen them go.
    let again = async {
        while ControlClient::connect(world.dir.path()).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), again).await.expect("there is room again");
}

#[tokio::test]
async fn subscriptions_need_somewhere_to_send_to() {
    let world = World::new(three());
    let answer = world.http(r#"{"jsonrpc":"2.0","id":1,"method":"subscribe_events"}"#).await;
    assert!(answer.contains("needs a WebSocket"), "{answer}");
}

#[tokio::test]
async fn a_server_that_stops_finishes_its_answers_and_removes_its_socket() {
    let world = World::new(three());
    world.fake.with(|state| state.hold = true);
    let client = world.client().await;
    let shutdown = tokio::spawn(async move { client.shutdown(false).await });
    until(|| world.fake.with(|state| state.asked == ["shutdown"])).await;
    let World { dir, fake, server } = world;
    fake.open_gate();
    server.stop().await;
    assert!(shutdown.await.unwrap().is_ok(), "the answer under way arrived");
    assert!(!dir.path().join(CONTROL_SOCKET).exists());
    assert!(matches!(
        ControlClient::connect(dir.path()).await,
        Err(ClientError::NoSupervisor { .. })
    ));
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_ever_for_an_answer() {
    let world = World::new(three());
    world.fake.with(|state| state.hold = true);
    let client = world.client().await;
    let asking =
        tokio::spawn(async move { client.stop(&["geo".into()], false, false, true).await });
    until(|| world.fake.with(|state| state.asked == ["stop geo"])).await;
    // The gate stays shut: this outcome never comes, and both ends go on all the same.
    world.server.stop().await;
    let Err(ClientError::Answered { code, .. }) = asking.await.unwrap() else {
        panic!("no outcome was known")
    };
    assert_eq!(code, api::code::SHUTTING_DOWN);
}

#[tokio::test]
async fn a_supervisor_that_dies_is_told_from_one_that_was_never_there() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let socket = BoundSocket::bind(dir.path(), CONTROL_SOCKET).unwrap();
    let listener =
        tokio::net::UnixListener::from_std(socket.try_clone_listener().unwrap()).unwrap();
    let dying = tokio::spawn(async move { drop(listener.accept().await.unwrap()) });
    let lost = ControlClient::connect(dir.path()).await.unwrap_err();
    assert!(matches!(lost, ClientError::Lost), "{lost:?}");
    dying.await.unwrap();
}

/// Waits for something that happens in another task of this runtime.
async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("it happens");
}
