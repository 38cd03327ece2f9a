//! An access token that a redemption on this machine brought.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::token_times::{TokenTimes, is_believable};
use crate::environment::Moment;
use crate::secret::Fingerprint;

/// When an access token was received, and its lifetime from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Renewal {
    pub(super) access_token: Fingerprint,
    at: Moment,
    /// In milliseconds; none if it is not known.
    life: Option<i64>,
}

impl Renewal {
    /// Creates the renewal of an access token that was asked for at `now`. `ahead` is by how much the
    /// wall clock is ahead of the server's; none if that is not known.
    pub(crate) fn new(
        access_token: Fingerprint,
        times: &TokenTimes,
        ahead: Option<TimeDelta>,
        now: &Moment,
    ) -> Self {
        let claimed = times.claimed_life().filter(is_believable);
        let left = times.expires_at.map(|end| ahead.unwrap_or_default() - now.after(end));
        let left = left.filter(is_believable);
        // A server may hand out a token that it has issued before.
        let is_less = |claimed: TimeDelta| left.filter(|left| ahead.is_some() && *left < claimed);
        let life = claimed.map(|claimed| is_less(claimed).unwrap_or(claimed)).or(left);
        Self { access_token, at: *now, life: life.map(|life| life.num_milliseconds()) }
    }

    pub(super) fn age(&self, now: &Moment) -> Option<TimeDelta> {
        now.since(&self.at)
    }

    pub(super) fn life(&self) -> Option<TimeDelta> {
        self.life.and_then(TimeDelta::try_milliseconds).filter(is_believable)
    }

    /// Returns whether the wall clock was set since the token was received.
    pub(super) fn has_stepped(&self, now: &Moment) -> bool {
        now.has_stepped_since(&self.at)
    }
}
