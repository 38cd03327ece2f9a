//! Signing out.

use std::sync::Arc;
use std::time::Duration;

use super::shared::Shared;
use crate::auth_dot_json::AuthDotJson;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::IdentityMatch;
use crate::snapshot::CodexAuth;
use crate::storage::Swap;
use crate::token_endpoint::TokenTypeHint;

/// As the Codex CLI.
const REVOKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A login that is rotated while it is being revoked is revoked again, this often.
const MOST_TRIES: usize = 3;

/// How to sign out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogoutOptions {
    /// Whether the server is asked to revoke the login; default true.
    pub revoke: bool,
    /// Whether the login is removed whosever it is by now; default false.
    pub any_account: bool,
}

impl Default for LogoutOptions {
    fn default() -> Self {
        Self { revoke: true, any_account: false }
    }
}

/// What a logout did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogoutOutcome {
    /// Whether a login was removed from the store.
    pub removed: bool,
    /// Whether the server confirmed a revocation.
    pub revoked: bool,
}

impl Shared {
    pub(super) async fn logout(self: &Arc<Self>, options: LogoutOptions) -> Result<LogoutOutcome> {
        let (shared, own) = (Arc::clone(self), self.current.auth());
        self.on_worker(async move { shared.log_out(own, options).await }).await?
    }

    /// Signs `own` out, and no other account that signs in meanwhile.
    async fn log_out(
        &self,
        mut own: Option<CodexAuth>,
        options: LogoutOptions,
    ) -> Result<LogoutOutcome> {
        let mut outcome = LogoutOutcome::default();
        for _ in 0..MOST_TRIES {
            let loaded = self.storage.load().await?;
            let Some(record) = loaded.record else {
                return self.logged_out(outcome).await;
            };
            let stored = self.login(&record);
            if !options.any_account {
                self.refuse_other_account(own.as_ref(), stored.as_ref())?;
            }
            own = own.or(stored);
            if options.revoke {
                // A login that cannot be removed stays one that works.
                drop(self.storage.ready(0).await?);
                outcome.revoked |= self.revoke(&self.newest(&record)).await;
            }
            // No lock is held while the server is asked, so the record may be another one now.
            if self.storage.delete(&loaded.version).await? == Swap::Done {
                outcome.removed = true;
                return self.logged_out(outcome).await;
            }
        }
        Err(Error::new(
            ErrorKind::StoreUnavailable,
            "other programs keep changing the store; nothing was removed, try again",
        ))
    }

    async fn logged_out(&self, outcome: LogoutOutcome) -> Result<LogoutOutcome> {
        self.memory.forget_pair();
        match self.follow_store().await {
            Err(error) if !outcome.removed => return Err(error),
            // It is gone, whatever a look at the store may say.
            Err(error) => tracing::warn!(%error, "the store cannot be read after a logout"),
            Ok(_) => {}
        }
        Ok(outcome)
    }

    fn refuse_other_account(
        &self,
        own: Option<&CodexAuth>,
        stored: Option<&CodexAuth>,
    ) -> Result<()> {
        let Some(stored) = stored else { return Ok(()) };
        let is_same = |own: &CodexAuth| self.compare(own, stored) != IdentityMatch::Different;
        if self.is_pinned(stored) && own.is_none_or(is_same) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::IdentityMismatch,
            "the store holds another account's login by now; it was left alone",
        ))
    }

    /// The login in `record`, or the pair that is still to be saved in its place.
    pub(super) fn newest(&self, record: &Arc<AuthDotJson>) -> Arc<AuthDotJson> {
        let unsaved = self.memory.unsaved();
        let unsaved = unsaved.filter(|pair| self.is_replaceable(record, &pair.record));
        unsaved.map_or_else(|| Arc::clone(record), |pair| Arc::clone(&pair.record))
    }

    /// Best effort: the login is removed whatever the server says.
    pub(super) async fn revoke(&self, record: &Arc<AuthDotJson>) -> bool {
        let Some(auth) = self.login(record) else { return false };
        let Some(tokens) = auth.managed_tokens() else { return false };
        let (token, hint) = if tokens.refresh_token.is_empty() {
            (&tokens.access_token, TokenTypeHint::AccessToken)
        } else {
            (&tokens.refresh_token, TokenTypeHint::RefreshToken)
        };
        let answer = self.endpoint.revoke(token, hint, REVOKE_TIMEOUT).await;
        answer.inspect_err(|error| tracing::warn!(%error, "the login was not revoked")).is_ok()
    }
}
