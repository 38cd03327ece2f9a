//! The reply of the token endpoint to a sign-in (RFC 6749, sections 5.1 and 5.2).

use serde::Deserialize;
use serde_json::Value;

use super::callback::known_error;
use crate::claims::IdTokenClaims;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;
use crate::token_endpoint::advice;

/// The tokens of a new login.
#[derive(Debug, Deserialize)]
pub(crate) struct Tokens {
    pub(crate) id_token: Secret,
    pub(crate) access_token: Secret,
    pub(crate) refresh_token: Secret,
}

impl Tokens {
    /// Reads the tokens from a reply with `status`.
    ///
    /// # Errors
    ///
    /// `login_failed` if one of the three is missing, or if the id token cannot be read.
    pub(super) fn parse(status: u16, body: &[u8]) -> Result<Self> {
        if status != 200 {
            return Err(refused(status, body));
        }
        let tokens: Option<Self> = serde_json::from_slice(body).ok();
        let tokens = tokens.filter(Self::are_all).ok_or_else(|| {
            let message = "the reply of the token endpoint lacks the id, access or refresh token; \
                           add openid and offline_access to the scope";
            Error::new(ErrorKind::LoginFailed, message)
        })?;
        if IdTokenClaims::parse(tokens.id_token.expose()).is_none() {
            // Without it the owner of the login is not known.
            let message = "the id token of the token endpoint is not a JWT; sign in again";
            return Err(Error::new(ErrorKind::LoginFailed, message));
        }
        Ok(tokens)
    }

    fn are_all(&self) -> bool {
        [&self.id_token, &self.access_token, &self.refresh_token]
            .iter()
            .all(|token| !token.is_empty())
    }
}

fn refused(status: u16, body: &[u8]) -> Error {
    let error = error_in(body);
    let what = match error {
        Some(error) => format!("{error} (HTTP {status})"),
        None => format!("HTTP {status}"),
    };
    let advice = error.and_then(advice).unwrap_or("sign in again");
    Error::new(ErrorKind::LoginFailed, format!("the token endpoint answered {what}; {advice}"))
}

/// Returns the error code in a reply: `error` (RFC 6749), or Codex's `error.code`. Returns only
/// known codes, since another one may be any text.
pub(super) fn error_in(body: &[u8]) -> Option<&'static str> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let error = &body["error"];
    known_error(error.as_str().or_else(|| error["code"].as_str())?)
}
