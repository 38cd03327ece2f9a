//! What users are told of a stored login that is odd.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::identity::{Identity, Oddity};
use crate::snapshot::CodexAuth;
use crate::storage::AuthStorage;

/// The odd login of which the user was told last.
#[derive(Debug, Default)]
pub(super) struct Notice(ArcSwapOption<Identity>);

impl Notice {
    /// Logs a warning if the login `found` in `storage` is odd, unless the last warning was about
    /// it.
    pub(super) fn warn_once(&self, found: Option<&CodexAuth>, storage: &dyn AuthStorage) {
        let odd = found.and_then(|auth| Some((auth.identity(), auth.oddity()?)));
        let Some((identity, oddity)) = odd else { return };
        let told = self.0.swap(Some(Arc::new(identity.clone())));
        if told.is_some_and(|told| *told == *identity) {
            return;
        }
        let store = storage.location();
        match oddity {
            Oddity::TwoUsers => tracing::warn!(
                %store,
                "the stored login is not used: its id token and its access token name two users; \
                 sign in again"
            ),
            Oddity::UnnamedWorkspace => tracing::warn!(
                %store,
                "the stored login is used for the workspace in its `account_id`, which its tokens \
                 do not name; if requests are refused, sign in again"
            ),
        }
    }
}
