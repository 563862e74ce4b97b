//! A small stable hash, to see that something changed.

/// FNV-1a, 64 bits (Fowler, Noll, Vo). Stable over runs and releases of the standard library, which `DefaultHasher`
/// is not; no defence against an adversary, and none is needed: whoever can write a manifest can change it openly.
#[derive(Debug)]
pub(crate) struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    /// Adds one text; its end counts, so that two texts never run into each other.
    pub(crate) fn add(&mut self, text: &str) {
        for byte in text.bytes().chain([0xFF]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub(crate) fn finish(&self) -> u64 {
        self.0
    }
}
