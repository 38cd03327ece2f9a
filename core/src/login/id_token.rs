//! Validates the id token of a new login (OpenID Connect Core 1.0, section 3.1.3.7).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::jws::JwkSet;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// How far the clocks of server and machine may differ, in seconds.
const LEEWAY: i64 = 300;

/// The values that an id token must match.
#[derive(Debug)]
pub(crate) struct Expected<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client_id: &'a str,
    /// The nonce of the authorization request, if it had one.
    pub(crate) nonce: Option<&'a Secret>,
    pub(crate) now: DateTime<Utc>,
}

#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    aud: Value,
    azp: Option<String>,
    exp: i64,
    nonce: Option<String>,
}

impl Expected<'_> {
    /// Validates an id token: its signature by `keys`, and its claims.
    ///
    /// # Errors
    ///
    /// `login_failed`.
    pub(super) fn check(&self, token: &Secret, keys: &JwkSet) -> Result<()> {
        let checked = keys.verify(token.expose()).and_then(|()| self.check_claims(token.expose()));
        checked.map_err(|what| {
            let message =
                format!("the id token of {} {what}; nothing was saved, sign in again", self.issuer);
            Error::new(ErrorKind::LoginFailed, message).with_reason("invalid_id_token")
        })
    }

    fn check_claims(&self, token: &str) -> std::result::Result<(), &'static str> {
        let claims = claims(token).ok_or("lacks a claim that it must have")?;
        if claims.iss.trim_end_matches('/') != self.issuer {
            return Err("names another issuer");
        }
        if !self.is_audience(&claims) {
            return Err("is for another client");
        }
        if claims.exp.saturating_add(LEEWAY) <= self.now.timestamp() {
            return Err("has expired, or the clock of this machine is wrong");
        }
        if self.nonce.is_some_and(|nonce| claims.nonce.as_deref() != Some(nonce.expose())) {
            return Err("belongs to another sign-in");
        }
        Ok(())
    }

    /// Returns whether the token is for this client. A token with several audiences must name the
    /// client in `azp`.
    fn is_audience(&self, claims: &Claims) -> bool {
        let is_us = |id: &Value| id.as_str() == Some(self.client_id);
        let is_among = match &claims.aud {
            Value::Array(ids) => ids.iter().any(is_us) && (ids.len() == 1 || claims.azp.is_some()),
            id => is_us(id),
        };
        is_among && claims.azp.as_ref().is_none_or(|azp| azp == self.client_id)
    }
}

fn claims(token: &str) -> Option<Claims> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&payload).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_claim_is_checked() {
        let nonce = Secret::new("n-1");
        let now = DateTime::from_timestamp(1_000_000, 0).expect("a time");
        let expected =
            Expected { issuer: "https://issuer", client_id: "us", nonce: Some(&nonce), now };
        let check = |changes: Value| {
            let mut claims =
                json!({"iss": "https://issuer", "aud": "us", "exp": 1_000_100, "nonce": "n-1"});
            for (name, value) in changes.as_object().expect("an object") {
                claims[name] = value.clone();
            }
            let token = format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims.to_string()));
            expected.check_claims(&token)
        };
        for fine in [
            json!({}),
            json!({"aud": ["us"]}),
            json!({"aud": ["us", "them"], "azp": "us"}),
            json!({"exp": 1_000_000 - LEEWAY + 1}),
        ] {
            assert_eq!(check(fine.clone()), Ok(()), "{fine}");
        }
        for bad in [
            json!({"iss": "https://other"}),
            json!({"aud": "them"}),
            json!({"aud": ["us", "them"]}),
            json!({"azp": "them"}),
            json!({"aud": 1}),
            json!({"exp": 1_000_000 - LEEWAY}),
            json!({"exp": "1000100"}),
            json!({"nonce": "n-2"}),
            json!({"nonce": null}),
        ] {
            assert!(check(bad.clone()).is_err(), "{bad}");
        }
    }
}
