//! The HTTP client of `reqwest`, whose requests are authorized and recover from 401.

#[cfg(feature = "reqwest-middleware")]
mod middleware;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::redirect::{Action, Attempt, Policy};
use reqwest::{Client, ClientBuilder, Request, RequestBuilder, Response};
use thiserror::Error as ThisError;
use url::{Position, Url};

#[cfg(feature = "reqwest-middleware")]
pub use self::middleware::AuthMiddleware;
use crate::error::Error;
use crate::manager::{AuthManager, RequestAuthorization};

/// As many as `reqwest` follows by default.
const MOST_REDIRECTS: usize = 10;

/// Why a request has no final response.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum RequestError {
    /// There is no credential to send it with, or a 401 that nothing can be done about: see the
    /// error's code.
    #[error("{error}")]
    Auth {
        /// What failed.
        #[source]
        error: Error,
        /// The 401, where there was one.
        response: Option<Box<Response>>,
    },
    /// The request failed.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
}

impl RequestError {
    fn unsent(error: Error) -> Self {
        Self::Auth { error, response: None }
    }
}

/// A `reqwest` client for requests with a manager's credential.
///
/// Each request is sent with a fresh snapshot. After a 401 it is sent again, at most twice, if its
/// body can be; a streamed one cannot, and its 401 comes back after the tokens were recovered. So
/// does that of a redirected POST, which may have been done before it led to the 401. The final
/// response is the server's own, also where it is a 401.
///
/// Only requests to the origins of [`AuthManager::authorize`] get a credential, and redirects are
/// followed within an origin only: others come back as they are. A request with an `Authorization`
/// of its own is left alone.
///
/// ```no_run
/// use codex_auth_sdk::{AuthClient, AuthManager};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let manager = AuthManager::builder().build().await?;
/// let client = AuthClient::new(manager, reqwest::Client::builder())?;
/// let request = client.http().get("https://chatgpt.com/backend-api/codex/models");
/// println!("{}", client.send(request).await?.status());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct AuthClient {
    manager: AuthManager,
    http: Client,
}

impl AuthClient {
    /// A client of `builder`, whose redirect policy becomes [`redirect_policy`].
    ///
    /// # Errors
    ///
    /// Those of [`ClientBuilder::build`].
    pub fn new(manager: AuthManager, builder: ClientBuilder) -> reqwest::Result<Self> {
        Ok(Self { manager, http: builder.redirect(redirect_policy()).build()? })
    }

    /// The client to build requests with. What it sends itself is not authorized.
    pub fn http(&self) -> &Client {
        &self.http
    }

    /// Sends `request`, by [`execute`](Self::execute).
    ///
    /// # Errors
    ///
    /// Those of [`execute`](Self::execute).
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, RequestError> {
        self.execute(request.build()?).await
    }

    /// Sends `request` with the manager's credential and recovers from 401.
    ///
    /// Dropping the future ends the request and the waiting, not a refresh.
    ///
    /// # Errors
    ///
    /// [`RequestError::Auth`] with the codes of [`RequestAuthorization::auth`] and
    /// [`RequestAuthorization::retry_auth`], else what `reqwest` says.
    pub async fn execute(&self, request: Request) -> Result<Response, RequestError> {
        match authorization(&self.manager, &request) {
            Some(authorization) => send_authorized(&authorization, request, &self.http).await,
            None => Ok(self.http.execute(request).await?),
        }
    }
}

/// Follows redirects within an origin, ten at most, so that no header of a credential leaves it;
/// a redirect to another origin is the final response. What [`AuthClient`] uses.
pub fn redirect_policy() -> Policy {
    Policy::custom(within_origin)
}

fn within_origin(attempt: Attempt<'_>) -> Action {
    let is_within =
        attempt.previous().last().is_some_and(|last| last.origin() == attempt.url().origin());
    if !is_within {
        attempt.stop()
    } else if attempt.previous().len() > MOST_REDIRECTS {
        attempt.error("too many redirects")
    } else {
        attempt.follow()
    }
}

fn authorization(manager: &AuthManager, request: &Request) -> Option<RequestAuthorization> {
    let own = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    manager.authorize(request.url().as_str(), own)
}

/// What sends a request: a client, or the rest of a chain of middleware.
trait Sender {
    type Error: From<RequestError>;

    fn send(
        &mut self,
        request: Request,
    ) -> impl Future<Output = Result<Response, Self::Error>> + Send;
}

impl Sender for &Client {
    type Error = RequestError;

    fn send(
        &mut self,
        request: Request,
    ) -> impl Future<Output = Result<Response, RequestError>> + Send {
        // Apart from the future, which is the smaller for it.
        let response = self.execute(request);
        async { Ok(response.await?) }
    }
}

/// Sends `request`, and again after a 401 where that helps.
async fn send_authorized<S: Sender>(
    authorization: &RequestAuthorization,
    mut request: Request,
    mut sender: S,
) -> Result<Response, S::Error> {
    let mut auth = authorization.auth().await.map_err(RequestError::unsent)?;
    loop {
        let again = request.try_clone();
        let headers = auth.header_map().map_err(RequestError::unsent)?;
        for (name, value) in headers {
            request.headers_mut().insert(name, value.clone());
        }
        let response = sender.send(request).await?;
        let next = match authorization.retry_auth(&auth, response.status().as_u16()).await {
            Ok(next) => next,
            Err(error) => {
                let response = Some(Box::new(response));
                return Err(RequestError::Auth { error, response }.into());
            }
        };
        let (Some(next), Some(again)) = (next, again) else { return Ok(response) };
        if !may_be_done_again(&again, &response) {
            return Ok(response);
        }
        (auth, request) = (next, again);
    }
}

/// Whether `request` was refused itself. A redirect may have led to the refusal after it was done.
fn may_be_done_again(request: &Request, response: &Response) -> bool {
    request.method().is_safe() || sent(request.url()) == sent(response.url())
}

/// What is sent of a URL: all but its fragment.
fn sent(url: &Url) -> &str {
    &url[..Position::AfterQuery]
}
