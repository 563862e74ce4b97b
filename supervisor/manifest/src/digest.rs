//! A small stable hash, to see that something changed.

/// FNV-1a, 64 bits (Fowler, Noll, Vo). Stable over runs and releases of the standard library, which `DefaultHasher`
/// is not; no defence against an adversary, and none is needed: whoever can write a manifest can change it openly.
#[derive(Debug)]
pub struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    /// Adds one text; its end counts, so that two texts never run into each other.
    pub fn add(&mut self, text: &str) {
        for byte in text.bytes().chain([0xFF]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// The hash of everything that was added.
    pub fn finish(&self) -> u64 {
        self.0
    }
}

/// The hash of one text.
#[must_use]
pub fn digest_of(text: &str) -> u64 {
    let mut digest = Digest::default();
    digest.add(text);
    digest.finish()
}
