//! The record that counts: the stored one, or a newer one in memory.

use std::sync::Arc;

use super::memory::Memory;
use super::tokens::Tokens;
use crate::auth_dot_json::AuthDotJson;
use crate::identity::IdentityMatch;
use crate::options::Options;
use crate::secret::Fingerprint;
use crate::snapshot::CodexAuth;
use crate::storage::Loaded;

/// What a manager has in memory, to be compared with what the store holds.
pub(super) struct Effective<'a> {
    pub(super) options: &'a Options,
    pub(super) memory: &'a Memory,
    pub(super) tokens: &'a Tokens,
}

impl Effective<'_> {
    /// Returns the record that counts, and whether the stored refresh token is spent.
    ///
    /// The stored record counts, unless its refresh token is spent and the successor is in memory.
    /// If only a part of the store could be read, unsaved tokens count: they belong to the other
    /// part.
    pub(super) fn record(
        &self,
        known: Option<&CodexAuth>,
        loaded: &Loaded,
    ) -> (Option<Arc<AuthDotJson>>, bool) {
        let unsaved = self.memory.unsaved();
        if let Some(unsaved) = unsaved.filter(|_| loaded.version.is_partial()) {
            return (Some(Arc::clone(&unsaved.record)), false);
        }
        let Some(stored) = &loaded.record else { return (None, false) };
        let Some(token) = stored.refresh_fingerprint() else {
            return (Some(Arc::clone(stored)), false);
        };
        let newer = self.newer_in_memory(known, token);
        match newer.filter(|newer| self.is_same_owner(stored, newer)) {
            Some(newer) => {
                let is_spent = !self.memory.is_on_its_way(&newer);
                (Some(newer), is_spent)
            }
            None => (Some(Arc::clone(stored)), false),
        }
    }

    /// Returns the record in memory that is newer than a stored one with the refresh token
    /// `stored`.
    ///
    /// That is the snapshot, or else the tokens of this manager's last redemption, if their refresh
    /// token descends from `stored`. Unsaved tokens are newer also if the server has not rotated
    /// the refresh token.
    fn newer_in_memory(
        &self,
        known: Option<&CodexAuth>,
        stored: Fingerprint,
    ) -> Option<Arc<AuthDotJson>> {
        let is_newer = |token| token != stored && self.tokens.descends(token, stored);
        if let Some(known) = known
            && known.refresh_fingerprint().is_some_and(is_newer)
        {
            return Some(Arc::clone(known.record()));
        }
        let own = self.memory.pair()?;
        let token = own.record.refresh_fingerprint()?;
        let is_newer = token != stored && self.tokens.knows_descent(token, stored);
        let takes_its_place = is_newer || (own.is_unsaved() && token == stored);
        takes_its_place.then(|| Arc::clone(&own.record))
    }

    fn is_same_owner(&self, stored: &Arc<AuthDotJson>, newer: &Arc<AuthDotJson>) -> bool {
        let login_in = |record: &Arc<AuthDotJson>| {
            CodexAuth::received(Arc::clone(record), &self.options.originator)
        };
        let (Some(stored), Some(newer)) = (login_in(stored), login_in(newer)) else {
            return false;
        };
        stored.managed_tokens().is_some()
            && stored.identity().compare(newer.identity()) != IdentityMatch::Different
    }
}
