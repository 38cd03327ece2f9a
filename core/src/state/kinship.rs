//! How two logins relate: by their identities, and by what is known of the descent of their tokens.

use super::descent::Descent;
use crate::identity::{Oddity, Relation};
use crate::snapshot::CodexAuth;

/// Returns how the login `found` relates to `auth`. A key has no identity, so two of them are two
/// logins.
pub(super) fn compare(descent: &Descent<'_>, auth: &CodexAuth, found: &CodexAuth) -> Relation {
    let (Some(old), Some(new)) = (auth.tokens(), found.tokens()) else {
        return if is_one_key(auth, found) { Relation::Same } else { Relation::OtherLogin };
    };
    let refresh_tokens =
        auth.record().refresh_fingerprint().zip(found.record().refresh_fingerprint());
    let is_one_line = || match refresh_tokens {
        Some((old, new)) => descent.are_one_line(old, new),
        None => old.access_token == new.access_token,
    };
    auth.identity().relation(found.identity(), is_one_line)
}

/// Returns whether the refresh token of `pair` may replace that of `stored`: it descends from the
/// stored one or equals it, and the tokens do not name two users. The workspace is no matter, since
/// another program may have switched it meanwhile.
pub(super) fn may_succeed(descent: &Descent<'_>, stored: &CodexAuth, pair: &CodexAuth) -> bool {
    let refresh_tokens = pair.refresh_fingerprint().zip(stored.refresh_fingerprint());
    refresh_tokens.is_some_and(|(token, stored)| descent.descends(token, stored))
        && stored.identity().relation(pair.identity(), || true) != Relation::OtherLogin
}

/// Returns whether the tokens of `auth` do not name two users.
pub(super) fn is_one_users(auth: &CodexAuth) -> bool {
    auth.oddity() != Some(Oddity::TwoUsers)
}

/// Returns whether both are one API key or personal access token, or one record of another kind.
fn is_one_key(auth: &CodexAuth, found: &CodexAuth) -> bool {
    let is_one_bearer = auth.access_token() == found.access_token();
    let is_one =
        is_one_bearer && (auth.access_token().is_some() || auth.record() == found.record());
    is_one && auth.mode() == found.mode()
}
