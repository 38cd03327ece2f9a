//! Requests device codes and polls for their grants: by Codex's own endpoints, or by RFC 8628.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use url::Url;

use super::server::AuthorizationServer;
use super::token_reply::{Tokens, error_in};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;
use crate::transport::is_protected;

/// The pause between two polls if the server does not say (RFC 8628, section 3.2).
const INTERVAL: Duration = Duration::from_secs(5);

/// The lifetime of a device code of Codex's server.
const CODEX_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// The longest user code, in bytes. Users type it in.
const LONGEST_CODE: usize = 64;

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A device code: the code that the user types in, and the address of the page for it.
#[derive(Serialize, Deserialize)]
pub(crate) struct DeviceCode {
    pub(crate) user_code: Secret,
    pub(crate) verification_uri: String,
    /// The address with the code in it, if the server sends one.
    pub(crate) verification_uri_complete: Option<Secret>,
    pub(crate) lifetime: Duration,
    /// How long to wait before each poll.
    pub(crate) interval: Duration,
    kind: Kind,
}

#[derive(Serialize, Deserialize)]
enum Kind {
    Codex { device_auth_id: Secret },
    Standard { device_code: Secret },
}

/// The grant of a sign-in to which the user has agreed.
#[derive(Debug)]
pub(crate) enum DeviceGrant {
    Tokens(Tokens),
    /// From Codex's server: an authorization code, and the verifier that the server has made.
    Code {
        code: Secret,
        verifier: Secret,
    },
}

/// The answer to a poll.
#[derive(Debug)]
pub(crate) enum DeviceAnswer {
    Granted(DeviceGrant),
    /// The user has not agreed yet.
    Pending,
    /// The user has not agreed yet, and the server asks for longer pauses.
    SlowDown,
}

#[derive(Deserialize)]
struct CodexReply {
    device_auth_id: Secret,
    #[serde(alias = "usercode")]
    user_code: Secret,
    #[serde(default, deserialize_with = "seconds")]
    interval: Option<Duration>,
}

#[derive(Deserialize)]
struct CodexGrant {
    authorization_code: Secret,
    code_verifier: Secret,
}

#[derive(Deserialize)]
struct StandardReply {
    device_code: Secret,
    user_code: Secret,
    verification_uri: String,
    verification_uri_complete: Option<Secret>,
    expires_in: u64,
    #[serde(default, deserialize_with = "seconds")]
    interval: Option<Duration>,
}

impl AuthorizationServer {
    /// Requests a device code.
    ///
    /// # Errors
    ///
    /// `login_not_supported` if the server has no device codes; `login_failed`, `login_transient`.
    pub(crate) async fn device_code(
        &self,
        is_standard: bool,
        scope: Option<&str>,
    ) -> Result<DeviceCode> {
        if is_standard { self.standard_code(scope).await } else { self.codex_code().await }
    }

    async fn codex_code(&self) -> Result<DeviceCode> {
        let url = self.url("api/accounts/deviceauth/usercode")?;
        let reply = self.post_json(&url, &json!({"client_id": self.client_id()})).await?;
        if reply.status == 404 {
            return Err(not_supported());
        }
        let code: CodexReply = parsed(reply.status, &reply.body)?;
        Ok(DeviceCode {
            user_code: checked_code(code.user_code)?,
            verification_uri: self.url("codex/device")?.into(),
            verification_uri_complete: None,
            lifetime: CODEX_LIFETIME,
            interval: code.interval.unwrap_or(INTERVAL),
            kind: Kind::Codex { device_auth_id: code.device_auth_id },
        })
    }

    async fn standard_code(&self, scope: Option<&str>) -> Result<DeviceCode> {
        let metadata = self.required_metadata().await?;
        let endpoint = metadata.device_authorization_endpoint().ok_or_else(not_supported)?;
        let fields = [("client_id", self.client_id()), ("scope", Self::standard_scope(scope))];
        let reply = self.post_form(&endpoint, &fields).await?;
        let code: StandardReply = parsed(reply.status, &reply.body)?;
        Ok(DeviceCode {
            user_code: checked_code(code.user_code)?,
            verification_uri: checked_address(&code.verification_uri)?,
            verification_uri_complete: code
                .verification_uri_complete
                .map(|address| checked_address(address.expose()).map(Secret::new))
                .transpose()?,
            lifetime: Duration::from_secs(code.expires_in),
            interval: code.interval.unwrap_or(INTERVAL),
            kind: Kind::Standard { device_code: code.device_code },
        })
    }

    /// Asks the server whether the user has agreed.
    ///
    /// # Errors
    ///
    /// `login_denied`; `login_timeout` if the code has expired; `login_failed`; `login_transient`
    /// if the server has not answered.
    pub(crate) async fn poll_device(&self, code: &DeviceCode) -> Result<DeviceAnswer> {
        match &code.kind {
            Kind::Codex { device_auth_id } => self.poll_codex(device_auth_id, code).await,
            Kind::Standard { device_code } => self.poll_standard(device_code).await,
        }
    }

