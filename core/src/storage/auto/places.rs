//! What the keyring and the file hold at one moment, and which of the two counts.

use std::sync::Arc;

use crate::auth_dot_json::AuthDotJson;
use crate::error::Result;
use crate::identity::Identity;
use crate::storage::store_kind::StoreKind;
use crate::storage::{Loaded, StoreHolder};

/// What each of the two places holds, or why it cannot be read.
pub(super) struct Places {
    pub(super) keyring: Result<Loaded>,
    pub(super) file: Result<Loaded>,
}

impl Places {
    /// Returns the place that holds the login, or that the next login goes to. `preferred` is the
    /// kind of the store in the keyring's place.
    pub(super) fn holder(&self, preferred: StoreKind) -> StoreHolder {
        let has_login =
            |place: &Result<Loaded>| place.as_ref().is_ok_and(|loaded| loaded.record.is_some());
        match &self.keyring {
            Err(error) => StoreHolder::new(StoreKind::File, Some(error.to_string())),
            Ok(_) if !has_login(&self.keyring) && has_login(&self.file) => {
                let reason = format!("the store {} holds no login yet", preferred.name());
                StoreHolder::new(StoreKind::File, Some(reason))
            }
            Ok(_) => StoreHolder::new(preferred, None),
        }
    }
}

/// Returns the record that counts: of two records of one login the one that was refreshed last, of
/// two logins the keyring's.
pub(super) fn newest(
    keyring: Option<Arc<AuthDotJson>>,
    file: Option<Arc<AuthDotJson>>,
) -> Option<Arc<AuthDotJson>> {
    let (Some(keyring), Some(file)) = (&keyring, &file) else { return keyring.or(file) };
    let is_newer = file.last_refresh > keyring.last_refresh && is_same_login(keyring, file);
    Some(Arc::clone(if is_newer { file } else { keyring }))
}

/// Returns whether both records are known to be of one login.
pub(super) fn is_same_login(left: &AuthDotJson, right: &AuthDotJson) -> bool {
    let (Some(one), Some(other)) = (&left.tokens, &right.tokens) else { return false };
    let is_one_token = !one.refresh_token.is_empty() && one.refresh_token == other.refresh_token;
    let (one, other) = (Identity::of_tokens(one), Identity::of_tokens(other));
    one.relation(&other, || is_one_token).is_same_login()
}
