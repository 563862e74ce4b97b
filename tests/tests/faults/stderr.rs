//! STDERR: what a plugin may do to the stream that becomes its log.

use std::io::Write;
use std::time::Duration;

use outboard_tests::clock::{Stopwatch, wait_until};
use outboard_tests::fault::{Holds, Row};
use outboard_tests::neighbour::Neighbour;
use outboard_tests::world::{Launch, toml_list, toml_text};
use outboard_tests::{Process, Running, World, long};
use serde_json::{Value, json};

/// The stored lines of a plugin's standard error, oldest first.
fn stderr(run: &Running<'_>, id: &str) -> Vec<Value> {
    let mut lines = run.stored_log(id);
    lines.retain(|line| line["src"] == "err");
    lines
}

fn text(line: &Value) -> &str {
    line["text"].as_str().unwrap_or_default()
}

/// The last failure's evidence.
fn dossier(run: &Running<'_>, id: &str) -> Value {
    run.control("why", &json!({"id": id})).unwrap()["dossier"].take()
}

/// Lines that were dropped and said so.
fn dropped(run: &Running<'_>, id: &str) -> u64 {
    let events = run.events();
    let dropped = events.iter().filter(|event| event.is("log.dropped", id));
    dropped.map(|event| event.number("n")).sum()
}

#[test]
fn stderr_01_a_flood_is_drained_and_every_line_of_it_kept_or_counted() {
    let row = Row::new("STDERR-01");
    let lines: u64 = if long() { 4_000_000 } else { 400_000 };
    let script = format!(
        "fork {{\n gate flood\n flood-err {lines} line $n {}\n at flooded\n pause\n}}\nserve",
        "x".repeat(80)
    );
    row.chaos("p", &script);
    Neighbour::moves_in(&row);
    let run = row.run();
    run.active("p");
    let neighbour = Neighbour::works(&run);
    let held = Holds::of(&run);
    let mut client = run.attach("p");
    let began = Stopwatch::new();
    row.gates().open("flood");
    // The flood ends only because it is read; calls go on beside it.
    let mut calls = 0;
    while row
        .gates()
        .report_within("flooded", outboard_tests::clock::Deadline::after(Duration::ZERO))
        .is_none()
    {
        assert_eq!(client.call("echo", &json!({"n": calls})).unwrap(), json!({"n": calls}));
        calls += 1;
    }
    let took = began.elapsed();
    row.measured("drained in", took);
    let health = run.plugin("p")["health"].clone();
    assert!(health["message"].as_str().unwrap_or_default().contains("flood"), "{health}");
    // A second later, by the witness' clock: then it is time to say what was dropped, whoever writes the next line.
    World::witness(&row).signal_after(run.pid, 0, Duration::from_millis(1100)).get();
    run.cli(&["stop", "p"]).code(0);
    let said = run.event(|event| event.is("stop.finished", "p")).seq;
    wait_until("the last events are stored", || {
        run.events().last().is_some_and(|event| event.seq >= said)
    });
    let kept = stderr(&run, "p");
    assert_eq!(kept.len() as u64 + dropped(&run, "p"), lines, "kept and dropped, exactly");
    let numbers: Vec<u64> =
        kept.iter().map(|line| text(line).split(' ').nth(1).unwrap().parse().unwrap()).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "in their order, none twice");
    assert!(kept.len() < 100_000 && (kept.len() as u64) < lines, "it was a flood");
    row.witness(format_args!(
        "{lines} lines written, {} kept; {calls} calls beside it",
        kept.len()
    ));
    drop(client);
    neighbour.was_not_disturbed(&run, &row);
    held.are_back();
}

/// Where a line is cut.
const LINE: usize = 16 << 10;

#[test]
fn stderr_02_a_line_without_end_is_cut_and_goes_on() {
    let row = Row::new("STDERR-02");
    let mib: usize = if long() { 1024 } else { 48 };
    let script = format!(
        "on talk {{\n loop {mib} {{\n err-raw {}\n }}\n err .\n reply {{}}\n}}\nserve",
        "x".repeat(1 << 20)
    );
    row.chaos("p", &script);
    let run = row.run();
    run.active("p");
    let held = Holds::of(&run);
    let mut client = run.attach("p");
    client.call("talk", &json!({})).unwrap();
    row.witness(format_args!("the plugin wrote {mib} MiB without a line feed, and lives"));
    drop(client);
    run.cli(&["stop", "p"]).code(0);
    assert_eq!(run.count(|event| event.is("plugin.failure", "p")), 0);
    let pieces = ((mib << 20) / LINE) as u64 + 1;
    if !long() {
        // A disk that others keep busy may be behind: what waits for it is there a little later.
        wait_until("all of it is there, or counted", || {
            stderr(&run, "p").len() as u64 + dropped(&run, "p") == pieces
        });
    }
    let kept = stderr(&run, "p");
    assert!(kept.len() as u64 + dropped(&run, "p") <= pieces);
    assert!(kept.len() > 100, "{}", kept.len());
    for line in &kept {
        let text = text(line);
        assert!(text.len() <= LINE + 2 * '…'.len_utf8(), "{}", text.len());
        assert!(text.starts_with('…') || text.ends_with('…'), "cut, and marked so");
    }
    if !long() {
        // It may fall behind by more than may wait for it.
        let dropped = dropped(&run, "p");
        assert!(text(&kept[0]).ends_with('…') && !text(&kept[0]).starts_with('…'));
        assert!(dropped > 0 || text(kept.last().unwrap()) == "….");
    }
    held.are_back();
}

