//! What is found in the places of a move: which login is the newer one, and whether it can be moved.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::error::{Error, ErrorKind, Result, transient};
use crate::identity::Oddity;
use crate::ledger::{Knowledge, Ledger};
use crate::snapshot::CodexAuth;
use crate::storage::{AuthStorage, Version};
use crate::token_endpoint::RefusalReason;

/// What a store holds.
pub(super) struct Found {
    /// The login, as it is where programs look for it.
    pub(super) login: Option<CodexAuth>,
    /// The place that the login is moved from, if it waits.
    pub(super) moved_from: Option<String>,
    pub(super) version: Version,
}

impl Found {
    /// Reads `storage`.
    pub(super) async fn at(storage: &dyn AuthStorage) -> Result<Self> {
        let loaded = storage.load().await?;
        let moved_from = loaded.record.as_ref().and_then(|record| record.moved_from());
        let login = loaded.record.and_then(|record| {
            let record = if moved_from.is_some() { Arc::new(record.unparked()) } else { record };
            CodexAuth::received(record, &"".into())
        });
        Ok(Self { login, moved_from, version: loaded.version })
    }
}

/// Returns whether both have one refresh token, or are one record without any.
pub(super) fn is_same(one: &CodexAuth, other: &CodexAuth) -> bool {
    one.record().refresh_fingerprint() == other.record().refresh_fingerprint()
        && (one.refresh_fingerprint().is_some() || one.record() == other.record())
}

/// Returns whether both are one login that a program can refresh, or are equal.
pub(super) fn is_same_login(one: &CodexAuth, other: &CodexAuth, is_one_line: bool) -> bool {
    let are_managed = one.managed_tokens().is_some() && other.managed_tokens().is_some();
    one.record() == other.record()
        || (are_managed
            && one.identity().relation(other.identity(), || is_one_line).is_same_login())
}

/// Returns whether one of the `ledgers` knows that the refresh token of `one` descends from that of
/// `other`.
pub(super) fn descends(one: &CodexAuth, other: &CodexAuth, ledgers: &[Ledger; 2]) -> bool {
    let tokens = one.refresh_fingerprint().zip(other.refresh_fingerprint());
    let knows = |ledger: &Ledger| tokens.is_some_and(|(one, other)| ledger.descends(one, other));
    ledgers.iter().any(knows)
}

/// Fails unless the login in `place` works as well in another place.
pub(super) fn check_movable(
    login: &CodexAuth,
    place: &str,
    ledgers: &[Ledger; 2],
    now: DateTime<Utc>,
) -> Result<()> {
    if login.oddity() == Some(Oddity::TwoUsers) {
        return Err(mismatch(format!(
            "the tokens in {place} belong to two users; nothing was moved, sign in again"
        )));
    }
    if login.tokens().is_some() && login.managed_tokens().is_none() {
        let message = format!(
            "the login in {place} has no refresh token: another program renews it there, and would \
             not find it elsewhere; move the login that has the refresh token"
        );
        return Err(Error::new(ErrorKind::UnsupportedMode, message));
    }
    let Some(token) = login.refresh_fingerprint() else { return Ok(()) };
    let [known, other] = ledgers.each_ref().map(|ledger| ledger.about(token, now));
    match known.or(other) {
        Knowledge::Refused(reason) => Err(reason.into_error(place, None)),
        Knowledge::Spent { .. } => Err(RefusalReason::Reused.into_error(place, None)),
        Knowledge::InDoubt => Err(transient(format!(
            "the refresh token in {place} may be spent: an earlier request with it was never answered, \
             or its reply not saved; nothing was moved, run `codex-auth-sdk refresh` on that store first"
        ))),
        Knowledge::RestUntil { .. } | Knowledge::Nothing => Ok(()),
    }
}

pub(super) fn mismatch(message: String) -> Error {
    Error::new(ErrorKind::IdentityMismatch, message)
}
