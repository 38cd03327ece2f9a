//! Waiting for the store to change.

use std::time::Duration;

use crate::environment::Environment;
use crate::storage::{AuthStorage, Stamp};

/// How often a store is read that has no stamp, while waiting for it.
const UNSTAMPED_INTERVAL: Duration = Duration::from_millis(250);

/// Tells when the store is worth reading again.
#[derive(Debug)]
pub(crate) struct StoreWatch<'a> {
    storage: &'a dyn AuthStorage,
    environment: &'a Environment,
    seen: Seen,
}

#[derive(Debug)]
struct Seen {
    stamp: Option<Stamp>,
    at: Duration,
}

impl<'a> StoreWatch<'a> {
    /// Watches for changes from now on: made before the store is read, it misses none.
    pub(crate) fn new(storage: &'a dyn AuthStorage, environment: &'a Environment) -> Self {
        let seen = Seen { stamp: storage.stamp(), at: environment.clock.elapsed() };
        Self { storage, environment, seen }
    }

    /// Waits for a change, at most so long; whether the store may have changed.
    pub(crate) async fn changes_within(&mut self, longest: Duration) -> bool {
        let clock = &self.environment.clock;
        let start = clock.elapsed();
        while clock.elapsed() - start < longest {
            let waited = clock.elapsed() - start;
            self.environment.poll_pause(waited).await;
            if self.has_changed() {
                return true;
            }
        }
        false
    }

    /// Whether the store may have changed since this was made or last said so.
    pub(crate) fn has_changed(&mut self) -> bool {
        let found = Self::new(self.storage, self.environment).seen;
        let has_changed = match found.stamp {
            Some(stamp) => self.seen.stamp != Some(stamp),
            None => found.at - self.seen.at >= UNSTAMPED_INTERVAL,
        };
        if has_changed {
            self.seen = found;
        }
        has_changed
    }
}
