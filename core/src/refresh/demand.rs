//! What is asked of a refresh, and what comes of it.

use tracing::field::Empty;
use tracing::{Span, info_span};

use super::decision::GiveUpReason;
use crate::clock::Freshness;
use crate::identity::Identity;
use crate::secret::Fingerprint;
use crate::snapshot::CodexAuth;
use crate::state::{State, View};
use crate::trace::{Code, TARGET};

/// What a caller asks for.
#[derive(Debug, Clone)]
pub(crate) struct Demand {
    /// The snapshot in whose place a token is wanted.
    pub(crate) auth: CodexAuth,
    pub(crate) purpose: Purpose,
}

/// Why it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    /// The token was rejected: another one is needed.
    Rejected,
    /// The token is about to expire, or has: one with more life is needed.
    Proactive,
    /// The store holds a spent token in the place of the newer one in memory.
    Repair,
}

/// The new snapshot, or why there is none for this login.
pub(crate) type Outcome = Result<CodexAuth, GiveUpReason>;

/// Whose token, which one, and what for: one token in two accounts' records is two things.
pub(crate) type Key = (Identity, Option<Fingerprint>, Purpose);

impl Demand {
    pub(crate) fn key(&self) -> Key {
        (self.auth.identity().clone(), self.auth.access_fingerprint(), self.purpose)
    }

    /// The span of a refresh. It is in none: its first caller may not wait for it, and that one's
    /// own span would have to.
    pub(super) fn span(&self) -> Span {
        let purpose = match self.purpose {
            Purpose::Rejected => "rejected",
            Purpose::Proactive => "proactive",
            Purpose::Repair => "repair",
        };
        let span = info_span!(
            target: TARGET, parent: None, "codex_auth.refresh", purpose, outcome = Empty
        );
        span.follows_from(Span::current());
        span
    }

    /// What a look at the store already answers, if anything.
    pub(super) fn answer_in(&self, view: &View, state: &State) -> Option<Outcome> {
        if let Err(reason) = GiveUpReason::of(state.relation(&self.auth, view)) {
            return Some(Err(reason));
        }
        let found = view.auth.clone()?;
        state.learn_time();
        self.is_met_by(&found, state).then_some(Ok(found))
    }

    /// Whether `found` is what is asked for: a usable token in the place of the snapshot's.
    pub(super) fn is_met_by(&self, found: &CodexAuth, state: &State) -> bool {
        let timing = state.timing(found);
        let Some(token) = found.access_fingerprint() else { return false };
        let is_good = !state.memory.is_rejected(token);
        let is_other = self.auth.access_fingerprint() != Some(token);
        match self.purpose {
            Purpose::Rejected => is_good && is_other && !timing.is_expired(),
            Purpose::Proactive => is_good && timing.freshness() == Freshness::Fresh,
            // The look that found it has repaired what there was to repair.
            Purpose::Repair => true,
        }
    }
}

impl Code for Outcome {
    fn code(&self) -> &'static str {
        self.as_ref().map_or_else(|reason| reason.as_str(), |_| "fresh")
    }
}
