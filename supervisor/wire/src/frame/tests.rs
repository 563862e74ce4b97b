use std::fmt::Write;

use super::*;

/// Every item on a line of its own.
fn run(mut framer: Framer, chunks: &[&[u8]], eof: bool) -> String {
    let mut out = String::new();
    {
        let mut sink = |item: Item<'_>| show(&mut out, &item);
        for chunk in chunks {
            framer.feed(chunk, &mut sink);
        }
        if eof {
            framer.finish(&mut sink);
        }
    }
    out
}

fn show(out: &mut String, item: &Item<'_>) {
    match item {
        Item::Frame(text) => writeln!(out, "frame {text}"),
        Item::Junk { kind, bytes, line } => {
            writeln!(out, "junk {} {bytes} {}", kind.as_str(), line.escape_ascii())
        }
        Item::TooLong { bytes, id, request, head } => {
            writeln!(out, "too-long {bytes} {id:?} {request} {} {}", head.len(), fingerprint(head))
        }
        Item::Runaway { bytes } => writeln!(out, "runaway {bytes}"),
        Item::Tail { bytes, kept } => {
            writeln!(out, "tail {bytes} {} {}", kept.len(), fingerprint(kept))
        }
        Item::Fatal { what, .. } => writeln!(out, "fatal {what}"),
    }
    .unwrap();
}

fn show_into(out: &mut Vec<String>, item: &Item<'_>) {
    let mut one = String::new();
    show(&mut one, item);
    out.push(one);
}

fn fingerprint(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3))
}

fn lines(max: usize, bytes: &[u8]) -> String {
    run(Framer::newline(max), &[bytes], true)
}

#[test]
fn a_frame_in_one_read_is_yielded_from_the_callers_own_bytes() {
    let bytes = b"{\"a\":1}\n{\"b\":2}\n";
    let range = bytes.as_ptr_range();
    let mut framer = Framer::newline(100);
    let mut seen = 0;
    framer.feed(bytes, &mut |item| {
        let Item::Frame(text) = item else { panic!("{item:?}") };
        assert!(range.contains(&text.as_ptr()));
        seen += 1;
    });
    assert_eq!((seen, framer.memory()), (2, 0));
}

#[test]
fn what_is_said_of_a_line_is_its_kind_and_its_size() {
    assert_eq!(
        lines(99, b"[ {}]\n [{}]\n[]\n[\n"),
        "junk text 5 [ {}]\njunk batch 5  [{}]\njunk batch 2 []\njunk text 1 [\n"
    );
    assert_eq!(lines(99, b"\xff{}\n"), "junk utf8 3 \\xff{}\n");
    assert_eq!(lines(99, b"\0\n"), "junk text 1 \\x00\n");
    assert_eq!(lines(99, b"\xef\xbb\xbf\n\n \t\r\n"), "");
}

#[test]
fn a_line_beyond_the_hard_cap_is_said_once_and_the_next_one_is_read() {
    for end in ["\n", "\r\n"] {
        let fits = format!("{}{end}{{}}\n", "x".repeat(40));
        assert!(lines(10, fits.as_bytes()).starts_with("too-long 40 "));
        let beyond = format!("{}{end}{{}}\n", "x".repeat(41));
        assert_eq!(lines(10, beyond.as_bytes()), "runaway 40\nframe {}\n");
    }
}

#[test]
fn a_runaway_line_is_known_before_it_ends() {
    let mut framer = Framer::newline(10);
    let mut said = Vec::new();
    for _ in 0..100 {
        framer.feed(b"x", &mut |item| said.push(format!("{item:?}")));
    }
    assert_eq!(said, ["Runaway { bytes: 40 }"]);
    assert!(framer.memory() < 6000);
}

#[test]
fn memory_is_bounded_by_the_cap_and_given_back() {
    let max = 1 << 16;
    let mut framer = Framer::newline(max);
    let mut peak = 0;
    for _ in 0..3 * max / 100 {
        framer.feed(&[b'{'; 100], &mut |_| {});
        peak = peak.max(framer.memory());
    }
    assert!(peak <= max + 4096, "{peak}");
    assert!(framer.mid_frame());
    framer.relax();
    assert!(framer.mid_frame());
    framer.feed(b"\n", &mut |_| {});
    assert!(!framer.mid_frame());
    framer.relax();
    assert_eq!(framer.memory(), 0);
}

