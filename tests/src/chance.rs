//! Numbers that a seed decides (SplitMix64).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use codex_auth_sdk::environment::Random;

/// A stream of numbers; the same for the same seed.
#[derive(Debug)]
pub struct Chance(AtomicU64);

impl Chance {
    /// The one that `seed` decides.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    fn next(&self) -> u64 {
        let state = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        mix(state.wrapping_add(0x9e37_79b9_7f4a_7c15))
    }

    /// A number below `end`.
    ///
    /// # Panics
    ///
    /// Where there is none.
    pub fn below(&self, end: usize) -> usize {
        let end = u128::try_from(end).expect("fits");
        usize::try_from((u128::from(self.next()) * end) >> 64).expect("below a usize")
    }

    /// Whether something of this probability happens.
    #[must_use]
    pub fn happens(&self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A time between the two.
    #[must_use]
    pub fn between(&self, shortest: Duration, longest: Duration) -> Duration {
        shortest + longest.saturating_sub(shortest).mul_f64(self.unit())
    }

    /// A time between two numbers of milliseconds.
    #[must_use]
    pub fn millis(&self, shortest: u64, longest: u64) -> Duration {
        self.between(Duration::from_millis(shortest), Duration::from_millis(longest))
    }

    /// One of `choices`.
    ///
    /// # Panics
    ///
    /// Where there are none.
    pub fn pick<T: Clone>(&self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }
}

impl Random for Chance {
    fn unit(&self) -> f64 {
        let bits = u32::try_from(self.next() >> 32).expect("32 bits");
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    }
}

/// Spreads `state` over all bits.
#[must_use]
pub const fn mix(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}
