//! Reads files of lines from their ends, in bounded memory.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

const CHUNK: u64 = 64 * 1024;

/// Every whole line of a file, oldest first. A file that is not there has none; what is not UTF-8 is left out.
pub(super) fn lines(path: &Path) -> impl Iterator<Item = String> + use<> {
    File::open(path)
        .ok()
        .map(BufReader::new)
        .into_iter()
        .flat_map(|reader| reader.lines().map_while(Result::ok))
}

/// The last `count` lines that `keep` accepts, oldest first, reading backwards no further than needed; fewer where they have
/// more than `bytes` together.
#[must_use]
pub(super) fn last_lines(
    path: &Path,
    count: usize,
    mut bytes: usize,
    mut keep: impl FnMut(&str) -> bool,
) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let Ok(mut file) = File::open(path) else { return found };
    let Ok(mut end) = file.seek(SeekFrom::End(0)) else { return found };
    // What was read already and has no line start before it yet.
    let mut pending: Vec<u8> = Vec::new();
    'file: while found.len() < count {
        let size = end.min(CHUNK);
        end -= size;
        let mut chunk = vec![0; usize::try_from(size).unwrap_or(0)];
        let read = file.seek(SeekFrom::Start(end)).and_then(|_| file.read_exact(&mut chunk));
        if read.is_err() {
            break;
        }
        chunk.extend_from_slice(&pending);
        pending = chunk;
        while found.len() < count {
            let body = pending.strip_suffix(b"\n").unwrap_or(&pending);
            let Some(start) = memchr::memrchr(b'\n', body) else { break };
            if let Ok(line) = std::str::from_utf8(&body[start + 1..])
                && keep(line)
            {
                let Some(left) = bytes.checked_sub(line.len()) else { break 'file };
                bytes = left;
                found.push(line.to_owned());
            }
            pending.truncate(start + 1);
        }
        if end == 0 {
            let body = pending.strip_suffix(b"\n").unwrap_or(&pending);
            if let Ok(line) = std::str::from_utf8(body)
                && found.len() < count
                && !line.is_empty()
                && line.len() <= bytes
                && keep(line)
            {
                found.push(line.to_owned());
            }
            break;
        }
    }
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_found_over_chunk_borders() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let long = "x".repeat(50_000);
        let text: String = (0..10).map(|n| format!("{n} {long}\n")).collect();
        std::fs::write(&path, text).unwrap();
        let heads = |v: Vec<String>| v.into_iter().map(|l| l[..1].to_owned()).collect::<Vec<_>>();
        assert_eq!(heads(last_lines(&path, 3, usize::MAX, |_| true)), ["7", "8", "9"]);
        assert_eq!(heads(last_lines(&path, 99, usize::MAX, |l| l < "2")), ["0", "1"]);
        assert_eq!(heads(last_lines(&path, 99, usize::MAX, |_| true)).len(), 10);
        assert_eq!(heads(last_lines(&path, 99, 120_000, |_| true)), ["8", "9"]);
        assert!(last_lines(&dir.path().join("none"), 3, usize::MAX, |_| true).is_empty());
    }
}
