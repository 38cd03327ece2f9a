//! What is known of refresh tokens, and of time: this manager's ledger in memory, and the stored
//! ledger, which the holders of the refresh lock write for each other. The tokens themselves are in
//! `current.rs` and `memory.rs`.
//!
//! The ledger in memory is an immutable value behind an atomic pointer, so a forked child inherits
//! it without a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, Guard};
use chrono::{DateTime, TimeDelta, Utc};

use crate::environment::Environment;
use crate::ledger::{Knowledge, Ledger, Redeemer};
use crate::secret::Fingerprint;
use crate::snapshot::CodexAuth;
use crate::storage::{AuthStorage, RefreshLock};

/// The ledger in memory, and the store that keeps the other one.
#[derive(Debug)]
pub(crate) struct Tokens {
    own: ArcSwap<Ledger>,
    storage: Arc<dyn AuthStorage>,
    environment: Environment,
    /// Whether the last write of the stored ledger failed.
    is_unwritten: AtomicBool,
}

impl Tokens {
    pub(crate) fn new(storage: Arc<dyn AuthStorage>, environment: Environment) -> Self {
        Self { own: ArcSwap::default(), storage, environment, is_unwritten: AtomicBool::new(false) }
    }

    /// Returns the ledger in memory.
    pub(crate) fn known_here(&self) -> Guard<Arc<Ledger>> {
        self.own.load()
    }

    /// Reads the stored ledger.
    pub(super) fn stored(&self) -> Ledger {
        self.storage.ledger()
    }

    /// Takes over what the stored ledger says of time; whether that was new.
    pub(crate) fn learn_time(&self) -> bool {
        let (stored, now) = (self.stored(), self.environment.moment());
        let known = self.own.load_full();
        self.note_here(|ledger| ledger.learn_time(&stored, &now));
        self.own.load().time() != known.time()
    }

    /// Returns by how much the wall clock is ahead of the authorization server's, if this manager or
    /// another one has measured that.
    pub(crate) fn ahead(&self) -> Option<TimeDelta> {
        let now = self.environment.moment();
        let known = self.own.load().time().ahead(&now);
        known.or_else(|| self.stored().time().ahead(&now))
    }

    /// Returns what is known at `now` of the refresh token of `auth`.
    pub(crate) fn about(&self, auth: &CodexAuth, now: DateTime<Utc>) -> Knowledge {
        self.about_by(auth, &self.stored(), now)
    }

    /// Returns what is known at `now` of the refresh token of `auth`, for the holder of `lock`.
    pub(crate) fn about_under(
        &self,
        lock: &dyn RefreshLock,
        auth: &CodexAuth,
        now: DateTime<Utc>,
    ) -> Knowledge {
        self.about_by(auth, &lock.ledger(), now)
    }

    fn about_by(&self, auth: &CodexAuth, stored: &Ledger, now: DateTime<Utc>) -> Knowledge {
        let Some(tokens) = auth.managed_tokens() else { return Knowledge::Nothing };
        let token = tokens.refresh_token.fingerprint();
        self.own.load().about(token, now).or(stored.about(token, now))
    }

    /// Returns which program got the refresh token of `auth`, and when, if that is known.
    pub(crate) fn redeemer(&self, auth: &CodexAuth) -> Option<Redeemer> {
        let token = auth.refresh_fingerprint()?;
        let known = self.own.load().redeemer(token).cloned();
        known.or_else(|| self.stored().redeemer(token).cloned())
    }

    /// Tells the next holders of `lock` that `token` is stored, if this manager knows that.
    pub(super) async fn share_settled(&self, lock: &dyn RefreshLock, token: Fingerprint) {
        if self.own.load().is_settled(token) {
            self.note_for_others(lock, |ledger| ledger.settle(token)).await;
        }
    }

    /// Applies `change` to the ledger in memory and to the stored one.
    pub(crate) async fn note(&self, lock: &dyn RefreshLock, change: impl Fn(&mut Ledger)) {
        self.note_here(&change);
        self.note_for_others(lock, change).await;
    }

    /// Applies `change` to the ledger in memory.
    pub(crate) fn note_here(&self, change: impl Fn(&mut Ledger)) {
        self.own.rcu(|ledger| {
            let mut ledger = Ledger::clone(ledger);
            change(&mut ledger);
            ledger
        });
    }

    /// Applies `change` to the stored ledger, which the next holders of `lock` read, and adds what
    /// this manager knows of time. A failure is a warning and no error, since they can do without.
    pub(crate) async fn note_for_others(
        &self,
        lock: &dyn RefreshLock,
        change: impl FnOnce(&mut Ledger),
    ) {
        let mut ledger = lock.ledger();
        change(&mut ledger);
        ledger.learn_time(&self.own.load(), &self.environment.moment());
        let written = lock.set_ledger(&ledger).await;
        let was_unwritten = self.is_unwritten.swap(written.is_err(), Ordering::SeqCst);
        match written {
            Err(error) if !was_unwritten => tracing::warn!(
                %error,
                "the ledger of refresh tokens cannot be written, so other processes may ask the \
                 server again; make the place that the error names writable"
            ),
            _ => {}
        }
    }
}
