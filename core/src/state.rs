//! The state of a manager: the snapshot in memory, what the store holds against it, and how the one
//! follows the other.

mod current;
mod events;
mod memory;
mod reader;
mod stats;
mod store_watch;
mod tokens;
mod view;

use std::sync::Arc;

use chrono::{DateTime, Utc};

use self::current::CurrentCell;
pub(crate) use self::current::{Current, LONGEST_SPAN};
use self::events::Announcer;
pub use self::events::{Event, Events, Subscription};
use self::memory::Memory;
use self::reader::Reader;
use self::stats::Counters;
pub use self::stats::Stats;
use self::store_watch::StoreWatch;
use self::tokens::Tokens;
pub use self::view::SyncOutcome;
pub(crate) use self::view::{Relation, View};
use crate::auth_dot_json::AuthDotJson;
use crate::clock::{Skew, Timing};
use crate::environment::{BoxFuture, Environment};
use crate::error::{Error, Result};
use crate::identity::IdentityMatch;
use crate::options::Options;
use crate::secret::Fingerprint;
use crate::snapshot::CodexAuth;
use crate::storage::{AuthStorage, Loaded, RefreshLock};

/// Publishers that come between a read of the store and its publication, one after the other.
const MOST_READS: usize = 8;

/// What all clones of a manager share.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) options: Options,
    pub(crate) storage: Arc<dyn AuthStorage>,
    pub(crate) environment: Environment,
    pub(crate) current: CurrentCell,
    pub(crate) memory: Memory,
    pub(crate) tokens: Tokens,
    pub(crate) counters: Counters,
    reader: Reader,
    announcer: Announcer,
}

impl State {
    pub(crate) fn new(
        options: Options,
        storage: Arc<dyn AuthStorage>,
        environment: Environment,
    ) -> Self {
        Self {
            options,
            reader: Reader::new(Arc::clone(&storage), environment.clone()),
            tokens: Tokens::new(Arc::clone(&storage), environment.clone()),
            storage,
            environment,
            current: CurrentCell::default(),
            memory: Memory::default(),
            counters: Counters::default(),
            announcer: Announcer::new(),
        }
    }

