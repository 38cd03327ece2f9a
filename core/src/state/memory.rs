//! What a manager remembers besides the snapshot: rejected access tokens, and the tokens of its
//! last redemption.
//!
//! These are immutable values behind atomic pointers, so a forked child inherits them without a
//! lock.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::auth_dot_json::AuthDotJson;
use crate::bounds::keep_last;
use crate::secret::Fingerprint;

/// How many rejected access tokens are remembered.
const MOST_REJECTED: usize = 16;

/// What a manager remembers besides the snapshot.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    rejected: ArcSwap<Vec<Fingerprint>>,
    pair: ArcSwapOption<OwnPair>,
    pause: ArcSwapOption<Pause>,
}

/// The tokens of this manager's last redemption.
#[derive(Debug, Clone)]
pub(crate) struct OwnPair {
    /// The record with these tokens.
    pub(crate) record: Arc<AuthDotJson>,
    place: Place,
}

/// Where the tokens of a redemption are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In memory, on their way to the store for the first time.
    OnItsWay,
    /// In memory, since the store could not be written.
    Memory,
    /// In the store, or useless because a newer login is there.
    Store,
}

impl OwnPair {
    /// Returns whether the tokens are not saved yet.
    pub(crate) fn is_unsaved(&self) -> bool {
        self.place != Place::Store
    }
}

/// The time before which no background refresh replaces one access token.
#[derive(Debug)]
struct Pause {
    access_token: Fingerprint,
    until: Duration,
}

impl Memory {
    pub(crate) fn reject(&self, access_token: Fingerprint) {
        self.rejected.rcu(|rejected| {
            let others = rejected.iter().copied().filter(|known| *known != access_token);
            let mut rejected: Vec<_> = others.chain([access_token]).collect();
            keep_last(&mut rejected, MOST_REJECTED);
            rejected
        });
    }

    pub(crate) fn is_rejected(&self, access_token: Fingerprint) -> bool {
        self.rejected.load().contains(&access_token)
    }

    /// Remembers the tokens in `record`, which are about to be saved.
    pub(crate) fn keep_pair(&self, record: &Arc<AuthDotJson>) {
        let pair = OwnPair { record: Arc::clone(record), place: Place::OnItsWay };
        self.pair.store(Some(Arc::new(pair)));
    }

    pub(crate) fn pair(&self) -> Option<Arc<OwnPair>> {
        self.pair.load_full()
    }

    /// Returns the tokens of the last redemption if they are not saved yet.
    pub(crate) fn unsaved(&self) -> Option<Arc<OwnPair>> {
        self.pair().filter(|pair| pair.is_unsaved())
    }

    /// Notes that the tokens could not be saved.
    pub(super) fn mark_unsaved(&self) {
        self.move_pair(Place::Memory);
    }

    /// Notes that no tokens are left to save. Returns whether they could not be saved before.
    ///
    /// The tokens stay in memory, for the case that another program stores their spent predecessor
    /// again.
    pub(super) fn mark_saved(&self) -> bool {
        self.move_pair(Place::Store).is_some_and(|pair| pair.place == Place::Memory)
    }

    /// Moves the tokens to `place`, and returns them with their former place.
    fn move_pair(&self, place: Place) -> Option<Arc<OwnPair>> {
        let moved = |pair: &Arc<OwnPair>| OwnPair { place, ..OwnPair::clone(pair) };
        self.pair.rcu(|pair| pair.as_ref().map(moved).map(Arc::new))
    }

    pub(crate) fn forget_pair(&self) {
        self.pair.store(None);
    }

    pub(crate) fn has_unsaved(&self) -> bool {
        self.pair.load().as_ref().is_some_and(|pair| pair.is_unsaved())
    }

    /// Returns whether the tokens of the last redemption are those in `record`, on their way to the
    /// store for the first time.
    pub(super) fn is_on_its_way(&self, record: &AuthDotJson) -> bool {
        let pair = self.pair.load();
        let pair = pair.as_ref().filter(|pair| pair.place == Place::OnItsWay);
        let token = record.refresh_fingerprint();
        pair.is_some_and(|pair| pair.record.refresh_fingerprint() == token)
    }

    pub(crate) fn pause_background(&self, access_token: Fingerprint, until: Duration) {
        self.pause.store(Some(Arc::new(Pause { access_token, until })));
    }

    /// Returns how long no background refresh may replace `access_token`; none if one may.
    pub(crate) fn pause_left(
        &self,
        access_token: Fingerprint,
        elapsed: Duration,
    ) -> Option<Duration> {
        let pause = self.pause.load();
        let until = pause.as_ref().filter(|pause| pause.access_token == access_token)?.until;
        until.checked_sub(elapsed).filter(|left| !left.is_zero())
    }
}
