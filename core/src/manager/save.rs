//! Saving a rotated pair: onto whatever the store holds now, if that is still the login that was
//! redeemed, and later if not now.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::current::Current;
use super::events::Event;
use super::memory::OwnPair;
use super::process::Unsaved;
use super::shared::Shared;
use super::spans::{self, traced};
use super::sync::View;
use crate::auth_dot_json::AuthDotJson;
use crate::claims::IdTokenClaims;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{Identity, IdentityMatch};
use crate::secret::{Fingerprint, Secret};
use crate::snapshot::CodexAuth;
use crate::storage::{RefreshLock, Swap, Version};
use crate::token_endpoint::Grant;

/// Writers that come between a load and its commit, one after the other, before we let it be.
const MOST_CONFLICTS: usize = 20;

const FIRST_RETRY: Duration = Duration::from_millis(250);

/// Short enough that a program which waits before it exits sees another attempt.
const LONGEST_RETRY: Duration = Duration::from_secs(5);

/// A redeemed token and the record that its reply makes.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) redeemed: Fingerprint,
    /// The next refresh token; the same where the server does not rotate.
    pub(super) granted: Fingerprint,
    pub(super) record: Arc<AuthDotJson>,
}

/// What became of a save.
#[derive(Debug)]
pub(super) enum SaveOutcome {
    /// The store holds the pair, in this record.
    Saved(Arc<AuthDotJson>),
    /// The store holds something newer, or nothing: the pair is of no use any more.
    Superseded,
}

impl Reply {
    /// The record of `auth` with the tokens of `grant`; none if they are another account's. What
    /// the reply does not have, or what cannot be read of it, stays as it was.
    pub(super) fn merge(auth: &CodexAuth, grant: Grant, now: DateTime<Utc>) -> Option<Self> {
        let mut record = AuthDotJson::clone(auth.record());
        let tokens = record.tokens.as_mut()?;
        let redeemed = tokens.refresh_token.fingerprint();
        let claims = |token: &Secret| IdTokenClaims::parse(token.expose());
        if let Some((token, new)) =
            grant.id_token.and_then(|token| claims(&token).map(|new| (token, new)))
        {
            let old = claims(&tokens.id_token).unwrap_or_else(|| IdTokenClaims {
                account_id: tokens.account_id.clone(),
                ..IdTokenClaims::default()
            });
            if Identity::claimed(&old).compare(&Identity::claimed(&new)) == IdentityMatch::Different
            {
                return None;
            }
            tokens.id_token = token;
        }
        if let Some(token) = grant.access_token {
            tokens.access_token = token;
        }
        if let Some(token) = grant.refresh_token {
            tokens.refresh_token = token;
        }
        let granted = tokens.refresh_token.fingerprint();
        record.last_refresh = Some(now);
        Some(Self { redeemed, granted, record: Arc::new(record) })
    }
}

impl Shared {
    /// Writes the tokens of `pair` onto what the store holds, as long as that still holds a token
    /// that the pair's came from, or already the pair's own: then an earlier try failed after it
    /// had written, and only another one can show that it is durable.
    pub(super) async fn commit_pair(&self, pair: &Arc<AuthDotJson>) -> Result<SaveOutcome> {
        traced(spans::commit(), self.try_commit(pair)).await
    }

    async fn try_commit(&self, pair: &Arc<AuthDotJson>) -> Result<SaveOutcome> {
        for _ in 0..MOST_CONFLICTS {
            let loaded = self.storage.load().await?;
            let stored = loaded.record.filter(|stored| self.is_replaceable(stored, pair));
            let Some(stored) = stored else {
                return superseded(&loaded.version);
            };
            let record = graft(&stored, pair);
            if self.storage.commit(&loaded.version, &record).await? == Swap::Done {
                return Ok(SaveOutcome::Saved(Arc::new(record)));
            }
        }
        Err(Error::new(
            ErrorKind::StoreUnavailable,
            "other programs keep changing the store; the refreshed tokens are saved later",
        ))
    }

    /// Puts the newer pair in `view` back in the place of a spent token. Takes no refresh lock: a
    /// newcomer may hold that and wait for us.
    pub(super) async fn repair(&self, view: &View) -> Result<()> {
        let Some(auth) = view.auth.as_ref().filter(|_| view.is_spent) else { return Ok(()) };
        tracing::warn!("the store holds a spent refresh token; writing its successor again");
        let pair = auth.record();
        self.commit_pair(pair).await?;
        let is_own = |own: Arc<OwnPair>| Arc::ptr_eq(&own.record, pair);
        if self.memory.pair().is_some_and(is_own) {
            self.mark_recovered();
        }
        Ok(())
    }

