//! What programs that died have left of a login that is signed out or replaced.

use crate::storage::AuthStorage;

/// Removes the tokens that programs have left beside the record when they died.
pub(super) async fn remove_leftovers(storage: &dyn AuthStorage) {
    if let Err(error) = storage.remove_leftovers().await {
        tracing::warn!(
            %error,
            store = %storage.location(),
            "the login is gone, but a temp file of a program that died may still hold its tokens"
        );
    }
}
