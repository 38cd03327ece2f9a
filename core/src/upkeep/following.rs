//! Follows the store: adopts at once what other programs store.

use std::sync::Arc;
use std::time::Duration;

use super::folder_watch::FolderWatch;
use crate::background::{Background, Signal};
use crate::environment::Environment;
use crate::refresh::Refresh;
use crate::state::State;

/// How often the store is looked at, at least, for a change without a notification.
const LONGEST_POLL: Duration = Duration::from_secs(1);

/// The store is read once a burst of changes has been over for this time, or has lasted ten times
/// as long.
const QUIET: Duration = Duration::from_millis(5);

/// A background task that adopts what other programs store; see [`AuthManager::follow_store`].
///
/// It keeps its manager alive. In a forked child it does not run: the child must start its own.
///
/// [`AuthManager::follow_store`]: crate::AuthManager::follow_store
#[derive(Debug)]
#[must_use = "dropping this ends it"]
pub struct FollowStore(Background);

impl FollowStore {
    /// Starts the task that makes the snapshot in `state` follow the store.
    pub(crate) fn start(state: Arc<State>, refresh: Arc<Refresh>) -> Self {
        let environment = state.environment.clone();
        Self(Background::start(&environment, |signal| async move {
            follow(&state, &refresh, &signal).await;
        }))
    }

    /// Ends the task, as dropping this does.
    pub fn stop(&self) {
        self.0.stop();
    }
}

async fn follow(state: &State, refresh: &Arc<Refresh>, signal: &Arc<Signal>) {
    let environment = &state.environment;
    let mut folders = FolderWatch::new(signal);
    let mut watch = state.watch();
    let mut is_behind = true;
    while !signal.is_stopped() {
        // The watch begins before the store is read, so that no change in between is missed. The
        // stamp shows changes without a notification, as on a network file system.
        is_behind |= folders.renew(state.storage.watched_folders());
        is_behind |= watch.has_changed();
        if is_behind {
            is_behind = !is_followed(state, refresh).await;
        }
        let poll = LONGEST_POLL / 2 + environment.jitter(LONGEST_POLL / 2);
        if signal.pause_unless(state.storage.changed(), poll, environment).await {
            is_behind = true;
            let_settle(signal, environment).await;
        }
    }
}

/// Reads the store and returns whether the snapshot in memory now follows it. A spent refresh token in
/// the store is put right, and looked at once more.
async fn is_followed(state: &State, refresh: &Arc<Refresh>) -> bool {
    let view = state.reload().await;
    let view = view.inspect_err(|error| tracing::debug!(%error, "the store is read again later"));
    view.is_ok_and(|view| refresh.put_right(&view))
}

async fn let_settle(signal: &Signal, environment: &Environment) {
    for _ in 0..10 {
        if !signal.pause(QUIET, environment).await {
            break;
        }
    }
}
