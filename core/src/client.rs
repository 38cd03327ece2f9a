//! The HTTP client of `reqwest`, whose requests are authorized and recover from 401. By which rules,
//! [`AuthManager::authorize`] says, as for every HTTP client.

#[cfg(feature = "reqwest-middleware")]
mod middleware;

use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use reqwest::redirect::{Action, Attempt, Policy};
use reqwest::{Client, ClientBuilder, Request, RequestBuilder, Response};
use thiserror::Error as ThisError;
use url::{Position, Url};

#[cfg(feature = "reqwest-middleware")]
pub use self::middleware::AuthMiddleware;
use crate::error::Error;
use crate::manager::{AuthManager, RequestAuthorization, is_placeholder};
use crate::token_endpoint::tls;

/// The number of redirects that `reqwest` follows by default.
const MOST_REDIRECTS: usize = 10;

/// The reason why a request has no final response, or why there is no client to send it.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum RequestError {
    /// There is no credential to send the request with, or the recovery from a 401 failed. The
    /// error's code says why.
    #[error("{error}")]
    Auth {
        /// The failure.
        #[source]
        error: Error,
        /// The response with the 401, if there was one.
        response: Option<Box<Response>>,
    },
    /// `reqwest` could not send the request, or could not build the client.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// TLS could not be set up, for instance because this machine has no certificate authorities.
    #[error("{0}")]
    Tls(String),
}

impl RequestError {
    fn unsent(error: Error) -> Self {
        Self::Auth { error, response: None }
    }
}

/// An HTTP client of `reqwest` 0.13 that sends requests with a manager's credential and recovers
/// from 401.
///
/// The client and its requests are types of [`codex_auth_sdk::reqwest`](crate::reqwest); types of
/// another version of `reqwest` do not compile with it. A program that needs more features of
/// `reqwest` depends on version 0.13 with these features: Cargo builds one crate for both.
///
/// Each request is sent with a fresh snapshot. After a 401 the client recovers the tokens and sends
/// the request again, at most twice. It does not repeat a request with a streamed body. Nor does it
/// repeat a request with an unsafe method, such as POST, if a redirect led to the 401: the server
/// may have processed it already. Their 401 is returned once the tokens are recovered. The final
/// response is the server's own, even if it is a 401.
///
/// Only requests to the origins that [`AuthManager::authorize`] allows carry the credential. The
/// client follows redirects within one origin only, and returns all others. A request that has an
/// `Authorization` header of its own is left alone, unless it contains
/// [`MANAGED_API_KEY`](crate::MANAGED_API_KEY).
///
/// ```no_run
/// use codex_auth_sdk::{AuthClient, AuthManager};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let manager = AuthManager::builder().build().await?;
/// let client = AuthClient::new(manager)?;
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
    /// Creates a client from [`http_builder`](Self::http_builder).
    ///
    /// # Errors
    ///
    /// [`RequestError::Tls`], [`RequestError::Http`].
    pub fn new(manager: AuthManager) -> Result<Self, RequestError> {
        Self::with_builder(manager, Self::http_builder()?)
    }

    /// Creates a client from `builder`, whose redirect policy becomes [`redirect_policy`].
    ///
    /// To change other settings than TLS, start from [`http_builder`](Self::http_builder).
    ///
    /// # Errors
    ///
    /// [`RequestError::Http`].
    ///
    /// # Panics
    ///
    /// If `builder` leaves TLS to `reqwest`, and neither a feature of `reqwest` nor the program has
    /// chosen a cryptography provider for `rustls`.
    pub fn with_builder(
        manager: AuthManager,
        builder: ClientBuilder,
    ) -> Result<Self, RequestError> {
        Ok(Self { manager, http: builder.redirect(redirect_policy()).build()? })
    }

    /// Returns a builder of clients with [`redirect_policy`] and with TLS by `rustls` and `ring`,
    /// which trusts the certificate authorities of the system. It depends neither on the features
    /// of `reqwest` nor on the cryptography provider of the process.
    ///
    /// A program with certificates of its own replaces TLS as a whole, by
    /// [`ClientBuilder::tls_backend_preconfigured`].
    ///
    /// ```no_run
    /// use codex_auth_sdk::{AuthClient, AuthManager};
    /// use std::time::Duration;
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let manager = AuthManager::builder().build().await?;
    /// let builder = AuthClient::http_builder()?.timeout(Duration::from_secs(60));
    /// let client = AuthClient::with_builder(manager, builder)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`RequestError::Tls`].
    pub fn http_builder() -> Result<ClientBuilder, RequestError> {
        let tls = tls(None).map_err(RequestError::Tls)?;
        Ok(Client::builder().tls_backend_preconfigured(tls).redirect(redirect_policy()))
    }

    /// Returns the client below, to build requests with. A request that it sends itself carries no
    /// credential.
    pub fn http(&self) -> &Client {
        &self.http
    }

    /// Builds and sends `request`, as [`execute`](Self::execute) does.
    ///
    /// # Errors
    ///
    /// Those of [`execute`](Self::execute).
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, RequestError> {
        self.execute(request.build()?).await
    }

    /// Sends `request` with the manager's credential and recovers from 401.
    ///
    /// Dropping the future ends the request. A refresh that it waits for goes on.
    ///
    /// # Errors
    ///
    /// [`RequestError::Auth`] with the codes of [`RequestAuthorization::auth`] and
    /// [`RequestAuthorization::retry_auth`]; [`RequestError::Http`].
    pub async fn execute(&self, request: Request) -> Result<Response, RequestError> {
        let mut request = request;
        match authorization(&self.manager, &mut request) {
            Some(authorization) => send_authorized(&authorization, request, &self.http).await,
            None => Ok(self.http.execute(request).await?),
        }
    }
}

