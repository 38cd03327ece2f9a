//! The background tasks of a manager.

use napi_derive::napi;

/// The native half of `KeepFresh`.
#[napi]
#[derive(Debug)]
pub struct NativeKeepFresh(pub(crate) codex_auth_sdk::KeepFresh);

#[napi]
impl NativeKeepFresh {
    /// Ends the task.
    #[napi]
    pub fn stop(&self) {
        self.0.stop();
    }
}

/// The native half of `FollowStore`.
#[napi]
#[derive(Debug)]
pub struct NativeFollowStore(pub(crate) codex_auth_sdk::FollowStore);

#[napi]
impl NativeFollowStore {
    /// Ends the task.
    #[napi]
    pub fn stop(&self) {
        self.0.stop();
    }
}
