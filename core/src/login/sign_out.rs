//! Signing out.

use std::sync::Arc;

use super::revocation::Revocation;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::IdentityMatch;
use crate::snapshot::CodexAuth;
use crate::state::State;
use crate::storage::Swap;
use crate::tasks;

/// A login that is rotated while it is being revoked is revoked again, this often.
const MOST_TRIES: usize = 3;

/// How to sign out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
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

/// Removes logins.
#[derive(Debug)]
pub(crate) struct SignOut {
    state: Arc<State>,
    revocation: Arc<Revocation>,
}

impl SignOut {
    pub(crate) fn new(state: Arc<State>, revocation: Arc<Revocation>) -> Self {
        Self { state, revocation }
    }

    /// Signs the login in memory out.
    pub(crate) async fn run(self: &Arc<Self>, options: LogoutOptions) -> Result<LogoutOutcome> {
        let (sign_out, own) = (Arc::clone(self), self.state.current.auth());
        let log_out = async move { sign_out.log_out(own, options).await };
        tasks::run(&self.state.environment, log_out).await?
    }

    /// Signs `own` out, and no other account that signs in meanwhile.
    async fn log_out(
        &self,
        mut own: Option<CodexAuth>,
        options: LogoutOptions,
    ) -> Result<LogoutOutcome> {
        let mut outcome = LogoutOutcome::default();
        for _ in 0..MOST_TRIES {
            let loaded = self.state.storage.load().await?;
            let Some(record) = loaded.record else {
                return self.logged_out(outcome).await;
            };
            let stored = self.state.login_in(&record);
            if !options.any_account {
                self.refuse_other_account(own.as_ref(), stored.as_ref())?;
            }
            own = own.or(stored);
            if options.revoke {
                // A login that cannot be removed stays one that works.
                drop(self.state.storage.ready(0).await?);
                outcome.revoked |= self.revocation.revoke(&self.revocation.newest(&record)).await;
            }
            // No lock is held while the server is asked, so the record may be another one now.
            if self.state.storage.delete(&loaded.version).await? == Swap::Done {
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
        self.state.memory.forget_pair();
        match self.state.follow_store().await {
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
        let is_same = |own: &CodexAuth| self.state.compare(own, stored) != IdentityMatch::Different;
        if self.state.is_pinned(stored) && own.is_none_or(is_same) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::IdentityMismatch,
            "the store holds another account's login by now; it was left alone",
        ))
    }
}
