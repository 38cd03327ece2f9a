//! One request's recovery.

use codex_auth_sdk::{GiveUpReason, UnauthorizedRecovery};
use napi_derive::napi;

/// Behind `UnauthorizedRecovery`.
#[napi]
#[derive(Debug)]
pub struct NativeRecovery(pub(crate) UnauthorizedRecovery);

#[napi]
impl NativeRecovery {
    /// Why the last call gave up.
    #[napi(getter)]
    pub fn give_up_reason(&self) -> Option<&'static str> {
        self.0.give_up_reason().map(GiveUpReason::as_str)
    }
}
