//! The options of a sign-in.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::option_value::{LIMIT, check_duration, check_text, invalid, unknown};

/// The ports that the Codex CLI's client has registered for redirects.
const CODEX_PORTS: [u16; 2] = [1455, 1457];

/// The options of a sign-in. [`LoginOptions::default`] signs in as the Codex CLI does.
///
/// ```
/// use codex_auth_sdk::LoginOptions;
///
/// let mut options = LoginOptions::default();
/// options.allowed_workspaces = vec!["acct-1".to_owned()];
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct LoginOptions {
    /// The ids of the workspaces whose logins are accepted. Default: any. Name them where it is
    /// known whose login is wanted: then no person who gets hold of the authorization URL can sign
    /// this program in to an account of his own.
    pub allowed_workspaces: Vec<String>,
    /// Whether to revoke the replaced login once the new one is saved. Servers may end all sessions
    /// of the account with it, the new one too. Default: false.
    pub revoke_replaced: bool,
    /// How long to wait for the user, from 1 ms to 24 hours. Default: 10 minutes, or the lifetime
    /// of the device code.
    pub timeout: Option<Duration>,
    /// The ports of this machine that the browser may be redirected to; the first free one is used.
    /// 0 is any free port, which some servers do not allow. Default: 1455 and 1457, which the Codex
    /// CLI's client has registered. The redirect names 127.0.0.1, and `localhost` with
    /// [`LoginProtocol::Standard`]; then the port must be free on ::1 too.
    pub ports: Vec<u16>,
    /// Whether the browser runs on another machine. Then no port is opened, and the user pastes the
    /// address at which the browser arrives, for
    /// [`BrowserLogin::complete`](crate::BrowserLogin::complete). Default: false.
    pub manual: bool,
    /// The protocol of the authorization server. Default: [`LoginProtocol::Codex`].
    pub protocol: LoginProtocol,
    /// The requested scope. Default: the usual one of the protocol.
    pub scope: Option<String>,
    /// Whether the id token is validated. Default: [`IdTokenValidation::WherePublished`].
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

/// The protocol by which a sign-in talks to the authorization server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum LoginProtocol {
    /// The endpoints, parameters and device codes that the Codex CLI uses.
    #[default]
    Codex,
    /// OpenID Connect at the endpoints that the issuer publishes (Discovery 1.0), with a nonce, and
    /// device codes (RFC 8628).
    Standard,
}

/// Whether a sign-in validates the id token: its signature by the keys of the issuer, and its
/// issuer, audience, expiry and nonce.
///
/// The token comes from the token endpoint over TLS, which may replace the check of the signature
/// (OpenID Connect Core, section 3.1.3.7). So by default a sign-in works with an issuer that
/// publishes no keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum IdTokenValidation {
    /// Validates it if the issuer publishes its keys.
    #[default]
    WherePublished,
    /// Validates it; without published keys the sign-in fails.
    Required,
    /// Does not validate it.
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
    /// Fails if one of these makes no sense.
    pub(super) fn check(&self) -> Result<()> {
        for workspace in &self.allowed_workspaces {
            check_text("allowed_workspaces", workspace)?;
        }
        match (self.ports.first(), self.manual) {
            (None, _) => {
                let problem = "so the browser cannot be redirected";
                return Err(invalid("ports", "empty", problem, "name one"));
            }
            (Some(0), true) => {
                let problem = "and a manual sign-in needs a fixed port for its address";
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
