//! What a manager does while nobody asks. The manager keeps it alive: its last one of each kind.

use std::sync::{Arc, Mutex, PoisonError};

use codex_auth_sdk::AuthManager;
use pyo3::prelude::*;

/// Keeps a login fresh until `stop`, or until its manager is gone.
#[pyclass(frozen, module = "codex_auth_sdk")]
#[derive(Clone)]
pub(crate) struct KeepFresh(Arc<codex_auth_sdk::KeepFresh>);

#[pymethods]
impl KeepFresh {
    /// Ends it. A refresh in flight goes on.
    fn stop(&self) {
        self.0.stop();
    }
}

/// Follows the store until `stop`, or until its manager is gone.
#[pyclass(frozen, module = "codex_auth_sdk")]
#[derive(Clone)]
pub(crate) struct FollowStore(Arc<codex_auth_sdk::FollowStore>);

#[pymethods]
impl FollowStore {
    /// Ends it.
    fn stop(&self) {
        self.0.stop();
    }
}

/// What one manager keeps alive.
#[derive(Default)]
pub(crate) struct Kept {
    fresh: Slot<KeepFresh>,
    following: Slot<FollowStore>,
}

type Slot<T> = Mutex<Option<T>>;

impl Kept {
    pub(crate) fn keep_fresh(&self, manager: &AuthManager) -> KeepFresh {
        keep(&self.fresh, KeepFresh(Arc::new(manager.keep_fresh())))
    }

    pub(crate) fn follow_store(&self, manager: &AuthManager) -> FollowStore {
        keep(&self.following, FollowStore(Arc::new(manager.follow_store())))
    }
}

fn keep<T: Clone>(slot: &Slot<T>, handle: T) -> T {
    let last = slot.lock().unwrap_or_else(PoisonError::into_inner).replace(handle.clone());
    drop(last);
    handle
}
