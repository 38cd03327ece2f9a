//! The recovery of one request from 401 Unauthorized.

use codex_auth_sdk::{GiveUpReason, UnauthorizedRecovery};
use napi_derive::napi;

/// The native half of `UnauthorizedRecovery`.
#[napi]
#[derive(Debug)]
pub struct NativeRecovery(pub(crate) UnauthorizedRecovery);

#[napi]
impl NativeRecovery {
    /// Why `recover_from_unauthorized` gave up. Null as long as it did not.
    #[napi(getter)]
    pub fn give_up_reason(&self) -> Option<&'static str> {
        self.0.give_up_reason().map(GiveUpReason::as_str)
    }
}
