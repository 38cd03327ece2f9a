//! Following the store: what others do to the login is known here at once.

use std::sync::Arc;
use std::time::Duration;

use super::folder_watch::FolderWatch;
use crate::background::{Background, Signal};
use crate::environment::Environment;
use crate::state::State;

/// How often a store is looked at that does not tell of its changes, at least.
const LONGEST_POLL: Duration = Duration::from_secs(1);

/// Nothing is read before a burst of changes was over for so long, or has lasted ten times that.
const QUIET: Duration = Duration::from_millis(5);

/// Follows the store while it is there; see [`AuthManager::follow_store`].
///
/// It holds the manager. In a forked child nothing runs: the child asks for its own.
///
/// [`AuthManager::follow_store`]: crate::AuthManager::follow_store
#[derive(Debug)]
#[must_use = "dropping this ends it"]
pub struct FollowStore(Background);

impl FollowStore {
    /// Has the snapshot in `state` follow the store from now on.
    pub(crate) fn start(state: &Arc<State>) -> Self {
        let followed = Arc::clone(state);
        Self(Background::start(&state.environment, |signal| async move {
            follow(&followed, &signal).await;
        }))
    }

    /// Ends it, as dropping it does.
    pub fn stop(&self) {
        self.0.stop();
    }
}

async fn follow(state: &State, signal: &Arc<Signal>) {
    let environment = &state.environment;
    let mut folders = FolderWatch::default();
    let mut watch = state.watch();
    let mut is_behind = true;
    while !signal.is_stopped() {
        // Before the store is read, so that no change comes in between. The stamp shows what
        // the system does not tell, as on a network's file system.
        is_behind |= folders.renew(state.storage.watched_folders(), signal);
        is_behind |= watch.has_changed();
        if is_behind {
            is_behind = !is_followed(state).await;
        }
        let poll = LONGEST_POLL / 2 + environment.jitter(LONGEST_POLL / 2);
        if signal.pause(poll, environment).await {
            is_behind = true;
            let_settle(signal, environment).await;
        }
    }
}

/// Whether the snapshot in memory is what the store holds now.
async fn is_followed(state: &State) -> bool {
    let view = state.follow_store().await;
    view.inspect_err(|error| tracing::debug!(%error, "the store is read again later")).is_ok()
}

async fn let_settle(signal: &Signal, environment: &Environment) {
    for _ in 0..10 {
        if !signal.pause(QUIET, environment).await {
            break;
        }
    }
}
