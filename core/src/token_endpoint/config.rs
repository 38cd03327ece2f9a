//! The options of a token endpoint over HTTP.

use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

use crate::error::{Error, Result};
use crate::option_value;
use crate::secret::Secret;

/// The encoding of the bodies of token requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TokenEncoding {
    /// JSON, as the Codex CLI sends it.
    #[default]
    Json,
    /// `application/x-www-form-urlencoded`, as RFC 6749 requires.
    Form,
}

/// The options of an [`HttpTokenEndpoint`](crate::token_endpoint::HttpTokenEndpoint).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HttpTokenEndpointConfig {
    /// The token endpoint, an `https` URL, or `http` on loopback.
    pub token_url: Url,
    /// The revocation endpoint, an `https` URL, or `http` on loopback.
    pub revoke_url: Url,
    /// The OAuth client of new logins, and of stored logins whose record names none.
    pub client_id: String,
    /// The name of the calling program, which requests carry in the header `originator`.
    pub originator: String,
    /// The `User-Agent` of requests. Default: the originator.
    pub user_agent: Option<String>,
    /// The encoding of token requests.
    pub encoding: TokenEncoding,
    /// The proxy for `https` requests, by HTTP or SOCKS5. Default: the proxy that the environment or the system names.
    pub proxy: Option<ProxyUrl>,
    /// A PEM file of certificate authorities to trust besides those of the system.
    pub ca_certificate: Option<PathBuf>,
}

impl HttpTokenEndpointConfig {
    /// Creates the options for the endpoints of one OAuth client, with the defaults for everything
    /// else.
    pub fn new(
        token_url: Url,
        revoke_url: Url,
        client_id: impl Into<String>,
        originator: impl Into<String>,
    ) -> Self {
        Self {
            token_url,
            revoke_url,
            client_id: client_id.into(),
            originator: originator.into(),
            user_agent: None,
            encoding: TokenEncoding::default(),
            proxy: None,
            ca_certificate: None,
        }
    }
}

/// The URL of a proxy. `Debug` does not show it, since it may contain a user and a password.
#[derive(Debug, Clone)]
pub struct ProxyUrl(Secret);

impl FromStr for ProxyUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let is_proxy = |url: Url| {
            // Only the path of a special scheme is never empty.
            let is_bare =
                matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
            let is_known = matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h");
            is_known && is_bare && url.has_host()
        };
        if Url::parse(text).is_ok_and(is_proxy) {
            return Ok(Self(Secret::new(text)));
        }
        let problem = "which is not the URL of an http, https, socks5 or socks5h proxy";
        let fix = "name one, http://host:port or http://user:password@host:port";
        Err(option_value::invalid("proxy", "a text (not shown)", problem, fix))
    }
}

impl ProxyUrl {
    pub(super) fn expose(&self) -> &str {
        self.0.expose()
    }
}
