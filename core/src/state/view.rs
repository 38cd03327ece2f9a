//! The result of a read of the store, and how it relates to a snapshot.

use super::current::has_same_tokens;
use super::descent::Descent;
use super::events::Event;
use super::kinship::{compare, is_one_users};
use crate::identity::Relation;
use crate::snapshot::CodexAuth;

/// The result of a read of the store.
#[derive(Debug)]
pub(crate) struct View {
    /// The stored login, or the newer one in memory if the stored refresh token is spent.
    pub(crate) auth: Option<CodexAuth>,
    /// Whether the store holds a login that this manager must not hand out.
    pub(crate) is_foreign: bool,
    /// The login with the successor of the stored refresh token, if that is spent; also one that this
    /// manager must not hand out.
    pub(crate) successor: Option<CodexAuth>,
    /// Whether the snapshot in memory was replaced.
    pub(crate) changed: bool,
}

impl View {
    /// Returns the event that tells of this view, if any: it has taken the place of the snapshot `known`,
    /// since the store holds the login `found`. `is_own_pair` says whether a login has the tokens of this
    /// manager's last redemption.
    pub(super) fn event(
        &self,
        descent: &Descent<'_>,
        known: Option<&CodexAuth>,
        found: Option<&CodexAuth>,
        is_own_pair: impl FnOnce(&CodexAuth) -> bool,
    ) -> Option<Event> {
        match (known, found) {
            (Some(_), Some(new)) if !is_one_users(new) => Some(Event::IdentityChanged),
            (Some(known), Some(new)) => match compare(descent, known, new) {
                Relation::OtherWorkspace => Some(Event::WorkspaceChanged),
                Relation::Same if self.is_foreign => Some(Event::IdentityChanged),
                Relation::Same if has_same_tokens(known, new) || is_own_pair(new) => None,
                Relation::Same => Some(Event::Adopted),
                Relation::OtherLogin | Relation::Unknown => Some(Event::IdentityChanged),
            },
            (None, Some(_)) => Some(Event::IdentityChanged),
            (Some(_), None) => Some(Event::LoggedOut),
            (None, None) => None,
        }
    }
}

/// How the stored login relates to a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SyncOutcome {
    /// The stored login does not say to which user it belongs, so a request must not be repeated
    /// with it.
    SkippedMissingIdentity,
    /// No login is stored.
    LoggedOut,
    /// The stored login belongs to another user, is for another workspace, or is an API key.
    IdentityMismatch,
    /// It is the snapshot's own login, for the snapshot's workspace.
    Applied {
        /// Whether the manager has replaced its snapshot by newer tokens.
        changed: bool,
    },
}

impl SyncOutcome {
    /// Returns the name of this outcome, which is the same in every language.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::SkippedMissingIdentity => "skipped_missing_identity",
            Self::LoggedOut => "logged_out",
            Self::IdentityMismatch => "identity_mismatch",
            Self::Applied { .. } => "applied",
        }
    }

    /// Returns whether the manager has replaced its snapshot by newer tokens of the snapshot's
    /// login.
    pub const fn changed(self) -> bool {
        matches!(self, Self::Applied { changed: true })
    }
}

impl SyncOutcome {
    /// Returns the outcome for a stored login with this `relation` to the snapshot; none: no login
    /// is stored.
    pub(crate) const fn of(relation: Option<Relation>, changed: bool) -> Self {
        match relation {
            Some(Relation::Same) => Self::Applied { changed },
            Some(Relation::Unknown) => Self::SkippedMissingIdentity,
            Some(Relation::OtherWorkspace | Relation::OtherLogin) => Self::IdentityMismatch,
            None => Self::LoggedOut,
        }
    }
}