#[test]
fn an_id_at_the_far_edge_of_the_tail_is_found_however_the_line_was_read() {
    // `,"id":"…"}` fills the last 256 bytes exactly, or is one byte too long for them.
    for (length, found) in [(247, true), (248, false)] {
        let line = format!(
            "{{\"result\":\"{}\",\"id\":\"{}\"}}\r\n",
            "x".repeat(5000),
            "i".repeat(length)
        );
        let whole = lines(3000, line.as_bytes());
        assert_eq!(whole.contains("Some(Str("), found, "{whole}");
        let single: Vec<&[u8]> = line.as_bytes().chunks(1).collect();
        assert_eq!(run(Framer::newline(3000), &single, true), whole);
        let (head, rest) = line.as_bytes().split_at(4000);
        assert_eq!(run(Framer::newline(3000), &[head, rest], true), whole);
    }
}

#[test]
fn a_tail_is_kept_to_be_shown() {
    let mut framer = Framer::newline(99);
    framer.feed(b"{}\n{\"half", &mut |_| {});
    let mut kept = Vec::new();
    framer.finish(&mut |item| {
        if let Item::Tail { kept: k, .. } = item {
            kept = k.to_vec();
        }
    });
    assert_eq!(kept, b"{\"half");
    framer.finish(&mut |item| panic!("{item:?}"));
}

fn headed(max: usize, text: &str) -> String {
    run(Framer::content_length(max), &[text.as_bytes()], true)
}

/// What is lost cannot be found again, however much follows: the bytes behind it are no message.
#[test]
fn wire_24_a_length_that_is_wrong_ends_the_framing_and_takes_no_memory() {
    let frame = |length: &str| {
        format!("Content-Length: {length}\r\n\r\n{{\"a\":1}}Content-Length: 7\r\n\r\n{{\"b\":2}}")
    };
    for (length, said) in [
        ("7", "frame {\"a\":1}\nframe {\"b\":2}\n"),
        ("-1", "fatal header\n"),
        ("", "fatal header\n"),
        ("7\r\nContent-Length: 7", "fatal header\n"),
        ("1000000000000000000", "runaway 256\n"),
    ] {
        assert_eq!(headed(64, &frame(length)), said, "{length:?}");
    }
    assert_eq!(headed(64, "Content-Type: x\r\n\r\n{}"), "fatal header\n", "absent");
    // Too small: nothing of what follows is taken for a message that was sent so.
    let short = headed(64, &frame("6"));
    assert!(short.starts_with("frame {\"a\":1\njunk text 18 }Content-Length: 7\n"), "{short}");
    assert!(!short.contains("frame {\"b\":2}"), "{short}");
    // Too large: what follows is taken for the body, which is no message then.
    let long = headed(64, &frame("28"));
    assert!(long.starts_with("frame {\"a\":1}Content-Length: 7\n"), "{long}");
    assert!(!long.contains("frame {\"b\":2}"), "{long}");
    // Counted in characters, of which there are fewer than bytes.
    let text = "{\"a\":\"żółw\"}";
    let counted = format!("Content-Length: {}\r\n\r\n{text}\n", text.chars().count());
    assert!(!headed(64, &counted).contains(text), "{}", headed(64, &counted));
    let mut framer = Framer::content_length(1 << 20);
    framer.feed(b"Content-Length: 1000000\r\n\r\n{", &mut |_| {});
    assert!(framer.memory() < 64 << 10, "memory grows by what has come: {}", framer.memory());
}

#[test]
fn wire_24_other_orders_cases_and_line_ends_are_good() {
    for head in [
        "Content-Length: 7\r\n\r\n",
        "content-length:7\r\n\r\n",
        "CONTENT-LENGTH: 7 \r\nContent-Type: application/vscode-jsonrpc; charset=utf-8\r\n\r\n",
        "Content-Type: application/vscode-jsonrpc; charset=utf-8\r\nContent-Length: 7\r\n\r\n",
        "Content-Length: 7\n\n",
    ] {
        let twice = format!("{head}{{\"a\":1}}{head}{{\"b\":2}}");
        assert_eq!(headed(64, &twice), "frame {\"a\":1}\nframe {\"b\":2}\n", "{head:?}");
    }
}

#[test]
fn a_header_block_without_one_good_length_is_fatal() {
    for broken in [
        "Content-Length: -1\r\n\r\n{}",
        "Content-Length: +2\r\n\r\n{}",
        "Content-Length:\r\n\r\n{}",
        "Content-Length: 99999999999999999999\r\n\r\n{}",
        "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        "Content-Type: x\r\n\r\n{}",
        "Content-Length: 2\r\nnonsense\r\n\r\n{}",
    ] {
        assert_eq!(headed(64, broken), "fatal header\n", "{broken}");
    }
    let long = format!("Content-Type: {}\r\nContent-Length: 2\r\n\r\n{{}}", "x".repeat(5000));
    assert!(headed(5000, &long).starts_with("junk text"), "an overlong first line opens no block");
    let long = format!("Content-Length: 2\r\nX-Long: {}\r\n\r\n{{}}", "x".repeat(5000));
    assert_eq!(headed(64, &long), "fatal header\n");
    assert_eq!(headed(64, "Content-Length: 1000000000000000000\r\n\r\n"), "runaway 256\n");
}

