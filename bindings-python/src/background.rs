//! The background tasks of a manager. The manager keeps the last one of each kind alive.

use std::sync::{Arc, Mutex, PoisonError};

use codex_auth_sdk::AuthManager;
use pyo3::prelude::*;

/// A background task that refreshes a login before it expires, by `AuthManager.keep_fresh`.
///
/// It runs until `stop` is called or its manager is garbage.
#[pyclass(frozen, module = "codex_auth_sdk")]
#[derive(Clone)]
pub(crate) struct KeepFresh(Arc<codex_auth_sdk::KeepFresh>);

#[pymethods]
impl KeepFresh {
    /// Ends the task. A refresh that is in flight goes on.
    fn stop(&self) {
        self.0.stop();
    }
}

/// A background task that adopts what other programs store, by `AuthManager.follow_store`.
///
/// It runs until `stop` is called or its manager is garbage.
#[pyclass(frozen, module = "codex_auth_sdk")]
#[derive(Clone)]
pub(crate) struct FollowStore(Arc<codex_auth_sdk::FollowStore>);

#[pymethods]
impl FollowStore {
    /// Ends the task.
    fn stop(&self) {
        self.0.stop();
    }
}

/// The background tasks that one manager keeps alive.
#[derive(Default)]
pub(crate) struct BackgroundTasks {
    fresh: Slot<KeepFresh>,
    following: Slot<FollowStore>,
}

type Slot<T> = Mutex<Option<T>>;

impl BackgroundTasks {
    pub(crate) fn keep_fresh(&self, manager: &AuthManager) -> KeepFresh {
        replace(&self.fresh, KeepFresh(Arc::new(manager.keep_fresh())))
    }

    pub(crate) fn follow_store(&self, manager: &AuthManager) -> FollowStore {
        replace(&self.following, FollowStore(Arc::new(manager.follow_store())))
    }
}

fn replace<T: Clone>(slot: &Slot<T>, handle: T) -> T {
    let last = slot.lock().unwrap_or_else(PoisonError::into_inner).replace(handle.clone());
    drop(last);
    handle
}
