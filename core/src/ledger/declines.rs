//! How often in a row the server has declined a token for a reason that is not known.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// So many declined requests in a row may mean that the user must sign in again.
const MANY: u32 = 3;

/// Requests with one token that the server has declined in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Declines {
    /// When the server declined the first of them.
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub(crate) since: DateTime<Utc>,
    /// How many they are.
    pub(crate) times: u32,
}

impl Declines {
    /// Returns `row` and one more, at `now`.
    pub(crate) fn and_one_more(row: Option<Self>, now: DateTime<Utc>) -> Self {
        let Self { since, times } = row.unwrap_or(Self { since: now, times: 0 });
        Self { since, times: times.saturating_add(1) }
    }

    /// Returns whether they are so many that the user may have to sign in again.
    pub(crate) fn are_many(self) -> bool {
        self.times >= MANY
    }

    /// Returns whether they have just become so many.
    pub(crate) fn is_first_of_many(self) -> bool {
        self.times == MANY
    }
}
