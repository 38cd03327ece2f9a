//! The token endpoint as the protocol sees it: what a redemption can come to.
//!
//! A refresh token is single-use, so the difference that matters is whether the server may have
//! spent it: see [`Redemption`].

mod classify;
mod client;
mod http;

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::environment::BoxFuture;
use crate::error::{Error, ErrorKind};
use crate::secret::Secret;

#[cfg(feature = "test-util")]
pub(crate) use classify::{Reply, classify, retry_after};
pub use client::ProxyUrl;
pub(crate) use client::http_client;
#[cfg(feature = "reqwest")]
pub(crate) use client::tls;
pub use http::{HttpTokenEndpoint, HttpTokenEndpointConfig, TokenEncoding};
pub(crate) use http::{describe, read_body};

/// The authorization server, as far as a stored login needs it.
pub trait TokenEndpoint: Send + Sync + fmt::Debug {
    /// Redeems `refresh_token` by exactly one request (RFC 6749 section 6), answered or given up
    /// after `timeout`. Never follows a redirect.
    fn redeem<'a>(
        &'a self,
        refresh_token: &'a Secret,
        timeout: Duration,
    ) -> BoxFuture<'a, TokenReply>;

    /// Asks the server to revoke `token` (RFC 7009), within `timeout`.
    ///
    /// # Errors
    ///
    /// `refresh_transient` where the server did not say that it did.
    fn revoke<'a>(
        &'a self,
        token: &'a Secret,
        hint: TokenTypeHint,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<(), Error>>;
}

/// `token_type_hint` of RFC 7009.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenTypeHint {
    /// A refresh token.
    RefreshToken,
    /// An access token.
    AccessToken,
}

impl TokenTypeHint {
    const fn as_str(self) -> &'static str {
        match self {
            Self::RefreshToken => "refresh_token",
            Self::AccessToken => "access_token",
        }
    }
}

/// What one request to the token endpoint came to, and what time it was there.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TokenReply {
    /// What it came to.
    pub redemption: Redemption,
    /// The reply's `Date` (RFC 9110 section 6.6.1), whatever else it says; none where there was no
    /// reply, or none in it. It shows how wrong the clock of this machine is.
    pub date: Option<DateTime<Utc>>,
}

impl TokenReply {
    /// A reply that came to `redemption`, and was sent at `date`.
    pub const fn new(redemption: Redemption, date: Option<DateTime<Utc>>) -> Self {
        Self { redemption, date }
    }
}

impl From<Redemption> for TokenReply {
    /// A reply that does not say what time it is.
    fn from(redemption: Redemption) -> Self {
        Self { redemption, date: None }
    }
}

/// What one redemption came to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Redemption {
    /// The token is spent and these take its place.
    Granted(Grant),
    /// The server refused the token, and would again.
    Refused(RefusalReason),
    /// The token is not spent: the request was not sent, or put off.
    NotSpent(NoAnswer),
    /// The server refused the request, for a reason that says nothing about the token and that
    /// repeating it at once would not change.
    Declined(NoAnswer),
    /// The request was sent and nothing usable came back: the token may be spent.
    InDoubt(NoAnswer),
}

/// The tokens of a reply; absent ones stay what they were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grant {
    /// A new id token.
    pub id_token: Option<Secret>,
    /// A new access token.
    pub access_token: Option<Secret>,
    /// The next refresh token.
    pub refresh_token: Option<Secret>,
}

/// Why there is no answer, in words without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NoAnswer {
    /// What happened, for the error's text.
    pub detail: String,
    /// The server's `Retry-After`.
    pub retry_after: Option<Duration>,
}

impl NoAnswer {
    /// A request without an answer, for the reason `detail`, after which it may be sent again at
    /// any time.
    pub fn new(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), retry_after: None }
    }
}

/// Why a refresh token is refused for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RefusalReason {
    /// `refresh_token_expired`.
    Expired,
    /// `refresh_token_reused`: it was redeemed before.
    Reused,
    /// `refresh_token_invalidated`: it was revoked.
    Invalidated,
    /// RFC 6749's `invalid_grant`, which does not say why.
    InvalidGrant,
    /// A 401 with no code that is known.
    Unauthorized,
    /// The stored refresh token is empty; no call was made.
    EmptyRefreshToken,
    /// An earlier request was never answered and the token is refused since: most likely that
    /// request spent it.
    OutcomeUnknown,
    /// It was redeemed, and the reply held another account's tokens.
    OtherAccount,
}

impl RefusalReason {
    /// The name of this reason, as in [`Error::reason`].
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Reused => "reused",
            Self::Invalidated => "invalidated",
            Self::InvalidGrant => "invalid_grant",
            Self::Unauthorized => "unauthorized",
            Self::EmptyRefreshToken => "empty_refresh_token",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::OtherAccount => "other_account",
        }
    }

    /// Whether the refusal may mean that another program redeemed the token and is about to save
    /// what it got.
    pub(crate) const fn may_have_a_winner(self) -> bool {
        matches!(
            self,
            Self::Reused | Self::InvalidGrant | Self::Unauthorized | Self::OutcomeUnknown
        )
    }

    pub(crate) fn into_error(self) -> Error {
        let (kind, what) = match self {
            Self::Expired => (ErrorKind::RefreshTokenExpired, "has expired"),
            Self::Reused => (ErrorKind::RefreshTokenReused, "was already used by another program"),
            Self::Invalidated => (ErrorKind::RefreshTokenInvalidated, "was revoked"),
            Self::InvalidGrant | Self::Unauthorized => {
                (ErrorKind::RefreshTokenRejected, "was refused")
            }
            Self::EmptyRefreshToken => (ErrorKind::RefreshTokenRejected, "is empty"),
            Self::OutcomeUnknown => (
                ErrorKind::RefreshTokenRejected,
                "is refused since a request whose answer was lost",
            ),
            Self::OtherAccount => {
                (ErrorKind::RefreshTokenRejected, "was answered with another account's tokens")
            }
        };
        Error::new(kind, format!("the refresh token {what}; sign in again"))
            .with_reason(self.as_str())
    }
}
