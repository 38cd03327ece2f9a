//! The ledger: what is known of refresh tokens. It names them by fingerprint and has no secret.
//!
//! It records refusals, rests, requests that were never answered, and which token replaced which,
//! and also how wrong the clock is and which program got a token. A manager has one ledger in memory. A store keeps another one,
//! which the holders of its refresh lock write for each other. [`Ledger::about`] asks either of
//! them about a token.

mod bucket;
mod declines;
mod knowledge;
mod lineage;
mod notes;
mod redeemers;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

pub(crate) use self::bucket::Bucket;
pub(crate) use self::declines::Declines;
pub(crate) use self::knowledge::Knowledge;
use self::lineage::{Fate, Lineage};
use self::notes::Notes;
pub(crate) use self::notes::{LONGEST_REST, SHARED_REFUSAL};
pub(crate) use self::redeemers::Redeemer;
use self::redeemers::Redeemers;
use crate::clock::{Renewal, Skew, Timekeeping};
use crate::environment::Moment;
use crate::process::Program;
use crate::secret::Fingerprint;
use crate::token_endpoint::RefusalReason;

/// The largest size of a stored ledger, in bytes.
pub(crate) const LARGEST_LEDGER: usize = 16 * 1024;

/// What is known of the refresh tokens of a store.
///
/// Each step of a redemption is noted before the next one begins: the doubt before the request, the
/// rotation before the save, and that the rotation is settled after the save. So if a writer dies,
/// its ledger says too little at worst. It never says that a token is spent whose successor was
/// lost.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledger {
    notes: Notes,
    lineage: Lineage,
    redeemers: Redeemers,
    bucket: Bucket,
    time: Timekeeping,
    /// Whether the keyring held no login at the last read; none if no keyring was ever reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    is_keyring_empty: Option<bool>,
}

