//! Which programs got the refresh tokens that are in use: for bug reports, and for nothing else.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::bounds::keep_last;
use crate::process::Program;
use crate::secret::Fingerprint;

/// The most redemptions that are kept.
const MOST: usize = 4;

/// The last redemptions, one for each refresh token that they brought.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Redeemers(Vec<Redeemer>);

/// A redemption that has brought a refresh token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Redeemer {
    token: Fingerprint,
    /// When the reply came.
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub(crate) at: DateTime<Utc>,
    /// The program that sent the request.
    pub(crate) by: Program,
}

impl Redeemers {
    pub(super) fn add(&mut self, token: Fingerprint, at: DateTime<Utc>, by: Program) {
        self.0.retain(|known| known.token != token);
        self.0.push(Redeemer { token, at, by });
        keep_last(&mut self.0, MOST);
    }

    pub(super) fn find(&self, token: Fingerprint) -> Option<&Redeemer> {
        self.0.iter().find(|known| known.token == token)
    }

    pub(super) fn believable(mut self) -> Self {
        keep_last(&mut self.0, MOST);
        let believable = |known: Redeemer| Redeemer { by: known.by.believable(), ..known };
        Self(self.0.into_iter().map(believable).collect())
    }

    #[cfg(feature = "test-util")]
    pub(super) fn tokens(&self) -> impl Iterator<Item = Fingerprint> {
        self.0.iter().map(|known| known.token)
    }
}