/// Returns the redirect policy of [`AuthClient`]: it follows up to ten redirects within one origin,
/// so that the credential never leaves that origin. A redirect to another origin is the final
/// response.
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

/// Returns the authorization of `request`, from which this takes the placeholder: it may be in any
/// header.
fn authorization(manager: &AuthManager, request: &mut Request) -> Option<RequestAuthorization> {
    let headers = request.headers_mut();
    let has_placeholder = |value: &HeaderValue| is_placeholder(value.as_bytes());
    let placed: Vec<HeaderName> = headers
        .iter()
        .filter(|(_, value)| has_placeholder(value))
        .map(|(name, _)| name.clone())
        .collect();
    let placeholder = placed.iter().filter_map(|name| headers.remove(name)).last();
    let own = headers.get(AUTHORIZATION).cloned().or(placeholder);
    manager.authorize(request.url().as_str(), own.as_ref().map(HeaderValue::as_bytes))
}

/// A way to send a request: a client, or the rest of a chain of middleware.
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
        // Outside of the future, which is smaller without the borrow of `self`.
        let response = self.execute(request);
        async { Ok(response.await?) }
    }
}

/// Sends `request`, and sends it again after a 401 if the recovery has another credential for it.
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

/// Returns whether `request` may be sent again after the 401 `response`. If a redirect led to the
/// 401, the server may have processed the request before.
fn may_be_done_again(request: &Request, response: &Response) -> bool {
    request.method().is_safe() || sent(request.url()) == sent(response.url())
}

/// Returns the part of `url` that is sent: all but its fragment.
fn sent(url: &Url) -> &str {
    &url[..Position::AfterQuery]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MANAGED_API_KEY;
    use crate::storage::EphemeralStorage;

    #[tokio::test]
    async fn g9_the_placeholder_is_taken_from_every_header() {
        let storage = std::sync::Arc::new(EphemeralStorage::new(None));
        let manager = AuthManager::builder().storage(storage).build().await.expect("a manager");
        for own in [None, Some("Bearer sk-own")] {
            let url = "https://chatgpt.com/backend-api/codex/models";
            let mut request =
                Request::new("GET".parse().expect("a method"), url.parse().expect("a URL"));
            for name in ["api-key", "x-api-key"] {
                request.headers_mut().insert(name, MANAGED_API_KEY.parse().expect("a value"));
            }
            if let Some(own) = own {
                request.headers_mut().insert(AUTHORIZATION, own.parse().expect("a value"));
            }
            assert_eq!(authorization(&manager, &mut request).is_some(), own.is_none());
            assert_eq!(request.headers().len(), usize::from(own.is_some()), "{request:?}");
        }
    }
}
