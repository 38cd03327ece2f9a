//! The record that counts: the stored one, or a newer one in memory.

use std::sync::Arc;

use super::descent::Descent;
use super::memory::Memory;
use crate::auth_dot_json::{AuthDotJson, TokenData};
use crate::identity::{Identity, Relation};
use crate::options::Options;
use crate::secret::Fingerprint;
use crate::snapshot::CodexAuth;
use crate::storage::Loaded;

/// What a manager has in memory, to be compared with what the store holds.
pub(super) struct Effective<'a> {
    pub(super) options: &'a Options,
    pub(super) memory: &'a Memory,
    pub(super) descent: &'a Descent<'a>,
}

impl Effective<'_> {
    /// Returns the record that counts, and whether the stored refresh token is spent.
    ///
    /// The stored record counts. If its refresh token is spent and the successor is in memory, it
    /// counts with the newer tokens in it. If only a part of the store could be read, unsaved tokens
    /// count: they belong to the other part.
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
                (Some(Arc::new(graft(stored, &newer))), is_spent)
            }
            None => (Some(Arc::clone(stored)), false),
        }
    }

    /// Returns the record in memory that is newer than a stored one with the refresh token
    /// `stored`.
    ///
    /// That is the login that was stored last, or else the tokens of this manager's last
    /// redemption, if their refresh token descends from `stored`. Unsaved tokens are newer also if
    /// the server has not rotated the refresh token.
    fn newer_in_memory(
        &self,
        known: Option<&CodexAuth>,
        stored: Fingerprint,
    ) -> Option<Arc<AuthDotJson>> {
        let is_newer = |token| token != stored && self.descent.descends(token, stored);
        if let Some(known) = known
            && known.refresh_fingerprint().is_some_and(is_newer)
        {
            return Some(Arc::clone(known.record()));
        }
        let own = self.memory.pair()?;
        let token = own.record.refresh_fingerprint()?;
        let is_newer = token != stored && self.descent.is_known_here(token, stored);
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
            && stored.identity().relation(newer.identity(), || true) != Relation::OtherLogin
    }
}

/// Returns `stored` with the tokens and the time of `pair`, whose refresh token is a successor of
/// the stored one. If another program has switched the workspace since the redemption, the record
/// gets the refresh token only, since the other tokens are those of the former workspace. All other
/// fields stay as they are.
pub(crate) fn graft(stored: &AuthDotJson, pair: &AuthDotJson) -> AuthDotJson {
    let mut record = stored.clone();
    let (Some(tokens), Some(new)) = (&mut record.tokens, &pair.tokens) else { return record };
    tokens.refresh_token = new.refresh_token.clone();
    if !is_switched(tokens, new) {
        tokens.id_token = new.id_token.clone();
        tokens.access_token = new.access_token.clone();
        record.last_refresh = pair.last_refresh;
    }
    record
}

/// Returns whether `stored` names another workspace than that of `pair`. The claims of the stored
/// tokens do not count: a switch always names the new workspace.
fn is_switched(stored: &TokenData, pair: &TokenData) -> bool {
    let pair = Identity::of_tokens(pair);
    let workspaces = stored.account_id.as_deref().zip(pair.workspace());
    workspaces.is_some_and(|(stored, pair)| stored != pair)
}