#[test]
fn stderr_03_last_words_without_an_end_are_in_the_dossier() {
    let row = Row::new("STDERR-03");
    // Somebody else holds the pipe, so that its end does not tell of the last words' end.
    let script = "generation 1 {\n fork-hold\n on last {\n at ready\n gate die\n err-raw panic: x\n raise ABRT\n }\n}\nserve";
    row.chaos("p", script);
    let run = row.run();
    run.active("p");
    let mut client = run.attach("p");
    let last = client.send("last", &json!({}));
    let pid = row.gates().report("ready").pid;
    // Nobody reads while it speaks and dies.
    let supervisor = run.supervisor_pid();
    row.freeze(supervisor);
    row.gates().open("die");
    wait_until("the plugin is dead", || {
        Process::of(pid).is_none_or(|process| process.state == 'Z')
    });
    row.witness("the plugin spoke and died while the supervisor stood still");
    World::witness(&row).signal(supervisor, libc::SIGCONT);
    let error = client.answer(last).unwrap_err();
    assert_eq!((error.code, error.class()), (-31003, "signal"), "{error:?}");
    assert_eq!(error.data["stderr"], json!(["panic: x"]), "{error:?}");
    run.active_above("p", 1);
    assert_eq!(dossier(&run, "p")["stderr"], json!(["panic: x"]));
    let log = run.stored_log("p");
    let at = |words: &str| log.iter().position(|line| text(line).starts_with(words)).unwrap();
    assert!(at("panic: x") < at("ended: SIGABRT"), "before its end: {log:#?}");
}

/// Lines that would like to be something else on a terminal, and what they have to look like there.
const NASTY: &[(&str, &str)] = &[
    (r"red \x1b[31m alert\x07", r"red \e[31m alert\x07"),
    (r"clipboard \x1b]52;c;cm0gLXJm\x07", r"clipboard \e]52;c;cm0gLXJm\x07"),
    (r"over\rwrite", r"over\rwrite"),
    (r"back\x08\x08space\x7f", r"back\x08\x08space\x7f"),
    (r"c1 \xc2\x9b31m", r"c1 \x9b31m"),
    (r"two\xe2\x80\xa8lines", r"two\u{2028}lines"),
    (r"abc\xe2\x80\xaecba\xe2\x81\xa6", r"abc\u{202e}cba\u{2066}"),
    (r"12:00:00.000 other/7 host  spawned pid 1", "12:00:00.000 other/7 host  spawned pid 1"),
    (
        r#"{"at":1,"gen":7,"src":"host","level":null,"text":"spawned pid 1"}"#,
        r#"{"at":1,"gen":7,"src":"host","level":null,"text":"spawned pid 1"}"#,
    ),
];

