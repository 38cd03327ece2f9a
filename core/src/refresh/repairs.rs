//! How often the successor of a spent refresh token is stored again without a caller's demand.

use std::time::Duration;

use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};

use crate::ledger::Bucket;

/// After four in a burst there is one more after each such time: another program may store the
/// spent token again and again.
const REFILL: Duration = Duration::from_secs(60);

/// The repairs that may still begin.
#[derive(Debug, Default)]
pub(super) struct Repairs(ArcSwap<Bucket>);

impl Repairs {
    /// Returns whether a repair may begin at `now`, and counts it if so.
    pub(super) fn may_begin(&self, now: DateTime<Utc>) -> bool {
        let mut bucket = **self.0.load();
        let may_begin = bucket.has_one(now, REFILL);
        if may_begin {
            bucket.take_one(now, REFILL);
            if !bucket.has_one(now, REFILL) {
                tracing::warn!(
                    "another program keeps storing a spent refresh token, or its successor cannot be \
                     stored, so that is tried once a minute only; have no program keep a copy of \
                     the login"
                );
            }
            self.0.store(bucket.into());
        }
        may_begin
    }
}
