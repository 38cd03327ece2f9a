//! One request's authorization: whether it gets one, with what it is sent, and whether it is sent
//! again. What every HTTP integration is made of.

use std::fmt;
use std::sync::OnceLock;

use super::auth_manager::AuthManager;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::IdentityMatch;
use crate::origin::Destination;
use crate::refresh::{UnauthorizedRecovery, UnauthorizedRecoveryDecision};
use crate::snapshot::CodexAuth;

/// The API key to give to a client that insists on one although a manager authorizes its requests.
/// A request with this bearer is authorized like one without any; it is never sent anywhere.
pub const MANAGED_API_KEY: &str = "managed-by-codex-auth-sdk";

const UNAUTHORIZED: u16 = 401;

/// What an HTTP integration goes by from a request to its final response; by
/// [`AuthManager::authorize`].
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
    /// Once it is needed: most requests need none.
    recovery: OnceLock<UnauthorizedRecovery>,
}

impl RequestAuthorization {
    /// The snapshot to send the request with, fresh as by [`AuthManager::fresh_auth`].
    ///
    /// Dropping the future ends the waiting, not the refresh.
    ///
    /// # Errors
    ///
    /// `login_required` while nobody is signed in, `origin_not_allowed` where this credential may
    /// not go there, else those of [`AuthManager::fresh_auth`].
    pub async fn auth(&self) -> Result<CodexAuth> {
        self.allowed(self.manager.fresh_auth().await?)
    }

    /// What [`auth`](Self::auth) would answer at once; none if it would have to wait.
    ///
    /// # Errors
    ///
    /// `origin_not_allowed`.
    pub fn auth_if_ready(&self) -> Result<Option<CodexAuth>> {
        let auth = self.manager.fresh_auth_if_ready();
        auth.map(|auth| self.allowed(Some(auth))).transpose()
    }

    /// The snapshot to send the request again with, after it was sent with `auth` and answered with
    /// `status`; none where that is the final response. Only 401 is ever recovered from, at most
    /// twice for one request.
    ///
    /// A request whose body cannot be sent again asks all the same, so that the next one works.
    /// Dropping the future ends the waiting, not the refresh.
    ///
    /// # Errors
    ///
    /// Those of [`AuthManager::recover_from_unauthorized`].
    pub async fn retry_auth(&self, auth: &CodexAuth, status: u16) -> Result<Option<CodexAuth>> {
        if status != UNAUTHORIZED {
            return Ok(None);
        }
        // Apart, for its size: it would weigh on every request, of which few come to this.
        Box::pin(self.recovered_auth(auth)).await
    }

    async fn recovered_auth(&self, auth: &CodexAuth) -> Result<Option<CodexAuth>> {
        let decision = self.manager.recover_from_unauthorized(auth, self.recovery()).await?;
        let next = match decision {
            UnauthorizedRecoveryDecision::Retry => self.manager.auth(),
            UnauthorizedRecoveryDecision::GiveUp(_) => None,
        };
        // A program may have signed in with another account in this very moment: what was meant for
        // one account is not sent for another.
        let is_same =
            |next: &CodexAuth| self.manager.parts.state.compare(auth, next) == IdentityMatch::Same;
        next.filter(is_same).map(|next| self.allowed(Some(next))).transpose()
    }

    fn recovery(&self) -> &UnauthorizedRecovery {
        self.recovery.get_or_init(UnauthorizedRecovery::default)
    }

    fn allowed(&self, auth: Option<CodexAuth>) -> Result<CodexAuth> {
        let auth = auth.ok_or_else(|| {
            let message = "nobody is signed in; sign in, say by `codex login`";
            Error::new(ErrorKind::LoginRequired, message)
        })?;
        self.destination.check(auth.mode())?;
        Ok(auth)
    }
}

impl AuthManager {
    /// The authorization of a request to `url`, for HTTP integrations. None where it gets none: it
    /// has an `Authorization` header (`authorization`) of its own, or goes to an origin that is
    /// neither the ChatGPT backend's nor the API's nor one of `allowed_origins`.
    ///
    /// A request whose bearer is [`MANAGED_API_KEY`] always gets one, or an error. No I/O, no lock.
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
        is_ours.then(|| RequestAuthorization {
            manager: self.clone(),
            destination,
            recovery: OnceLock::new(),
        })
    }
}

fn is_placeholder(authorization: &[u8]) -> bool {
    let Some((scheme, bearer)) = authorization.split_at_checked("Bearer ".len()) else {
        return false;
    };
    scheme.eq_ignore_ascii_case(b"Bearer ") && bearer.trim_ascii() == MANAGED_API_KEY.as_bytes()
}

/// Clones share how far the request's recovery has come.
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
