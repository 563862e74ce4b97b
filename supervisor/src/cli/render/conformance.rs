//! The screen of `conformance`: a line for each rule, what was seen where that matters, and the sum.

use std::path::Path;

use outboard_conformance::{Book, Checked, Id, Level, Outcome, Report};
use serde::Serialize;

use super::screen::{Screen, Tone};
use super::text::{fit, visible, wrap};
use crate::control::api::SCHEMA;
use crate::control::words::{count, span};

/// Columns before the words of a rule.
const MARGIN: usize = 11;

/// `outboard conformance --list`.
pub(in crate::cli) fn rules(screen: &mut Screen, book: &Book) {
    if screen.is_json() {
        #[derive(Serialize)]
        struct Row {
            id: &'static str,
            level: &'static str,
            rule: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            applies_with: Option<&'static str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            source: Option<&'static str>,
        }
        #[derive(Serialize)]
        struct Rules {
            schema: u32,
            dialect: &'static str,
            against: &'static str,
            rules: Vec<Row>,
        }
        let rows: Vec<Row> = book
            .rules
            .iter()
            .map(|rule| Row {
                id: rule.id.as_str(),
                level: level(rule.level),
                rule: rule.says,
                applies_with: rule.applies,
                source: rule.source,
            })
            .collect();
        screen.json(&Rules {
            schema: SCHEMA,
            dialect: book.dialect.name(),
            against: book.against,
            rules: rows,
        });
        return;
    }
    for rule in book.rules {
        let applies = rule.applies.map_or(String::new(), |with| format!(" (with {with})"));
        let source = rule.source.map_or(String::new(), |source| format!(" [{source}]"));
        let text = format!("{}{applies}{source}", rule.says);
        let mut lines = wrap(&text, room(screen)).into_iter();
        let first = lines.next().unwrap_or_default();
        screen.line(&format!("{}  {:<6} {first}", rule.id, rule.level.as_str()));
        for line in lines {
            screen.line(&format!("{:MARGIN$} {line}", ""));
        }
    }
}

fn room(screen: &Screen) -> usize {
    screen.width().saturating_sub(MARGIN + 1).max(20)
}

/// What is about to be done: it takes a moment.
pub(in crate::cli) fn begin(screen: &mut Screen, plugin: &str, manifest: &Path, book: &Book) {
    if !screen.is_json() {
        screen.line(&format!("{plugin} ({}) against {}", manifest.display(), book.against));
    }
}

pub(in crate::cli) fn report(screen: &mut Screen, plugin: &str, manifest: &Path, report: &Report) {
    if screen.is_json() {
        return json(screen, plugin, manifest, report);
    }
    if screen.is_quiet() {
        let failed = report.checks.iter().filter(|check| check.outcome == Outcome::Fail);
        let text = failed.map(|check| {
            let (id, says) = (check.rule.id, check.rule.says);
            format!("error: {id} {says}\n  {}\n", visible(&check.seen))
        });
        screen.complain(&text.collect::<String>());
        return;
    }
    for check in &report.checks {
        line(screen, check);
    }
    screen.line("");
    screen.line(&sum(report));
    let without: Vec<&str> = report.book.without().map(Id::as_str).collect();
    if !without.is_empty() {
        let text = format!("Not rules of {}: {}", report.book.against, without.join(" "));
        for line in wrap(&text, screen.width().max(20)) {
            screen.line(&line);
        }
    }
}

fn line(screen: &mut Screen, check: &Checked) {
    let (word, tone) = match check.outcome {
        Outcome::Ok => ("ok  ", Tone::Good),
        Outcome::Warn => ("warn", Tone::Warning),
        Outcome::Fail => ("FAIL", Tone::Bad),
        Outcome::Skip => ("skip", Tone::Faint),
    };
    let says = check.rule.says;
    if check.outcome == Outcome::Ok {
        // Of what is well, enough to know which rule it is.
        screen.toned("", tone, word, &format!("  {}  {}", check.rule.id, fit(says, room(screen))));
        return;
    }
    let mut lines = wrap(says, room(screen)).into_iter();
    let first = lines.next().unwrap_or_default();
    screen.toned("", tone, word, &format!("  {}  {first}", check.rule.id));
    let seen = match check.outcome {
        Outcome::Skip => visible(&check.seen).into_owned(),
        _ => format!("seen: {}", visible(&check.seen)),
    };
    for line in lines.chain(wrap_hard(&seen, room(screen))) {
        screen.line(&format!("{:MARGIN$}{line}", ""));
    }
}

/// Between words, and within what is no word: frames have no blanks.
fn wrap_hard(text: &str, width: usize) -> Vec<String> {
    let longest = text.split(' ').map(|word| word.chars().count()).max().unwrap_or_default();
    if longest <= width {
        return wrap(text, width);
    }
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(width).map(|line| line.iter().collect()).collect()
}

