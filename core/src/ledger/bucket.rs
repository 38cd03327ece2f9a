//! A bucket that limits how often something is done: a few times in a burst, then once in a while.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The most times in a burst.
const SIZE: f64 = 4.0;

/// The number of times that are left.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bucket {
    level: f64,
    #[serde(with = "chrono::serde::ts_milliseconds")]
    at: DateTime<Utc>,
}

impl Default for Bucket {
    fn default() -> Self {
        Self { level: SIZE, at: DateTime::UNIX_EPOCH }
    }
}

impl Bucket {
    pub(super) fn within_bounds(self) -> Self {
        Self { level: self.level.clamp(0.0, SIZE), ..self }
    }

    /// Returns whether one is left, if each `refill` brings one more.
    pub(crate) fn has_one(&self, now: DateTime<Utc>, refill: Duration) -> bool {
        self.wait_for_one(now, refill).is_zero()
    }

    /// Returns how long to wait until one is left, if each `refill` brings one more.
    pub(super) fn wait_for_one(&self, now: DateTime<Utc>, refill: Duration) -> Duration {
        refill.mul_f64((1.0 - self.level_at(now, refill)).max(0.0))
    }

    pub(crate) fn take_one(&mut self, now: DateTime<Utc>, refill: Duration) {
        *self = Self { level: (self.level_at(now, refill) - 1.0).max(0.0), at: now };
    }

    fn level_at(&self, now: DateTime<Utc>, refill: Duration) -> f64 {
        // A time in the future comes from a clock that ran ahead.
        let passed = (now - self.at).abs().to_std().unwrap_or(Duration::ZERO);
        (self.level + passed.as_secs_f64() / refill.as_secs_f64()).min(SIZE)
    }
}
