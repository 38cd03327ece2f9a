//! The one error type: what kind, what happened where, and whether trying again can help.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as one value per thing that a caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The refresh token has expired; the user must sign in again.
    RefreshTokenExpired,
    /// The refresh token was spent by somebody whose new tokens never reached the store.
    RefreshTokenReused,
    /// The server has revoked the refresh token.
    RefreshTokenInvalidated,
    /// The refresh token was refused without one of the reasons above; see [`Error::reason`].
    RefreshTokenRejected,
    /// No clear answer from the token endpoint; try again, see [`Error::retry_after`].
    RefreshTransient,
    /// The store holds something that is not a Codex login, and did not heal while it was re-read.
    StoreCorrupt,
    /// The store cannot be written, so nothing was redeemed.
    StoreReadOnly,
    /// The store cannot be reached or read.
    StoreUnavailable,
    /// There is no keyring, or it does not work or answer.
    KeyringUnavailable,
    /// The keyring is locked, and nobody has unlocked it.
    KeyringLocked,
    /// The login is longer than what the keyring takes.
    KeyringTooLong,
    /// Another program held a lock for longer than the lock timeout.
    LockTimeout,
    /// An option has a value that cannot be used.
    InvalidOption,
    /// The stored login belongs to another account than the one the call is about.
    IdentityMismatch,
    /// This kind of credential cannot be turned into request headers here.
    UnsupportedMode,
    /// A request was to take the credential to an origin that is not allowed to have it.
    OriginNotAllowed,
    /// A request needs a credential, and nobody is signed in.
    LoginRequired,
    /// The user, or the server for them, has said no.
    LoginDenied,
    /// A redirect answers another sign-in.
    LoginStateMismatch,
    /// Nobody has signed in for as long as was waited.
    LoginTimeout,
    /// The program has ended the sign-in.
    LoginCancelled,
    /// No port is free for the browser to come back to.
    LoginPortBusy,
    /// The login is of another workspace than the ones that are allowed.
    LoginWorkspaceNotAllowed,
    /// The authorization server, or this machine, has no such way to sign in.
    LoginNotSupported,
    /// A key or token that is no such thing.
    LoginInvalidCredential,
    /// The authorization server has refused, or answered what cannot be used.
    LoginFailed,
    /// No answer from the authorization server; try again.
    LoginTransient,
    /// A new login could not be saved.
    SaveFailed,
}

impl ErrorKind {
    /// The name of this kind, the same in every language.
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
        }
    }

    /// Whether the same call may succeed later without anybody signing in or repairing something.
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
/// Displays as one line that says what failed, where, and what to do; it never contains a token
/// or a server's reply. Cheap to clone, because everybody who waited for one refresh gets it.
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
    /// The cause itself, which can be downcast: what is derived would be the `Arc`.
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl Error {
    /// An error of `kind`; `message` must hold no secret. For implementors of
    /// [`AuthStorage`](crate::storage::AuthStorage) and
    /// [`TokenEndpoint`](crate::token_endpoint::TokenEndpoint).
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), reason: None, retry_after: None, source: None }
    }

    /// The same error with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// The same error with a finer reason, one snake_case word.
    #[must_use]
    pub const fn with_reason(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }

    /// The same error with the time after which a new attempt makes sense.
    #[must_use]
    pub const fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// What kind of error this is.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The kind's name, as in Python and Node: `refresh_token_reused`, `store_corrupt`, ...
    pub const fn code(&self) -> &'static str {
        self.kind.code()
    }

    /// A finer reason where there is one. Refused refreshes have `expired`, `reused`,
    /// `invalidated`, `invalid_grant`, `unauthorized`, `empty_refresh_token` or
    /// `outcome_unknown`.
    pub const fn reason(&self) -> Option<&'static str> {
        self.reason
    }

    /// Whether the same call may succeed later; see [`ErrorKind::is_transient`].
    pub const fn is_transient(&self) -> bool {
        self.kind.is_transient()
    }

    /// How long to wait before trying again, where that is known.
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

/// No clear answer about a refresh.
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
