//! A moment by both clocks of a machine.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::secret::Fingerprint;

/// The clocks may part by this much, in milliseconds, before the wall clock counts as set.
const STEP: i64 = 5_000;

/// Tells one boot of a machine from all others. The times of two boot clocks can be compared only
/// if they have the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootId(Fingerprint);

impl BootId {
    /// Returns the id of the boot that the system calls `name`.
    pub fn of(name: &[u8]) -> Self {
        Self(Fingerprint::of(name))
    }
}

/// The times of both clocks at one moment, in whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moment {
    boot: BootId,
    /// Time since the machine started.
    up: i64,
    /// The wall clock, since 1970.
    wall: i64,
}

impl Moment {
    pub(crate) fn new(wall: DateTime<Utc>, boot: BootId, up: Duration) -> Self {
        let up = i64::try_from(up.as_millis()).unwrap_or(i64::MAX);
        Self { boot, up, wall: wall.timestamp_millis() }
    }

    /// Returns how much later this is than `earlier` by the boot clock; none if that is not known.
    pub(crate) fn since(&self, earlier: &Self) -> Option<TimeDelta> {
        let is_earlier = self.boot == earlier.boot && (0..=self.up).contains(&earlier.up);
        is_earlier.then(|| TimeDelta::milliseconds(self.up - earlier.up))
    }

    /// Returns whether the wall clock was set between `earlier` and this.
    pub(crate) fn has_stepped_since(&self, earlier: &Self) -> bool {
        let by_wall = self.wall.saturating_sub(earlier.wall);
        let by_boot = self.up.saturating_sub(earlier.up);
        by_wall.saturating_sub(by_boot).saturating_abs() > STEP
    }

    /// Returns what the wall clock said.
    pub(crate) fn wall(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.wall).unwrap_or_default()
    }

    /// Returns how much later the wall clock is than `time`.
    pub(crate) fn after(&self, time: DateTime<Utc>) -> TimeDelta {
        TimeDelta::milliseconds(self.wall.saturating_sub(time.timestamp_millis()))
    }

    pub(crate) fn is_same_boot(&self, other: &Self) -> bool {
        self.boot == other.boot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(boot: &str, up: u64, wall: i64) -> Moment {
        let wall = DateTime::from_timestamp(wall, 0).expect("a time");
        Moment::new(wall, BootId::of(boot.as_bytes()), Duration::from_secs(up))
    }

    #[test]
    fn moments_are_compared_within_one_boot() {
        let earlier = moment("a", 100, 1000);
        assert_eq!(moment("a", 160, 0).since(&earlier), Some(TimeDelta::seconds(60)));
        assert_eq!(moment("a", 99, 2000).since(&earlier), None);
        assert_eq!(moment("b", 160, 1060).since(&earlier), None);
    }

    #[test]
    fn the_wall_clock_was_set_where_it_does_not_go_along() {
        let earlier = moment("a", 100, 1000);
        for (up, wall, has_stepped) in
            [(160, 1060, false), (160, 1065, false), (160, 1066, true), (160, 1054, true)]
        {
            assert_eq!(moment("a", up, wall).has_stepped_since(&earlier), has_stepped, "{wall}");
        }
    }
}
