//! What is found in the places of a move: which login is the newer one, and whether it can be moved.

use chrono::{DateTime, Utc};

use crate::error::{Error, ErrorKind, Result, transient};
use crate::identity::Oddity;
use crate::ledger::{Knowledge, Ledger};
use crate::snapshot::CodexAuth;
use crate::storage::{AuthStorage, Version};
use crate::token_endpoint::RefusalReason;

/// What a store holds where programs look for a login.
pub(super) struct Found {
    pub(super) login: Option<CodexAuth>,
    pub(super) version: Version,
}

impl Found {
    /// Reads `storage`.
    ///
    /// # Errors
    ///
    /// `identity_mismatch` if a login waits there for a move; those of the store.
    pub(super) async fn at(storage: &dyn AuthStorage) -> Result<Self> {
        let loaded = storage.load().await?;
        if loaded.record.as_ref().is_some_and(|record| record.is_parked()) {
            let mark = loaded.record.and_then(|record| record.parking_mark());
            let from = mark.map_or_else(|| "its old place".to_owned(), |mark| mark.from);
            return Err(mismatch(format!(
                "a login waits in {} for its move from {from}; run that move again",
                storage.location()
            )));
        }
        let login = loaded.record.and_then(|record| CodexAuth::received(record, &"".into()));
        Ok(Self { login, version: loaded.version })
    }
}

/// A login, and where it is.
pub(super) struct Held<'a> {
    pub(super) login: &'a CodexAuth,
    pub(super) place: String,
}

/// Returns the newer of two. If they are two logins, that is the error `others`.
pub(super) fn newer<'a>(
    one: Held<'a>,
    other: Held<'a>,
    ledgers: &[Ledger; 2],
    others: impl FnOnce() -> Error,
) -> Result<Held<'a>> {
    if is_same(one.login, other.login) || descends(one.login, other.login, ledgers) {
        return Ok(one);
    }
    if descends(other.login, one.login, ledgers) {
        return Ok(other);
    }
    Err(if is_same_login(one.login, other.login) { unproven(&one, &other) } else { others() })
}

/// Returns that nothing shows which of two pairs of tokens is the newer one.
pub(super) fn unproven(one: &Held<'_>, other: &Held<'_>) -> Error {
    mismatch(format!(
        "{} and {} hold tokens of one login, and nothing shows which are newer; remove the login from \
         one of them (logout --no-revoke), then run the move again",
        one.place, other.place
    ))
}

/// Returns whether both have one refresh token, or are one record without any.
pub(super) fn is_same(one: &CodexAuth, other: &CodexAuth) -> bool {
    one.record().refresh_fingerprint() == other.record().refresh_fingerprint()
        && (one.refresh_fingerprint().is_some() || one.record() == other.record())
}

/// Returns whether both are one login that a program can refresh.
pub(super) fn is_same_login(one: &CodexAuth, other: &CodexAuth) -> bool {
    one.managed_tokens().is_some()
        && other.managed_tokens().is_some()
        && one.identity().relation(other.identity(), || false).is_same_login()
}

/// Returns whether one of the `ledgers` knows that the refresh token of `one` descends from that of
/// `other`.
pub(super) fn descends(one: &CodexAuth, other: &CodexAuth, ledgers: &[Ledger; 2]) -> bool {
    let tokens = one.refresh_fingerprint().zip(other.refresh_fingerprint());
    let knows = |ledger: &Ledger| tokens.is_some_and(|(one, other)| ledger.descends(one, other));
    ledgers.iter().any(knows)
}

/// Fails unless the login works as well in another place.
pub(super) fn check_movable(
    Held { login, place }: &Held<'_>,
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

/// A write of `place`, or a removal there, would remove the login in `other`.
pub(super) fn displaced(other: &str, place: &str) -> Error {
    mismatch(format!(
        "{other} holds a login too, which any change of {place} may remove; move that one away, or \
         remove it, first"
    ))
}

/// Where only logins are that wait, there is one that does not, or is not known to.
pub(super) fn unknown(place: &str) -> Error {
    mismatch(format!(
        "{place} holds a login that no move of this version has left there; remove it (logout \
         --no-revoke, on that store), or complete its move with the version that has begun it"
    ))
}

pub(super) fn mismatch(message: String) -> Error {
    Error::new(ErrorKind::IdentityMismatch, message)
}
