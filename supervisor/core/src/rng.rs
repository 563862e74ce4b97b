//! Jitter's randomness: a seed in the state, so that every run replays.

use serde::{Deserialize, Serialize};

/// Sebastiano Vigna's SplitMix64; small, seedable, and good enough to spread timers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Evenly from `0.0..1.0`.
    pub(crate) fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        // The upper 53 bits are what a double can hold.
        (z >> 11) as f64 / (1_u64 << 53) as f64
    }
}
