//! Reading the store: what it holds, whose it is, and the snapshot in memory following it.

use std::sync::Arc;

use super::current::Current;
use super::decision::GiveUpReason;
use super::demand::{Demand, Purpose};
use super::process::Answer;
use super::shared::Shared;
use crate::auth_dot_json::AuthDotJson;
use crate::error::Result;
use crate::identity::IdentityMatch;
use crate::secret::Fingerprint;
use crate::snapshot::CodexAuth;
use crate::storage::Loaded;

/// How the store's record relates to a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncOutcome {
    /// Nothing shows whether the stored login is the snapshot's: nothing is adopted for it.
    SkippedMissingIdentity,
    /// Nobody is signed in.
    LoggedOut,
    /// The store holds another account's login, or an API key.
    IdentityMismatch,
    /// The same login.
    Applied {
        /// Whether the snapshot in memory was replaced.
        changed: bool,
    },
}

impl SyncOutcome {
    /// The name of this outcome, the same in every language.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::SkippedMissingIdentity => "skipped_missing_identity",
            Self::LoggedOut => "logged_out",
            Self::IdentityMismatch => "identity_mismatch",
            Self::Applied { .. } => "applied",
        }
    }

    /// Whether the snapshot in memory was replaced by the same login's newer tokens.
    pub const fn changed(self) -> bool {
        matches!(self, Self::Applied { changed: true })
    }
}

/// One look at the store.
#[derive(Debug)]
pub(super) struct View {
    /// The login in it, or the newer one of this manager in the place of a spent one.
    pub(super) auth: Option<CodexAuth>,
    /// Whether there is a login that this manager is not to publish.
    pub(super) is_foreign: bool,
    /// Whether the store holds a spent refresh token in the place of the one in `auth`.
    pub(super) is_spent: bool,
    /// Whether the snapshot in memory was replaced.
    pub(super) changed: bool,
}

impl Shared {
    /// Reads the store and publishes what it holds. A login that was published meanwhile stays,
    /// and the store is read again. While the store cannot be read, a pair that is still to be
    /// saved is what there is.
    pub(super) async fn follow_store(&self) -> Result<View> {
        for _ in 0..8 {
            let seen = self.current.seen();
            let loaded = match self.load().await {
                Err(_) if self.memory.has_unsaved() => break,
                loaded => loaded?,
            };
            if let Some(view) = self.adopt(&seen, &loaded) {
                return Ok(view);
            }
        }
        // Or publishers keep winning: what is published is as new as it gets.
        let auth = self.current.auth();
        Ok(View { auth, is_foreign: false, is_spent: false, changed: false })
    }

    /// Publishes what was loaded; none if something else was published since `seen`.
    pub(super) fn adopt(&self, seen: &Arc<Current>, loaded: &Loaded) -> Option<View> {
        let (record, is_spent) = self.effective(seen, loaded);
        let mut auth = record.and_then(|record| self.received(seen, &record));
        let is_foreign = auth.as_ref().is_some_and(|auth| !self.may_publish(auth));
        if is_foreign {
            auth = None;
        }
        let same = |known: &CodexAuth, new: &CodexAuth| Arc::ptr_eq(known.record(), new.record());
        let changed = match (&seen.auth, &auth) {
            (Some(known), Some(new)) => !same(known, new),
            (None, None) => false,
            _ => true,
        };
        let view = View { auth, is_foreign, is_spent, changed };
        if !changed {
            return Some(view);
        }
        let published = self.current.replace(seen, self.current_of(view.auth.clone()));
        published.then(|| {
            self.announce_change(seen.auth.as_ref(), &view);
            view
        })
    }

    /// What to publish for `auth`.
    pub(super) fn current_of(&self, auth: Option<CodexAuth>) -> Current {
        let due_at = auth.as_ref().and_then(|auth| auth.due_at(self.options.window()));
        Current { auth, due_at }
    }

    /// What the store's record is to `auth`, and whether there is anything to do about it.
    pub(super) async fn sync(self: &Arc<Self>, auth: &CodexAuth) -> Result<(View, SyncOutcome)> {
        let view = self.follow_store().await?;
        if view.is_spent && self.options.may_refresh() {
            drop(self.start_repair(auth)?);
        }
        let outcome = match self.relation(auth, &view) {
            Ok(()) => SyncOutcome::Applied { changed: view.changed },
            Err(GiveUpReason::LoggedOut) => SyncOutcome::LoggedOut,
            Err(GiveUpReason::MissingIdentity) => SyncOutcome::SkippedMissingIdentity,
            Err(_) => SyncOutcome::IdentityMismatch,
        };
        Ok((view, outcome))
    }

