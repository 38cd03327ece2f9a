//! Single decisions of this crate, as functions for the tests of the crate `codex-auth-tests`.

#[cfg(unix)]
use std::ffi::OsStr;
#[cfg(unix)]
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::claims::{AccessTokenTimes, IdTokenClaims};
use crate::clock::{Skew, Timekeeping};
use crate::environment::{BootId, Moment};
use crate::error::Error;
use crate::identity::Relation;
use crate::ledger::{Knowledge, Ledger, SHARED_REFUSAL};
use crate::secret::{Fingerprint, Secret};
use crate::snapshot::CodexAuth;
use crate::storage::AuthDotJson;
#[cfg(unix)]
use crate::storage::names;
use crate::token_endpoint::{Redemption, RefusalReason, Reply, retry_after};

/// What a reply of the token endpoint at `now` means: its `status`, its header `Retry-After`, and
/// its `body`, which is none if the connection was cut.
pub fn classify(
    status: u16,
    after: Option<&[u8]>,
    body: Option<&[u8]>,
    now: DateTime<Utc>,
) -> Redemption {
    let retry_after = after.and_then(|after| retry_after(after, now));
    let (host, sent) = ("issuer.example", &Secret::default());
    crate::token_endpoint::classify(&Reply { host, sent, status, retry_after, body }).0
}

/// The error that callers get if the server refuses a refresh token for `reason`.
pub fn error_of(reason: RefusalReason) -> Error {
    reason.into_error("the store", None)
}

/// Whether `token` is a JWT with claims in it.
pub fn has_claims(token: &str) -> bool {
    IdTokenClaims::parse(token).is_some()
}

/// When the access token `token` ends, in Unix seconds.
pub fn end_of_token(token: &str) -> Option<i64> {
    AccessTokenTimes::parse(token).expires_at
}

/// The snapshot of `record`.
pub fn snapshot(record: &AuthDotJson) -> Option<CodexAuth> {
    CodexAuth::received(Arc::new(record.clone()), &"originator".into())
}

/// Whether `one` and `other` are known to belong to different logins.
pub fn is_of_another_login(one: &CodexAuth, other: &CodexAuth) -> bool {
    one.identity().relation(other.identity(), || false) == Relation::OtherLogin
}

/// What the rule for time says of an access token.
#[derive(Debug, Clone, Copy)]
pub struct Judged {
    /// Whether it is so new that its rejection is no matter of age.
    pub is_young: bool,
    /// Whether it is of no use any more.
    pub is_expired: bool,
    /// How long it is until a refresh is due, where it ever is.
    pub due_in: Option<TimeDelta>,
}

/// Judges the token of `auth` at `now`, where it is not known how wrong that clock is.
pub fn judged_without_skew(
    auth: &CodexAuth,
    window: Option<TimeDelta>,
    now: DateTime<Utc>,
) -> Judged {
    judge(auth, &Timekeeping::default(), window, now)
}

/// Judges the token of `auth` at `now`, where that clock is known to be right.
pub fn judged(auth: &CodexAuth, window: Option<TimeDelta>, now: DateTime<Utc>) -> Judged {
    judge(auth, &right_clock(now), window, now)
}

/// Judges the token of `auth` where a redemption brings it at `now`, by a clock that is known to be
/// right; none where the token is not noted as renewed.
pub fn judged_on_arrival(
    auth: &CodexAuth,
    window: Option<TimeDelta>,
    now: DateTime<Utc>,
) -> Option<Judged> {
    let mut known = right_clock(now);
    known.renew(auth.renewed(&known, &moment(now), &moment(now))?);
    Some(judge(auth, &known, window, now))
}

fn judge(
    auth: &CodexAuth,
    known: &Timekeeping,
    window: Option<TimeDelta>,
    now: DateTime<Utc>,
) -> Judged {
    let timing = auth.timing(known, &moment(now), window);
    Judged { is_young: timing.is_young(), is_expired: timing.is_expired(), due_in: timing.due_in() }
}

fn right_clock(now: DateTime<Utc>) -> Timekeeping {
    let mut known = Timekeeping::default();
    known.measure(Skew::measured(now, &moment(now), &moment(now)));
    known
}

fn moment(wall: DateTime<Utc>) -> Moment {
    Moment::new(wall, BootId::of(b"boot"), Duration::from_secs(3600))
}

/// The tokens that `ledger` names.
pub fn tokens_in(ledger: &Ledger) -> Vec<Fingerprint> {
    ledger.tokens().collect()
}

/// Whether `ledger` says at `now` that the server refuses `token`.
pub fn is_refused(ledger: &Ledger, token: Fingerprint, now: DateTime<Utc>) -> bool {
    matches!(ledger.about(token, now), Knowledge::Refused(_))
}

/// The time before which `ledger` says at `now` that `token` must not be presented.
pub fn rests_until(
    ledger: &Ledger,
    token: Fingerprint,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    match ledger.about(token, now) {
        Knowledge::RestUntil { until, .. } => Some(until),
        _ => None,
    }
}

/// Whether `ledger` says that `token` is `ancestor`, or came from it by rotations.
pub fn descends(ledger: &Ledger, token: Fingerprint, ancestor: Fingerprint) -> bool {
    ledger.descends(token, ancestor)
}

/// Whether `ledger` allows at `now` one more rotation for a rejected access token, whose rejections
/// may cause one in each `refill`.
pub fn may_rotate_rejected(ledger: &Ledger, now: DateTime<Utc>, refill: Duration) -> bool {
    ledger.wait_to_rotate_rejected(now, refill).is_zero()
}

/// What a manager notes in a stored ledger.
#[derive(Debug, Clone, Copy)]
pub enum Note {
    /// A request with the token is about to be sent.
    Doubt,
    /// The server refuses the token.
    Refused(RefusalReason),
    /// The token must not be presented before this time.
    RestUntil(DateTime<Utc>),
    /// The server rotated the token for this one.
    RotatedTo(Fingerprint),
    /// The rotation was for a rejected access token, whose rejections may cause one in each such
    /// time.
    RotatedRejected(Duration),
}

/// Adds to `ledger` what a manager notes about `token` at `now`.
pub fn note(ledger: &mut Ledger, token: Fingerprint, note: Note, now: DateTime<Utc>) {
    match note {
        Note::Doubt => ledger.doubt(token, now),
        Note::Refused(reason) => ledger.refuse(token, reason, now, Some(SHARED_REFUSAL)),
        Note::RestUntil(until) => ledger.rest(token, now, until),
        Note::RotatedTo(successor) => ledger.rotate(token, successor),
        Note::RotatedRejected(refill) => ledger.take_rejected_rotation(now, refill),
    }
}

/// Whether a header can carry `text`.
pub fn is_header_value(text: &str) -> bool {
    crate::snapshot::is_header_value(text)
}

/// The lock file beside `path`.
#[cfg(unix)]
pub fn lock_path(path: &Path) -> PathBuf {
    names::with_suffix(path, ".lock")
}

/// Whether `name` is the name of a temp file of this crate.
#[cfg(unix)]
pub fn is_temp_name(name: &OsStr) -> bool {
    names::is_temp_name(name)
}

/// Whether Linux's `mountinfo` names `path` as a mount point.
#[cfg(unix)]
pub fn is_mounted(mountinfo: &[u8], path: &[u8]) -> bool {
    names::is_mounted(mountinfo, path)
}

/// Removes the temp files that dead programs have left in `folder`.
#[cfg(unix)]
pub fn remove_leftovers(folder: &Path) {
    names::remove_all(folder);
}
