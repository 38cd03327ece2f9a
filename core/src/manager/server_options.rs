//! The options that say which authorization server a login is of, and how it is reached.

use url::Url;

use super::named::Named;
use crate::error::Result;
use crate::login::AuthorizationServer;
use crate::option_value::{check_text, endpoint_url, issuer_url};
use crate::secret::Secret;
use crate::token_endpoint::{HttpTokenEndpointConfig, TokenEncoding, check_environment};
use crate::variable;

const ISSUER: &str = "https://auth.openai.com";
const CLIENT_ID: &str = "app_EMoamEEZ73f0CkXaXp7hrann";

/// The options as the caller has set them.
#[derive(Debug, Default)]
pub(super) struct ServerOptions {
    pub(super) issuer: Option<String>,
    pub(super) token_url: Option<String>,
    pub(super) revoke_url: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) user_agent: Option<String>,
    pub(super) proxy: Option<Secret>,
    pub(super) token_encoding: TokenEncoding,
}

impl ServerOptions {
    /// Returns the server that signs in. Its new logins are refreshed by an endpoint of `config`.
    pub(super) fn authorization_server(
        &self,
        config: HttpTokenEndpointConfig,
    ) -> Result<AuthorizationServer> {
        Ok(AuthorizationServer::new(self.issuer(), self.login_token_url(&config)?, config))
    }

    /// Returns the token endpoint of sign-ins. As in the Codex CLI, the environment's override is
    /// for refreshes only.
    fn login_token_url(&self, config: &HttpTokenEndpointConfig) -> Result<Url> {
        match self.token_url {
            Some(_) => Ok(config.token_url.clone()),
            None => endpoint_url("issuer", &format!("{}/oauth/token", self.issuer())),
        }
    }

    /// Returns how refreshes and revocations reach the server, on behalf of the program
    /// `originator`.
    pub(super) fn endpoint_config(&self, originator: &str) -> Result<HttpTokenEndpointConfig> {
        self.user_agent.iter().try_for_each(|agent| check_text("user_agent", agent))?;
        issuer_url("issuer", self.issuer())?;
        let (token_url, revoke_url) = self.endpoint_urls()?;
        let client = self.client_id.as_ref();
        let client = Named::find("client_id", client, "CODEX_APP_SERVER_LOGIN_CLIENT_ID")?;
        let config = HttpTokenEndpointConfig {
            token_url,
            revoke_url,
            client_id: client.map_or_else(|| Ok(CLIENT_ID.to_owned()), Named::text)?,
            originator: originator.to_owned(),
            user_agent: self.user_agent.clone(),
            encoding: self.token_encoding,
            proxy: self.proxy.as_ref().map(|proxy| proxy.expose().parse()).transpose()?,
            ca_certificate: variable::path("CODEX_CA_CERTIFICATE")
                .or_else(|| variable::path("SSL_CERT_FILE")),
        };
        check_environment(&config)?;
        Ok(config)
    }

    /// Returns the token endpoint of refreshes, and the revocation endpoint. A revocation endpoint
    /// that is not named is beside a token endpoint that is.
    fn endpoint_urls(&self) -> Result<(Url, Url)> {
        let (issuer, find) = (self.issuer(), Named::find);
        let redeem =
            find("token_url", self.token_url.as_ref(), "CODEX_REFRESH_TOKEN_URL_OVERRIDE")?;
        let revoke =
            find("revoke_url", self.revoke_url.as_ref(), "CODEX_REVOKE_TOKEN_URL_OVERRIDE")?;
        let token_url = match &redeem {
            Some(named) => named.url()?,
            None => endpoint_url("issuer", &format!("{issuer}/oauth/token"))?,
        };
        let revoke_url = match (revoke, redeem) {
            (Some(named), _) => named.url()?,
            (None, Some(_)) => {
                let mut url = token_url.clone();
                url.set_path("/oauth/revoke");
                url.set_query(None);
                url
            }
            (None, None) => endpoint_url("issuer", &format!("{issuer}/oauth/revoke"))?,
        };
        Ok((token_url, revoke_url))
    }

    fn issuer(&self) -> &str {
        self.issuer.as_deref().unwrap_or(ISSUER).trim_end_matches('/')
    }
}
