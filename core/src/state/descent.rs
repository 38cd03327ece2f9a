//! Which refresh token descends from which.

use std::cell::OnceCell;

use super::tokens::Tokens;
use crate::ledger::Ledger;
use crate::secret::Fingerprint;
use crate::snapshot::CodexAuth;

/// What is known of descent during one look at the store. The stored ledger is read once, and only if
/// memory does not tell.
pub(super) struct Descent<'a> {
    tokens: &'a Tokens,
    stored: OnceCell<Ledger>,
}

impl<'a> Descent<'a> {
    pub(super) const fn new(tokens: &'a Tokens) -> Self {
        Self { tokens, stored: OnceCell::new() }
    }

    fn stored(&self) -> &Ledger {
        self.stored.get_or_init(|| self.tokens.stored())
    }

    /// Returns whether this manager knows that the refresh token `token` descends from `ancestor` or
    /// equals it.
    pub(super) fn is_known_here(&self, token: Fingerprint, ancestor: Fingerprint) -> bool {
        self.tokens.known_here().descends(token, ancestor)
    }

    /// Returns whether the refresh token `token` descends from `ancestor` or equals it.
    pub(super) fn descends(&self, token: Fingerprint, ancestor: Fingerprint) -> bool {
        self.is_known_here(token, ancestor) || self.stored().descends(token, ancestor)
    }

    /// Returns whether one of two refresh tokens descends from the other, or they are equal.
    pub(super) fn are_one_line(&self, one: Fingerprint, other: Fingerprint) -> bool {
        let is_known_by =
            |ledger: &Ledger| ledger.descends(one, other) || ledger.descends(other, one);
        is_known_by(&self.tokens.known_here()) || is_known_by(self.stored())
    }

    /// Remembers that the refresh token of `stored` came from that of `known`, if the stored ledger
    /// says so: another program may replace both, the record and the ledger, by an older copy.
    pub(super) fn learn(&self, known: Option<&CodexAuth>, stored: Option<&CodexAuth>) {
        let token = |auth: Option<&CodexAuth>| auth.and_then(CodexAuth::refresh_fingerprint);
        let (Some(ancestor), Some(token)) = (token(known), token(stored)) else { return };
        if !self.is_known_here(token, ancestor) && self.stored().descends(token, ancestor) {
            self.tokens.note_here(|ledger| {
                ledger.rotate(ancestor, token);
                ledger.settle(token);
            });
        }
    }
}