/// Whether a character could steer a terminal or turn its text.
fn steers(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{feff}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[test]
fn stderr_04_nothing_that_is_written_there_steers_a_terminal_or_forges_a_line() {
    let row = Row::new("STDERR-04");
    let all: String =
        (0..=255).filter(|byte| *byte != b'\n').map(|byte| format!("\\x{byte:02x}")).collect();
    let nasty: String = NASTY.iter().map(|(raw, _)| format!("err {raw}\n")).collect();
    let script = format!(
        "generation 1 {{\n on talk {{\n err {all}\n err the token is $env.TOKEN.\n {nasty} exit 3\n }}\n}}\nserve"
    );
    let command = toml_list(&row.chaos_command("p", &script));
    let gates = toml_text(&row.gates().folder().display().to_string());
    row.manifest(
        "p",
        &format!(
            "[process]\ncommand = {command}\n\
             env = {{ CHAOS_DIR = {gates}, TOKEN = {{ from_env = \"ROW_TOKEN\" }} }}\n"
        ),
    );
    let run = row.launch(&Launch { env: &[("ROW_TOKEN", "open-sesame-42")], ..Launch::default() });
    run.active("p");
    run.call("p", "talk", &json!({})).unwrap_err();
    run.active_above("p", 1);
    let count = NASTY.len() + 2;
    wait_until("all is stored", || stderr(&run, "p").len() >= count);
    let kept = stderr(&run, "p");
    assert_eq!(kept.len(), count, "one record each: {kept:#?}");
    assert!(kept.iter().all(|line| line["gen"] == 1), "none is of another origin");
    // All but the line feed, those that are no UTF-8 as escapes.
    let whole = text(&kept[0]);
    for byte in (0..=255).filter(|byte| *byte != b'\n') {
        let shown =
            if byte < 0x80 { char::from(byte).to_string() } else { format!("\\x{byte:02x}") };
        assert!(whole.contains(&shown), "{byte:#x} in {whole:?}");
    }
    assert_eq!(text(&kept[1]), "the token is [redacted].");
    row.witness(format_args!("{count} lines are in the log, the first with every byte value"));

    let shown = run.cli(&["logs", "p"]).code(0).stdout;
    let as_json = run.cli(&["logs", "p", "--json"]).code(0).stdout;
    let why =
        run.cli(&["why", "p"]).code(0).stdout + &run.cli(&["why", "p", "--stderr"]).code(0).stdout;
    let events = run.cli(&["why", "p", "--json"]).code(0).stdout;
    let stored = std::fs::read_to_string(run.state_dir.join("logs/p.jsonl")).unwrap();
    for (view, said) in [
        ("text", &shown),
        ("JSON", &as_json),
        ("why", &why),
        ("why JSON", &events),
        ("file", &stored),
    ] {
        let bad = said.chars().find(|c| steers(*c) && *c != '\t');
        assert_eq!(bad, None, "{view}");
        assert!(!said.contains("open-sesame-42"), "{view}");
    }
    for (raw, visible) in NASTY {
        assert!(
            shown.lines().any(|line| line.ends_with(&format!(" err   {visible}"))),
            "{raw}: {shown}"
        );
        assert!(why.lines().any(|line| line == *visible), "{raw}: {why}");
    }
    // What JSON escapes is all there once it is read.
    let read: Vec<Value> =
        as_json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &kept {
        let same =
            read.iter().filter(|other| other["source"] == "err" && other["text"] == line["text"]);
        assert_eq!(same.count(), 1, "{line}");
    }
}

#[test]
fn stderr_06_who_writes_on_after_the_exit_delays_nothing_and_is_not_the_next_one() {
    let row = Row::new("STDERR-06");
    let script = "generation 1 {\n daemon {\n ignore TERM\n at free\n gate late\n err-raw half a word\n at spoken\n pause\n }\n \
                  on leave {\n err-raw goodbye\n exit 3\n }\n}\nserve";
    // At once, so that the next one begins while the pipe of the old one is still read.
    row.chaos_with("p", script, "[restart]\nbackoff = { initial = \"0s\", jitter = 0.0 }\n");
    let run = row.run();
    run.active("p");
    let held = Holds::of(&run);
    let stray = Process::of(row.gates().report("free").pid).unwrap();
    // Somebody else holds it too, whom no sweep can end.
    let pipe = format!("/proc/{}/fd/2", run.plugin_pid("p"));
    let mut pipe = std::fs::OpenOptions::new().write(true).open(pipe).unwrap();
    let began = Stopwatch::new();
    let error = run.call("p", "leave", &json!({})).unwrap_err();
    row.measured("caller told", began.elapsed());
    assert_eq!((error.code, error.class()), (-31003, "exit"), "{error:?}");
    let exited = run.event(|event| event.is("plugin.exited", "p"));
    assert_eq!(exited.member("exit")["code"], 3, "{exited}");
    row.gates().open("late");
    row.gates().report("spoken");
    row.witness("the grandchild wrote after the plugin's end was known, and the pipe stays open");
    run.active_above("p", 1);
    assert!(!stray.lives(), "it is ended with its plugin");
    let is_read = pipe.write_all(b"\nlate words\n").is_ok();
    let late = run.log_line("p", |text| text == if is_read { "late words" } else { "half a word" });
    assert_eq!((&late["src"], &late["gen"]), (&json!("err"), &json!(1)), "{late}");
    let log = run.stored_log("p");
    let at = |words: &str| log.iter().position(|line| text(line) == words).unwrap();
    assert!(
        at("goodbye") < at("ended: exit 3") && at("ended: exit 3") < at("half a word"),
        "{log:#?}"
    );
    assert_eq!(dossier(&run, "p")["stderr"], json!(["goodbye"]));
    // What the old one left is not among the last words of the next one.
    run.call("p", "quit", &json!({})).unwrap_err();
    run.active_above("p", 2);
    assert_eq!(dossier(&run, "p")["stderr"], json!([]));
    wait_until("its reader is let go", || pipe.write_all(b"nobody reads this\n").is_err());
    held.are_back();
}
