//! The protocol of a refresh: wait for the lock, look at the store, redeem, save.

use std::mem;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::attempt::Attempt;
use super::decision::GiveUpReason;
use super::demand::{Demand, Outcome, Purpose};
use super::events::Event;
use super::exchange::not_yet;
use super::shared::Shared;
use super::spans::{self, Code, traced};
use super::store_watch::StoreWatch;
use super::sync::View;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Knowledge;
use crate::snapshot::CodexAuth;
use crate::storage::RefreshLock;

/// The end of waiting for the refresh lock.
enum Admission {
    /// The store had the answer.
    Answered(Outcome),
    Locked(Box<dyn RefreshLock>),
}

impl Code for Admission {
    fn code(&self) -> &'static str {
        match self {
            Self::Answered(_) => "answered",
            Self::Locked(_) => "locked",
        }
    }
}

impl Shared {
    /// Gets what `demand` asks for. Runs on our own thread.
    pub(super) async fn fulfil(self: &Arc<Self>, demand: &Demand) -> Result<Outcome> {
        let result = if self.options.may_refresh() {
            self.refresh(demand).await
        } else {
            self.await_rotation(demand).await
        };
        if let Err(error) = &result {
            self.counters.failures.count();
            self.announce(Event::RefreshFailed(error.clone()));
        }
        if demand.purpose == Purpose::Proactive && !matches!(result, Ok(Ok(_))) {
            let retry_after = result.as_ref().err().and_then(Error::retry_after);
            self.pause_background(demand, retry_after);
        }
        result
    }

    async fn refresh(self: &Arc<Self>, demand: &Demand) -> Result<Outcome> {
        match traced(spans::lock_wait(), self.admit(demand)).await? {
            Admission::Answered(outcome) => Ok(outcome),
            Admission::Locked(lock) => Attempt::new(self, demand, lock).run().await,
        }
    }

    /// What a look at the store already answers, if anything.
    pub(super) fn judge(&self, demand: &Demand, view: &View) -> Option<Outcome> {
        if let Err(reason) = self.relation(&demand.auth, view) {
            return Some(Err(reason));
        }
        let found = view.auth.clone()?;
        self.satisfies(&found, demand).then_some(Ok(found))
    }

    /// Whether `found` is what `demand` asks for: a usable token in the place of its own.
    pub(super) fn satisfies(&self, found: &CodexAuth, demand: &Demand) -> bool {
        let now = self.environment.clock.now();
        let Some(token) = found.access_fingerprint() else { return false };
        let is_usable = !found.is_expired(now) && !self.memory.is_rejected(token);
        match demand.purpose {
            Purpose::Rejected => is_usable && demand.auth.access_fingerprint() != Some(token),
            Purpose::Proactive => {
                let due_at = found.due_at(self.options.window());
                let is_due = due_at.is_some_and(|due| due <= now);
                is_usable && (!is_due || self.is_too_new(found))
            }
            // The look that found it has repaired what there was to repair.
            Purpose::Repair => true,
        }
    }

    /// Takes the refresh lock, unless there is an answer while others hold it: in the store, or in
    /// what they leave about the token in it.
    async fn admit(&self, demand: &Demand) -> Result<Admission> {
        let start = self.environment.clock.elapsed();
        let since = self.environment.clock.now();
        let mut watch = StoreWatch::new(self);
        let mut view = self.look().await?;
        let mut has_waited = false;
        loop {
            if let Some(outcome) = self.judge(demand, &view) {
                return Ok(Admission::Answered(outcome));
            }
            self.heed_verdict(&view, since).await?;
            // A pair that is still to be saved comes with the lock that is kept for it.
            let lock = match self.save_unsaved().await? {
                Some(lock) => Some(lock),
                None => self.storage.try_lock().await?,
            };
            if let Some(lock) = lock {
                return Ok(Admission::Locked(lock));
            }
            let waited = self.environment.clock.elapsed() - start;
            if waited >= self.options.lock_timeout {
                return Err(self.lock_timeout());
            }
            if !mem::replace(&mut has_waited, true) {
                self.counters.waits.count();
            }
            self.environment.poll_pause(waited).await;
            self.counters.add_lock_wait(self.environment.clock.elapsed() - start - waited);
            if watch.has_changed(self) {
                view = self.look().await?;
            }
        }
    }

    /// Fails where the token in `view` is still the stored one and is known to be refused, or was
    /// presented `since` then without an answer: who asked did so for everybody who waited, and has
    /// also waited for a winner.
    async fn heed_verdict(&self, view: &View, since: DateTime<Utc>) -> Result<()> {
        let Some(auth) = &view.auth else { return Ok(()) };
        let verdict = match self.about(auth, &self.storage.ledger()) {
            Knowledge::Refused(reason) => reason.into_error(),
            Knowledge::RestUntil { until, noted_at } if noted_at > since => {
                not_yet(until - self.environment.clock.now())
            }
            _ => return Ok(()),
        };
        let stored = self.follow_store().await?.auth;
        let token = stored.as_ref().and_then(CodexAuth::refresh_fingerprint);
        if token == auth.refresh_fingerprint() { Err(verdict) } else { Ok(()) }
    }

    /// Waits for somebody else's rotation, as a manager that may not refresh.
    async fn await_rotation(&self, demand: &Demand) -> Result<Outcome> {
        let clock = &self.environment.clock;
        let end = clock.elapsed().saturating_add(self.options.winner_wait);
        let mut watch = StoreWatch::new(self);
        let mut is_last = false;
        loop {
            let view = self.follow_store().await?;
            if let Some(outcome) = self.judge(demand, &view) {
                return Ok(outcome);
            }
            if is_last {
                return Ok(Err(GiveUpReason::RefreshDisabled));
            }
            is_last = !watch.changes_within(end.saturating_sub(clock.elapsed()), self).await;
        }
    }

    /// What the store holds, with a spent token's successor put back.
    async fn look(&self) -> Result<View> {
        let view = self.follow_store().await?;
        if let Err(error) = self.repair(&view).await {
            tracing::debug!(%error, "a spent refresh token stays in the store for now");
        }
        Ok(view)
    }

    fn lock_timeout(&self) -> Error {
        let store = self.storage.location();
        Error::new(
            ErrorKind::LockTimeout,
            format!("another program has held the refresh lock of {store} for too long; try again"),
        )
    }
}
