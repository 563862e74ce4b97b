//! Reading the shared test vectors.

use std::path::Path;

use serde_json::Value;

pub(crate) const VECTORS: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugin-sdk/protocol/vectors");

pub(crate) fn load(file: &str) -> Vec<Value> {
    let path = Path::new(VECTORS).join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// The bytes of a list of chunks: `{"text"}`, `{"base64"}` or `{"repeat": {"text", "times"}}`.
pub(crate) fn bytes_of(chunks: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in chunks {
        if let Some(text) = chunk["text"].as_str() {
            out.extend_from_slice(text.as_bytes());
        } else if let Some(code) = chunk["base64"].as_str() {
            out.extend(base64(code));
        } else {
            let repeat = &chunk["repeat"];
            let times = usize::try_from(repeat["times"].as_u64().unwrap()).unwrap();
            out.extend_from_slice(repeat["text"].as_str().unwrap().repeat(times).as_bytes());
        }
    }
    out
}

fn base64(code: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    let (mut bits, mut count) = (0u32, 0);
    for byte in code.bytes().filter(|b| *b != b'=') {
        let digit = ALPHABET.iter().position(|a| *a == byte).expect("base64 digit");
        bits = bits << 6 | u32::try_from(digit).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 0xff) as u8);
        }
    }
    out
}

/// A small generator of random numbers (xorshift64*), so that a seed gives the same run everywhere.
#[allow(dead_code, reason = "not every test needs chance")]
pub(crate) struct Rng(u64);

#[allow(dead_code, reason = "not every test needs chance")]
impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// A number below `n`; 0 for 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n.max(1) as u64).unwrap()
    }

    /// True once in `n`.
    pub(crate) fn chance(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}
