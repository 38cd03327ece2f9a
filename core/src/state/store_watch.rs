//! Waits for the store to change.

use std::time::Duration;

use crate::environment::Environment;
use crate::storage::{AuthStorage, Stamp};

/// How often a store without stamps counts as changed.
const UNSTAMPED_INTERVAL: Duration = Duration::from_millis(250);

/// Knows whether the store may have changed since it was last read.
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
    /// Watches for changes from now on. Create it before the store is read, so that no change is
    /// missed.
    pub(crate) fn new(storage: &'a dyn AuthStorage, environment: &'a Environment) -> Self {
        let seen = Seen { stamp: storage.stamp(), at: environment.clock.elapsed() };
        Self { storage, environment, seen }
    }

    /// Waits for a change, for `longest` at most. Returns whether the store may have changed.
    pub(crate) async fn changes_within(&mut self, longest: Duration) -> bool {
        let clock = &self.environment.clock;
        let start = clock.elapsed();
        while clock.elapsed() - start < longest {
            let waited = clock.elapsed() - start;
            self.pause(waited).await;
            if self.has_changed() {
                return true;
            }
        }
        false
    }

    /// Waits for one interval between two looks of a caller that has `waited`, or until the store
    /// announces a change.
    pub(crate) async fn pause(&self, waited: Duration) {
        let interval = self.environment.poll_interval(waited);
        self.environment.within(interval, self.storage.changed()).await;
    }

    /// Returns whether the store may have changed since this was created, or since this last
    /// returned true.
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
