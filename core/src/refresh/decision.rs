//! What a recovery comes to.

use std::fmt;

use crate::state::Relation;
use crate::trace::Code;

/// What to do about a 401.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnauthorizedRecoveryDecision {
    /// Send the request again with the manager's snapshot, which is another one now.
    Retry,
    /// Hand the 401 to the user.
    GiveUp(GiveUpReason),
}

impl UnauthorizedRecoveryDecision {
    /// `retry` or `give_up`, the same in every language.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::GiveUp(_) => "give_up",
        }
    }
}

/// Why a 401 stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GiveUpReason {
    /// This kind of credential cannot be refreshed here.
    NotRefreshable,
    /// The manager was told never to refresh, and no other program did.
    RefreshDisabled,
    /// This request was already sent with a refreshed token.
    Exhausted,
    /// The store holds no login any more.
    LoggedOut,
    /// Another account is signed in.
    IdentityMismatch,
    /// Nothing shows whose the stored login is.
    MissingIdentity,
    /// The API rejects access tokens that have not ended, and several of them were replaced lately;
    /// one more would not help. After some time a rejection leads to a refresh again.
    FreshTokenRejected,
}

impl GiveUpReason {
    /// The name of this reason, the same in every language.
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
    /// Whether something can be done for a login to which the stored one is `relation`; else why
    /// not.
    pub(crate) const fn of(relation: Relation) -> Result<(), Self> {
        match relation {
            Relation::Same => Ok(()),
            Relation::Unknown => Err(Self::MissingIdentity),
            Relation::Other => Err(Self::IdentityMismatch),
            Relation::LoggedOut => Err(Self::LoggedOut),
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
