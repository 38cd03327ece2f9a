//! The token endpoint over HTTP.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderValue, RETRY_AFTER, USER_AGENT};
use reqwest::{Client, RequestBuilder, Response, redirect};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;
use tokio::time::{self, Instant};
use url::Url;
use zeroize::Zeroizing;

use super::classify::{Reply, classify, retry_after};
use super::{NoAnswer, Redemption, TokenEndpoint, TokenTypeHint};
use crate::environment::{BoxFuture, Environment};
use crate::error::{Error, ErrorKind, Result};
use crate::per_process::PerProcess;
use crate::secret::Secret;

/// More than any token reply needs.
const LARGEST_BODY: usize = 256 * 1024;

/// How long a reply is listened for after its timeout; see [`listen`].
const GRACE: Duration = Duration::from_secs(1);

/// How the body of a token request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TokenEncoding {
    /// JSON, as the Codex CLI sends it.
    #[default]
    Json,
    /// `application/x-www-form-urlencoded`, as RFC 6749 asks.
    Form,
}

/// Where and how to reach the authorization server.
#[derive(Debug, Clone)]
pub struct HttpTokenEndpointConfig {
    /// Where refresh tokens are redeemed.
    pub token_url: Url,
    /// Where tokens are revoked.
    pub revoke_url: Url,
    /// The client that the login was made for.
    pub client_id: String,
    /// The program's name, sent as `originator` and `User-Agent`.
    pub originator: String,
    /// How request bodies are written.
    pub encoding: TokenEncoding,
    /// A PEM file of certificate authorities to trust besides the system's.
    pub ca_certificate: Option<PathBuf>,
}

/// A [`TokenEndpoint`] over HTTP/1.1 and TLS. Nothing is opened before the first request.
pub struct HttpTokenEndpoint {
    config: HttpTokenEndpointConfig,
    environment: Environment,
    client: PerProcess<Client>,
}

impl HttpTokenEndpoint {
    /// An endpoint that is not connected to yet.
    pub const fn new(config: HttpTokenEndpointConfig, environment: Environment) -> Self {
        Self { config, environment, client: PerProcess::new() }
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
                let detail = describe(url, &error.without_url());
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
            return Err("tokens are sent by https only, or by http on loopback".to_owned());
        }
        let originator = HeaderValue::from_str(&self.config.originator)
            .map_err(|_| "the originator is not a header value".to_owned())?;
        let request = self
            .client
            .get_or_try_make(|| self.build_client())?
            .post(url.clone())
            .header("originator", &originator)
            .header(USER_AGENT, originator);
        Ok(match self.config.encoding {
            TokenEncoding::Form => request.form(fields),
            // From the fields as they are: no copy of a token is left behind by us.
            TokenEncoding::Json => {
                request.json(&fields.iter().copied().collect::<BTreeMap<_, _>>())
            }
        })
    }

    fn build_client(&self) -> std::result::Result<Client, String> {
        let urls = [&self.config.token_url, &self.config.revoke_url];
        let tls = if urls.iter().any(|url| url.scheme() == "https") {
            self.tls()?
        } else {
            without_trust()?
        };
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(redirect::Policy::none())
            // Redemptions are rare, and a request on a connection that the server is closing is
            // one whose fate is unknown.
            .pool_max_idle_per_host(0)
            .connect_timeout(Duration::from_secs(10));
        if urls.iter().all(|url| is_loopback(url)) {
            builder = builder.no_proxy();
        }
        builder.build().map_err(|error| format!("cannot set up HTTP: {error}"))
    }

    fn tls(&self) -> std::result::Result<ClientConfig, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let failed = |error: &dyn fmt::Display| format!("cannot set up TLS: {error}");
        let verifier = match &self.config.ca_certificate {
            None => Verifier::new(Arc::clone(&provider)),
            Some(path) => {
                let unreadable = |error: &dyn fmt::Display| {
                    format!("cannot read the certificates of {}: {error}", path.display())
                };
                let roots = CertificateDer::pem_file_iter(path)
                    .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
                    .map_err(|error| unreadable(&error))?;
                Verifier::new_with_extra_roots(roots, Arc::clone(&provider))
            }
        }
        .map_err(|error| failed(&error))?;
        Ok(ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(&error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth())
    }

    async fn read(
        &self,
        response: Response,
        timeout: Duration,
    ) -> (u16, Option<Duration>, Option<Zeroizing<Vec<u8>>>) {
        let status = response.status().as_u16();
        let after = response.headers().get(RETRY_AFTER);
        let now = self.environment.clock.now();
        let after = after.and_then(|value| retry_after(value.as_bytes(), now));
        (status, after, listen(timeout, body(response)).await.flatten())
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
        refresh_token: &'a Secret,
        timeout: Duration,
    ) -> BoxFuture<'a, Redemption> {
        Box::pin(async move {
            let fields = [
                ("client_id", self.config.client_id.as_str()),
                ("grant_type", "refresh_token"),
                ("refresh_token", refresh_token.expose()),
            ];
            let no_answer = |detail| NoAnswer { detail, retry_after: None };
            let start = Instant::now();
            match self.post(&self.config.token_url, &fields, timeout).await {
                Posted::NotWritten(detail) => Redemption::NotSpent(no_answer(detail)),
                Posted::Unanswered(detail) => Redemption::InDoubt(no_answer(detail)),
                Posted::Answered(response) => {
                    let left = timeout.saturating_sub(start.elapsed());
                    let (status, retry_after, body) = self.read(response, left).await;
                    classify(&Reply {
                        status,
                        retry_after,
                        body: body.as_deref().map(Vec::as_slice),
                    })
                }
            }
        })
    }

    fn revoke<'a>(
        &'a self,
        token: &'a Secret,
        hint: TokenTypeHint,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let mut fields = vec![("token", token.expose()), ("token_type_hint", hint.as_str())];
            if hint == TokenTypeHint::RefreshToken {
                fields.push(("client_id", &self.config.client_id));
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

/// Whether nobody on the way can read what is sent to `url`.
pub(crate) fn is_protected(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url))
}

/// Whether `url` stays on this machine.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// A TLS set-up that trusts nobody, for plain HTTP: reading the system's authorities takes longer
/// than a refresh on loopback, and fails where there are none.
fn without_trust() -> std::result::Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("cannot set up TLS: {error}"))?;
    Ok(config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
}

/// What `reply` comes to within `timeout`, or a moment later; none after that.
///
/// A program that was stopped (`SIGSTOP`, a frozen container) wakes up when its time is over, with
/// a reply in its socket that it has not looked at. That may be the only copy of a rotated token,
/// so a timeout is no reason not to look.
async fn listen<T>(timeout: Duration, reply: impl Future<Output = T>) -> Option<T> {
    let mut reply = pin!(reply);
    if let Ok(reply) = time::timeout(timeout, &mut reply).await {
        return Some(reply);
    }
    time::timeout(GRACE, reply).await.ok()
}

/// The body, up to the limit; none where it is larger or was cut short.
async fn body(mut response: Response) -> Option<Zeroizing<Vec<u8>>> {
    let mut body = Zeroizing::new(Vec::with_capacity(16 * 1024));
    while let Some(chunk) = response.chunk().await.ok()? {
        if body.len() + chunk.len() > LARGEST_BODY {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    Some(body)
}

fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}

/// What went wrong on the way, with its causes, in one line.
fn describe(url: &Url, error: &reqwest::Error) -> String {
    use std::error::Error as _;
    let mut text = format!("no answer from {}: {error}", host(url));
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
