//! The state of a manager: the snapshot in memory, and how it follows the store.

mod current;
mod descent;
mod effective;
mod events;
mod kinship;
mod left_out;
mod memory;
mod notice;
mod reader;
mod stats;
mod store_watch;
mod tokens;
mod view;

use std::sync::Arc;

use chrono::{DateTime, Utc};

pub(crate) use self::current::{Current, LONGEST_SPAN};
use self::current::{CurrentCell, has_same_tokens, is_same_record};
use self::descent::Descent;
use self::effective::Effective;
pub(crate) use self::effective::graft;
use self::events::Announcer;
pub use self::events::{Event, EventParts, Events, Subscription};
use self::kinship::{compare, is_one_users, may_succeed};
use self::left_out::LeftOut;
use self::memory::Memory;
use self::notice::Notice;
use self::reader::Reader;
use self::stats::Counters;
pub use self::stats::Stats;
pub(crate) use self::store_watch::StoreWatch;
use self::tokens::Tokens;
pub use self::view::SyncOutcome;
pub(crate) use self::view::View;
use crate::auth_dot_json::AuthDotJson;
use crate::clock::{Skew, Timing};
use crate::environment::{BoxFuture, Environment};
use crate::error::{Error, Result};
use crate::identity::Relation;
use crate::options::Options;
use crate::secret::Fingerprint;
use crate::snapshot::CodexAuth;
use crate::storage::{AuthStorage, Loaded, RefreshLock};

/// How often the store is read again because another thread published a snapshot during the read.
const MOST_READS: usize = 8;

