//! Checks a new login and stores it in place of the old one.

use std::sync::Arc;

use super::leftovers::remove_leftovers;
use super::options::{IdTokenValidation, LoginOptions};
use super::record::chatgpt_record;
use super::revocation::Revocation;
use super::server::AuthorizationServer;
use super::token_reply::Tokens;
use crate::auth_dot_json::AuthDotJson;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::Oddity;
use crate::secret::Secret;
use crate::snapshot::CodexAuth;
use crate::state::{Event, State};
use crate::storage::Swap;
use crate::tasks;

/// How often a login is saved again because another program has written between the load and the
/// commit.
const MOST_CONFLICTS: usize = 20;

/// The size, in bytes, that no record of a login exceeds.
const LARGEST_RECORD: usize = 16 * 1024;

/// Stores new logins.
#[derive(Debug)]
pub(crate) struct SignIn {
    pub(super) state: Arc<State>,
    pub(super) server: AuthorizationServer,
    revocation: Arc<Revocation>,
}

impl SignIn {
    pub(crate) fn new(
        state: Arc<State>,
        server: AuthorizationServer,
        revocation: Arc<Revocation>,
    ) -> Self {
        Self { state, server, revocation }
    }

    /// Starts a sign-in with `start`, once nothing shows any more that it would be in vain: the
    /// options make sense, the store could save a login, and the server is known.
    pub(super) async fn begin<T, F>(
        self: &Arc<Self>,
        options: LoginOptions,
        start: impl FnOnce(Arc<Self>, LoginOptions) -> F + Send + 'static,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send,
    {
        options.check()?;
        let sign_in = Arc::clone(self);
        let begun = async move {
            sign_in.prove_savable().await?;
            sign_in.server.require_token_endpoint(options.is_standard()).await?;
            start(sign_in, options).await
        };
        tasks::run_read(&self.state.environment, begun).await?
    }

    /// Fails if the store could not save a login, so that the user does not sign in for nothing.
    async fn prove_savable(&self) -> Result<()> {
        self.state.storage.load_to_replace().await?;
        self.state.storage.ready(LARGEST_RECORD).await.map(drop)
    }

    /// Checks the tokens of a new login.
    pub(super) async fn check_tokens(
        &self,
        tokens: &Tokens,
        nonce: Option<&Secret>,
        options: &LoginOptions,
    ) -> Result<()> {
        let now = self.state.now();
        match options.id_token_validation {
            IdTokenValidation::Off => Ok(()),
            validation => {
                let is_required = validation == IdTokenValidation::Required;
                self.server.check_id_token(tokens, nonce, is_required, now).await
            }
        }
    }

    pub(super) async fn complete(
        self: &Arc<Self>,
        tokens: Tokens,
        options: &LoginOptions,
    ) -> Result<CodexAuth> {
        let record = chatgpt_record(tokens, &self.server.provenance(), self.state.now());
        self.store(record, options).await
    }

    /// Stores the login in `record`, if the options allow it.
    pub(crate) async fn store(
        self: &Arc<Self>,
        record: AuthDotJson,
        options: &LoginOptions,
    ) -> Result<CodexAuth> {
        let record = Arc::new(record);
        let auth = self
            .state
            .login_in(&record)
            .ok_or_else(|| failed("the reply contains no login; sign in again"))?;
        self.require_wanted(&auth, options)?;
        // From here on a cancellation does not stop it.
        let save = Arc::clone(self).save(auth, options.revoke_replaced);
        tasks::run(&self.state.environment, save).await?
    }

    fn require_wanted(&self, auth: &CodexAuth, options: &LoginOptions) -> Result<()> {
        if auth.oddity() == Some(Oddity::TwoUsers) {
            return Err(failed("the tokens belong to two users; nothing was saved, sign in again"));
        }
        let allowed = &options.allowed_workspaces;
        let is_allowed = |id: &str| allowed.iter().any(|allowed| allowed == id);
        let is_wanted = allowed.is_empty() || auth.account_id().is_some_and(is_allowed);
        if is_wanted && self.state.is_pinned(auth) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::LoginWorkspaceNotAllowed,
            "this login belongs to a workspace that is not allowed; nothing was saved: sign in \
             again and choose an allowed workspace",
        ))
    }

    /// Saves the login. This takes no refresh lock: a refresh in flight finds that the store has
    /// changed, and does not save.
    async fn save(self: Arc<Self>, auth: CodexAuth, revoke_replaced: bool) -> Result<CodexAuth> {
        let replaced = self.replace(&auth).await.map_err(not_saved)?;
        let replaced =
            replaced.filter(|_| revoke_replaced).map(|record| self.revocation.newest(&record));
        self.state.memory.forget_pair();
        remove_leftovers(&*self.state.storage).await;
        // The login is stored, even if it cannot be read back.
        let stored = self.state.reload().await.map(|view| view.auth).unwrap_or_else(|error| {
            tracing::warn!(%error, "the new login is stored, but cannot be read back");
            self.state.publish(&self.state.current.seen(), auth.record())
        });
        self.state.announce(Event::LoggedIn);
        if let Some(replaced) = replaced {
            self.revocation.revoke(&replaced).await;
        }
        let is_it = |stored: &CodexAuth| stored.record() == auth.record();
        Ok(stored.filter(is_it).unwrap_or(auth))
    }

    /// Stores the login and returns the record that it replaces.
    async fn replace(&self, auth: &CodexAuth) -> Result<Option<Arc<AuthDotJson>>> {
        for _ in 0..MOST_CONFLICTS {
            let loaded = self.state.storage.load_to_replace().await?;
            if self.state.storage.commit(&loaded.version, auth.record()).await? == Swap::Done {
                return Ok(loaded.record);
            }
        }
        Err(Error::new(ErrorKind::StoreUnavailable, "other programs keep changing the store"))
    }
}

fn failed(message: &str) -> Error {
    Error::new(ErrorKind::LoginFailed, message)
}

fn not_saved(error: Error) -> Error {
    if error.kind() == ErrorKind::NotSupportedByStore {
        return error;
    }
    let message =
        format!("the new login could not be saved ({error}); correct that and sign in again");
    Error::new(ErrorKind::SaveFailed, message).with_reason(error.code()).with_source(error)
}
