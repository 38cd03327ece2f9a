//! How a login is made.

use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::option_value::{LIMIT, check_duration, check_text, invalid, unknown};

/// The ports that the Codex CLI's client may be redirected to.
const CODEX_PORTS: [u16; 2] = [1455, 1457];

/// How to sign in; [`LoginOptions::default`] does as the Codex CLI does.
///
/// ```
/// use codex_auth_sdk::LoginOptions;
///
/// let mut options = LoginOptions::default();
/// options.allowed_workspaces = vec!["acct-1".to_owned()];
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LoginOptions {
    /// The workspaces (account ids) whose logins are accepted; any where none is named.
    pub allowed_workspaces: Vec<String>,
    /// Whether the login that the new one takes the place of is revoked, after the new one is saved.
    /// Off by default: servers may end every session of the account with it, the new one too.
    pub revoke_replaced: bool,
    /// How long to wait for the user, from 1 ms to 24 hours; default 10 minutes, and with a device
    /// code until that expires.
    pub timeout: Option<Duration>,
    /// The ports of 127.0.0.1 that the browser may come back to, the first free one is taken;
    /// default 1455 and 1457, which Codex's client has. 0 is any, where the server allows that.
    pub ports: Vec<u16>,
    /// Whether the browser is elsewhere and comes back to nobody: its user pastes the address that
    /// it ends up at. Nothing listens then.
    pub manual: bool,
    /// What is asked of the server; default what Codex's server understands.
    pub protocol: LoginProtocol,
    /// The scope, if it is not the protocol's usual one.
    pub scope: Option<String>,
    /// Whether the id token is checked; default where the issuer publishes how.
    pub id_token_validation: IdTokenValidation,
}

impl Default for LoginOptions {
    fn default() -> Self {
        Self {
            allowed_workspaces: Vec::new(),
            revoke_replaced: false,
            timeout: None,
            ports: CODEX_PORTS.to_vec(),
            manual: false,
            protocol: LoginProtocol::Codex,
            scope: None,
            id_token_validation: IdTokenValidation::WherePublished,
        }
    }
}

/// What is asked of the authorization server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum LoginProtocol {
    /// What the Codex CLI asks of Codex's: its endpoints, parameters and device codes.
    #[default]
    Codex,
    /// OpenID Connect at the endpoints that the issuer publishes (Discovery 1.0), with a nonce, and
    /// device codes by RFC 8628.
    Standard,
}

/// Whether the id token of a new login is checked: its signature by the issuer's keys, and its
/// issuer, audience, expiry and nonce.
///
/// The token comes from the token endpoint itself, over TLS, which OpenID Connect Core (section
/// 3.1.3.7) takes for a proof of its own. So an issuer that publishes no metadata or no keys is
/// believed without, unless the check is required.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum IdTokenValidation {
    /// Where the issuer publishes its keys.
    #[default]
    WherePublished,
    /// Always: no login without.
    Required,
    /// Never.
    Off,
}

impl FromStr for LoginProtocol {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "codex" => Ok(Self::Codex),
            "standard" => Ok(Self::Standard),
            _ => Err(unknown("protocol", name, "use codex or standard")),
        }
    }
}

impl FromStr for IdTokenValidation {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "where_published" => Ok(Self::WherePublished),
            "required" => Ok(Self::Required),
            "off" => Ok(Self::Off),
            _ => Err(unknown("id_token_validation", name, "use where_published, required or off")),
        }
    }
}

impl LoginOptions {
    /// Fails where one of these makes no sense.
    pub(super) fn check(&self) -> Result<()> {
        for workspace in &self.allowed_workspaces {
            check_text("allowed_workspaces", workspace)?;
        }
        match (self.ports.first(), self.manual) {
            (None, _) => return Err(invalid("ports", "empty", "which leaves none", "name one")),
            (Some(0), true) => {
                let problem = "which no address that the user pastes has";
                return Err(invalid("ports", "[0, ..]", problem, "name one from 1 to 65535"));
            }
            _ => {}
        }
        self.scope.iter().try_for_each(|scope| check_text("scope", scope))?;
        self.timeout.iter().try_for_each(|timeout| check_duration("timeout", *timeout, &LIMIT))
    }

    pub(super) fn is_standard(&self) -> bool {
        self.protocol == LoginProtocol::Standard
    }
}