    /// The wall clock's time.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.environment.clock.now()
    }

    /// The login in `record`.
    pub(crate) fn login_in(&self, record: &Arc<AuthDotJson>) -> Option<CodexAuth> {
        CodexAuth::received(Arc::clone(record), &self.options.originator)
    }

    /// Takes over what the stored ledger says of time.
    pub(crate) fn learn_time(&self) {
        if self.tokens.learn_time() {
            self.current.judge_again();
        }
    }

    /// Notes how wrong the wall clock was found to be.
    pub(crate) fn measure(&self, skew: Skew) {
        self.tokens.note_here(|ledger| ledger.measure(skew));
        self.current.judge_again();
    }

    /// Judges the access token of `auth` by what this manager knows of time.
    pub(crate) fn timing(&self, auth: &CodexAuth) -> Timing {
        let now = self.environment.moment();
        auth.timing(self.tokens.known_here().time(), &now, self.options.window())
    }

    /// Watches the store from now on.
    pub(crate) fn watch(&self) -> StoreWatch<'_> {
        StoreWatch::new(&*self.storage, &self.environment)
    }

    pub(crate) fn subscribe(&self) -> Events {
        self.announcer.subscribe()
    }

    pub(crate) fn deliver_events(
        &self,
        deliver: impl FnMut(Event) -> BoxFuture<'static, ()> + Send + 'static,
    ) -> Subscription {
        self.announcer.deliver(&self.environment, deliver)
    }

    pub(crate) fn announce(&self, event: Event) {
        self.announcer.announce(event);
    }

    /// Reads the store and publishes what it holds. A login that was published meanwhile stays,
    /// and the store is read again. While the store cannot be read, a pair that is still to be
    /// saved is what there is.
    pub(crate) async fn follow_store(&self) -> Result<View> {
        for _ in 0..MOST_READS {
            let seen = self.current.seen();
            let loaded = self.reader.load().await;
            if let Some(holder) = self.reader.changed_holder() {
                self.announce(Event::StoreChanged(holder));
            }
            let loaded = match loaded {
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
    pub(crate) fn adopt(&self, seen: &Arc<Current>, loaded: &Loaded) -> Option<View> {
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
        let published = self.current.replace(seen, Current::new(view.auth.clone()));
        published.then(|| {
            self.learn_descent(seen.auth.as_ref(), view.auth.as_ref());
            self.announce_change(seen.auth.as_ref(), &view);
            view
        })
    }

    /// Publishes the record of a reply; the new snapshot, or none if something else was published
    /// since `seen`, or if what others put into the record makes it one to look at again.
    pub(crate) fn publish(
        &self,
        seen: &Arc<Current>,
        record: &Arc<AuthDotJson>,
    ) -> Option<CodexAuth> {
        let auth = self.login_in(record).filter(|auth| self.may_publish(auth))?;
        self.current.replace(seen, Current::new(Some(auth.clone()))).then_some(auth)
    }

    /// The store has the pair in memory; tells so if it could not be saved before.
    pub(crate) fn pair_is_saved(&self) {
        self.settle_pair();
        if self.memory.mark_saved() {
            self.announce(Event::SaveRecovered);
        }
    }

    /// The pair in memory could not be saved.
    pub(crate) fn pair_is_unsaved(&self, error: Error) {
        tracing::error!(%error, "refreshed tokens could not be saved; they stay in memory");
        self.memory.mark_unsaved();
        self.announce(Event::SaveFailed(error));
    }

    /// The store holds a newer login than the pair in memory, or none.
    pub(crate) fn pair_is_superseded(&self) {
        tracing::warn!(
            store = %self.storage.location(),
            "refreshed tokens are not saved: the store holds another login by now, or none"
        );
        self.settle_pair();
        self.memory.mark_saved();
    }

    /// Tells the next holders of `lock` of the pair in memory, unless it is still to be saved.
    pub(crate) fn share_saved_pair(&self, lock: &dyn RefreshLock) {
        if let Some(token) = self.pair_token() {
            self.tokens.share_settled(lock, token);
        }
    }

    fn settle_pair(&self) {
        if let Some(token) = self.pair_token() {
            self.tokens.note_here(|ledger| ledger.settle(token));
        }
    }

    fn pair_token(&self) -> Option<Fingerprint> {
        self.memory.pair().and_then(|pair| refresh_fingerprint(&pair.record))
    }

    /// What the login in `view` is to the one of `auth`.
    pub(crate) fn relation(&self, auth: &CodexAuth, view: &View) -> Relation {
        let Some(found) = &view.auth else {
            return if view.is_foreign { Relation::Other } else { Relation::LoggedOut };
        };
        match self.compare(auth, found) {
            IdentityMatch::Same => Relation::Same,
            IdentityMatch::Different => Relation::Other,
            IdentityMatch::Unknown => Relation::Unknown,
        }
    }

    /// Compares two logins by identity, and by lineage where nothing is known on a side.
    pub(crate) fn compare(&self, auth: &CodexAuth, found: &CodexAuth) -> IdentityMatch {
        let (Some(old), Some(new)) = (auth.refresh_fingerprint(), found.refresh_fingerprint())
        else {
            let same = auth.mode() == found.mode() && auth.access_token() == found.access_token();
            return if same { IdentityMatch::Same } else { IdentityMatch::Different };
        };
        match auth.identity().compare(found.identity()) {
            IdentityMatch::Unknown if self.tokens.descends(new, old) => IdentityMatch::Same,
            known => known,
        }
    }

    /// Whether the pair in `pair` may take the place of `stored`: of the login whose token was
    /// redeemed for it, or of the pair itself.
    pub(crate) fn is_replaceable(
        &self,
        stored: &Arc<AuthDotJson>,
        pair: &Arc<AuthDotJson>,
    ) -> bool {
        let (Some(stored), Some(pair)) = (self.login_in(stored), self.login_in(pair)) else {
            return false;
        };
        let tokens = pair.refresh_fingerprint().zip(stored.refresh_fingerprint());
        tokens.is_some_and(|(token, stored)| self.tokens.descends(token, stored))
            && stored.identity().compare(pair.identity()) != IdentityMatch::Different
    }

    /// Whether `auth` is of the account that this manager is for.
    pub(crate) fn is_pinned(&self, auth: &CodexAuth) -> bool {
        let pin = self.options.account_id.as_deref();
        pin.is_none_or(|pin| auth.account_id() == Some(pin))
    }

    /// Not another account's than the one that is wanted, nor of two accounts at once.
    fn may_publish(&self, auth: &CodexAuth) -> bool {
        self.is_pinned(auth) && !auth.is_mixed()
    }

    /// The record to go by: the stored one, unless its refresh token is known to be spent and its
    /// successor is at hand; also whether that is so. Where only a part of the store could be read,
    /// a pair that is still to be saved belongs into the rest of it.
    fn effective(&self, seen: &Current, loaded: &Loaded) -> (Option<Arc<AuthDotJson>>, bool) {
        let unsaved = self.memory.unsaved();
        if let Some(unsaved) = unsaved.filter(|_| loaded.version.is_partial()) {
            return (Some(Arc::clone(&unsaved.record)), false);
        }
        let Some(stored) = &loaded.record else { return (None, false) };
        let Some(token) = refresh_fingerprint(stored) else {
            return (Some(Arc::clone(stored)), false);
        };
        let newer = self.newer_in_memory(seen, token);
        match newer.filter(|newer| self.is_same_owner(stored, newer)) {
            Some(newer) => {
                let is_spent = !self.memory.is_on_its_way(&newer);
                (Some(newer), is_spent)
            }
            None => (Some(Arc::clone(stored)), false),
        }
    }

    /// What takes the place of a stored record with the refresh token `stored`: the snapshot or the
    /// last own pair, where its token came from that one; also an unsaved pair whose refresh token
    /// the server has left as it was.
    fn newer_in_memory(&self, seen: &Current, stored: Fingerprint) -> Option<Arc<AuthDotJson>> {
        let is_newer = |token| token != stored && self.tokens.descends(token, stored);
        if let Some(cached) = &seen.auth
            && cached.refresh_fingerprint().is_some_and(is_newer)
        {
            return Some(Arc::clone(cached.record()));
        }
        let own = self.memory.pair()?;
        let token = refresh_fingerprint(&own.record)?;
        let is_newer = token != stored && self.tokens.knows_descent(token, stored);
        let takes_its_place = is_newer || (own.is_unsaved() && token == stored);
        takes_its_place.then(|| Arc::clone(&own.record))
    }

    fn is_same_owner(&self, stored: &Arc<AuthDotJson>, newer: &Arc<AuthDotJson>) -> bool {
        let (Some(stored), Some(newer)) = (self.login_in(stored), self.login_in(newer)) else {
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
            _ => self.login_in(record),
        }
    }

    fn learn_descent(&self, known: Option<&CodexAuth>, new: Option<&CodexAuth>) {
        let tokens = known
            .and_then(CodexAuth::refresh_fingerprint)
            .zip(new.and_then(CodexAuth::refresh_fingerprint));
        if let Some((ancestor, token)) = tokens {
            self.tokens.learn_descent(token, ancestor);
        }
    }

    /// Tells what it means that a look at the store took the place of the snapshot `known`.
    fn announce_change(&self, known: Option<&CodexAuth>, view: &View) {
        let event = match (known, &view.auth) {
            (Some(known), Some(new)) => match self.compare(known, new) {
                IdentityMatch::Same if has_same_tokens(known, new) || self.is_own_pair(new) => None,
                IdentityMatch::Same => Some(Event::Adopted),
                _ => Some(Event::IdentityChanged),
            },
            (None, Some(_)) => Some(Event::IdentityChanged),
            (Some(_), None) if view.is_foreign => Some(Event::IdentityChanged),
            (Some(_), None) => Some(Event::LoggedOut),
            (None, None) => None,
        };
        if matches!(event, Some(Event::Adopted)) {
            self.counters.adoptions.count();
        }
        if let Some(event) = event {
            self.announce(event);
        }
    }

    /// Whether `auth` is what this manager redeemed a token for, which is told as a refresh.
    fn is_own_pair(&self, auth: &CodexAuth) -> bool {
        let own = self.memory.pair().and_then(|pair| self.login_in(&pair.record));
        own.is_some_and(|own| has_same_tokens(&own, auth))
    }
}

fn has_same_tokens(known: &CodexAuth, new: &CodexAuth) -> bool {
    known.access_token() == new.access_token()
        && known.refresh_fingerprint() == new.refresh_fingerprint()
}

fn refresh_fingerprint(record: &AuthDotJson) -> Option<Fingerprint> {
    record.tokens.as_ref().map(|tokens| tokens.refresh_token.fingerprint())
}
