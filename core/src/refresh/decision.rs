//! The result of a recovery from 401.

use std::fmt;

use crate::error::Error;
use crate::identity::Relation;
use crate::trace::Code;

/// What to do about a 401 response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnauthorizedRecoveryDecision {
    /// Send the request again with the snapshot that
    /// [`AuthManager::auth`](crate::AuthManager::auth) now returns.
    Retry,
    /// The 401 is final, for this reason.
    GiveUp(GiveUpReason),
}

impl UnauthorizedRecoveryDecision {
    /// Returns `retry` or `give_up`, as in every language.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::GiveUp(_) => "give_up",
        }
    }
}

/// The reason why a 401 is final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GiveUpReason {
    /// This manager cannot replace the credential: it is a key, or it came without a refresh token
    /// and the program that renews it has not done so.
    NotRefreshable,
    /// The manager has [`RefreshMode::Never`](crate::RefreshMode::Never), and no other program has
    /// refreshed the login.
    RefreshDisabled,
    /// The request was already sent with a refreshed token.
    Exhausted,
    /// No login is stored any more.
    LoggedOut,
    /// Another user, another workspace or another key is stored now.
    IdentityMismatch,
    /// The stored login does not say to which user it belongs.
    MissingIdentity,
    /// The API rejects access tokens that have not ended, and several of them were replaced lately,
    /// so another refresh is pointless. After some time a rejection leads to a refresh again.
    FreshTokenRejected,
}

impl GiveUpReason {
    /// Returns the name of this reason, which is the same in every language.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotRefreshable => "not_refreshable",
            Self::RefreshDisabled => "refresh_disabled",
            Self::Exhausted => "exhausted",
            Self::LoggedOut => "logged_out",
            Self::IdentityMismatch => "identity_mismatch",
            Self::MissingIdentity => "missing_identity",
            Self::FreshTokenRejected => "fresh_token_rejected",
        }
    }
}

impl fmt::Display for GiveUpReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl GiveUpReason {
    /// Returns the reason to give up a request for which `error` says that its token cannot be
    /// replaced for now; none if the recovery itself has failed.
    pub(super) fn in_error(error: &Error) -> Option<Self> {
        let reasons = [Self::NotRefreshable, Self::FreshTokenRejected];
        reasons.into_iter().find(|reason| error.reason() == Some(reason.as_str()))
    }

    /// Fails with the reason why a stored login with this `relation` to the snapshot does not help
    /// the request; none: no login is stored.
    pub(crate) const fn of(relation: Option<Relation>) -> Result<(), Self> {
        match relation {
            Some(Relation::Same) => Ok(()),
            Some(Relation::Unknown) => Err(Self::MissingIdentity),
            Some(Relation::OtherWorkspace | Relation::OtherLogin) => Err(Self::IdentityMismatch),
            None => Err(Self::LoggedOut),
        }
    }
}

impl Code for UnauthorizedRecoveryDecision {
    fn code(&self) -> &'static str {
        match self {
            Self::Retry => self.as_str(),
            Self::GiveUp(reason) => reason.as_str(),
        }
    }
}
