//! What a manager has done so far.

use pyo3::prelude::*;

/// What a manager has done since it was made, in numbers that only grow. Immutable; compares by
/// value.
#[pyclass(frozen, eq, get_all, module = "codex_auth_sdk")]
#[derive(PartialEq)]
pub(crate) struct Stats {
    /// Replacements of the snapshot by tokens of the same login that somebody else got.
    adoptions: u64,
    /// Refresh tokens that the server has taken from this manager for new ones.
    redemptions: u64,
    /// Recoveries from a 401 that came to a retry.
    recoveries: u64,
    /// Waits for somebody else's refresh.
    waits: u64,
    /// Refreshes that ended in an error, once for all who waited for one.
    failures: u64,
    /// How long refreshes have waited for the lock, all together, in seconds.
    lock_wait: f64,
}

#[pymethods]
impl Stats {
    fn __repr__(&self) -> String {
        let Self { adoptions, redemptions, recoveries, waits, failures, lock_wait } = self;
        format!(
            "Stats(adoptions={adoptions}, redemptions={redemptions}, recoveries={recoveries}, \
             waits={waits}, failures={failures}, lock_wait={lock_wait:?})"
        )
    }
}

impl From<codex_auth_sdk::Stats> for Stats {
    fn from(stats: codex_auth_sdk::Stats) -> Self {
        Self {
            adoptions: stats.adoptions,
            redemptions: stats.redemptions,
            recoveries: stats.recoveries,
            waits: stats.waits,
            failures: stats.failures,
            lock_wait: stats.lock_wait.as_secs_f64(),
        }
    }
}
