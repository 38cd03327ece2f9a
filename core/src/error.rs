//! The error type of this crate: what failed, where, what to do, and whether to try again.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The result of a call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kind of an [`Error`]: one for each thing that a caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The refresh token has expired. The user must sign in again.
    RefreshTokenExpired,
    /// Another program has redeemed the refresh token, and its new tokens never reached the store.
    /// The user must sign in again.
    RefreshTokenReused,
    /// The authorization server has revoked the refresh token. The user must sign in again.
    RefreshTokenInvalidated,
    /// The authorization server has rejected the refresh token for another reason; see
    /// [`Error::reason`]. The user must sign in again.
    RefreshTokenRejected,
    /// The token endpoint gave no clear answer. Try again; see [`Error::retry_after`].
    RefreshTransient,
    /// The store holds something that is not a Codex login, and still did after it was read again
    /// for a second.
    StoreCorrupt,
    /// The store cannot be written, so no refresh token was redeemed.
    StoreReadOnly,
    /// The store cannot be reached or read.
    StoreUnavailable,
    /// There is no keyring, or it does not answer.
    KeyringUnavailable,
    /// The keyring is locked, and its user has not unlocked it.
    KeyringLocked,
    /// The login is longer than the keyring allows.
    KeyringTooLong,
    /// Another program held a lock for longer than the lock timeout.
    LockTimeout,
    /// An option has a value that makes no sense.
    InvalidOption,
    /// The stored login belongs to another account than the login that the call is about.
    IdentityMismatch,
    /// This kind of credential cannot be sent in the headers of a request.
    UnsupportedMode,
    /// The credential must not be sent to the origin of the request.
    OriginNotAllowed,
    /// No login is stored. The user must sign in.
    LoginRequired,
    /// The user, or the authorization server, has declined the sign-in.
    LoginDenied,
    /// A redirect belongs to another sign-in.
    LoginStateMismatch,
    /// The user did not sign in in time.
    LoginTimeout,
    /// The program has cancelled the sign-in.
    LoginCancelled,
    /// No port is free for the redirect of the browser.
    LoginPortBusy,
    /// The login is for a workspace that the options do not allow.
    LoginWorkspaceNotAllowed,
    /// The authorization server, or this machine, does not support this way to sign in.
    LoginNotSupported,
    /// The text is not an API key, or not an access token.
    LoginInvalidCredential,
    /// The authorization server has rejected the sign-in, or its answer cannot be used.
    LoginFailed,
    /// The authorization server did not answer the sign-in. Try again.
    LoginTransient,
    /// A new login could not be saved.
    SaveFailed,
    /// The store cannot do this: the login of an agent is refreshed and replaced where the agent runs.
    NotSupportedByStore,
}

impl ErrorKind {
    /// Returns the name of this kind, which is the same in every language, such as `store_corrupt`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::RefreshTokenExpired => "refresh_token_expired",
            Self::RefreshTokenReused => "refresh_token_reused",
            Self::RefreshTokenInvalidated => "refresh_token_invalidated",
            Self::RefreshTokenRejected => "refresh_token_rejected",
            Self::RefreshTransient => "refresh_transient",
            Self::StoreCorrupt => "store_corrupt",
            Self::StoreReadOnly => "store_read_only",
            Self::StoreUnavailable => "store_unavailable",
            Self::KeyringUnavailable => "keyring_unavailable",
            Self::KeyringLocked => "keyring_locked",
            Self::KeyringTooLong => "keyring_too_long",
            Self::LockTimeout => "lock_timeout",
            Self::InvalidOption => "invalid_option",
            Self::IdentityMismatch => "identity_mismatch",
            Self::UnsupportedMode => "unsupported_mode",
            Self::OriginNotAllowed => "origin_not_allowed",
            Self::LoginRequired => "login_required",
            Self::LoginDenied => "login_denied",
            Self::LoginStateMismatch => "login_state_mismatch",
            Self::LoginTimeout => "login_timeout",
            Self::LoginCancelled => "login_cancelled",
            Self::LoginPortBusy => "login_port_busy",
            Self::LoginWorkspaceNotAllowed => "login_workspace_not_allowed",
            Self::LoginNotSupported => "login_not_supported",
            Self::LoginInvalidCredential => "login_invalid_credential",
            Self::LoginFailed => "login_failed",
            Self::LoginTransient => "login_transient",
            Self::SaveFailed => "save_failed",
            Self::NotSupportedByStore => "not_supported_by_store",
        }
    }

    /// Returns whether the same call may succeed later, although the user neither signs in again
    /// nor repairs something.
    pub const fn is_transient(self) -> bool {
        matches!(
            self,
            Self::RefreshTransient
                | Self::LockTimeout
                | Self::StoreUnavailable
                | Self::KeyringUnavailable
                | Self::KeyringLocked
                | Self::LoginPortBusy
                | Self::LoginTransient
        )
    }
}

/// An error of this crate.
///
/// It displays as one line that says what failed, where, and what to do. It never contains a token
/// or the body of a server's reply. It is cheap to clone, because all callers that wait for one
/// refresh get it.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    reason: Option<&'static str>,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    /// Returns the cause itself, so that it can be downcast. A derived method would return the
    /// `Arc` around it.
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl Error {
    /// Creates an error of `kind`, for implementations of
    /// [`AuthStorage`](crate::storage::AuthStorage) and
    /// [`TokenEndpoint`](crate::token_endpoint::TokenEndpoint). `message` must not contain a
    /// secret.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), reason: None, retry_after: None, source: None }
    }

    /// Returns this error with `source` as its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// Returns this error with a finer reason, one word in snake_case.
    #[must_use]
    pub const fn with_reason(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }

    /// Returns this error with the time after which the caller may try again.
    #[must_use]
    pub const fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// Returns the kind of this error.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns the name of the kind, which is the same in every language, such as `store_corrupt`.
    pub const fn code(&self) -> &'static str {
        self.kind.code()
    }

    /// Returns a finer reason, if there is one.
    ///
    /// For a rejected refresh token it is `expired`, `reused`, `invalidated`, `invalid_grant`,
    /// `unauthorized`, `uncoded`, `outcome_unknown` or `other_account`. For `refresh_transient` it
    /// is `fresh_token_rejected` if too many rejected access tokens were replaced lately, and
    /// `not_refreshable` if another program renews the login and has not done so yet. For
    /// `store_unavailable` it is `held_open` if another program has a file open and does not share
    /// it, on Windows.
    pub const fn reason(&self) -> Option<&'static str> {
        self.reason
    }

    /// Returns whether the same call may succeed later; see [`ErrorKind::is_transient`].
    pub const fn is_transient(&self) -> bool {
        self.kind.is_transient()
    }

    /// Returns how long to wait before the next try, if that is known.
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

/// Returns a `refresh_transient` error.
pub(crate) fn transient(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::RefreshTransient, message)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn displays_one_line_and_keeps_the_cause_apart() {
        let error = Error::new(ErrorKind::StoreUnavailable, "cannot read the login")
            .with_source(io::Error::other("disk on fire"));
        assert_eq!(error.to_string(), "cannot read the login");
        let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
        assert_eq!(source.map(ToString::to_string).as_deref(), Some("disk on fire"));
        assert_eq!(error.code(), "store_unavailable");
        assert!(error.is_transient());
    }
}