    /// Publishes the record of a reply; the new snapshot, or none if something else was published
    /// meanwhile, or if what others put into the record makes it one to look at again.
    pub(super) fn publish(
        &self,
        seen: &Arc<Current>,
        record: &Arc<AuthDotJson>,
    ) -> Option<CodexAuth> {
        let auth = self.login(record).filter(|auth| self.may_publish(auth))?;
        self.current.replace(seen, self.current_of(Some(auth.clone()))).then_some(auth)
    }

    /// Keeps `lock` until the pair in memory is saved, and keeps trying to.
    pub(super) async fn keep_unsaved(
        self: &Arc<Self>,
        lock: Box<dyn RefreshLock>,
        redeemed: Fingerprint,
    ) {
        let process = self.process();
        let unsaved = Unsaved { lock, redeemed, _task: process.task() };
        *process.unsaved.lock().await = Some(unsaved);
        let shared = Arc::clone(self);
        let retry = Box::pin(async move { shared.keep_saving().await });
        if let Err(error) = self.spawn(retry) {
            // The next refresh saves it.
            tracing::error!(%error, "refreshed tokens are not saved in the background");
        }
    }

    /// Saves a pair that is still to be saved; then the lock that was kept for it.
    ///
    /// # Errors
    ///
    /// Why it still cannot be saved: until it is, nothing may be redeemed.
    pub(super) async fn save_unsaved(&self) -> Result<Option<Box<dyn RefreshLock>>> {
        let process = self.process();
        let mut unsaved = process.unsaved.lock().await;
        let Some(kept) = unsaved.as_ref() else { return Ok(None) };
        if let Some(pair) = self.memory.unsaved() {
            match self.commit_pair(&pair.record).await? {
                SaveOutcome::Saved(_) => self.mark_recovered(),
                SaveOutcome::Superseded => {
                    self.memory.mark_saved();
                }
            }
        }
        self.note(&*kept.lock, |ledger| ledger.settle(kept.redeemed));
        Ok(unsaved.take().map(|unsaved| unsaved.lock))
    }

    fn mark_recovered(&self) {
        if self.memory.mark_saved() {
            self.announce(Event::SaveRecovered);
        }
    }

    async fn keep_saving(&self) {
        let mut longest = FIRST_RETRY;
        loop {
            let pause = longest / 2 + self.environment.jitter(longest / 2);
            self.environment.clock.sleep(pause).await;
            match self.save_unsaved().await {
                Ok(lock) => return drop(lock),
                Err(error) => tracing::debug!(%error, "refreshed tokens are still not saved"),
            }
            longest = LONGEST_RETRY.min(longest * 2);
        }
    }

    /// Whether `stored` is still the login whose token was redeemed for `pair`.
    pub(super) fn is_replaceable(
        &self,
        stored: &Arc<AuthDotJson>,
        pair: &Arc<AuthDotJson>,
    ) -> bool {
        let (Some(stored), Some(pair)) = (self.login(stored), self.login(pair)) else {
            return false;
        };
        let tokens = pair.refresh_fingerprint().zip(stored.refresh_fingerprint());
        tokens.is_some_and(|(token, stored)| self.descends(token, stored))
            && stored.identity().compare(pair.identity()) != IdentityMatch::Different
    }
}

/// The pair is of no use any more, if all of the store was read.
fn superseded(version: &Version) -> Result<SaveOutcome> {
    if version.is_partial() {
        return Err(Error::new(
            ErrorKind::StoreUnavailable,
            "only a part of the store can be read; the refreshed tokens are saved later",
        ));
    }
    Ok(SaveOutcome::Superseded)
}

/// `stored` with the tokens of `pair`; every other field stays, whoever wrote it.
fn graft(stored: &AuthDotJson, pair: &AuthDotJson) -> AuthDotJson {
    let mut record = stored.clone();
    if let (Some(tokens), Some(new)) = (&mut record.tokens, &pair.tokens) {
        tokens.id_token = new.id_token.clone();
        tokens.access_token = new.access_token.clone();
        tokens.refresh_token = new.refresh_token.clone();
    }
    record.last_refresh = pair.last_refresh;
    record
}
