//! Limits the rotations that rejected access tokens cause. An API that rejects every token must not
//! make a machine rotate in a loop.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::demand::{Demand, Purpose};
use super::turn::Turn;
use crate::clock::Timing;
use crate::ledger::Ledger;
use crate::snapshot::CodexAuth;
use crate::state::State;

/// The rejections of any token may cause no more than one rotation in this time, after a burst.
const SHORTEST_REFILL: Duration = Duration::from_secs(60);

/// The rejections of any token may cause one rotation in this time at least. Some servers end
/// tokens long before they expire, for example whenever the user signs in elsewhere: a share of ten
/// days would lock that user out for more than a day.
const LONGEST_REFILL: Duration = Duration::from_secs(60 * 60);

/// The part of its lifetime in which the rejections of a token may cause one more rotation.
const LIFE_SHARE: i32 = 8;

/// The lifetime of a token whose own is not known.
const ASSUMED_LIFE: TimeDelta = TimeDelta::hours(1);

/// The rejection of an access token that has not expired.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rejection {
    refill: Duration,
}

impl Rejection {
    /// Returns the rejection of the stored access token, that of `auth`, which `demand` reports.
    /// Returns none if the token was not rejected, or must be replaced anyway.
    pub(super) fn of(auth: &CodexAuth, demand: &Demand, state: &State) -> Option<Self> {
        let token = auth.access_fingerprint()?;
        let is_rejected =
            demand.auth.access_fingerprint() == Some(token) || state.memory.is_rejected(token);
        let timing = state.timing(auth);
        (demand.purpose == Purpose::Rejected && is_rejected && !timing.has_aged_out())
            .then(|| Self { refill: refill(&timing) })
    }

    /// Returns whether this rejection may cause one more rotation.
    pub(super) fn may_rotate(self, turn: &Turn<'_>) -> bool {
        let now = turn.state.now();
        let may_rotate = |ledger: &Ledger| ledger.may_rotate_rejected(now, self.refill);
        may_rotate(&turn.state.tokens.known_here()) && may_rotate(&turn.lock.ledger())
    }

    /// Notes the rotation that this rejection has caused.
    pub(super) fn take_rotation(self, ledger: &mut Ledger, now: DateTime<Utc>) {
        ledger.take_rejected_rotation(now, self.refill);
    }
}

/// Returns the time in which the rejections of such tokens may cause one more rotation.
fn refill(timing: &Timing) -> Duration {
    if timing.is_young() {
        return SHORTEST_REFILL;
    }
    let share = timing.life().unwrap_or(ASSUMED_LIFE) / LIFE_SHARE;
    share.to_std().unwrap_or_default().clamp(SHORTEST_REFILL, LONGEST_REFILL)
}
