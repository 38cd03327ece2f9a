//! What an agent and its clients tell each other: HTTP/1.1 with JSON. Fields that a reader does not
//! know are ignored.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use url::form_urlencoded;

use crate::error::{Error, ErrorKind};
use crate::secret::{Fingerprint, Secret};

/// The path of a fresh access token; `login` names one of several, `after` waits for a change.
pub(crate) const TOKEN: &str = "/v1/token";
/// The path for reports of rejected access tokens.
pub(crate) const REJECTED: &str = "/v1/rejected";

/// The largest message, in bytes: a few tokens are far smaller.
pub(crate) const LARGEST: usize = 64 * 1024;

/// The kinds of errors that an agent tells.
const KINDS: [ErrorKind; 15] = [
    ErrorKind::IdentityMismatch,
    ErrorKind::KeyringLocked,
    ErrorKind::KeyringTooLong,
    ErrorKind::KeyringUnavailable,
    ErrorKind::LockTimeout,
    ErrorKind::LoginRequired,
    ErrorKind::RefreshTokenExpired,
    ErrorKind::RefreshTokenInvalidated,
    ErrorKind::RefreshTokenRejected,
    ErrorKind::RefreshTokenReused,
    ErrorKind::RefreshTransient,
    ErrorKind::StoreCorrupt,
    ErrorKind::StoreReadOnly,
    ErrorKind::StoreUnavailable,
    ErrorKind::UnsupportedMode,
];

/// A refusal by the rule that an API which rejects every token causes no loop.
pub(crate) const FRESH_TOKEN_REJECTED: &str = "fresh_token_rejected";
/// A refusal since the agent itself has no refresh token.
pub(crate) const NOT_REFRESHABLE: &str = "not_refreshable";

/// The reasons of errors, as [`Error::reason`] lists them.
const REASONS: [&str; 10] = [
    "expired",
    "reused",
    "invalidated",
    "invalid_grant",
    "unauthorized",
    "uncoded",
    "outcome_unknown",
    "other_account",
    FRESH_TOKEN_REJECTED,
    NOT_REFRESHABLE,
];

/// A login with its access token. It has no refresh token and no id token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grant {
    pub(crate) version: u32,
    pub(crate) access_token: Secret,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    pub(crate) mode: String,
    pub(crate) login_id: Option<Fingerprint>,
    pub(crate) user_id: Option<String>,
    pub(crate) account_id: Option<String>,
    pub(crate) plan_type: Option<String>,
    #[serde(default)]
    pub(crate) is_fedramp: bool,
    pub(crate) last_refresh: Option<DateTime<Utc>>,
    /// The time by the clock of the authorization server, which `expires_at` is of; none if the agent
    /// has not measured it.
    pub(crate) server_time: Option<DateTime<Utc>>,
    /// Names this state of the login. It is compared for equality only.
    pub(crate) generation: String,
}

/// Says that a server has rejected the access token with this fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) token: Fingerprint,
    pub(crate) login_id: Option<Fingerprint>,
    pub(crate) account_id: Option<String>,
}

/// Says why there is no access token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) version: u32,
    pub(crate) error: Details,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) generation: Option<String>,
}

/// What grants and most refusals have in common.
#[derive(Deserialize)]
struct State {
    generation: Option<String>,
}

/// Returns the name of the state of the login in which a grant or a refusal was given.
pub(super) fn generation(answer: &[u8]) -> Option<String> {
    serde_json::from_slice::<State>(answer).ok()?.generation
}

/// Returns `path` with those `parameters` that have a value.
pub(super) fn target(path: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters.iter().filter_map(|(name, value)| Some((name, (*value)?))));
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// An error, or the reason to give up a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Details {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) reason: Option<String>,
    #[serde(default)]
    pub(crate) is_transient: bool,
    pub(crate) retry_after_seconds: Option<f64>,
}

impl Details {
    /// Returns the error that was told; `store_unavailable` for one that this version does not know.
    pub(crate) fn into_error(self) -> Error {
        let kind = KINDS.into_iter().find(|kind| kind.code() == self.code);
        let kind = kind.unwrap_or(ErrorKind::StoreUnavailable);
        let error = Error::new(kind, format!("the agent says: {}", self.message));
        let wait = self.retry_after_seconds.map(Duration::try_from_secs_f64).and_then(Result::ok);
        let error = wait.into_iter().fold(error, Error::with_retry_after);
        let reason = REASONS.into_iter().find(|known| self.reason.as_deref() == Some(known));
        reason.into_iter().fold(error, Error::with_reason)
    }
}
