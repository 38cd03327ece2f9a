//! What is known of refresh tokens, by fingerprint and without any secret: refusals, rests, requests
//! that were never answered, and which token took the place of which. Also how wrong the clock is.
//!
//! A manager has one ledger in memory, and a store keeps one that the holders of its refresh lock
//! write for each other. Both are asked the same question: [`Ledger::about`].

mod bucket;
mod knowledge;
mod lineage;
mod notes;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use self::bucket::Bucket;
pub(crate) use self::knowledge::Knowledge;
use self::lineage::{Fate, Lineage};
use self::notes::Notes;
pub(crate) use self::notes::{LONGEST_REST, SHARED_REFUSAL};
use crate::clock::{Renewal, Skew, Timekeeping};
use crate::environment::Moment;
use crate::secret::Fingerprint;
use crate::token_endpoint::RefusalReason;

/// The most bytes that a stored ledger takes.
pub(crate) const LARGEST_LEDGER: usize = 16 * 1024;

/// What is known of the refresh tokens of a store.
///
/// Each step of a redemption is noted before the next one begins: the token is in doubt, then the
/// request is sent, then the pair is rotated, then it is stored, then the rotation is settled. So a
/// ledger whose last writer died says at worst too little, and never that a token is spent whose
/// successor was lost.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledger {
    notes: Notes,
    lineage: Lineage,
    bucket: Bucket,
    time: Timekeeping,
    /// Whether the keyring was last seen without a login, where the store has a keyring.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_keyring_empty: bool,
}

impl Ledger {
    /// Reads what [`to_bytes`](Self::to_bytes) wrote; none if it is anything else, which counts as
    /// empty.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > LARGEST_LEDGER {
            return None;
        }
        let ledger: Self = serde_json::from_slice(bytes).ok()?;
        Some(ledger.believable())
    }

    /// This without what no manager writes: another program may have written it, and it must not
    /// keep a manager from its login for long.
    fn believable(self) -> Self {
        Self {
            notes: self.notes.believable(),
            lineage: self.lineage.within_bounds(),
            bucket: self.bucket.within_bounds(),
            time: self.time.within_bounds(),
            is_keyring_empty: self.is_keyring_empty,
        }
    }

    /// At most 16 KiB of JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        let bytes = serde_json::to_vec(self).expect("a ledger is always valid JSON");
        debug_assert!(bytes.len() <= LARGEST_LEDGER, "{} bytes", bytes.len());
        bytes
    }

    /// What is known of the refresh token `token` at `now`.
    pub(crate) fn about(&self, token: Fingerprint, now: DateTime<Utc>) -> Knowledge {
        let fate = match self.lineage.fate(token) {
            Some(Fate::Settled(successor)) => Knowledge::Spent { successor },
            // The redeemer may have died before it saved what it got.
            Some(Fate::Unsettled) => Knowledge::InDoubt,
            None => Knowledge::Nothing,
        };
        self.notes.about(token, now).or(fate)
    }

    /// Whether `token` came from `ancestor` by rotations that are noted here, or is the same.
    pub(crate) fn descends(&self, token: Fingerprint, ancestor: Fingerprint) -> bool {
        self.lineage.descends(token, ancestor)
    }

    /// Notes that a request with `token` is about to be sent, which may never be answered.
    pub(crate) fn doubt(&mut self, token: Fingerprint, now: DateTime<Utc>) {
        self.notes.doubt(token, now);
    }

    /// Notes that the server has not spent `token`.
    pub(crate) fn clear_doubt(&mut self, token: Fingerprint) {
        self.notes.clear_doubt(token);
    }

    /// Notes that `token` is not to be presented before `until`.
    pub(crate) fn rest(&mut self, token: Fingerprint, now: DateTime<Utc>, until: DateTime<Utc>) {
        self.notes.rest(token, now, until);
    }

    /// Notes that `token` is refused, which is believed for `life`, or for good.
    pub(crate) fn refuse(
        &mut self,
        token: Fingerprint,
        reason: RefusalReason,
        now: DateTime<Utc>,
        life: Option<TimeDelta>,
    ) {
        self.notes.refuse(token, reason, now, life);
    }

    /// Notes that `new` took the place of `old`, and is still to be stored.
    pub(crate) fn rotate(&mut self, old: Fingerprint, new: Fingerprint) {
        self.notes.forget(old);
        // A server that does not rotate spends nothing.
        if old != new {
            self.lineage.add(old, new);
        }
    }

    /// Notes that `new` is stored, or of no use any more: what it was granted for is spent.
    pub(crate) fn settle(&mut self, new: Fingerprint) {
        self.lineage.settle(new);
    }

    /// Whether it is noted that `new` is stored.
    pub(crate) fn is_settled(&self, new: Fingerprint) -> bool {
        self.lineage.is_settled(new)
    }

    /// Whether the rejection of an access token may cause one more rotation, for a token whose
    /// rejection may cause one in each `refill`.
    pub(crate) fn may_rotate_rejected(&self, now: DateTime<Utc>, refill: Duration) -> bool {
        self.bucket.has_one(now, refill)
    }

    /// Notes a rotation that the rejection of such an access token has caused.
    pub(crate) fn take_rejected_rotation(&mut self, now: DateTime<Utc>, refill: Duration) {
        self.bucket.take_one(now, refill);
    }

    /// What is known of time.
    pub(crate) fn time(&self) -> &Timekeeping {
        &self.time
    }

    /// Notes how wrong the wall clock was found to be.
    pub(crate) fn measure(&mut self, skew: Skew) {
        self.time.measure(skew);
    }

    /// Notes an access token that a redemption has brought.
    pub(crate) fn renew(&mut self, renewal: Renewal) {
        self.time.renew(renewal);
    }

    /// Takes over what `other` knows of time, as long as it holds at `now`.
    pub(crate) fn learn_time(&mut self, other: &Self, now: &Moment) {
        self.time.learn(&other.time, now);
    }

    /// Whether the keyring held no login when a holder of the lock last saw it.
    pub(crate) fn is_keyring_empty(&self) -> bool {
        self.is_keyring_empty
    }

    /// Notes whether the keyring holds no login.
    pub(crate) fn set_keyring_empty(&mut self, is_empty: bool) {
        self.is_keyring_empty = is_empty;
    }

    /// The tokens that are named here.
    #[cfg(feature = "test-util")]
    pub(crate) fn tokens(&self) -> impl Iterator<Item = Fingerprint> {
        self.notes.tokens().chain(self.lineage.tokens())
    }
}

#[cfg(test)]
mod tests;
