//! The skew: how wrong the wall clock of this machine is.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::environment::Moment;

/// A smaller difference between two clocks counts as none.
pub(super) const NO_SKEW: TimeDelta = TimeDelta::seconds(30);

/// A greater skew is not believed: no calendar can be so wrong.
const MOST: TimeDelta = TimeDelta::days(366 * 10_000);

/// The resolution of `Date`.
const RESOLUTION: TimeDelta = TimeDelta::seconds(1);

/// The wall clock of this machine less that of the authorization server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Skew {
    /// In milliseconds.
    ahead: i64,
    /// When it was measured.
    at: Moment,
}

impl Skew {
    /// Returns the skew that the `Date` of a reply shows. Its request was sent at `sent`, and the
    /// reply was received at `received`.
    pub(crate) fn measured(date: DateTime<Utc>, sent: &Moment, received: &Moment) -> Self {
        // The server wrote `Date` at some time in between. A program that was stopped meanwhile has
        // waited long for the reply although its clock is right. So the least skew counts.
        let most = received.after(date);
        let took = received.since(sent).unwrap_or_default();
        let least = most - took.min(MOST) - RESOLUTION;
        let ahead = TimeDelta::zero().clamp(least.min(most), most);
        let ahead = if ahead.abs() < NO_SKEW { TimeDelta::zero() } else { ahead };
        Self { ahead: ahead.num_milliseconds(), at: *received }
    }

    /// Returns by how much the wall clock is ahead; none if it may have been set since.
    pub(crate) fn ahead(&self, now: &Moment) -> Option<TimeDelta> {
        let is_known = now.since(&self.at).is_some() && !now.has_stepped_since(&self.at);
        let ahead = TimeDelta::try_milliseconds(self.ahead)?;
        (is_known && ahead.abs() < MOST).then_some(ahead)
    }

    pub(super) fn is_of_boot(&self, other: &Self) -> bool {
        self.at.is_same_boot(&other.at)
    }

    /// Returns whether this skew was measured after `other`, in the same boot.
    pub(super) fn is_newer(&self, other: &Self) -> bool {
        self.at.since(&other.at).is_some_and(|passed| passed > TimeDelta::zero())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::environment::BootId;

    fn moment(up: u64, wall: i64) -> Moment {
        let wall = DateTime::from_timestamp(wall, 0).expect("a time");
        Moment::new(wall, BootId::of(b"a"), Duration::from_secs(up))
    }

    #[test]
    fn it_is_the_least_that_explains_the_reply() {
        let date = DateTime::from_timestamp(10_000, 0).expect("a time");
        for (wall, took, ahead) in [
            (10_000, 0, 0),
            (10_029, 0, 0),
            (10_160, 0, 159),
            (9_840, 0, -160),
            (9_971, 0, 0),
            (10_160, 10, 149),
            (10_160, 200, 0),
            (9_840, 200, -160),
        ] {
            let (sent, received) = (moment(1000, wall - took), moment(1000 + took as u64, wall));
            let skew = Skew::measured(date, &sent, &received);
            assert_eq!(skew.ahead(&received), Some(TimeDelta::seconds(ahead)), "{wall} {took}");
        }
    }

    #[test]
    fn it_holds_until_the_wall_clock_is_set_or_the_machine_starts_again() {
        let date = DateTime::from_timestamp(10_000, 0).expect("a time");
        let at = moment(1000, 17_200);
        let skew = Skew::measured(date, &at, &at);
        let known = Some(TimeDelta::seconds(7199));
        assert_eq!(skew.ahead(&moment(900_000, 916_200)), known);
        assert_eq!(skew.ahead(&moment(900_000, 916_206)), None);
        assert_eq!(skew.ahead(&moment(10, 17_200)), None);
    }

    #[test]
    fn what_cannot_be_is_not_believed() {
        let at = moment(1000, 10_000);
        for ahead in [i64::MIN, i64::MAX, MOST.num_milliseconds()] {
            assert_eq!(Skew { ahead, at }.ahead(&at), None, "{ahead}");
        }
    }
}
