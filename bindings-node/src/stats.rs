//! The counters of a manager.

use codex_auth_sdk::Stats;
use napi_derive::napi;

/// The counters of a manager, as JavaScript numbers.
#[napi(object, object_from_js = false)]
#[expect(missing_docs, reason = "the TypeScript facade documents them")]
pub struct NativeStats {
    pub adoptions: f64,
    pub redemptions: f64,
    pub recoveries: f64,
    pub waits: f64,
    pub failures: f64,
    pub lock_wait_ms: f64,
}

impl From<Stats> for NativeStats {
    fn from(stats: Stats) -> Self {
        Self {
            adoptions: number(stats.adoptions),
            redemptions: number(stats.redemptions),
            recoveries: number(stats.recoveries),
            waits: number(stats.waits),
            failures: number(stats.failures),
            lock_wait_ms: stats.lock_wait.as_secs_f64() * 1e3,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "JavaScript has no other numbers")]
pub(crate) fn number(count: u64) -> f64 {
    count as f64
}