    /// An old writer put a spent token back: without repair the next program presents it.
    pub(super) fn start_repair(self: &Arc<Self>, auth: &CodexAuth) -> Result<Answer> {
        self.join(Demand { auth: auth.clone(), purpose: Purpose::Repair })
    }

    /// Whether the login in `view` is the one of `auth`; else why nothing can be done for it.
    pub(super) fn relation(&self, auth: &CodexAuth, view: &View) -> Result<(), GiveUpReason> {
        if view.is_foreign {
            return Err(GiveUpReason::IdentityMismatch);
        }
        let found = view.auth.as_ref().ok_or(GiveUpReason::LoggedOut)?;
        match self.compare(auth, found) {
            IdentityMatch::Same => Ok(()),
            IdentityMatch::Different => Err(GiveUpReason::IdentityMismatch),
            IdentityMatch::Unknown => Err(GiveUpReason::MissingIdentity),
        }
    }

    /// Compares two logins by identity, and by lineage where nothing is known on a side.
    pub(super) fn compare(&self, auth: &CodexAuth, found: &CodexAuth) -> IdentityMatch {
        let (Some(old), Some(new)) = (auth.refresh_fingerprint(), found.refresh_fingerprint())
        else {
            let same = auth.mode() == found.mode() && auth.access_token() == found.access_token();
            return if same { IdentityMatch::Same } else { IdentityMatch::Different };
        };
        match auth.identity().compare(found.identity()) {
            IdentityMatch::Unknown if self.descends(new, old) => IdentityMatch::Same,
            known => known,
        }
    }

    /// The record to go by: the stored one, unless its refresh token is known to be spent and its
    /// successor is at hand; also whether that is so. Where only a part of the store could be read,
    /// a pair that is still to be saved belongs into the rest of it.
    fn effective(&self, seen: &Current, loaded: &Loaded) -> (Option<Arc<AuthDotJson>>, bool) {
        let unsaved = self.memory.unsaved();
        if let Some(unsaved) = unsaved.filter(|_| loaded.version.is_partial()) {
            return (Some(Arc::clone(&unsaved.record)), false);
        }
        let stored = loaded.record.clone();
        let Some(token) = stored.as_deref().and_then(refresh_fingerprint) else {
            return (stored, false);
        };
        let newer = self.newer_in_memory(seen, token);
        match newer.filter(|newer| self.is_same_owner(stored.as_ref(), newer)) {
            Some(newer) => (Some(newer), true),
            None => (stored, false),
        }
    }

    /// What takes the place of a stored record with the refresh token `stored`: the snapshot or the
    /// last own pair, where its token came from that one; also an unsaved pair whose refresh token
    /// the server has left as it was.
    fn newer_in_memory(&self, seen: &Current, stored: Fingerprint) -> Option<Arc<AuthDotJson>> {
        let is_newer = |token| token != stored && self.descends(token, stored);
        if let Some(cached) = &seen.auth
            && cached.refresh_fingerprint().is_some_and(is_newer)
        {
            return Some(Arc::clone(cached.record()));
        }
        let own = self.memory.pair()?;
        let token = own.granted()?;
        let takes_its_place = is_newer(token) || (own.is_unsaved && token == stored);
        takes_its_place.then(|| Arc::clone(&own.record))
    }

    fn is_same_owner(&self, stored: Option<&Arc<AuthDotJson>>, newer: &Arc<AuthDotJson>) -> bool {
        let (Some(stored), Some(newer)) =
            (stored.and_then(|stored| self.login(stored)), self.login(newer))
        else {
            return false;
        };
        stored.managed_tokens().is_some()
            && stored.identity().compare(newer.identity()) != IdentityMatch::Different
    }

    /// The login in `record`: the very snapshot in memory if it is the same.
    fn received(&self, seen: &Current, record: &Arc<AuthDotJson>) -> Option<CodexAuth> {
        match &seen.auth {
            Some(known) if Arc::ptr_eq(known.record(), record) || known.record() == record => {
                Some(known.clone())
            }
            _ => self.login(record),
        }
    }

    pub(super) fn is_pinned(&self, auth: &CodexAuth) -> bool {
        let pin = self.options.account_id.as_deref();
        pin.is_none_or(|pin| auth.account_id() == Some(pin))
    }

    /// Not another account's than the one that is wanted, nor of two accounts at once.
    pub(super) fn may_publish(&self, auth: &CodexAuth) -> bool {
        self.is_pinned(auth) && !auth.is_mixed()
    }
}

fn refresh_fingerprint(record: &AuthDotJson) -> Option<Fingerprint> {
    record.tokens.as_ref().map(|tokens| tokens.refresh_token.fingerprint())
}
