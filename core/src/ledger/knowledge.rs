//! What a ledger knows of a token.

use chrono::{DateTime, Utc};

use super::declines::Declines;
use crate::secret::Fingerprint;
use crate::token_endpoint::RefusalReason;

/// What a ledger knows of one refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Knowledge {
    /// The ledger knows no reason not to present it.
    Nothing,
    /// It may be spent: a request with it was never answered, or its successor was not stored.
    InDoubt,
    /// It must not be presented before `until`.
    RestUntil {
        /// The end of the rest.
        until: DateTime<Utc>,
        /// When a holder of the refresh lock noted it.
        noted_at: DateTime<Utc>,
        /// The requests with it that the server has declined in a row.
        declines: Option<Declines>,
    },
    /// It was redeemed, and its `successor` was stored.
    Spent {
        /// The refresh token that replaced it.
        successor: Fingerprint,
    },
    /// The server refuses it.
    Refused(RefusalReason),
}

impl Knowledge {
    /// Returns which of the two matters more; of two rests it is the longer one.
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
