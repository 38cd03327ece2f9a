//! Which store holds a login.

use codex_auth_sdk::storage::StoreHolder;
use napi_derive::napi;

/// Which kind of store holds the login, where `auto` chooses between two.
#[napi(object, object_from_js = false)]
#[expect(missing_docs, reason = "the TypeScript facade documents them")]
pub struct NativeStoreHolder {
    pub kind: &'static str,
    pub reason: Option<String>,
}

impl From<StoreHolder> for NativeStoreHolder {
    fn from(holder: StoreHolder) -> Self {
        Self { kind: holder.kind.name(), reason: holder.reason }
    }
}