/// The state that all clones of a manager share.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) options: Options,
    pub(crate) storage: Arc<dyn AuthStorage>,
    pub(crate) environment: Environment,
    pub(crate) current: CurrentCell,
    pub(crate) memory: Memory,
    pub(crate) tokens: Tokens,
    pub(crate) counters: Counters,
    pub(crate) left_out: LeftOut,
    reader: Reader,
    announcer: Announcer,
    notice: Notice,
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
            notice: Notice::default(),
            left_out: LeftOut::default(),
        }
    }

    /// Returns the time of the wall clock.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.environment.clock.now()
    }

    /// Returns the login in `record`.
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

    /// Watches the store for changes from now on.
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

    /// Reads the store and publishes the login that it holds. If another thread has published a
    /// snapshot meanwhile, that snapshot stays and the store is read again. If the store cannot be
    /// read while new tokens are not saved yet, the snapshot in memory counts.
    pub(crate) async fn reload(&self) -> Result<View> {
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
        // Either the store cannot be read, or other threads published during every read. The
        // snapshot in memory is then as new as any.
        let current = self.current.peek();
        let (auth, is_foreign) = (current.auth.clone(), current.is_foreign());
        Ok(View { auth, is_foreign, successor: None, changed: false })
    }

    /// Publishes the login in `loaded`. Returns none if another snapshot was published since
    /// `seen`.
    pub(crate) fn adopt(&self, seen: &Arc<Current>, loaded: &Loaded) -> Option<View> {
        let descent = Descent::new(&self.tokens);
        let effective =
            Effective { options: &self.options, memory: &self.memory, descent: &descent };
        let (record, is_spent) = effective.record(seen.login(), loaded);
        let found = record.as_ref().and_then(|record| self.received(seen, record));
        let stranger = record.as_deref().filter(|_| found.is_none());
        self.notice.warn_of_stranger(stranger, &*self.storage);
        self.notice.warn_of_login(found.as_ref(), &*self.storage);
        let login = found.clone().filter(is_one_users);
        let next = match &login {
            Some(auth) if self.is_pinned(auth) => Current::new(login.clone()),
            _ => Current::without_auth(login.clone(), found.is_some()),
        };
        let (auth, is_foreign) = (next.auth.clone(), next.is_foreign());
        let is_known = seen.is_foreign() == is_foreign;
        let changed = !is_same_record(seen.auth.as_ref(), auth.as_ref());
        let view =
            View { auth, is_foreign, successor: login.clone().filter(|_| is_spent), changed };
        if is_known && is_same_record(seen.login(), login.as_ref()) && !changed {
            return Some(view);
        }
        let published = self.current.replace(seen, next);
        published.then(|| {
            descent.learn(seen.login(), login.as_ref());
            if changed {
                self.announce_change(&descent, seen.auth.as_ref(), found.as_ref(), &view);
            }
            view
        })
    }

    /// Publishes the login in `record`, which has the tokens of a reply, and returns its snapshot.
    ///
    /// Returns none if another snapshot was published since `seen`, or if this manager must not
    /// hand out the login, because another program has changed the record.
    pub(crate) fn publish(
        &self,
        seen: &Arc<Current>,
        record: &Arc<AuthDotJson>,
    ) -> Option<CodexAuth> {
        let auth = self.login_in(record).filter(|auth| self.may_publish(auth))?;
        self.current.replace(seen, Current::new(Some(auth.clone()))).then_some(auth)
    }

    /// Notes that the tokens in memory are saved, and sends the event `SaveRecovered` if they could
    /// not be saved before.
    pub(crate) fn pair_is_saved(&self) {
        self.settle_pair();
        if self.memory.mark_saved() {
            self.announce(Event::SaveRecovered);
        }
    }

    /// Notes that the tokens in memory could not be saved, for the reason `error`, and sends the
    /// event `SaveFailed`.
    pub(crate) fn pair_is_unsaved(&self, error: Error) {
        tracing::error!(
            %error,
            "new tokens could not be saved; they stay in memory until the store is writable"
        );
        self.memory.mark_unsaved();
        self.announce(Event::SaveFailed(error));
    }

    /// Notes that the tokens in memory are useless: the store holds a newer login, none, or one whose
    /// refresh token another program keeps.
    pub(crate) fn pair_is_superseded(&self) {
        tracing::warn!(
            store = %self.storage.location(),
            "new tokens are not saved: the store holds another login by now, or none"
        );
        self.settle_pair();
        self.memory.mark_saved();
    }

    /// Tells the next holders of `lock` of the tokens in memory, unless they are still to be saved.
    pub(crate) async fn share_saved_pair(&self, lock: &dyn RefreshLock) {
        if let Some(token) = self.pair_token() {
            self.tokens.share_settled(lock, token).await;
        }
    }

    fn settle_pair(&self) {
        if let Some(token) = self.pair_token() {
            self.tokens.note_here(|ledger| ledger.settle(token));
        }
    }

    fn pair_token(&self) -> Option<Fingerprint> {
        self.memory.pair().and_then(|pair| pair.record.refresh_fingerprint())
    }

    /// Returns how the login in `view` relates to that of `auth`; none if no login is stored.
    pub(crate) fn relation(&self, auth: &CodexAuth, view: &View) -> Option<Relation> {
        match &view.auth {
            Some(found) => Some(self.compare(auth, found)),
            None => view.is_foreign.then_some(Relation::OtherLogin),
        }
    }

    /// Returns how the login `found` relates to `auth`.
    pub(crate) fn compare(&self, auth: &CodexAuth, found: &CodexAuth) -> Relation {
        compare(&Descent::new(&self.tokens), auth, found)
    }

    /// Returns whether this manager may redeem the refresh token of `auth`. If not, only another
    /// program can renew the login.
    pub(crate) fn may_redeem(&self, auth: &CodexAuth) -> bool {
        self.options.may_refresh() && auth.managed_tokens().is_some()
    }

    /// Logs `error`, which is about the access token of `auth`, unless the last such warning was
    /// about that token.
    pub(crate) fn warn_once(&self, auth: &CodexAuth, error: &Error) {
        self.notice.warn_of_token(auth.access_fingerprint(), error);
    }

    /// Returns whether the refresh token of `pair` may replace that of `stored`.
    pub(crate) fn is_replaceable(
        &self,
        stored: &Arc<AuthDotJson>,
        pair: &Arc<AuthDotJson>,
    ) -> bool {
        let (Some(stored), Some(pair)) = (self.login_in(stored), self.login_in(pair)) else {
            return false;
        };
        may_succeed(&Descent::new(&self.tokens), &stored, &pair)
    }

    /// Returns the error of a caller that needs a login where there is none.
    pub(crate) fn no_login(&self) -> Error {
        self.notice.no_login(self.options.account_id.as_deref(), &*self.storage)
    }

    /// Returns whether `auth` is for the workspace that the option `account_id` names, if it names
    /// one.
    pub(crate) fn is_pinned(&self, auth: &CodexAuth) -> bool {
        let pin = self.options.account_id.as_deref();
        pin.is_none_or(|pin| auth.account_id() == Some(pin))
    }

    /// Returns whether this manager may hand out `auth`: it is for the workspace that the options
    /// name, and its tokens do not name two users.
    fn may_publish(&self, auth: &CodexAuth) -> bool {
        self.is_pinned(auth) && is_one_users(auth)
    }

    /// Returns the login in `record`, which is the snapshot in memory if their records are equal.
    fn received(&self, seen: &Current, record: &Arc<AuthDotJson>) -> Option<CodexAuth> {
        match seen.login() {
            Some(known) if Arc::ptr_eq(known.record(), record) || known.record() == record => {
                Some(known.clone())
            }
            _ => self.login_in(record),
        }
    }

    /// Announces the event, if any, that the snapshot `known` was replaced by that in `view`, since
    /// the store holds the login `found`.
    fn announce_change(
        &self,
        descent: &Descent<'_>,
        known: Option<&CodexAuth>,
        found: Option<&CodexAuth>,
        view: &View,
    ) {
        let event = view.event(descent, known, found, |auth| self.is_own_pair(auth));
        if matches!(event, Some(Event::Adopted)) {
            self.counters.adoptions.count();
        }
        if let Some(event) = event {
            self.announce(event);
        }
    }

    /// Returns whether `auth` has the tokens of this manager's last redemption, for which the event
    /// `Refreshed` is sent.
    fn is_own_pair(&self, auth: &CodexAuth) -> bool {
        let own = self.memory.pair().and_then(|pair| self.login_in(&pair.record));
        own.is_some_and(|own| has_same_tokens(&own, auth))
    }
}
