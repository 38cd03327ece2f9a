//! What a manager has done so far, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What one manager and its clones have done since they were made. The numbers only grow; a forked
/// child goes on from its parent's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Replacements of the snapshot by tokens of the same login that somebody else got.
    pub adoptions: u64,
    /// Refresh tokens that the server has taken from this manager for new ones, whether or not
    /// these could be saved or used.
    pub redemptions: u64,
    /// Recoveries from a 401 that came to a retry.
    pub recoveries: u64,
    /// Waits for somebody else's refresh: callers that joined one of this manager's, and refreshes
    /// that found the lock taken.
    pub waits: u64,
    /// Refreshes that ended in an error, once for all who waited for one.
    pub failures: u64,
    /// How long refreshes have waited for the lock, all together.
    pub lock_wait: Duration,
}

/// A number that many threads count.
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