    async fn poll_codex(&self, device_auth_id: &Secret, code: &DeviceCode) -> Result<DeviceAnswer> {
        let url = self.url("api/accounts/deviceauth/token")?;
        let body = json!({"device_auth_id": device_auth_id, "user_code": code.user_code});
        let reply = self.post_json(&url, &body).await?;
        if matches!(reply.status, 403 | 404) {
            return Ok(DeviceAnswer::Pending);
        }
        let grant: CodexGrant = parsed(reply.status, &reply.body)?;
        let CodexGrant { authorization_code: code, code_verifier: verifier } = grant;
        Ok(DeviceAnswer::Granted(DeviceGrant::Code { code, verifier }))
    }

    /// Returns the tokens of `grant`, which takes a request for an authorization code. A code can
    /// be redeemed only once.
    pub(crate) async fn device_tokens(&self, grant: DeviceGrant) -> Result<Tokens> {
        match grant {
            DeviceGrant::Tokens(tokens) => Ok(tokens),
            DeviceGrant::Code { code, verifier } => {
                let redirect_uri = self.url("deviceauth/callback")?;
                self.exchange(&code, &verifier, redirect_uri.as_str(), false).await
            }
        }
    }

    async fn poll_standard(&self, device_code: &Secret) -> Result<DeviceAnswer> {
        let fields = [
            ("grant_type", GRANT_TYPE),
            ("device_code", device_code.expose()),
            ("client_id", self.client_id()),
        ];
        let reply = self.post_form(&self.token_url(true).await?, &fields).await?;
        let error = if reply.status == 200 { None } else { error_in(&reply.body) };
        match error {
            Some("authorization_pending") => Ok(DeviceAnswer::Pending),
            Some("slow_down") => Ok(DeviceAnswer::SlowDown),
            Some("access_denied") => Err(Error::new(
                ErrorKind::LoginDenied,
                "the sign-in was declined on the other device; sign in again",
            )
            .with_reason("access_denied")),
            Some("expired_token") => Err(expired()),
            _ => {
                let tokens = Tokens::parse(reply.status, &reply.body)?;
                Ok(DeviceAnswer::Granted(DeviceGrant::Tokens(tokens)))
            }
        }
    }
}

/// Returns `code` if a terminal can show it: programs print it as it is.
fn checked_code(code: Secret) -> Result<Secret> {
    let is_shown = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    let text = code.expose();
    if (1..=LONGEST_CODE).contains(&text.len()) && text.bytes().all(is_shown) {
        return Ok(code);
    }
    Err(unusable("a user code that cannot be shown"))
}

/// Returns `address`, in the ASCII form of its URL, if a browser can open it without harm: programs
/// print it, and open it.
fn checked_address(address: &str) -> Result<String> {
    let url = Url::parse(address).ok().filter(is_protected);
    url.map(Into::into).ok_or_else(|| unusable("a verification address that is no https URL"))
}

fn unusable(what: &str) -> Error {
    let message = format!("the authorization server sent {what}; sign in with a browser");
    Error::new(ErrorKind::LoginFailed, message)
}

/// Returns the error of a code that expired before the user typed it in.
pub(crate) fn expired() -> Error {
    Error::new(ErrorKind::LoginTimeout, "the user did not enter the code in time; sign in again")
}

fn not_supported() -> Error {
    Error::new(
        ErrorKind::LoginNotSupported,
        "this authorization server has no device codes; sign in with a browser",
    )
}

fn parsed<T: for<'de> Deserialize<'de>>(status: u16, body: &[u8]) -> Result<T> {
    let reply = if status == 200 { serde_json::from_slice(body).ok() } else { None };
    reply.ok_or_else(|| {
        let what = error_in(body).unwrap_or("an unusable reply");
        let message =
            format!("the authorization server sent {what} (HTTP {status}); sign in again");
        Error::new(ErrorKind::LoginFailed, message)
    })
}

/// Reads a number of seconds, which Codex's server sends as text.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    let number = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
    Ok(number.map(Duration::from_secs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_or_a_browser_must_not_get_is_refused() {
        let checked_code = |code: &str| checked_code(Secret::new(code.to_owned()));
        assert_eq!(checked_code("ABCD-1234").expect("a code").expose(), "ABCD-1234");
        let long = "A".repeat(65);
        for odd in ["", "A\u{1b}[2J", "A\nB", "A\u{7f}", "A\u{202e}B", &long] {
            let error = checked_code(odd).expect_err("odd");
            assert_eq!(error.code(), "login_failed", "{odd:?}");
        }
        for (address, shown) in [
            ("https://issuer.example/device", "https://issuer.example/device"),
            ("http://127.0.0.1:8080/device?c=A", "http://127.0.0.1:8080/device?c=A"),
            ("https://issuer.example/\u{202e}\t\u{9b}x", "https://issuer.example/%E2%80%AE%C2%9Bx"),
        ] {
            assert_eq!(checked_address(address).expect("an address"), shown);
        }
        for odd in [
            "javascript:alert(1)",
            "file:///etc/passwd",
            "data:text/html,x",
            "http://issuer.example/",
            "x",
            "",
        ] {
            let error = checked_address(odd).expect_err("odd");
            assert_eq!(error.code(), "login_failed", "{odd:?}");
            assert!(!error.to_string().contains("alert"), "{error}");
        }
    }
}
