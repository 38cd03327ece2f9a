//! The token endpoint and the revocation endpoint over HTTP.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{ACCEPT_ENCODING, DATE, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use reqwest::{Client, RequestBuilder, Response};
use tokio::time::{self, Instant};
use url::Url;

use super::body::read_body;
use super::classify::{self, Reply, classify, http_date};
use super::client::http_client;
use super::config::{HttpTokenEndpointConfig, TokenEncoding};
use super::failure::describe;
use super::redemption::{
    NoAnswer, Redemption, StoredToken, TokenEndpoint, TokenReply, TokenTypeHint,
};
use crate::environment::{BoxFuture, Environment};
use crate::error::{Error, ErrorKind, Result};
use crate::process::PerProcess;
use crate::secret::Secret;
use crate::transport::is_protected;

/// How long a reply is waited for after its timeout; see [`listen`].
const GRACE: Duration = Duration::from_secs(1);

/// A [`TokenEndpoint`] over HTTP/2 or HTTP/1.1. It opens no connection before the first request.
pub struct HttpTokenEndpoint {
    config: HttpTokenEndpointConfig,
    environment: Environment,
    client: PerProcess<Client>,
}

impl HttpTokenEndpoint {
    /// Creates an endpoint that is not connected yet.
    pub const fn new(config: HttpTokenEndpointConfig, environment: Environment) -> Self {
        Self { config, environment, client: PerProcess::new() }
    }

    fn client_of<'a>(&'a self, token: StoredToken<'a>) -> &'a str {
        token.client_id.unwrap_or(&self.config.client_id)
    }

    async fn post(&self, url: &Url, fields: &[(&str, &str)], timeout: Duration) -> Posted {
        let request = match self.request(url, fields) {
            Ok(request) => request,
            Err(detail) => return Posted::NotWritten(detail),
        };
        match listen(timeout, request.send()).await {
            Some(Ok(response)) => Posted::Answered(response),
            None => Posted::Unanswered(format!("no answer from {} in time", host(url))),
            Some(Err(error)) => {
                let unwritten = error.is_connect() || error.is_builder();
                let detail = describe(&self.config, url, error);
                if unwritten { Posted::NotWritten(detail) } else { Posted::Unanswered(detail) }
            }
        }
    }

    fn request(
        &self,
        url: &Url,
        fields: &[(&str, &str)],
    ) -> std::result::Result<RequestBuilder, String> {
        if !is_protected(url) {
            return Err(
                "tokens are sent by https, or by http on loopback; correct the URL".to_owned()
            );
        }
        let HttpTokenEndpointConfig { originator, user_agent, .. } = &self.config;
        let user_agent = user_agent.as_ref().unwrap_or(originator);
        let request = self
            .client
            .get_or_try_make(|| http_client(&self.config, &[]))?
            .post(url.clone())
            .header("originator", header("originator", originator)?)
            .header(USER_AGENT, header("user agent", user_agent)?)
            .header(ACCEPT_ENCODING, "identity");
        Ok(match self.config.encoding {
            TokenEncoding::Form => request.form(fields),
            // The map borrows the fields: an owned one would leave a copy of the token in memory.
            TokenEncoding::Json => {
                request.json(&fields.iter().copied().collect::<BTreeMap<_, _>>())
            }
        })
    }

    /// Reads the `response` to a request with the token `sent`. The body may take so long.
    async fn read(&self, response: Response, sent: &Secret, timeout: Duration) -> TokenReply {
        let status = response.status().as_u16();
        let date = date(response.headers());
        // A server that says until when means its own clock.
        let now = date.unwrap_or_else(|| self.environment.clock.now());
        let retry_after = response.headers().get(RETRY_AFTER);
        let retry_after =
            retry_after.and_then(|value| classify::retry_after(value.as_bytes(), now));
        let body = listen(timeout, read_body(response)).await.flatten();
        let body = body.as_deref().map(Vec::as_slice);
        let host = host(&self.config.token_url);
        let (redemption, answer) = classify(&Reply { host, sent, status, retry_after, body });
        TokenReply { redemption, date, answer: Some(answer) }
    }
}

enum Posted {
    Answered(Response),
    NotWritten(String),
    Unanswered(String),
}

impl TokenEndpoint for HttpTokenEndpoint {
    fn redeem<'a>(
        &'a self,
        refresh_token: StoredToken<'a>,
        timeout: Duration,
    ) -> BoxFuture<'a, TokenReply> {
        Box::pin(async move {
            let fields = [
                ("client_id", self.client_of(refresh_token)),
                ("grant_type", "refresh_token"),
                ("refresh_token", refresh_token.secret.expose()),
            ];
            let start = Instant::now();
            match self.post(&self.config.token_url, &fields, timeout).await {
                Posted::NotWritten(detail) => Redemption::NotSpent(NoAnswer::new(detail)).into(),
                Posted::Unanswered(detail) => Redemption::InDoubt(NoAnswer::new(detail)).into(),
                Posted::Answered(response) => {
                    let left = timeout.saturating_sub(start.elapsed());
                    self.read(response, refresh_token.secret, left).await
                }
            }
        })
    }

    fn revoke<'a>(
        &'a self,
        token: StoredToken<'a>,
        hint: TokenTypeHint,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let mut fields =
                vec![("token", token.secret.expose()), ("token_type_hint", hint.as_str())];
            if hint == TokenTypeHint::RefreshToken {
                fields.push(("client_id", self.client_of(token)));
            }
            let failed = |detail| Err(Error::new(ErrorKind::RefreshTransient, detail));
            match self.post(&self.config.revoke_url, &fields, timeout).await {
                Posted::Answered(response) if response.status().is_success() => Ok(()),
                Posted::Answered(response) => failed(format!(
                    "the revocation endpoint answered HTTP {}",
                    response.status().as_u16()
                )),
                Posted::NotWritten(detail) | Posted::Unanswered(detail) => failed(detail),
            }
        })
    }
}

impl fmt::Debug for HttpTokenEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTokenEndpoint").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Waits for `reply`, for `timeout` and a moment more. Returns none after that.
///
/// A process that was stopped (`SIGSTOP`, a frozen container) may continue after its timeout, with
/// an unread reply in its socket. That reply may contain the only copy of a rotated token, so it
/// must be read despite the timeout.
async fn listen<T>(timeout: Duration, reply: impl Future<Output = T>) -> Option<T> {
    let mut reply = pin!(reply);
    if let Ok(reply) = time::timeout(timeout, &mut reply).await {
        return Some(reply);
    }
    time::timeout(GRACE, reply).await.ok()
}

/// What time it was at the server.
pub(crate) fn date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    headers.get(DATE).and_then(|date| http_date(date.as_bytes()))
}

fn header(name: &str, value: &str) -> std::result::Result<HeaderValue, String> {
    HeaderValue::from_str(value).map_err(|_| format!("the {name} is not a header value"))
}

fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}
