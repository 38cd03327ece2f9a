//! The requests of a sign-in to the authorization server.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use chrono::{DateTime, Utc};
use reqwest::header::{ACCEPT_ENCODING, USER_AGENT};
use reqwest::{Client, RequestBuilder, Response};
use serde::Serialize;
use url::Url;
use zeroize::Zeroizing;

use super::id_token::Expected;
use super::jws::JwkSet;
use super::metadata::Metadata;
use super::request::AuthorizationRequest;
use super::token_reply::Tokens;
use crate::auth_dot_json::Provenance;
use crate::error::{Error, ErrorKind, Result};
use crate::process::PerProcess;
use crate::secret::Secret;
#[cfg(feature = "cli")]
use crate::token_endpoint::date;
use crate::token_endpoint::{HttpTokenEndpointConfig, describe, http_client, read_body};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

const CONFIGURATION: &str = ".well-known/openid-configuration";

/// The scope that the Codex CLI requests.
const CODEX_SCOPE: &str =
    "openid profile email offline_access api.connectors.read api.connectors.invoke";

const STANDARD_SCOPE: &str = "openid profile email offline_access";

/// The authorization server of sign-ins.
pub(crate) struct AuthorizationServer {
    /// The URL of the issuer, without a slash at its end.
    issuer: String,
    /// The token endpoint for authorization codes, unless the issuer publishes one.
    token_url: Url,
    config: HttpTokenEndpointConfig,
    client: PerProcess<Client>,
    /// The published metadata, once it was fetched.
    metadata: ArcSwapOption<Metadata>,
}

/// The status and the body of a reply.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Zeroizing<Vec<u8>>,
}

impl AuthorizationServer {
    pub(crate) fn new(issuer: &str, token_url: Url, config: HttpTokenEndpointConfig) -> Self {
        let issuer = issuer.trim_end_matches('/').to_owned();
        let metadata = ArcSwapOption::empty();
        Self { issuer, token_url, config, client: PerProcess::new(), metadata }
    }

    pub(super) fn client_id(&self) -> &str {
        &self.config.client_id
    }

    /// Returns where the tokens of a new login are from.
    pub(super) fn provenance(&self) -> Provenance {
        Provenance {
            issuer: self.config.token_url.origin().ascii_serialization(),
            client_id: self.config.client_id.clone(),
        }
    }

    /// Returns the URL of `path` below the issuer.
    pub(super) fn url(&self, path: &str) -> Result<Url> {
        Url::parse(&format!("{}/{path}", self.issuer)).map_err(|error| {
            let message = format!("the issuer {} is not a URL: {error}; correct it", self.issuer);
            Error::new(ErrorKind::InvalidOption, message)
        })
    }

    /// Returns the metadata of the issuer; none if it publishes none for its own URL.
    ///
    /// # Errors
    ///
    /// `login_transient` if the server does not answer.
    async fn metadata(&self) -> Result<Option<Arc<Metadata>>> {
        if let Some(metadata) = self.metadata.load_full() {
            return Ok(Some(metadata));
        }
        let reply = self.get(&self.url(CONFIGURATION)?).await?;
        let is_there = reply.status == 200;
        let metadata = Metadata::parse(&reply.body, &self.issuer).filter(|_| is_there);
        let metadata = metadata.map(Arc::new);
        self.metadata.store(metadata.clone());
        Ok(metadata)
    }

    /// Returns the metadata of the issuer, which the standard protocol requires.
    ///
    /// # Errors
    ///
    /// `login_failed` if the issuer publishes none; `login_transient` if the server does not
    /// answer.
    pub(super) async fn required_metadata(&self) -> Result<Arc<Metadata>> {
        self.metadata().await?.ok_or_else(|| self.lacks("metadata for its own URL"))
    }

    /// Fails if the manager would refresh a new login at another token endpoint than that of the
    /// sign-in.
    ///
    /// # Errors
    ///
    /// `invalid_option`; those of [`required_metadata`](Self::required_metadata).
    pub(crate) async fn require_token_endpoint(&self, is_standard: bool) -> Result<()> {
        if !is_standard {
            return Ok(());
        }
        let published = self.token_url(true).await?;
        if published == self.config.token_url {
            return Ok(());
        }
        let message = format!(
            "the token endpoint of {} is {published}, and tokens are refreshed at {}; set token_url, \
             and token_encoding to form",
            self.issuer, self.config.token_url
        );
        Err(Error::new(ErrorKind::InvalidOption, message))
    }

    /// Returns the URL of the authorization request, for the browser.
    ///
    /// # Errors
    ///
    /// Those of [`required_metadata`](Self::required_metadata); `login_failed` if the issuer has no
    /// authorization endpoint.
    pub(crate) async fn authorization_url(
        &self,
        request: &AuthorizationRequest,
        is_standard: bool,
        scope: Option<&str>,
        workspaces: &[String],
    ) -> Result<Url> {
        if is_standard {
            let endpoint = self.required_metadata().await?.authorization_endpoint();
            let endpoint = endpoint.ok_or_else(|| self.lacks("authorization endpoint"))?;
            // Without it the server may issue no refresh token (OpenID Connect Core, section 11).
            let consent = [("prompt", "consent")];
            let scope = Self::standard_scope(scope);
            return Ok(request.url(&endpoint, self.client_id(), scope, &consent));
        }
        let workspaces = workspaces.join(",");
        let mut more = vec![
            ("id_token_add_organizations", "true"),
            ("codex_cli_simplified_flow", "true"),
            ("originator", self.config.originator.as_str()),
        ];
        if !workspaces.is_empty() {
            more.push(("allowed_workspace_id", &workspaces));
        }
        let endpoint = self.url("oauth/authorize")?;
        Ok(request.url(&endpoint, self.client_id(), scope.unwrap_or(CODEX_SCOPE), &more))
    }

