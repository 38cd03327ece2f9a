//! What a token endpoint is asked, and what it answers.
//!
//! A refresh token is single-use, so the difference that matters is whether the server may have
//! spent it: see [`Redemption`].

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::environment::BoxFuture;
use crate::error::{Error, ErrorKind};
use crate::secret::Secret;

/// The token endpoint and the revocation endpoint of an authorization server: a way to redeem and
/// to revoke the tokens of a stored login.
pub trait TokenEndpoint: Send + Sync + fmt::Debug {
    /// Redeems `refresh_token` with exactly one request (RFC 6749, section 6), which ends after
    /// `timeout`. It must not follow redirects.
    fn redeem<'a>(
        &'a self,
        refresh_token: StoredToken<'a>,
        timeout: Duration,
    ) -> BoxFuture<'a, TokenReply>;

    /// Asks the server to revoke `token` (RFC 7009), for `timeout` at most.
    ///
    /// # Errors
    ///
    /// `refresh_transient` if the server has not confirmed it.
    fn revoke<'a>(
        &'a self,
        token: StoredToken<'a>,
        hint: TokenTypeHint,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<(), Error>>;
}

/// A token of a stored login, and the OAuth client to which it was issued.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct StoredToken<'a> {
    /// The token.
    pub secret: &'a Secret,
    /// The OAuth client that the record of the login names, and which must be the client of the
    /// request (RFC 6749, section 6). None if the record names none: then it is the client of the
    /// endpoint's own options.
    pub client_id: Option<&'a str>,
}

impl<'a> StoredToken<'a> {
    /// Creates a token that was issued to the OAuth client `client_id`.
    pub const fn new(secret: &'a Secret, client_id: Option<&'a str>) -> Self {
        Self { secret, client_id }
    }
}

/// The `token_type_hint` of a revocation request (RFC 7009).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenTypeHint {
    /// A refresh token.
    RefreshToken,
    /// An access token.
    AccessToken,
}

impl TokenTypeHint {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::RefreshToken => "refresh_token",
            Self::AccessToken => "access_token",
        }
    }
}

/// The result of one request to the token endpoint, and the time of the server.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TokenReply {
    /// The result of the redemption.
    pub redemption: Redemption,
    /// The `Date` of the reply (RFC 9110 section 6.6.1), which shows how wrong the clock of this
    /// machine is. A reply has it whatever else it says. None if no reply came, or if it has none.
    pub date: Option<DateTime<Utc>>,
    /// What the server answered, in words: its host, the status and the error code, for the text of
    /// an error. It must not contain a secret. None if no reply came.
    pub answer: Option<String>,
}

impl TokenReply {
    /// Creates a reply with the result `redemption`, which the server sent at `date`.
    pub const fn new(redemption: Redemption, date: Option<DateTime<Utc>>) -> Self {
        Self { redemption, date, answer: None }
    }
}

impl From<Redemption> for TokenReply {
    /// Creates a reply that does not say when the server sent it.
    fn from(redemption: Redemption) -> Self {
        Self::new(redemption, None)
    }
}

/// The result of one redemption of a refresh token.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Redemption {
    /// The server has spent the refresh token and issued these tokens.
    Granted(Grant),
    /// The server has rejected the refresh token, and would reject it again.
    Refused(RefusalReason),
    /// The refresh token is not spent: the request was not sent, or the server asks for it at a
    /// later time.
    NotSpent(NoAnswer),
    /// The server has rejected the request for a reason that says nothing about the refresh token,
    /// and would reject it again at once.
    Declined(NoAnswer),
    /// The request was sent and no usable answer came back: the refresh token may be spent.
    InDoubt(NoAnswer),
}

/// The tokens that the server has issued. A token that is absent stays as it was.
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

/// The reason why a redemption has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NoAnswer {
    /// What happened, for the text of the error. It must not contain a secret.
    pub detail: String,
    /// The server's `Retry-After`.
    pub retry_after: Option<Duration>,
    /// What the user can do about it, if more than to try again later. It must not contain a secret.
    pub advice: Option<String>,
}

impl NoAnswer {
    /// Creates the reason `detail` without a time before which the server wants no other request.
    pub fn new(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), retry_after: None, advice: None }
    }

    /// Returns the text of an error: what happened, and what to do.
    pub(crate) fn text(&self) -> String {
        match &self.advice {
            Some(advice) => format!("{}; {advice}", self.detail),
            None => self.detail.clone(),
        }
    }
}

/// The reason why a server rejects a refresh token for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RefusalReason {
    /// `refresh_token_expired`, or another code that says so.
    Expired,
    /// `refresh_token_reused`: another request has redeemed the token before.
    Reused,
    /// `refresh_token_invalidated`, or another code that says so: the token was revoked.
    Invalidated,
    /// `invalid_grant` (RFC 6749) or `invalid_refresh_token`, which do not say why.
    InvalidGrant,
    /// A 401 with a code that this crate does not know.
    Unauthorized,
    /// A 401 without a code. A proxy may have sent it, so it is believed only once it came twice, a
    /// minute apart.
    Uncoded,
    /// An earlier request with the token was never answered, and the server rejects the token since
    /// then. Most likely that request spent it.
    OutcomeUnknown,
    /// The token was redeemed, and the reply held another account's tokens.
    OtherAccount,
}

impl RefusalReason {
    /// Returns the name of this reason, as in [`Error::reason`].
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Reused => "reused",
            Self::Invalidated => "invalidated",
            Self::InvalidGrant => "invalid_grant",
            Self::Unauthorized => "unauthorized",
            Self::Uncoded => "uncoded",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::OtherAccount => "other_account",
        }
    }

    /// Returns whether the refusal may mean that another program has redeemed the token and is
    /// about to save the new tokens.
    pub(crate) const fn may_have_a_winner(self) -> bool {
        matches!(
            self,
            Self::Reused
                | Self::InvalidGrant
                | Self::Unauthorized
                | Self::Uncoded
                | Self::OutcomeUnknown
        )
    }

    /// Returns the error of a caller whose refresh token is stored in the place `store`, with what the
    /// server answered, if that is known.
    pub(crate) fn into_error(self, store: &str, answer: Option<&str>) -> Error {
        let (kind, what) = match self {
            Self::Expired => (ErrorKind::RefreshTokenExpired, "has expired"),
            Self::Reused => (
                ErrorKind::RefreshTokenReused,
                "was already used by another program, whose new tokens are not in the store",
            ),
            Self::Invalidated => (ErrorKind::RefreshTokenInvalidated, "was revoked"),
            Self::InvalidGrant | Self::Unauthorized | Self::Uncoded => {
                (ErrorKind::RefreshTokenRejected, "was refused")
            }
            Self::OutcomeUnknown => (
                ErrorKind::RefreshTokenRejected,
                "is refused since a request that was never answered",
            ),
            Self::OtherAccount => {
                (ErrorKind::RefreshTokenRejected, "was answered with another account's tokens")
            }
        };
        let answer = answer.map(|answer| format!(": {answer}")).unwrap_or_default();
        Error::new(kind, format!("the refresh token in {store} {what}{answer}; sign in again"))
            .with_reason(self.as_str())
    }
}
