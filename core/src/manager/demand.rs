//! What is asked of a refresh, and what comes of it.

use super::decision::GiveUpReason;
use crate::identity::Identity;
use crate::secret::Fingerprint;
use crate::snapshot::CodexAuth;

/// What somebody asks for.
#[derive(Debug, Clone)]
pub(super) struct Demand {
    /// The snapshot in whose place a token is wanted.
    pub(super) auth: CodexAuth,
    pub(super) purpose: Purpose,
}

impl Demand {
    pub(super) fn key(&self) -> Key {
        (self.auth.identity().clone(), self.auth.access_fingerprint(), self.purpose)
    }
}

/// Why it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    /// The token was rejected: another one is needed.
    Rejected,
    /// The token is about to expire, or has: one with more life is needed.
    Proactive,
    /// The store holds a spent token in the place of the newer one in memory.
    Repair,
}

/// The new snapshot, or why there is none for this login.
pub(super) type Outcome = Result<CodexAuth, GiveUpReason>;

/// Whose token, which one, and what for: one token in two accounts' records is two things.
pub(super) type Key = (Identity, Option<Fingerprint>, Purpose);