fn sum(report: &Report) -> String {
    let number = |outcome| report.count(outcome) as u64;
    let mut words = vec![format!("{} ok", number(Outcome::Ok))];
    let failed = number(Outcome::Fail);
    words.push(if failed == 0 { "none failed".to_owned() } else { format!("{failed} failed") });
    if number(Outcome::Warn) > 0 {
        words.push(count(number(Outcome::Warn), "warning", "warnings"));
    }
    if number(Outcome::Skip) > 0 {
        words.push(format!("{} skipped", number(Outcome::Skip)));
    }
    format!("{}, in {}", words.join(", "), span(report.took))
}

/// `must`, `should`.
fn level(level: Level) -> &'static str {
    match level {
        Level::Must => "must",
        Level::Should => "should",
    }
}

fn json<'a>(screen: &mut Screen, plugin: &'a str, manifest: &Path, report: &'a Report) {
    #[derive(Serialize)]
    struct Answer<'a> {
        schema: u32,
        manifest: String,
        plugin: &'a str,
        dialect: &'static str,
        against: &'static str,
        checks: Vec<Row<'a>>,
        summary: Sum,
    }
    #[derive(Serialize)]
    struct Row<'a> {
        id: &'static str,
        level: &'static str,
        outcome: &'static str,
        rule: &'static str,
        seen: &'a str,
        took_ms: u64,
    }
    #[derive(Serialize)]
    struct Sum {
        ok: usize,
        fail: usize,
        warn: usize,
        skip: usize,
        took_ms: u64,
    }
    let ms = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let row = |check: &'a Checked| Row {
        id: check.rule.id.as_str(),
        level: level(check.rule.level),
        outcome: check.outcome.as_str(),
        rule: check.rule.says,
        seen: &check.seen,
        took_ms: ms(check.took),
    };
    let checks = report.checks.iter().map(row).collect();
    screen.json(&Answer {
        schema: SCHEMA,
        manifest: manifest.display().to_string(),
        plugin,
        dialect: report.book.dialect.name(),
        against: report.book.against,
        checks,
        summary: Sum {
            ok: report.count(Outcome::Ok),
            fail: report.count(Outcome::Fail),
            warn: report.count(Outcome::Warn),
            skip: report.count(Outcome::Skip),
            took_ms: ms(report.took),
        },
    });
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use outboard_manifest::Dialect;

    use super::*;

    pub(in crate::cli::render) fn some() -> Report {
        let book = Book::of(Dialect::Native);
        let check = |id, outcome, seen: &str| Checked {
            rule: book.rule(id).unwrap(),
            outcome,
            seen: seen.to_owned(),
            took: Duration::from_millis(12),
        };
        let checks = vec![
            check(Id::C01, Outcome::Ok, "protocolVersion 1, 3ms after its start"),
            check(
                Id::C04,
                Outcome::Warn,
                r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":1}}"#,
            ),
            check(
                Id::C16,
                Outcome::Fail,
                "1 without an answer, the first with id 159: it kept silent",
            ),
            check(Id::C30, Outcome::Skip, "it rests on C16, which is broken"),
        ];
        Report { book, checks, took: Duration::from_millis(2_345) }
    }

    fn printed(width: usize, as_json: bool) -> String {
        let (mut screen, printed) = Screen::for_test(width, as_json);
        let path = Path::new("manifests/geo.toml");
        begin(&mut screen, "geo", path, some().book);
        report(&mut screen, "geo", path, &some());
        printed.text()
    }

    #[test]
    fn a_foreign_report_says_which_numbers_mean_nothing_to_its_protocol() {
        let (mut screen, printed) = Screen::for_test(100, false);
        let mut mcp = some();
        mcp.book = Book::of(Dialect::Mcp);
        mcp.checks.clear();
        report(&mut screen, "time", Path::new("time.toml"), &mcp);
        let text = printed.text();
        assert!(text.ends_with("Not rules of MCP 2025-11-25: C13 C15 C33 C34 C39\n"), "{text}");
    }

    #[test]
    fn what_is_wrong_is_shown_with_what_was_seen() {
        insta::assert_snapshot!([100, 60].map(|width| printed(width, false)).join("\n"));
    }

    #[test]
    fn json_has_every_rule_and_the_sum() {
        let report: serde_json::Value = serde_json::from_str(&printed(80, true)).unwrap();
        assert_eq!(report["plugin"], "geo");
        assert_eq!(report["dialect"], "native");
        assert_eq!(report["against"], "protocol version 1");
        assert_eq!(report["checks"][2]["id"], "C16");
        assert_eq!(report["checks"][2]["level"], "must");
        assert_eq!(report["checks"][2]["outcome"], "fail");
        assert_eq!(report["checks"][2]["took_ms"], 12);
        assert_eq!(report["summary"]["warn"], 1);
        assert_eq!(report["summary"]["took_ms"], 2345);
    }

    #[test]
    fn the_rules_are_printed_with_their_weight() {
        let (mut screen, printed) = Screen::for_test(100, false);
        rules(&mut screen, Book::of(Dialect::Native));
        insta::assert_snapshot!(printed.text());
    }
}
