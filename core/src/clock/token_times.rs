//! The times that a record gives for its access token.

use chrono::{DateTime, Datelike, TimeDelta, Utc};

use crate::claims::AccessTokenTimes;

/// The shortest and the longest lifetime of an access token that is believed.
const SHORTEST_LIFE: TimeDelta = TimeDelta::seconds(1);
pub(super) const LONGEST_LIFE: TimeDelta = TimeDelta::days(366);

/// A claim above this is in milliseconds: as seconds it would be in the year 5138.
const MOST_SECONDS: i64 = 100_000_000_000;

/// The times of one access token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TokenTimes {
    /// `iat` and `exp`, by the server's clock.
    pub(super) issued_at: Option<DateTime<Utc>>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    /// `last_refresh` of the record, by the clock of the machine that wrote it.
    pub(super) stored_at: Option<DateTime<Utc>>,
}

impl TokenTimes {
    pub(crate) fn new(token: AccessTokenTimes, last_refresh: Option<DateTime<Utc>>) -> Self {
        Self {
            issued_at: token.issued_at.and_then(time),
            expires_at: token.expires_at.and_then(time),
            stored_at: last_refresh,
        }
    }

    /// Returns the time from `iat` to `exp`, even if it makes no sense.
    pub(super) fn claimed_life(&self) -> Option<TimeDelta> {
        Some(self.expires_at? - self.issued_at?)
    }
}

/// Returns whether `life` can be the lifetime of an access token.
pub(super) fn is_believable(life: &TimeDelta) -> bool {
    (SHORTEST_LIFE..=LONGEST_LIFE).contains(life)
}

/// Returns the time that `claim` means, if it is one of the calendars of all languages.
fn time(claim: i64) -> Option<DateTime<Utc>> {
    let time = if claim > MOST_SECONDS {
        DateTime::from_timestamp_millis(claim)
    } else {
        DateTime::from_timestamp(claim, 0)
    };
    time.filter(|time| (1..=9999).contains(&time.year()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_seconds_or_milliseconds() {
        let seconds = DateTime::from_timestamp(1_800_000_000, 0);
        assert_eq!(time(1_800_000_000), seconds);
        assert_eq!(time(1_800_000_000_000), seconds);
        assert_eq!(time(MOST_SECONDS).map(|time| time.timestamp()), Some(MOST_SECONDS));
        assert_eq!(time(MOST_SECONDS + 1).map(|time| time.timestamp()), Some(100_000_000));
        assert_eq!(time(i64::MAX), None);
        assert_eq!(time(i64::MIN), None);
        assert_eq!(time(300_000_000_000_000), None, "in the year 11476");
        assert_eq!(time(-70_000_000_000), None, "in the year -248");
    }
}
