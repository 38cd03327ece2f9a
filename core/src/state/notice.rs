//! What users are told, once, of a stored login that is odd or does not work.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::error::Error;
use crate::identity::{Identity, Oddity};
use crate::secret::Fingerprint;
use crate::snapshot::CodexAuth;
use crate::storage::AuthStorage;

/// What users were told of last.
#[derive(Debug, Default)]
pub(super) struct Notice {
    odd: ArcSwapOption<Identity>,
    access_token: ArcSwapOption<Fingerprint>,
}

impl Notice {
    /// Logs a warning if the login `found` in `storage` is odd, unless the last warning was about
    /// it.
    pub(super) fn warn_of_login(&self, found: Option<&CodexAuth>, storage: &dyn AuthStorage) {
        let odd = found.and_then(|auth| Some((auth.identity(), auth.oddity()?)));
        let Some((identity, oddity)) = odd else { return };
        let told = self.odd.swap(Some(Arc::new(identity.clone())));
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

    /// Logs `error`, which is about `access_token`, unless the last such warning was about it.
    pub(super) fn warn_of_token(&self, access_token: Option<Fingerprint>, error: &Error) {
        let told = self.access_token.swap(access_token.map(Arc::new));
        if told.as_deref() != access_token.as_ref() {
            tracing::warn!(%error, "the access token does not work, and is not replaced for now");
        }
    }
}