impl Ledger {
    /// Reads a ledger from the bytes of [`to_bytes`](Self::to_bytes). Returns none for other bytes:
    /// they count as an empty ledger.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > LARGEST_LEDGER {
            return None;
        }
        let ledger: Self = serde_json::from_slice(bytes).ok()?;
        Some(ledger.believable())
    }

    /// Returns this ledger without what no manager writes. Another program may have written it, and
    /// such entries must not keep a manager from its login for long.
    fn believable(self) -> Self {
        Self {
            notes: self.notes.believable(),
            lineage: self.lineage.within_bounds(),
            redeemers: self.redeemers.believable(),
            bucket: self.bucket.within_bounds(),
            time: self.time.within_bounds(),
            is_keyring_empty: self.is_keyring_empty,
        }
    }

    /// Returns this ledger as JSON, at most 16 KiB.
    pub fn to_bytes(&self) -> Vec<u8> {
        let bytes = serde_json::to_vec(self).expect("a ledger is always valid JSON");
        debug_assert!(bytes.len() <= LARGEST_LEDGER, "{} bytes", bytes.len());
        bytes
    }

    /// Returns what is known of the refresh token `token` at `now`.
    pub(crate) fn about(&self, token: Fingerprint, now: DateTime<Utc>) -> Knowledge {
        let fate = match self.lineage.fate(token) {
            Some(Fate::Settled(successor)) => Knowledge::Spent { successor },
            // The process that redeemed it may have died before it saved the new tokens.
            Some(Fate::Unsettled(_)) => Knowledge::InDoubt,
            None => Knowledge::Nothing,
        };
        self.notes.about(token, now).or(fate)
    }

    /// Returns the successor of `token`, if it is not known to be stored.
    pub(crate) fn unsaved_successor(&self, token: Fingerprint) -> Option<Fingerprint> {
        match self.lineage.fate(token)? {
            Fate::Unsettled(successor) => Some(successor),
            Fate::Settled(_) => None,
        }
    }

    /// Returns whether `token` descends from `ancestor` by noted rotations, or equals it.
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

    /// Notes that the server has declined a request with `token` for a reason that is not known, and
    /// that `token` is not to be presented before `until`.
    pub(crate) fn decline(&mut self, token: Fingerprint, now: DateTime<Utc>, until: DateTime<Utc>) {
        self.notes.decline(token, now, until);
    }

    /// Returns the requests with `token` that the server has declined in a row.
    pub(crate) fn declines(&self, token: Fingerprint, now: DateTime<Utc>) -> Option<Declines> {
        self.notes.declines(token, now)
    }

    /// Notes that the server refuses `token`. The note holds for `life`, or for good.
    pub(crate) fn refuse(
        &mut self,
        token: Fingerprint,
        reason: RefusalReason,
        now: DateTime<Utc>,
        life: Option<TimeDelta>,
    ) {
        self.notes.refuse(token, reason, now, life);
    }

    /// Notes that the server has replaced `old` by `new`, which is not stored yet.
    pub(crate) fn rotate(&mut self, old: Fingerprint, new: Fingerprint) {
        self.notes.forget(old);
        // A server that does not rotate spends no token.
        if old != new {
            self.lineage.add(old, new);
        }
    }

    /// Notes that `new` is stored, or of no use any more: the token for which the server granted it
    /// is spent.
    pub(crate) fn settle(&mut self, new: Fingerprint) {
        self.lineage.settle(new);
    }

    /// Returns whether it is noted that `new` is stored.
    pub(crate) fn is_settled(&self, new: Fingerprint) -> bool {
        self.lineage.is_settled(new)
    }

    /// Notes that the program `by` got the refresh token `new` at `at`.
    pub(crate) fn redeemed(&mut self, new: Fingerprint, at: DateTime<Utc>, by: Program) {
        self.redeemers.add(new, at, by);
    }

    /// Returns which program got the refresh token `token`, and when, if that is known.
    pub(crate) fn redeemer(&self, token: Fingerprint) -> Option<&Redeemer> {
        self.redeemers.find(token)
    }

    /// Returns how long to wait until the rejection of an access token may cause one more rotation.
    /// The rejections of such a token may cause one more in each `refill`.
    pub(crate) fn wait_to_rotate_rejected(&self, now: DateTime<Utc>, refill: Duration) -> Duration {
        self.bucket.wait_for_one(now, refill)
    }

    /// Notes a rotation that the rejection of such an access token has caused.
    pub(crate) fn take_rejected_rotation(&mut self, now: DateTime<Utc>, refill: Duration) {
        self.bucket.take_one(now, refill);
    }

    /// Returns what is known of time.
    pub(crate) fn time(&self) -> &Timekeeping {
        &self.time
    }

    /// Notes by how much the wall clock was found to be wrong.
    pub(crate) fn measure(&mut self, skew: Skew) {
        self.time.measure(skew);
    }

    /// Notes an access token that a redemption has brought.
    pub(crate) fn renew(&mut self, renewal: Renewal) {
        self.time.renew(renewal);
    }

    /// Takes over what `other` knows of time, as far as it holds at `now`.
    pub(crate) fn learn_time(&mut self, other: &Self, now: &Moment) {
        self.time.learn(&other.time, now);
    }

    /// Takes over what `other` knows of tokens that this ledger knows nothing of.
    #[cfg(feature = "cli")]
    pub(crate) fn learn_tokens(&mut self, other: &Self) {
        self.notes.learn(&other.notes);
        self.lineage.learn(&other.lineage);
    }

    /// Returns whether the keyring held no login when a holder of the lock last read it; none if none
    /// has ever reached a keyring.
    pub(crate) fn is_keyring_empty(&self) -> Option<bool> {
        self.is_keyring_empty
    }

    /// Notes whether the keyring holds no login.
    pub(crate) fn set_keyring_empty(&mut self, is_empty: bool) {
        self.is_keyring_empty = Some(is_empty);
    }

    /// Returns the fingerprints of all tokens in this ledger.
    #[cfg(feature = "test-util")]
    pub(crate) fn tokens(&self) -> impl Iterator<Item = Fingerprint> {
        self.notes.tokens().chain(self.lineage.tokens()).chain(self.redeemers.tokens())
    }
}

#[cfg(test)]
mod tests;