#[test]
fn other_headers_and_pretty_bodies_are_fine() {
    assert_eq!(
        headed(64, "Content-Length: 8\r\nX-A: b\r\n\r\n\n{\"a\":1}Content-Length: 0\r\n\r\n"),
        "frame {\"a\":1}\n"
    );
    assert_eq!(headed(64, "Content-Length: 2\n\n[]"), "junk batch 2 []\n");
}

mod splits {
    use proptest::prelude::*;

    use super::*;

    /// Pieces that make interesting lines when strung together.
    fn soup() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            4 => Just(b"\n".to_vec()),
            1 => Just(b"\r\n".to_vec()),
            1 => Just(b"\r".to_vec()),
            1 => Just(b"\xef\xbb\xbf".to_vec()),
            1 => Just(b" \t".to_vec()),
            3 => Just(br#"{"jsonrpc":"2.0","id":7,"result":{}}"#.to_vec()),
            1 => Just(br#"{"result":"xxxxxxxxxxxxxxxxxxx","id":8}"#.to_vec()),
            1 => Just(b"[{}]".to_vec()),
            1 => Just("żółć 🦀".as_bytes().to_vec()),
            1 => Just(b"\xff\x00".to_vec()),
            1 => Just(b"Content-Length: 36\r\n\r\n".to_vec()),
            1 => Just(b"Content-Length: 7\n\n{\"a\":1}".to_vec()),
            1 => (0usize..6000).prop_map(|n| vec![b'x'; n]),
        ];
        (any::<bool>(), prop::collection::vec(piece, 0..24)).prop_map(|(bom, pieces)| {
            let mut all = if bom { b"\xef\xbb\xbf".to_vec() } else { Vec::new() };
            all.extend(pieces.into_iter().flatten());
            all
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_split_of_the_bytes_gives_the_same_items(
            bytes in soup(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
            max in prop::sample::select(vec![1usize, 7, 35, 36, 37, 300, 4095, 5000]),
            lined in any::<bool>(),
        ) {
            let framing = if lined { Framing::Newline } else { Framing::ContentLength };
            let whole = run(Framer::new(framing, max), &[&bytes], true);
            let mut at: Vec<usize> = cuts.iter().map(|c| c.index(bytes.len() + 1)).collect();
            at.sort_unstable();
            let mut chunks = Vec::new();
            let mut from = 0;
            for cut in at {
                chunks.push(&bytes[from..cut]);
                from = cut;
            }
            chunks.push(&bytes[from..]);
            prop_assert_eq!(&run(Framer::new(framing, max), &chunks, true), &whole);
            let mut handed = Vec::new();
            let mut framer = Framer::new(framing, max);
            for chunk in &chunks {
                // The supervisor's next build goes on in the middle of a frame.
                framer = serde_json::from_str(&serde_json::to_string(&framer).unwrap()).unwrap();
                framer.feed(chunk, &mut |item| show_into(&mut handed, &item));
            }
            framer.finish(&mut |item| show_into(&mut handed, &item));
            prop_assert_eq!(&handed.concat(), &whole);
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(&run(Framer::new(framing, max), &single, true), &whole);
        }
    }
}

#[test]
fn wire_24_a_header_behind_something_else_ends_the_framing_wherever_the_reads_were_cut() {
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    let long = "x".repeat(9000);
    for before in ["rest of a body", r#""}}"#, " ", &*long] {
        let text = format!("{before}Content-Length: 36\r\n\r\n{answer}");
        for size in [1, 7, text.len()] {
            let chunks: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            let mut near = Vec::new();
            let mut framer = Framer::content_length(100_000);
            for chunk in chunks {
                framer.feed(chunk, &mut |item| match item {
                    Item::Fatal { near: bytes, .. } => near.extend_from_slice(bytes),
                    Item::Frame(frame) => panic!("{frame} is behind a length that was wrong"),
                    _ => {}
                });
            }
            assert!(near.ends_with(b"Content-Length: 36\r"), "{size}: {}", near.escape_ascii());
        }
    }
    // A log line about a header is none.
    let log = format!("sent Content-Length: 12\nContent-Length: 36\r\n\r\n{answer}");
    let read = run(Framer::content_length(1000), &[log.as_bytes()], false);
    assert!(read.ends_with(&format!("frame {answer}\n")), "{read}");
}
