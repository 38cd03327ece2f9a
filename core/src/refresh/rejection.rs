//! Limits the rotations that rejected access tokens cause. An API that rejects every token must not
//! make a machine rotate in a loop.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::decision::GiveUpReason;
use super::demand::{Demand, Purpose};
use super::turn::Turn;
use crate::clock::Timing;
use crate::error::{Result, transient};
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
    /// In which time the rejections of such a token may cause one more rotation.
    refill: Duration,
    /// How long it is until the token is no longer young.
    youth_left: Duration,
    /// The `refill` from then on.
    later_refill: Duration,
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
            .then(|| Self::new(&timing))
    }

    fn new(timing: &Timing) -> Self {
        let share = timing.life().unwrap_or(ASSUMED_LIFE) / LIFE_SHARE;
        let later_refill =
            share.to_std().unwrap_or_default().clamp(SHORTEST_REFILL, LONGEST_REFILL);
        let refill = if timing.is_young() { SHORTEST_REFILL } else { later_refill };
        let youth_left = timing.youth_left().to_std().unwrap_or_default();
        Self { refill, youth_left, later_refill }
    }

    /// Fails, and warns of it once, if this rejection of the token of `auth` must not cause one more
    /// rotation yet.
    pub(super) fn check(&self, turn: &Turn<'_>, auth: &CodexAuth) -> Result<()> {
        let (state, now) = (turn.state, turn.state.now());
        let wait = |refill| {
            let wait = |ledger: &Ledger| ledger.wait_to_rotate_rejected(now, refill);
            wait(&state.tokens.known_here()).max(wait(&turn.lock.ledger()))
        };
        let soonest = wait(self.refill);
        if soonest.is_zero() {
            return Ok(());
        }
        let rest = if soonest < self.youth_left { soonest } else { wait(self.later_refill) };
        let store = state.storage.location();
        let error = transient(format!(
            "the API rejects the access token in {store}, and has rejected several before it, so it \
             is not replaced yet; check the address of the API and the workspace, or sign in again"
        ));
        let error = error.with_reason(GiveUpReason::FreshTokenRejected.as_str());
        state.warn_once(auth, &error);
        Err(error.with_retry_after(rest))
    }

    /// Notes the rotation that this rejection has caused.
    pub(super) fn take_rotation(self, ledger: &mut Ledger, now: DateTime<Utc>) {
        ledger.take_rejected_rotation(now, self.refill);
    }
}
