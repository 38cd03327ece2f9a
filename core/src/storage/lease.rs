//! A lock that ends by itself unless it is renewed.

use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;

use crate::environment::Environment;
use crate::error::Result;

/// The lease of a lock that is held. It is renewed for as long as this is there.
#[derive(Debug)]
pub(super) struct Lease {
    length: Duration,
    /// When it ends, by the clock that counts sleep too; none once it is lost.
    end: ArcSwapOption<Duration>,
}

impl Lease {
    /// One that lasts for `length` since `start`, which was before it was asked for.
    pub(super) fn begun(start: Duration, length: Duration) -> Arc<Self> {
        Arc::new(Self { length, end: ArcSwapOption::from_pointee(start + length) })
    }

    /// How long it is sure to last, at the time `now`; nothing where it may have ended.
    pub(super) fn left(&self, now: Duration) -> Duration {
        self.end.load().as_deref().map_or(Duration::ZERO, |end| end.saturating_sub(now))
    }

    /// Notes that it was renewed by a call that was made at `start`, or, if it `is_held` no more,
    /// that it is lost.
    pub(super) fn renewed(&self, start: Duration, is_held: bool) {
        self.end.store(is_held.then(|| Arc::new(start + self.length)));
    }
}

/// Renews `lease` on a lock of `store` by `renew` after each quarter of it, until it is lost or let
/// go.
pub(super) async fn keep<R: Future<Output = Result<bool>>>(
    lease: Weak<Lease>,
    store: String,
    renew: impl Fn() -> R,
    environment: Environment,
) {
    let clock = &environment.clock;
    while let Some(quarter) = lease.upgrade().map(|lease| lease.length / 4) {
        clock.sleep(quarter).await;
        if lease.strong_count() == 0 {
            return;
        }
        let start = clock.boot_time();
        let answer = renew().await;
        let Some(lease) = lease.upgrade() else { return };
        match answer {
            Ok(is_held) => {
                lease.renewed(start, is_held);
                if !is_held {
                    tracing::warn!(%store, "the refresh lock was lost");
                    return;
                }
            }
            // It is asked for again; the end comes by itself.
            Err(error) => tracing::warn!(%store, %error, "the refresh lock was not renewed"),
        }
    }
}
