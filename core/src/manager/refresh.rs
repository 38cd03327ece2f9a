//! The protocol of a refresh: wait for the lock, look at the store, redeem, save.

use std::sync::Arc;
use std::time::Duration;

use super::attempt::Attempt;
use super::flights::{Demand, Outcome, Purpose};
use super::recovery::GiveUpReason;
use super::shared::Shared;
use super::sync::View;
use crate::error::{Error, ErrorKind, Result};
use crate::snapshot::CodexAuth;
use crate::storage::{RefreshLock, Stamp};

/// How often a store is read that has no stamp, while waiting for it.
const UNSTAMPED_INTERVAL: Duration = Duration::from_millis(250);

/// The end of waiting for the refresh lock.
enum Admission {
    /// The store had the answer.
    Answered(Outcome),
    Locked(Box<dyn RefreshLock>),
}

impl Shared {
    /// Gets what `demand` asks for. Runs on our own thread.
    pub(super) async fn fulfil(self: &Arc<Self>, demand: &Demand) -> Result<Outcome> {
        let result = if self.options.may_refresh() {
            self.refresh(demand).await
        } else {
            self.await_rotation(demand).await
        };
        if demand.purpose == Purpose::Proactive && !matches!(result, Ok(Ok(_))) {
            let retry_after = result.as_ref().err().and_then(Error::retry_after);
            self.pause_background(demand, retry_after);
        }
        result
    }

    async fn refresh(self: &Arc<Self>, demand: &Demand) -> Result<Outcome> {
        match self.admit(demand).await? {
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
        if found.is_expired(now) || self.memory.is_rejected(token) {
            return false;
        }
        match demand.purpose {
            Purpose::Rejected => demand.auth.access_fingerprint() != Some(token),
            Purpose::Proactive => found.due_at(self.options.window()).is_none_or(|due| now < due),
            Purpose::Repair => false,
        }
    }

    /// Takes the refresh lock, unless the store gets the answer while others hold it.
    async fn admit(&self, demand: &Demand) -> Result<Admission> {
        let start = self.environment.clock.elapsed();
        let mut watch = StoreWatch::new();
        loop {
            if watch.has_changed(self) {
                let view = self.read().await?;
                if let Some(outcome) = self.judge(demand, &view) {
                    return Ok(Admission::Answered(outcome));
                }
            }
            // A pair that is still to be saved comes with the lock that is kept for it.
            let kept = self.save_unsaved().await?;
            let lock = match kept {
                Some(lock) => Some(lock),
                None => self.storage.try_lock().await?,
            };
            if let Some(lock) = lock {
                return Ok(Admission::Locked(lock));
            }
            if self.environment.clock.elapsed() - start >= self.options.lock_timeout {
                return Err(Error::new(
                    ErrorKind::LockTimeout,
                    format!(
                        "another program has held the refresh lock of {} for too long; try again",
                        self.storage.location()
                    ),
                ));
            }
            self.environment.poll_pause().await;
        }
    }

    /// Waits for somebody else's rotation, as a manager that may not refresh.
    async fn await_rotation(&self, demand: &Demand) -> Result<Outcome> {
        let start = self.environment.clock.elapsed();
        let mut watch = StoreWatch::new();
        loop {
            if watch.has_changed(self) {
                let view = self.read().await?;
                if let Some(outcome) = self.judge(demand, &view) {
                    return Ok(outcome);
                }
            }
            if self.environment.clock.elapsed() - start >= self.options.winner_wait {
                return Ok(Err(GiveUpReason::RefreshDisabled));
            }
            self.environment.poll_pause().await;
        }
    }
}

/// Tells when the store is worth reading again.
#[derive(Debug)]
pub(super) struct StoreWatch {
    /// None before the first look.
    last: Option<(Option<Stamp>, Duration)>,
}

impl StoreWatch {
    pub(super) const fn new() -> Self {
        Self { last: None }
    }

    /// Whether the store may have changed since this was last asked; so it is at first.
    pub(super) fn has_changed(&mut self, shared: &Shared) -> bool {
        let stamp = shared.storage.stamp();
        let now = shared.environment.clock.elapsed();
        let changed = match self.last {
            Some((Some(known), _)) => stamp != Some(known),
            Some((None, at)) => now - at >= UNSTAMPED_INTERVAL,
            None => true,
        };
        if changed {
            self.last = Some((stamp, now));
        }
        changed
    }
}
