//! What a manager does while nobody asks.

use napi_derive::napi;

/// Behind `KeepFresh`.
#[napi]
#[derive(Debug)]
pub struct NativeKeepFresh(pub(crate) codex_auth_sdk::KeepFresh);

#[napi]
impl NativeKeepFresh {
    /// Ends it.
    #[napi]
    pub fn stop(&self) {
        self.0.stop();
    }
}

/// Behind `FollowStore`.
#[napi]
#[derive(Debug)]
pub struct NativeFollowStore(pub(crate) codex_auth_sdk::FollowStore);

#[napi]
impl NativeFollowStore {
    /// Ends it.
    #[napi]
    pub fn stop(&self) {
        self.0.stop();
    }
}
