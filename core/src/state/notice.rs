//! What users are told, once, of a stored login that is odd or does not work.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::auth_dot_json::AuthDotJson;
use crate::error::{Error, ErrorKind};
use crate::identity::{Identity, Oddity};
use crate::secret::Fingerprint;
use crate::snapshot::CodexAuth;
use crate::storage::AuthStorage;

/// What users were told of last.
#[derive(Debug, Default)]
pub(super) struct Notice {
    odd: ArcSwapOption<Identity>,
    access_token: ArcSwapOption<Fingerprint>,
    /// What the record looks like that is no login.
    stranger: ArcSwapOption<&'static str>,
}

impl Notice {
    /// Returns the error of a caller that needs a login: `storage` has none for the workspace `pin`,
    /// if only that one is wanted.
    pub(super) fn no_login(&self, pin: Option<&str>, storage: &dyn AuthStorage) -> Error {
        let wanted = pin.map(|pin| format!(" for the workspace {pin}")).unwrap_or_default();
        let stranger = self.stranger.load();
        let stranger = stranger.as_deref();
        let found = stranger.map(|what| format!(", which holds {what}")).unwrap_or_default();
        let message = format!(
            "no login{wanted} is stored in {}{found}; sign in, for instance by `codex login`",
            storage.location()
        );
        Error::new(ErrorKind::LoginRequired, message)
    }

    /// Logs a warning if `record` in `storage`, in which no login was found, looks like the file of
    /// another program, unless the last warning was about such a file.
    pub(super) fn warn_of_stranger(&self, record: Option<&AuthDotJson>, storage: &dyn AuthStorage) {
        let found = record.and_then(AuthDotJson::stranger);
        let told = self.stranger.swap(found.map(Arc::new));
        if let Some(found) = found
            && told.as_deref() != Some(&found)
        {
            let store = storage.location();
            tracing::warn!(%store, found, "there is no Codex login, but what looks like this");
        }
    }

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
