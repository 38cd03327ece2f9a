//! Middleware for `reqwest-middleware` that authorizes requests and recovers from 401.

use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next};

use super::{RequestError, Sender, authorization, send_authorized};
use crate::manager::AuthManager;

/// Middleware that sends requests with a manager's credential and recovers from 401, by the rules
/// of [`AuthClient`](crate::AuthClient).
///
/// The client below is one of `reqwest` 0.13, which is [`codex_auth_sdk::reqwest`](crate::reqwest).
/// Build it with [`AuthClient::http_builder`](crate::AuthClient::http_builder), or give it
/// [`redirect_policy`](crate::redirect_policy): middleware does not see the redirects that the
/// client follows. A [`RequestError`] is a [`reqwest_middleware::Error::Middleware`], from which it
/// can be downcast.
///
/// ```no_run
/// use codex_auth_sdk::{AuthClient, AuthManager, AuthMiddleware};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let manager = AuthManager::builder().build().await?;
/// let http = AuthClient::http_builder()?.build()?;
/// let client =
///     reqwest_middleware::ClientBuilder::new(http).with(AuthMiddleware::new(manager)).build();
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct AuthMiddleware(AuthManager);

impl AuthMiddleware {
    /// Creates middleware that authorizes requests with `manager`'s credential.
    pub fn new(manager: AuthManager) -> Self {
        Self(manager)
    }
}

#[async_trait::async_trait]
impl Middleware for AuthMiddleware {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let Some(authorization) = authorization(&self.0, &mut request) else {
            return next.run(request, extensions).await;
        };
        send_authorized(&authorization, request, Chain { next, extensions }).await
    }
}

struct Chain<'a> {
    next: Next<'a>,
    extensions: &'a mut Extensions,
}

impl Sender for Chain<'_> {
    type Error = reqwest_middleware::Error;

    async fn send(&mut self, request: Request) -> reqwest_middleware::Result<Response> {
        self.next.clone().run(request, self.extensions).await
    }
}

impl From<RequestError> for reqwest_middleware::Error {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Http(error) => Self::Reqwest(error),
            error => Self::middleware(error),
        }
    }
}