    pub(super) fn standard_scope(scope: Option<&str>) -> &str {
        scope.unwrap_or(STANDARD_SCOPE)
    }

    /// Redeems an authorization code (RFC 6749, section 4.1.3) and returns the tokens.
    pub(crate) async fn exchange(
        &self,
        code: &Secret,
        verifier: &Secret,
        redirect_uri: &str,
        is_standard: bool,
    ) -> Result<Tokens> {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("redirect_uri", redirect_uri),
            ("client_id", self.client_id()),
            ("code_verifier", verifier.expose()),
        ];
        let reply = self.post_form(&self.token_url(is_standard).await?, &fields).await?;
        Tokens::parse(reply.status, &reply.body)
    }

    pub(super) async fn token_url(&self, is_standard: bool) -> Result<Url> {
        if !is_standard {
            return Ok(self.token_url.clone());
        }
        let endpoint = self.required_metadata().await?.token_endpoint();
        endpoint.ok_or_else(|| self.lacks("token endpoint"))
    }

    /// Validates the id token of `tokens` with the keys that the issuer publishes. If the issuer
    /// publishes none, this fails if `is_required`, and else checks nothing.
    ///
    /// # Errors
    ///
    /// `login_failed`; `login_transient` if the server does not answer.
    pub(crate) async fn check_id_token(
        &self,
        tokens: &Tokens,
        nonce: Option<&Secret>,
        is_required: bool,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let keys = self.metadata().await?.and_then(|metadata| metadata.jwks_uri());
        let Some(keys) = keys else {
            return if is_required { Err(self.lacks("keys")) } else { Ok(()) };
        };
        let reply = self.get(&keys).await?;
        let keys: JwkSet = serde_json::from_slice(&reply.body).map_err(|_| self.lacks("keys"))?;
        let expected = Expected { issuer: &self.issuer, client_id: self.client_id(), nonce, now };
        expected.check(&tokens.id_token, &keys)
    }

    pub(super) fn lacks(&self, what: &str) -> Error {
        let message = format!("{} publishes no {what}; check the option issuer", self.issuer);
        Error::new(ErrorKind::LoginFailed, message)
    }

    pub(super) async fn post_form(&self, url: &Url, fields: &[(&str, &str)]) -> Result<Reply> {
        self.ask(url, self.http()?.post(url.clone()).form(fields)).await
    }

    pub(super) async fn post_json(&self, url: &Url, body: &impl Serialize) -> Result<Reply> {
        self.ask(url, self.http()?.post(url.clone()).json(body)).await
    }

    async fn get(&self, url: &Url) -> Result<Reply> {
        self.ask(url, self.http()?.get(url.clone())).await
    }

    /// Returns what time it is at the token endpoint of refreshes; none if its answer has no date.
    ///
    /// # Errors
    ///
    /// `login_transient` if the server does not answer.
    #[cfg(feature = "cli")]
    pub(super) async fn date(&self) -> Result<Option<DateTime<Utc>>> {
        let url = &self.config.token_url;
        let response = in_time(url, self.send(url, self.http()?.head(url.clone()))).await?;
        Ok(date(response.headers()))
    }

    fn http(&self) -> Result<Arc<Client>> {
        let issuer = self.url("")?;
        self.client.get_or_try_make(|| http_client(&self.config, &[&issuer])).map_err(no_answer)
    }

    async fn ask(&self, url: &Url, request: RequestBuilder) -> Result<Reply> {
        let answered = async {
            let response = self.send(url, request).await?;
            let status = response.status().as_u16();
            let body = read_body(response).await.ok_or_else(|| {
                let host = host(url);
                no_answer(format!("the reply of {host} was cut off or too large; try again"))
            })?;
            Ok(Reply { status, body })
        };
        in_time(url, answered).await
    }

    async fn send(&self, url: &Url, request: RequestBuilder) -> Result<Response> {
        let user_agent = self.config.user_agent.as_ref().unwrap_or(&self.config.originator);
        let response = request
            .header("originator", &self.config.originator)
            .header(USER_AGENT, user_agent)
            .header(ACCEPT_ENCODING, "identity")
            .send()
            .await
            .map_err(|error| no_answer(describe(&self.config, url, error)))?;
        let status = response.status().as_u16();
        if status == 429 || status >= 500 {
            let host = host(url);
            return Err(no_answer(format!("{host} answered HTTP {status}; try again later")));
        }
        Ok(response)
    }
}

async fn in_time<T>(url: &Url, answered: impl Future<Output = Result<T>>) -> Result<T> {
    let late = |_| no_answer(format!("no answer from {} in time; try again", host(url)));
    tokio::time::timeout(REQUEST_TIMEOUT, answered).await.map_err(late)?
}

fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}

fn no_answer(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::LoginTransient, message)
}

impl fmt::Debug for AuthorizationServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationServer").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}
