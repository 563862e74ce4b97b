//! No sink holds a secret, nor a good part of one, however the stream was cut.

use proptest::prelude::*;

use super::super::lines::{LineCutter, lossless};
use super::super::words::Words;
use super::{MASK, Masker, Redactor};

#[test]
fn a_secret_is_masked_plain_and_json_escaped_and_inside_another() {
    let redactor = Redactor::new(["pass\"word".to_owned(), "pass\"word-longer".to_owned()]);
    let masked = redactor.mask(r#"a pass"word b {"t":"pass\"word-longer"} c"#.to_owned());
    assert_eq!(masked, format!(r#"a {MASK} b {{"t":"{MASK}"}} c"#));
}

#[test]
fn secrets_that_overlap_leave_nothing_of_either() {
    let redactor = Redactor::new(["abcdef".to_owned(), "efghij".to_owned()]);
    assert_eq!(redactor.mask("x abcdefghij y".to_owned()), format!("x {MASK} y"));
    for cut in 0..14 {
        let text = b"x abcdefghij y";
        let mut out = Vec::new();
        let mut masker = Masker::new(redactor.clone());
        let mut sink = |piece: &[u8]| out.extend_from_slice(piece);
        masker.feed(&text[..cut], &mut sink);
        masker.feed(&text[cut..], &mut sink);
        masker.finish(&mut sink);
        assert_eq!(lossless(&out), format!("x {MASK} y"), "cut at {cut}");
    }
}

#[test]
fn one_that_repeats_itself_is_masked_to_its_end_in_bounded_memory() {
    let redactor = Redactor::new(["abcabcabc".to_owned()]);
    assert_eq!(redactor.mask("-abcabcabcabcabc-".to_owned()), format!("-{MASK}-"));
    let mut masker = Masker::new(redactor);
    let mut out = Vec::new();
    for _ in 0..1_000 {
        masker.feed(b"abc", &mut |piece| out.extend_from_slice(piece));
        assert!(masker.held.len() < 9);
    }
    masker.finish(&mut |piece| out.extend_from_slice(piece));
    assert_eq!(lossless(&out), MASK);
}

#[test]
fn an_excerpt_is_masked_before_it_is_cut() {
    let redactor = Redactor::new(["hunter22hunter22".to_owned()]);
    let line = b"token=hunter22hunter22 and more";
    for limit in 0..line.len() + 5 {
        let shown = redactor.excerpt(line, limit);
        assert!(!shown.contains("hunt"), "{limit}: {shown}");
    }
    assert_eq!(redactor.excerpt(line, 24), format!("token={MASK} and mor…"));
    assert_eq!(redactor.excerpt(b"short", 5), "short");
    assert_eq!(Redactor::default().excerpt(b"sh\xffort", 3), "sh\\xff…");
}

#[test]
fn what_ends_within_a_secret_shows_no_more_than_three_letters_of_it() {
    let end = |text: &[u8]| {
        let mut out = Vec::new();
        let mut masker = Masker::new(Redactor::new(["hunter22".to_owned()]));
        let mut sink = |piece: &[u8]| out.extend_from_slice(piece);
        masker.feed(text, &mut sink);
        masker.finish(&mut sink);
        lossless(&out)
    };
    assert_eq!(end(b"last words: hun"), "last words: hun");
    assert_eq!(end(b"last words: hunt"), format!("last words: {MASK}"));
}

#[test]
fn the_generation_before_is_masked_too() {
    let both =
        Redactor::new(["new-value".to_owned()]).and(&Redactor::new(["old-value".to_owned()]));
    assert_eq!(both.mask("old-value new-value".to_owned()), format!("{MASK} {MASK}"));
    assert_eq!(format!("{both:?}"), "Redactor(2 forms)");
}

/// What a plugin may write, with secrets in it.
#[derive(Clone, Debug)]
enum Piece {
    Noise(String),
    /// One of the secrets, in one of the ways to write it.
    Secret(prop::sample::Index, prop::sample::Index),
}

// Letters of secrets, of noise and of the mask have nothing in common, nor have the beginnings of two secrets: what
// looks like one is that one.
const STARTS: [&str; 3] = ["[f-h]{4}", "[k-m]{4}", "[J-L]{4}"];
const REST: &str = "[M-P\"\\\\/żé<]{2,20}";
const NOISE: &str = "[0-9 .:=x\n\r]{0,60}";

/// One to three secrets of one to three lines.
fn secrets() -> impl Strategy<Value = Vec<String>> {
    let secret = |start: &'static str| {
        let line = (start, REST).prop_map(|(start, rest)| start + &rest);
        prop::collection::vec(line, 1..4).prop_map(|lines| lines.join("\n"))
    };
    let all = (secret(STARTS[0]), secret(STARTS[1]), secret(STARTS[2]));
    (all, 1_usize..4).prop_map(|((a, b, c), count)| [a, b, c].into_iter().take(count).collect())
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let piece = prop_oneof![
        NOISE.prop_map(Piece::Noise),
        any::<(prop::sample::Index, prop::sample::Index)>().prop_map(|(a, b)| Piece::Secret(a, b)),
    ];
    prop::collection::vec(piece, 1..12)
}

/// Four letters in a row of a beginning of a secret's line.
fn leaks(shown: &str, secrets: &[String]) -> Option<String> {
    let shown = shown.replace(MASK, "|");
    let starts = secrets.iter().flat_map(|secret| secret.split('\n')).filter(|l| l.len() >= 6);
    let starts = starts.map(|line| line.chars().take(4).collect::<String>());
    starts.filter(|start| start.chars().count() == 4).find(|start| shown.contains(&**start))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sec_08_no_sink_holds_a_secret_or_the_start_of_one(
        secrets in secrets(),
        pieces in pieces(),
        cuts in prop::collection::vec(1_usize..50, 1..20),
        cap in 1_usize..80,
        limit in 0_usize..80,
        cut_off in any::<prop::sample::Index>(),
        whole in any::<bool>(),
    ) {
        let redactor = Redactor::new(secrets.iter().cloned());
        let mut text = String::new();
        for piece in &pieces {
            match piece {
                Piece::Noise(noise) => text.push_str(noise),
                Piece::Secret(which, way) => {
                    let secret = which.get(&secrets);
                    let json = serde_json::to_string(secret).unwrap();
                    let nested = serde_json::to_string(&json).unwrap();
                    let ascii = json.replace('ż', "\\u017c").replace('é', "\\u00e9");
                    let ways = [secret.clone(), json, nested, ascii];
                    text.push_str(way.get::<String>(&ways));
                    text.push(' ');
                }
            }
        }
        // The writer may be killed anywhere.
        let bytes = text.as_bytes();
        let bytes = if whole { bytes } else { &bytes[..cut_off.index(bytes.len() + 1)] };

        let mut masker = Masker::new(redactor.clone());
        let mut cutter = LineCutter::with_cap(cap);
        let (mut words, mut lines) = (Words::default(), Vec::new());
        words.begin(0, None);
        let mut rest = bytes;
        let mut reads = cuts.iter().cycle();
        let mut sink = |line: super::super::lines::Line<'_>| {
            words.push(0, 0, line.bytes);
            lines.push(lossless(line.bytes));
        };
        while !rest.is_empty() {
            let n = rest.len().min(*reads.next().unwrap());
            masker.feed(&rest[..n], &mut |piece| cutter.feed(piece, &mut sink));
            rest = &rest[n..];
        }
        masker.finish(&mut |piece| cutter.feed(piece, &mut sink));
        cutter.finish(&mut sink);

        let mut sinks = lines.clone();
        sinks.push(lines.concat());
        sinks.extend(words.last(0, usize::MAX, |text| redactor.mask(text)));
        sinks.push(redactor.excerpt(bytes, limit));
        sinks.push(redactor.mask(lines.concat()));
        for sink in &sinks {
            let leak = leaks(sink, &secrets);
            prop_assert!(leak.is_none(), "{leak:?} of {secrets:?} in {sink:?}");
        }
    }
}
