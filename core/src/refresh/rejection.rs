//! The rejection of an access token as the cause of a rotation. An API that rejects every token must
//! not make a machine rotate in a loop.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::demand::{Demand, Purpose};
use super::turn::Turn;
use crate::clock::Timing;
use crate::ledger::Ledger;
use crate::snapshot::CodexAuth;
use crate::state::State;

/// The rejection of any token may cause no more than one rotation in this time, after a burst.
const SHORTEST_REFILL: Duration = Duration::from_secs(60);

/// A share of ten days would lock a user out for more than a day whose server ends tokens long
/// before their time, say whenever the user signs in elsewhere.
const LONGEST_REFILL: Duration = Duration::from_secs(60 * 60);

/// What part of its life a token must have lived for its rejection to cause one more.
const LIFE_SHARE: i32 = 8;

/// The life of a token of which nothing tells how long it lives.
const ASSUMED_LIFE: TimeDelta = TimeDelta::hours(1);

/// The rejection of one access token, before the time was over for which it was issued.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rejection {
    refill: Duration,
}

impl Rejection {
    /// What `demand` says of the stored access token, that of `auth`; none if that was not rejected,
    /// or was to be replaced anyway.
    pub(super) fn of(auth: &CodexAuth, demand: &Demand, state: &State) -> Option<Self> {
        let token = auth.access_fingerprint()?;
        let is_rejected =
            demand.auth.access_fingerprint() == Some(token) || state.memory.is_rejected(token);
        let timing = state.timing(auth);
        (demand.purpose == Purpose::Rejected && is_rejected && !timing.has_aged_out())
            .then(|| Self { refill: refill(&timing) })
    }

    /// Whether it may cause one more rotation.
    pub(super) fn may_rotate(self, turn: &Turn<'_>) -> bool {
        let now = turn.state.now();
        let may_rotate = |ledger: &Ledger| ledger.may_rotate_rejected(now, self.refill);
        may_rotate(&turn.state.tokens.known_here()) && may_rotate(&turn.lock.ledger())
    }

    /// Notes the rotation that it caused.
    pub(super) fn take_rotation(self, ledger: &mut Ledger, now: DateTime<Utc>) {
        ledger.take_rejected_rotation(now, self.refill);
    }
}

/// In which time the rejections of such tokens may cause one more rotation.
fn refill(timing: &Timing) -> Duration {
    if timing.is_young() {
        return SHORTEST_REFILL;
    }
    let share = timing.life().unwrap_or(ASSUMED_LIFE) / LIFE_SHARE;
    share.to_std().unwrap_or_default().clamp(SHORTEST_REFILL, LONGEST_REFILL)
}
