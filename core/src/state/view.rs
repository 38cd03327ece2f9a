//! One look at the store, and what it says about a snapshot.

use crate::snapshot::CodexAuth;

/// One look at the store.
#[derive(Debug)]
pub(crate) struct View {
    /// The login in it, or the newer one of this manager in the place of a spent one.
    pub(crate) auth: Option<CodexAuth>,
    /// Whether there is a login that this manager is not to publish.
    pub(crate) is_foreign: bool,
    /// Whether the store holds a spent refresh token in the place of the one in `auth`.
    pub(crate) is_spent: bool,
    /// Whether the snapshot in memory was replaced.
    pub(crate) changed: bool,
}

/// What the stored login is to a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    /// The same login.
    Same,
    /// Nothing shows whether it is the same login.
    Unknown,
    /// Another account's login, or an API key.
    Other,
    /// There is no login.
    LoggedOut,
}

/// How the store's record relates to a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SyncOutcome {
    /// Nothing shows whether the stored login is the snapshot's: nothing is adopted for it.
    SkippedMissingIdentity,
    /// The store holds no login.
    LoggedOut,
    /// The store holds another account's login, or an API key.
    IdentityMismatch,
    /// The same login.
    Applied {
        /// Whether the snapshot in memory was replaced.
        changed: bool,
    },
}

impl SyncOutcome {
    /// The name of this outcome, the same in every language.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::SkippedMissingIdentity => "skipped_missing_identity",
            Self::LoggedOut => "logged_out",
            Self::IdentityMismatch => "identity_mismatch",
            Self::Applied { .. } => "applied",
        }
    }

    /// Whether the snapshot in memory was replaced by the same login's newer tokens.
    pub const fn changed(self) -> bool {
        matches!(self, Self::Applied { changed: true })
    }
}

impl SyncOutcome {
    /// What the `relation` of the store to a snapshot comes to.
    pub(crate) const fn of(relation: Relation, changed: bool) -> Self {
        match relation {
            Relation::Same => Self::Applied { changed },
            Relation::Unknown => Self::SkippedMissingIdentity,
            Relation::Other => Self::IdentityMismatch,
            Relation::LoggedOut => Self::LoggedOut,
        }
    }
}
