//! The authorization request, the URL that the user opens (RFC 6749, section 4.1.1; RFC 7636).

use serde::{Deserialize, Serialize};
use url::Url;

use super::pkce::{Pkce, random_text};
use crate::error::Result;
use crate::secret::Secret;

/// The number of random bytes in a `state`, as in the Codex CLI.
const STATE: usize = 32;

/// One authorization request, with the values that its answer must match.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AuthorizationRequest {
    pub(crate) state: Secret,
    pub(crate) pkce: Pkce,
    /// The nonce of the standard protocol; none for Codex's protocol, which has no nonce.
    pub(crate) nonce: Option<Secret>,
    pub(crate) redirect_uri: String,
}

impl AuthorizationRequest {
    /// Creates a request whose answer is sent to `redirect_uri`.
    pub(crate) fn new(redirect_uri: String, has_nonce: bool) -> Result<Self> {
        Ok(Self {
            state: random_text::<STATE>()?,
            pkce: Pkce::new()?,
            nonce: has_nonce.then(random_text::<STATE>).transpose()?,
            redirect_uri,
        })
    }

    /// Returns the URL of the request, with the additional parameters `more`.
    pub(crate) fn url(
        &self,
        endpoint: &Url,
        client_id: &str,
        scope: &str,
        more: &[(&str, &str)],
    ) -> Url {
        let mut url = endpoint.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", client_id)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("scope", scope)
            .append_pair("code_challenge", &self.pkce.challenge)
            .append_pair("code_challenge_method", "S256")
            .append_pair("state", self.state.expose())
            .extend_pairs(self.nonce.iter().map(|nonce| ("nonce", nonce.expose())))
            .extend_pairs(more);
        url
    }
}
