//! What a caller demands of a refresh, and the outcome.

use tracing::field::Empty;
use tracing::{Span, info_span};

use super::decision::GiveUpReason;
use crate::clock::Freshness;
use crate::identity::Identity;
use crate::secret::Fingerprint;
use crate::snapshot::CodexAuth;
use crate::state::{State, View};
use crate::trace::{Code, TARGET};

/// What a caller demands of a refresh.
#[derive(Debug, Clone)]
pub(crate) struct Demand {
    /// The snapshot whose access token must be replaced.
    pub(crate) auth: CodexAuth,
    pub(crate) purpose: Purpose,
}

/// The purpose of a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    /// The access token was rejected: the caller needs another one.
    Rejected,
    /// The access token has expired or soon will: the caller needs one that lives longer.
    Proactive,
    /// The store holds a spent refresh token, whose successor in memory must be stored again.
    Repair,
}

/// The new snapshot, or the reason why there is none for this login.
pub(crate) type Outcome = Result<CodexAuth, GiveUpReason>;

/// The key of a flight: the owner of the login, the access token, and the purpose. One token in the
/// records of two accounts is two flights.
pub(crate) type Key = (Identity, Option<Fingerprint>, Purpose);

impl Demand {
    pub(crate) fn key(&self) -> Key {
        (self.auth.identity().clone(), self.auth.access_fingerprint(), self.purpose)
    }

    /// Returns the span of a refresh. It has no parent: the caller that starts the refresh may end
    /// before it, and a parent span cannot end before its child.
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

    /// Returns the outcome if the stored login in `view` already decides it.
    pub(super) fn answer_in(&self, view: &View, state: &State) -> Option<Outcome> {
        if let Err(reason) = GiveUpReason::of(state.relation(&self.auth, view)) {
            return Some(Err(reason));
        }
        let found = view.auth.clone()?;
        state.learn_time();
        self.is_met_by(&found, state).then_some(Ok(found))
    }

    /// Returns whether `found` meets this demand: its access token is usable and replaces that of
    /// the snapshot.
    pub(super) fn is_met_by(&self, found: &CodexAuth, state: &State) -> bool {
        let timing = state.timing(found);
        let Some(token) = found.access_fingerprint() else { return false };
        let is_good = !state.memory.is_rejected(token);
        let is_other = self.auth.access_fingerprint() != Some(token);
        match self.purpose {
            Purpose::Rejected => is_good && is_other && !timing.is_expired(),
            Purpose::Proactive => is_good && timing.freshness() == Freshness::Fresh,
            // The read that found this login has stored the successor again.
            Purpose::Repair => true,
        }
    }

    /// Returns whether the access token of `auth` still works, so that the refresh can wait.
    pub(super) fn is_ahead_of_time(&self, auth: &CodexAuth, state: &State) -> bool {
        let is_rejected = |token| state.memory.is_rejected(token);
        self.purpose == Purpose::Proactive
            && !state.timing(auth).is_expired()
            && !auth.access_fingerprint().is_some_and(is_rejected)
    }
}

impl Code for Outcome {
    fn code(&self) -> &'static str {
        self.as_ref().map_or_else(|reason| reason.as_str(), |_| "fresh")
    }
}
