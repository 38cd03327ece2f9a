//! The counters of a manager.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The counters of a manager and its clones since they were created. The numbers only grow. A
/// forked child goes on from the numbers of its parent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// How often the snapshot was replaced by newer tokens of its login, which another program or
    /// manager had stored.
    pub adoptions: u64,
    /// How many refresh tokens this manager has redeemed, even if it could not save or use the new
    /// ones.
    pub redemptions: u64,
    /// How many recoveries from a 401 ended with
    /// [`Retry`](crate::UnauthorizedRecoveryDecision::Retry).
    pub recoveries: u64,
    /// How often a caller waited for a refresh that another caller had started, or a refresh for
    /// the refresh lock.
    pub waits: u64,
    /// How many refreshes ended with an error, whatever the number of their callers.
    pub failures: u64,
    /// How long refreshes have waited for the refresh lock, in total.
    pub lock_wait: Duration,
}

/// A counter that many threads increase.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn count(&self) {
        self.add(1);
    }

    fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters that all clones of a manager share.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) adoptions: Counter,
    pub(crate) redemptions: Counter,
    pub(crate) recoveries: Counter,
    pub(crate) waits: Counter,
    pub(crate) failures: Counter,
    lock_wait_nanos: Counter,
}

impl Counters {
    pub(crate) fn add_lock_wait(&self, wait: Duration) {
        self.lock_wait_nanos.add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            adoptions: self.adoptions.get(),
            redemptions: self.redemptions.get(),
            recoveries: self.recoveries.get(),
            waits: self.waits.get(),
            failures: self.failures.get(),
            lock_wait: Duration::from_nanos(self.lock_wait_nanos.get()),
        }
    }
}
