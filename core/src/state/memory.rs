//! What a manager remembers besides the snapshot: access tokens that were rejected, and the last pair
//! that it redeemed a refresh token for. Immutable values behind atomic pointers, so that a forked
//! child inherits all of it.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::auth_dot_json::AuthDotJson;
use crate::bounds::keep_last;
use crate::secret::Fingerprint;

/// Rejected access tokens.
const MOST_REJECTED: usize = 16;

#[derive(Debug, Default)]
pub(crate) struct Memory {
    rejected: ArcSwap<Vec<Fingerprint>>,
    pair: ArcSwapOption<OwnPair>,
    pause: ArcSwapOption<Pause>,
}

/// The last pair that this manager redeemed a token for.
#[derive(Debug, Clone)]
pub(crate) struct OwnPair {
    /// The record with the pair in it.
    pub(crate) record: Arc<AuthDotJson>,
    place: Place,
}

/// Where a pair is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In memory, on its way to the store for the first time.
    OnItsWay,
    /// In memory, since the store could not be written.
    Memory,
    /// In the store, or of no use there any more.
    Store,
}

impl OwnPair {
    /// Whether the store is still to get it.
    pub(crate) fn is_unsaved(&self) -> bool {
        self.place != Place::Store
    }
}

/// No background refresh in the place of this access token before that time.
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

    /// Remembers the pair in `record`, which is about to be saved.
    pub(crate) fn keep_pair(&self, record: &Arc<AuthDotJson>) {
        let pair = OwnPair { record: Arc::clone(record), place: Place::OnItsWay };
        self.pair.store(Some(Arc::new(pair)));
    }

    pub(crate) fn pair(&self) -> Option<Arc<OwnPair>> {
        self.pair.load_full()
    }

    /// The pair that is still to be saved.
    pub(crate) fn unsaved(&self) -> Option<Arc<OwnPair>> {
        self.pair().filter(|pair| pair.is_unsaved())
    }

    /// Notes that the pair could not be saved.
    pub(super) fn mark_unsaved(&self) {
        self.move_pair(Place::Memory);
    }

    /// Notes that there is nothing to save any more; whether it could not be saved before. The pair
    /// stays known, should another program put a token back that was spent for it.
    pub(super) fn mark_saved(&self) -> bool {
        self.move_pair(Place::Store).is_some_and(|pair| pair.place == Place::Memory)
    }

    /// The pair with its former place.
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

    /// Whether the pair in `record` is on its way to the store for the first time.
    pub(super) fn is_on_its_way(&self, record: &Arc<AuthDotJson>) -> bool {
        let pair = self.pair.load();
        let is_it = |pair: &&Arc<OwnPair>| Arc::ptr_eq(&pair.record, record);
        pair.as_ref().filter(is_it).is_some_and(|pair| pair.place == Place::OnItsWay)
    }

    pub(crate) fn pause_background(&self, access_token: Fingerprint, until: Duration) {
        self.pause.store(Some(Arc::new(Pause { access_token, until })));
    }

    /// How long there is to be no background refresh; none where there may be one.
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
