//! What is known of time. The ledger and each manager keep it.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::renewal::Renewal;
use super::skew::Skew;
use crate::bounds::keep_last;
use crate::environment::Moment;
use crate::secret::Fingerprint;

/// The most machines of which a ledger on a network's file system keeps the skew.
const MOST_SKEWS: usize = 4;

/// The most renewals that are kept.
const MOST_RENEWALS: usize = 4;

/// The last measured skew of each boot, and the last renewals.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Timekeeping {
    skews: Vec<Skew>,
    renewals: Vec<Renewal>,
}

impl Timekeeping {
    /// Notes `skew`, which replaces an earlier one of the same boot.
    pub(crate) fn measure(&mut self, skew: Skew) {
        self.skews.retain(|known| !known.is_of_boot(&skew));
        self.skews.push(skew);
        keep_last(&mut self.skews, MOST_SKEWS);
    }

    pub(crate) fn renew(&mut self, renewal: Renewal) {
        self.renewals.retain(|known| known.access_token != renewal.access_token);
        self.renewals.push(renewal);
        keep_last(&mut self.renewals, MOST_RENEWALS);
    }

    /// Takes over what `other` knows and this does not, as far as it holds at `now`.
    pub(crate) fn learn(&mut self, other: &Self, now: &Moment) {
        let known = self.skew(now).copied();
        let newer = other.skew(now).filter(|skew| known.is_none_or(|known| skew.is_newer(&known)));
        if let Some(skew) = newer {
            self.measure(*skew);
        }
        let is_known = |renewal: &Renewal| renewal.age(now).is_some();
        for renewal in other.renewals.iter().filter(|renewal| is_known(renewal)) {
            if !self.renewal(renewal.access_token).is_some_and(is_known) {
                self.renew(*renewal);
            }
        }
    }

    /// Returns this without more entries than are ever written.
    pub(crate) fn within_bounds(mut self) -> Self {
        keep_last(&mut self.skews, MOST_SKEWS);
        keep_last(&mut self.renewals, MOST_RENEWALS);
        self
    }

    /// Returns by how much the wall clock is ahead of the authorization server's, if that is known.
    pub(crate) fn ahead(&self, now: &Moment) -> Option<TimeDelta> {
        self.skew(now)?.ahead(now)
    }

    fn skew(&self, now: &Moment) -> Option<&Skew> {
        self.skews.iter().find(|skew| skew.ahead(now).is_some())
    }

    pub(super) fn renewal(&self, access_token: Fingerprint) -> Option<&Renewal> {
        self.renewals.iter().find(|renewal| renewal.access_token == access_token)
    }
}
