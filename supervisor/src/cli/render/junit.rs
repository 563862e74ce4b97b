//! A report as JUnit XML: what build servers read.

use std::fmt::Write as _;

use outboard_conformance::{Outcome, Report};

/// One suite, with a case for each rule. A SHOULD that was not met is a case that passed, with what was seen as its
/// output.
pub(in crate::cli) fn report(plugin: &str, report: &Report) -> String {
    let seconds = |time: std::time::Duration| format!("{:.3}", time.as_secs_f64());
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let mut put = |line: String| {
        // Writing to a string cannot fail.
        writeln!(xml, "{line}").unwrap_or_default();
    };
    put(format!(
        "<testsuite name=\"{} conformance\" tests=\"{}\" failures=\"{}\" skipped=\"{}\" time=\"{}\">",
        escape(plugin),
        report.checks.len(),
        report.count(Outcome::Fail),
        report.count(Outcome::Skip),
        seconds(report.took),
    ));
    for check in &report.checks {
        let rule = check.rule;
        let open = format!(
            "  <testcase classname=\"{}\" name=\"{} {}\" time=\"{}\"",
            escape(plugin),
            rule.id,
            escape(rule.says),
            seconds(check.took),
        );
        let seen = escape(&check.seen);
        let inner = match check.outcome {
            Outcome::Ok => {
                put(format!("{open}/>"));
                continue;
            }
            Outcome::Fail => {
                format!("<failure message=\"{seen}\" type=\"{}\"/>", rule.level.as_str())
            }
            Outcome::Skip => format!("<skipped message=\"{seen}\"/>"),
            Outcome::Warn => format!("<system-out>warning: {seen}</system-out>"),
        };
        put(format!("{open}>{inner}</testcase>"));
    }
    put("</testsuite>".to_owned());
    xml
}

/// For attributes and text. What XML 1.0 cannot hold at all becomes U+FFFD.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push_str("&#9;"),
            '\r' => escaped.push_str("&#13;"),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::render::conformance::tests::some;

    #[test]
    fn build_servers_see_each_rule() {
        insta::assert_snapshot!(report("geo", &some()));
    }

    #[test]
    fn nothing_that_a_plugin_writes_ends_an_attribute() {
        assert_eq!(escape("a\"<&>\u{1b}\n"), "a&quot;&lt;&amp;&gt;\u{fffd}&#10;");
    }
}
