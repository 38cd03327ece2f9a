//! Following the store: what others do to the login is known here at once.

use std::sync::Arc;
use std::time::Duration;

use super::background::{Background, Signal};
use super::folder_watch::FolderWatch;
use super::shared::Shared;
use super::store_watch::StoreWatch;

/// How often a store is looked at that tells nobody of its changes, at least.
const LONGEST_POLL: Duration = Duration::from_secs(1);

/// Nothing is read before a burst of changes was over for so long, or has lasted ten times that.
const QUIET: Duration = Duration::from_millis(5);

/// Follows the store while it is there; see [`AuthManager::follow_store`].
///
/// It holds the manager. In a forked child nothing runs: the child asks for its own.
///
/// [`AuthManager::follow_store`]: super::AuthManager::follow_store
#[derive(Debug)]
#[must_use = "dropping this ends it"]
pub struct FollowStore(Background);

impl FollowStore {
    /// Ends it, as dropping it does.
    pub fn stop(&self) {
        self.0.stop();
    }
}

impl Shared {
    pub(super) fn start_following(self: &Arc<Self>) -> FollowStore {
        let shared = Arc::clone(self);
        FollowStore(Background::start(self, |signal| async move { shared.follow(&signal).await }))
    }

    async fn follow(&self, signal: &Arc<Signal>) {
        let mut folders = FolderWatch::default();
        let mut watch = StoreWatch::new(self);
        let mut is_behind = true;
        while !signal.is_stopped() {
            // Before the store is read, so that no change comes in between. The stamp shows what
            // the system does not tell, as on a network's file system.
            is_behind |= folders.renew(self.storage.watched_folders(), signal);
            is_behind |= watch.has_changed(self);
            if is_behind {
                is_behind = !self.is_followed().await;
            }
            let poll = LONGEST_POLL / 2 + self.environment.jitter(LONGEST_POLL / 2);
            if signal.pause(poll, &self.environment).await {
                is_behind = true;
                self.let_settle(signal).await;
            }
        }
    }

    /// Whether the snapshot in memory is what the store holds now.
    async fn is_followed(&self) -> bool {
        let view = self.follow_store().await;
        view.inspect_err(|error| tracing::debug!(%error, "the store is read again later")).is_ok()
    }

    async fn let_settle(&self, signal: &Signal) {
        for _ in 0..10 {
            if !signal.pause(QUIET, &self.environment).await {
                break;
            }
        }
    }
}
