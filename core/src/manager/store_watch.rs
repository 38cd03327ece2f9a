//! Waiting for the store to change.

use std::time::Duration;

use super::shared::Shared;
use crate::storage::Stamp;

/// How often a store is read that has no stamp, while waiting for it.
const UNSTAMPED_INTERVAL: Duration = Duration::from_millis(250);

/// Tells when the store is worth reading again.
#[derive(Debug)]
pub(super) struct StoreWatch {
    stamp: Option<Stamp>,
    at: Duration,
}

impl StoreWatch {
    /// Watches for changes from now on: made before the store is read, it misses none.
    pub(super) fn new(shared: &Shared) -> Self {
        Self { stamp: shared.storage.stamp(), at: shared.environment.clock.elapsed() }
    }

    /// Waits for a change, at most so long; whether the store may have changed.
    pub(super) async fn changes_within(&mut self, longest: Duration, shared: &Shared) -> bool {
        let clock = &shared.environment.clock;
        let start = clock.elapsed();
        while clock.elapsed() - start < longest {
            let waited = clock.elapsed() - start;
            shared.environment.poll_pause(waited).await;
            if self.has_changed(shared) {
                return true;
            }
        }
        false
    }

    /// Whether the store may have changed since this was made or last said so.
    pub(super) fn has_changed(&mut self, shared: &Shared) -> bool {
        let found = Self::new(shared);
        let has_changed = match found.stamp {
            Some(stamp) => self.stamp != Some(stamp),
            None => found.at - self.at >= UNSTAMPED_INTERVAL,
        };
        if has_changed {
            *self = found;
        }
        has_changed
    }
}
