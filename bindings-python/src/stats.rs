//! The counters of a manager.

use pyo3::prelude::*;

/// Counters of what a manager has done since it was created. They never decrease.
///
/// An object of this class is immutable and compares by value.
#[pyclass(frozen, eq, get_all, module = "codex_auth_sdk")]
#[derive(PartialEq)]
pub(crate) struct Stats {
    /// How often the manager adopted tokens that another process or program had refreshed.
    adoptions: u64,
    /// How many refresh tokens this manager has redeemed.
    redemptions: u64,
    /// How many calls of `recover_from_unauthorized` decided for a retry.
    recoveries: u64,
    /// How often a call waited for the refresh of another caller, process or program.
    waits: u64,
    /// How many refreshes failed. A refresh that several callers waited for counts once.
    failures: u64,
    /// How long refreshes have waited for the refresh lock, in seconds, as a total.
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
