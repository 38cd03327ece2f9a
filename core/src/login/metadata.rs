//! The metadata that an authorization server publishes (OpenID Connect Discovery 1.0, RFC 8414).

use serde::Deserialize;
use url::Url;

use crate::transport::is_protected;

/// The metadata of an issuer that a sign-in needs.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Metadata {
    pub(super) issuer: String,
    authorization_endpoint: Option<Url>,
    token_endpoint: Option<Url>,
    device_authorization_endpoint: Option<Url>,
    jwks_uri: Option<Url>,
}

impl Metadata {
    /// Reads the metadata in `body`. Returns none if it is not that of `issuer`: an issuer must not
    /// publish the metadata of another one (Discovery, section 4.3).
    pub(super) fn parse(body: &[u8], issuer: &str) -> Option<Self> {
        let metadata: Self = serde_json::from_slice(body).ok()?;
        (metadata.issuer.trim_end_matches('/') == issuer).then_some(metadata)
    }

    pub(super) fn authorization_endpoint(&self) -> Option<Url> {
        protected(self.authorization_endpoint.as_ref())
    }

    pub(super) fn token_endpoint(&self) -> Option<Url> {
        protected(self.token_endpoint.as_ref())
    }

    pub(super) fn device_authorization_endpoint(&self) -> Option<Url> {
        protected(self.device_authorization_endpoint.as_ref())
    }

    /// Returns the URL of the issuer's keys, if it publishes any.
    pub(super) fn jwks_uri(&self) -> Option<Url> {
        protected(self.jwks_uri.as_ref())
    }
}

fn protected(url: Option<&Url>) -> Option<Url> {
    url.filter(|url| is_protected(url)).cloned()
}
