//! Signs out: revokes the tokens and removes the login.

use std::sync::Arc;

use super::leftovers::remove_leftovers;
use super::revocation::Revocation;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::Relation;
use crate::snapshot::CodexAuth;
use crate::state::State;
use crate::storage::Swap;
use crate::tasks;

/// How often a logout is tried because another program changes the store meanwhile.
const MOST_TRIES: usize = 3;

/// The options of a logout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogoutOptions {
    /// Whether the authorization server is asked to revoke the tokens first. Default: true.
    pub revoke: bool,
    /// Whether the login is removed even if it belongs to another account than the manager's
    /// snapshot. Default: false.
    pub any_account: bool,
}

impl Default for LogoutOptions {
    fn default() -> Self {
        Self { revoke: true, any_account: false }
    }
}

/// The result of a logout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogoutOutcome {
    /// Whether the store held a login, which was removed.
    pub removed: bool,
    /// Whether the authorization server has confirmed that it revoked the tokens.
    pub revoked: bool,
}

/// Removes logins from the store.
#[derive(Debug)]
pub(crate) struct SignOut {
    state: Arc<State>,
    revocation: Arc<Revocation>,
}

impl SignOut {
    pub(crate) fn new(state: Arc<State>, revocation: Arc<Revocation>) -> Self {
        Self { state, revocation }
    }

    /// Signs the login of the snapshot out.
    pub(crate) async fn run(self: &Arc<Self>, options: LogoutOptions) -> Result<LogoutOutcome> {
        let (sign_out, own) = (Arc::clone(self), self.state.current.auth());
        let log_out = async move { sign_out.log_out(own, options).await };
        tasks::run(&self.state.environment, log_out).await?
    }

    /// Signs `own` out, and no other account that signs in meanwhile, unless the options say so.
    async fn log_out(
        &self,
        mut own: Option<CodexAuth>,
        options: LogoutOptions,
    ) -> Result<LogoutOutcome> {
        let mut outcome = LogoutOutcome::default();
        for _ in 0..MOST_TRIES {
            let loaded = match self.state.storage.load().await {
                Err(error) if error.kind() == ErrorKind::StoreCorrupt => {
                    if self.remove_broken().await? == Swap::Done {
                        return self.logged_out(outcome).await;
                    }
                    continue;
                }
                loaded => loaded?,
            };
            let Some(record) = loaded.record else {
                return self.logged_out(outcome).await;
            };
            let stored = self.state.login_in(&record);
            if !options.any_account {
                self.refuse_other_account(own.as_ref(), stored.as_ref())?;
            }
            own = own.or(stored);
            if options.revoke {
                // A login that cannot be removed must not be revoked either.
                drop(self.state.storage.ready(0).await?);
                outcome.revoked |= self.revocation.revoke(&self.revocation.newest(&record)).await;
            }
            // No lock is held during the request, so another record may be stored by now.
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

    /// Removes what is stored and is no login, if the store can keep it aside.
    async fn remove_broken(&self) -> Result<Swap> {
        let broken = self.state.storage.load_to_replace().await?;
        if broken.record.is_some() {
            return Ok(Swap::Conflict);
        }
        self.state.storage.delete(&broken.version).await
    }

    async fn logged_out(&self, outcome: LogoutOutcome) -> Result<LogoutOutcome> {
        self.state.memory.forget_pair();
        remove_leftovers(&*self.state.storage).await;
        match self.state.reload().await {
            Err(error) if !outcome.removed => return Err(error),
            // The login is removed, even if the store cannot be read now.
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
        let is_same = |own: &CodexAuth| match self.state.compare(own, stored) {
            Relation::Same | Relation::OtherWorkspace => true,
            Relation::OtherLogin => false,
            Relation::Unknown => !own.identity().is_elsewhere(stored.identity()),
        };
        if self.state.is_pinned(stored) && own.is_none_or(is_same) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::IdentityMismatch,
            "the store holds another account's login by now, which was not removed; set \
             any_account to remove it",
        ))
    }
}
