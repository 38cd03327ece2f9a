//! The refresh lock of a login in a database: a claim in its row, which is a lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::row::{LoginRow, swap};
use crate::environment::BoxFuture;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Ledger;
use crate::storage::lease::{self, Lease};
use crate::storage::{AuthStorage, RefreshLock, Swap, Version};

/// How much longer a claim lasts than a request to the token endpoint may take.
const SURPLUS: Duration = Duration::from_secs(10);

/// How much longer a claim must last than a request that is begun.
const MARGIN: Duration = Duration::from_secs(5);

/// Returns how long a claim lasts for requests that may take `request_timeout`.
pub(super) fn length(request_timeout: Duration) -> Duration {
    request_timeout.saturating_add(SURPLUS)
}

/// Returns how long a claim of this `length` is watched before it is believed that its holder has no
/// request under way: as long as such a request may take, and a while.
pub(super) const fn longest_request(length: Duration) -> Duration {
    length.saturating_sub(MARGIN)
}

/// Returns how long ago a claim of this `length` must have ended, for a process that has not watched
/// it: the database's clock may have been set.
pub(super) fn long_over(length: Duration) -> Duration {
    length.saturating_mul(10).max(Duration::from_secs(600))
}

/// The claim of one holder.
#[derive(Debug)]
pub(super) struct ClaimLock {
    row: LoginRow,
    holder: String,
    lease: Arc<Lease>,
    ledger: Arc<ArcSwap<Ledger>>,
    /// Whether the row has the last note. A request is noted before it is sent, or not sent.
    is_noted: AtomicBool,
}

impl ClaimLock {
    /// Keeps the claim that `holder` has made on `row` with a statement that was sent at `start`.
    /// `ledger` is what the store read last.
    pub(super) fn begun(
        row: LoginRow,
        holder: String,
        lease: Arc<Lease>,
        ledger: Arc<ArcSwap<Ledger>>,
    ) -> Result<Self> {
        let lock = Self { row, holder, lease, ledger, is_noted: AtomicBool::new(true) };
        let (row, holder) = (lock.row.clone(), lock.holder.clone());
        let renew = move || {
            let (row, holder) = (row.clone(), holder.clone());
            async move { row.renew(&holder).await }
        };
        let environment = lock.row.server().environment();
        let keeping =
            lease::keep(Arc::downgrade(&lock.lease), lock.row.place(), renew, environment.clone());
        environment.spawner.spawn_read(Box::pin(keeping)).map_err(|error| {
            let message = format!("a thread could not be started: {error}; try again");
            Error::new(ErrorKind::StoreUnavailable, message)
        })?;
        Ok(lock)
    }

    fn left(&self) -> Duration {
        self.lease.left(self.row.server().environment().clock.boot_time())
    }

    fn lost(&self) -> Error {
        let place = self.row.place();
        Error::new(
            ErrorKind::StoreUnavailable,
            format!("the refresh lock of {place} was lost; nothing was redeemed, try again"),
        )
    }

    async fn note(&self, ledger: &Ledger) -> Result<()> {
        let start = self.row.server().environment().clock.boot_time();
        let noted = self.row.note(&self.holder, ledger).await;
        self.is_noted.store(matches!(noted, Ok(true)), Ordering::SeqCst);
        let is_held = noted?;
        self.lease.renewed(start, is_held);
        if !is_held {
            return Err(self.lost());
        }
        self.ledger.store(Arc::new(ledger.clone()));
        Ok(())
    }
}

impl RefreshLock for ClaimLock {
    fn check(&self) -> Result<()> {
        if self.left().is_zero() { Err(self.lost()) } else { Ok(()) }
    }

    fn held_for(&self) -> Option<Duration> {
        let is_noted = self.is_noted.load(Ordering::SeqCst);
        Some(if is_noted { self.left().saturating_sub(MARGIN) } else { Duration::ZERO })
    }

    fn ledger(&self) -> Ledger {
        Ledger::clone(&self.ledger.load())
    }

    fn set_ledger<'a>(&'a self, ledger: &'a Ledger) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.note(ledger))
    }

    fn delete_from<'a>(
        &'a self,
        storage: &'a dyn AuthStorage,
        expected: &'a Version,
    ) -> BoxFuture<'a, Result<Swap>> {
        let Some(version) = expected.name() else { return storage.delete(expected) };
        Box::pin(async move { self.row.delete_claimed(version, &self.holder).await.map(swap) })
    }
}

impl Drop for ClaimLock {
    fn drop(&mut self) {
        let (row, holder) = (self.row.clone(), self.holder.clone());
        // Now, so that this process does not ask for the claim before it is given back.
        let turn = row.server().turn();
        let environment = row.server().environment().clone();
        // To its end, so that an exit waits for it.
        let task = async move {
            if let Err(error) = row.release(turn, &holder).await {
                tracing::warn!(%error, "the refresh lock was not given back; it ends by itself");
            }
        };
        if let Err(error) = environment.spawner.spawn(Box::pin(task)) {
            tracing::warn!(%error, "the refresh lock was not given back; it ends by itself");
        }
    }
}
