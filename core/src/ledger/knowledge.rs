//! The answer to the question what a ledger knows of a token.

use chrono::{DateTime, Utc};

use crate::secret::Fingerprint;
use crate::token_endpoint::RefusalReason;

/// What a ledger knows of one refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Knowledge {
    /// Nothing that speaks against presenting it.
    Nothing,
    /// It may be spent: a request with it was never answered, or its successor was never stored.
    InDoubt,
    /// It is not to be presented before `until`.
    RestUntil {
        /// The end of the rest.
        until: DateTime<Utc>,
        /// When a holder of the refresh lock noted it.
        noted_at: DateTime<Utc>,
    },
    /// It was redeemed, and its `successor` was stored.
    Spent {
        /// The refresh token that took its place.
        successor: Fingerprint,
    },
    /// The server refuses it.
    Refused(RefusalReason),
}

impl Knowledge {
    /// The weightier of what two ledgers know; of two rests the longer one.
    pub(crate) fn or(self, other: Self) -> Self {
        if self.weight() >= other.weight() { self } else { other }
    }

    fn weight(&self) -> (u8, Option<DateTime<Utc>>) {
        match self {
            Self::Nothing => (0, None),
            Self::InDoubt => (1, None),
            Self::RestUntil { until, .. } => (2, Some(*until)),
            Self::Spent { .. } => (3, None),
            Self::Refused(_) => (4, None),
        }
    }
}
