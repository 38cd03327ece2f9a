//! The authorization of one HTTP request, which every HTTP integration uses: which credential the
//! request is sent with, if any, and whether it is repeated.

use std::fmt;
use std::sync::OnceLock;

use super::auth_manager::AuthManager;
use crate::error::Result;
use crate::identity::Relation;
use crate::origin::Destination;
use crate::refresh::{UnauthorizedRecovery, UnauthorizedRecoveryDecision};
use crate::snapshot::CodexAuth;
use crate::state::Event;

/// A placeholder for a client that requires an API key although a manager authorizes its requests.
///
/// The manager replaces it: a request with this key, in whichever header a client writes it, is
/// authorized like one without any. The placeholder itself is never sent.
pub const MANAGED_API_KEY: &str = "managed-by-codex-auth-sdk";

const UNAUTHORIZED: u16 = 401;

/// The authorization of one HTTP request, by [`AuthManager::authorize`]: which snapshot the request
/// is sent with, and whether it is repeated. HTTP integrations are built on it.
///
/// ```no_run
/// # use codex_auth_sdk::{AuthManager, CodexAuth};
/// # async fn send(_: &CodexAuth) -> u16 { 200 }
/// # async fn example(manager: AuthManager) -> codex_auth_sdk::Result<()> {
/// let url = "https://chatgpt.com/backend-api/codex/responses";
/// let Some(authorization) = manager.authorize(url, None) else { return Ok(()) };
/// let mut auth = authorization.auth().await?;
/// loop {
///     let status = send(&auth).await;
///     match authorization.retry_auth(&auth, status).await? {
///         Some(next) => auth = next,
///         None => break,
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct RequestAuthorization {
    manager: AuthManager,
    destination: Destination,
    /// Made when it is needed: most requests need none.
    recovery: OnceLock<UnauthorizedRecovery>,
}

impl RequestAuthorization {
    /// Returns the snapshot to send the request with, refreshed if it has expired, as by
    /// [`AuthManager::fresh_auth`].
    ///
    /// Dropping the future ends the waiting; a refresh goes on.
    ///
    /// # Errors
    ///
    /// `login_required` if no login is stored; `origin_not_allowed` if this kind of credential must
    /// not be sent to the request's origin; those of [`AuthManager::fresh_auth`].
    pub async fn auth(&self) -> Result<CodexAuth> {
        self.allowed(self.manager.fresh_auth().await?)
    }

    /// Returns what [`auth`](Self::auth) would return without waiting; none if it would have to
    /// wait, or if no login is stored.
    ///
    /// # Errors
    ///
    /// `origin_not_allowed`.
    pub fn auth_if_ready(&self) -> Result<Option<CodexAuth>> {
        let auth = self.manager.fresh_auth_if_ready();
        auth.map(|auth| self.allowed(Some(auth))).transpose()
    }

    /// Returns the snapshot to repeat the request with, or none if its response is final. The
    /// request was sent with `auth` and answered with `status`.
    ///
    /// Only a 401 is recovered from, at most twice for one request. Call this even if the request's
    /// body cannot be sent again, so that the next request has good tokens. Dropping the future
    /// ends the waiting; a refresh goes on.
    ///
    /// # Errors
    ///
    /// Those of [`AuthManager::recover_from_unauthorized`]; `origin_not_allowed`.
    pub async fn retry_auth(&self, auth: &CodexAuth, status: u16) -> Result<Option<CodexAuth>> {
        if status != UNAUTHORIZED {
            return Ok(None);
        }
        // Boxed, so that its size does not add to the future of every request: few get here.
        Box::pin(self.recovered_auth(auth)).await
    }

    async fn recovered_auth(&self, auth: &CodexAuth) -> Result<Option<CodexAuth>> {
        let decision = self.manager.recover_from_unauthorized(auth, self.recovery()).await?;
        let next = match decision {
            UnauthorizedRecoveryDecision::Retry => self.manager.auth(),
            UnauthorizedRecoveryDecision::GiveUp(_) => None,
        };
        // Another program may have signed in or switched the workspace at this moment. The request
        // was made for one login and workspace, so it is not sent for another.
        let is_same =
            |next: &CodexAuth| self.manager.parts.state.compare(auth, next) == Relation::Same;
        next.filter(is_same).map(|next| self.allowed(Some(next))).transpose()
    }

    fn recovery(&self) -> &UnauthorizedRecovery {
        self.recovery.get_or_init(UnauthorizedRecovery::default)
    }

    fn allowed(&self, auth: Option<CodexAuth>) -> Result<CodexAuth> {
        let auth = auth.ok_or_else(|| self.manager.parts.state.no_login())?;
        self.destination.check(auth.mode())?;
        Ok(auth)
    }
}

impl AuthManager {
    /// Returns the authorization of a request to `url`, for HTTP integrations. It does no I/O and
    /// takes no lock.
    ///
    /// `authorization` is the request's own `Authorization` header, if it has one. Returns none if
    /// the manager must leave the request alone: it has such a header, or its origin is neither
    /// that of the ChatGPT backend or the OpenAI API nor one of
    /// [`allowed_origins`](crate::AuthManagerBuilder::allowed_origins). A warning and an
    /// [event](Event::CredentialLeftOut) tell once of each such origin. A request whose header
    /// contains [`MANAGED_API_KEY`] always gets an authorization, which fails with
    /// `origin_not_allowed` if need be.
    pub fn authorize(
        &self,
        url: &str,
        authorization: Option<&[u8]>,
    ) -> Option<RequestAuthorization> {
        let destination = self.parts.state.options.allowed_origins.destination(url);
        let is_ours = match authorization {
            Some(own) => is_placeholder(own),
            None => destination.is_allowed(),
        };
        if authorization.is_none() && !is_ours {
            self.tell_left_out(&destination);
        }
        is_ours.then(|| RequestAuthorization {
            manager: self.clone(),
            destination,
            recovery: OnceLock::new(),
        })
    }

    /// Says once that a request to `destination`, which is not allowed, is sent without the
    /// credential.
    fn tell_left_out(&self, destination: &Destination) {
        let state = &self.parts.state;
        if let Some(error) = state.left_out.news(destination) {
            tracing::warn!("{error}");
            state.announce(Event::CredentialLeftOut(error));
        }
    }
}

/// Returns whether the header's value `value` has the placeholder in it: clients write keys in many
/// ways.
pub(crate) fn is_placeholder(value: &[u8]) -> bool {
    value.windows(MANAGED_API_KEY.len()).any(|part| part == MANAGED_API_KEY.as_bytes())
}

/// Clones share the state of the request's recovery.
impl Clone for RequestAuthorization {
    fn clone(&self) -> Self {
        Self {
            manager: self.manager.clone(),
            destination: self.destination.clone(),
            recovery: self.recovery().clone().into(),
        }
    }
}

impl fmt::Debug for RequestAuthorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestAuthorization")
            .field("recovery", &self.recovery)
            .finish_non_exhaustive()
    }
}
