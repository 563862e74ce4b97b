//! How a client's messages are told apart: lines, or LSP's headers. The socket has lines.

use outboard_wire::encode;
use outboard_wire::frame::Framing;

/// What a client of this dialect speaks.
pub(super) fn of_dialect(dialect: &str) -> Framing {
    if dialect == "lsp" { Framing::ContentLength } else { Framing::Newline }
}

/// What a client speaks of which nothing is known but what it says first.
pub(super) fn of_first_words(bytes: &[u8]) -> Framing {
    match bytes.trim_ascii_start() {
        [b'{', ..] | [] => Framing::Newline,
        _ => Framing::ContentLength,
    }
}

/// Appends one message for the client.
pub(super) fn message(framing: Framing, out: &mut Vec<u8>, frame: &str) {
    match framing {
        Framing::Newline => {
            out.extend_from_slice(frame.as_bytes());
            out.push(b'\n');
        }
        Framing::ContentLength => encode::behind_header(out, frame.as_bytes()),
    }
}

/// Lines as the client takes them.
pub(super) fn messages(framing: Framing, lines: Vec<u8>) -> Vec<u8> {
    match framing {
        Framing::Newline => lines,
        Framing::ContentLength => {
            let mut out = Vec::with_capacity(lines.len() + lines.len() / 4);
            let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            lines.for_each(|line| encode::behind_header(&mut out, line));
            out
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_words_tell_lines_from_headers() {
        assert_eq!(of_first_words(b" {\"jsonrpc\""), Framing::Newline);
        assert_eq!(of_first_words(b"Content-Length: 5\r\n"), Framing::ContentLength);
        assert_eq!(of_first_words(b"content-type: x"), Framing::ContentLength);
    }

    #[test]
    fn lines_become_messages_behind_headers() {
        let lines = b"{\"a\":1}\n{\"b\":22}\n".to_vec();
        assert_eq!(messages(Framing::Newline, lines.clone()), lines);
        let framed = b"Content-Length: 7\r\n\r\n{\"a\":1}Content-Length: 8\r\n\r\n{\"b\":22}";
        assert_eq!(messages(Framing::ContentLength, lines), framed);
    }
}
