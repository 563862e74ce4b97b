//! The words that text and notes share: spans of time and the ends of processes.

use std::time::Duration;

use super::api;

/// A span as people read it: `34ms`, `0.41s`, `9.2s`, `12s`, `4m 10s`, `41m`, `3h 12m`, `2d 4h`.
#[must_use]
pub fn span(span: Duration) -> String {
    let millis = span.as_millis();
    let secs = span.as_secs();
    match secs {
        0 if millis < 100 => format!("{millis}ms"),
        // Truncated, not rounded: 0.999s must not read as "1.00s".
        0 => format!("0.{:02}s", millis / 10),
        1..=9 if millis.is_multiple_of(1000) => format!("{secs}s"),
        1..=9 => format!("{secs}.{}s", (millis % 1000) / 100),
        10..=59 => format!("{secs}s"),
        60..=599 if secs.is_multiple_of(60) => format!("{}m", secs / 60),
        60..=599 => format!("{}m {}s", secs / 60, secs % 60),
        600..=3_599 => format!("{}m", secs / 60),
        3_600..=86_399 => two(secs / 3_600, "h", (secs % 3_600) / 60, "m"),
        _ => two(secs / 86_400, "d", (secs % 86_400) / 3_600, "h"),
    }
}

fn two(large: u64, unit: &str, small: u64, sub: &str) -> String {
    if small == 0 { format!("{large}{unit}") } else { format!("{large}{unit} {small}{sub}") }
}

/// A span as the columns of the start-up and stop screens show it: seconds, with as much of a fraction as helps.
#[must_use]
pub fn seconds(span_: Duration) -> String {
    // What took no time at all is not believed.
    let millis = span_.as_millis().max(10);
    match millis {
        0..1_000 => format!("0.{:02}s", millis / 10),
        1_000..100_000 => format!("{}.{}s", millis / 1_000, (millis % 1_000) / 100),
        _ => span(span_),
    }
}

/// How a process ended: `exit 1`, `SIGSEGV, core dumped`, `killed for memory`, `its end is not known`.
#[must_use]
pub fn exit(exit: &api::Exit) -> String {
    match (exit.oom, exit.code, &exit.signal) {
        (true, ..) => "killed for memory".to_owned(),
        (false, Some(code), _) => format!("exit {code}"),
        (false, None, Some(signal)) if exit.core => format!("{signal}, core dumped"),
        (false, None, Some(signal)) => signal.clone(),
        (false, None, None) => "its end is not known".to_owned(),
    }
}

/// A failure in few words: how the process ended where that is the news, else class and message.
#[must_use]
pub fn failure(failure: &api::Failure) -> String {
    match (&failure.exit, failure.class.as_str()) {
        (Some(end), "exit" | "signal" | "oom") if failure.detail == "before-handshake" => {
            format!("{} before the handshake", exit(end))
        }
        (Some(end), "exit" | "signal" | "oom") => exit(end),
        _ if failure.message.is_empty() => format!("{}: {}", failure.class, failure.detail),
        _ => format!("{}: {}", failure.class, failure.message),
    }
}

/// `1 call`, `2 calls`.
#[must_use]
pub fn count(n: u64, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_like_those_of_a_person() {
        let table: Vec<String> = [
            0,
            34,
            99,
            100,
            410,
            999,
            1_000,
            1_049,
            9_250,
            10_000,
            59_999,
            60_000,
            61_000,
            250_000,
            300_000,
            600_000,
            2_460_000,
            3_600_000,
            11_520_000,
            86_400_000,
            187_200_000,
        ]
        .into_iter()
        .map(|ms| span(Duration::from_millis(ms)))
        .collect();
        assert_eq!(
            table.join(" · "),
            "0ms · 34ms · 99ms · 0.10s · 0.41s · 0.99s · 1s · 1.0s · 9.2s · 10s · 59s · 1m · 1m 1s · 4m 10s · 5m · \
             10m · 41m · 1h · 3h 12m · 1d · 2d 4h"
        );
    }

    #[test]
    fn columns_show_seconds() {
        let table: Vec<String> = [0, 20, 480, 999, 4_200, 12_180, 99_999, 100_000]
            .into_iter()
            .map(|ms| seconds(Duration::from_millis(ms)))
            .collect();
        assert_eq!(table.join(" "), "0.01s 0.02s 0.48s 0.99s 4.2s 12.1s 99.9s 1m 40s");
    }

    #[test]
    fn an_end_is_told_by_what_is_known_of_it() {
        let segv = api::Exit { signal: Some("SIGSEGV".into()), core: true, ..Default::default() };
        assert_eq!(exit(&segv), "SIGSEGV, core dumped");
        assert_eq!(exit(&api::Exit { code: Some(0), ..Default::default() }), "exit 0");
        assert_eq!(exit(&api::Exit { oom: true, ..segv }), "killed for memory");
        assert_eq!(exit(&api::Exit::default()), "its end is not known");
    }
}
