//! What a manager remembers besides the snapshot: access tokens that were rejected, and the last pair
//! that it redeemed a refresh token for. Immutable values behind atomic pointers, so that a forked
//! child inherits all of it.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::auth_dot_json::AuthDotJson;
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
    /// Whether the store is still to get it.
    pub(crate) is_unsaved: bool,
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
            rejected.drain(..rejected.len().saturating_sub(MOST_REJECTED));
            rejected
        });
    }

    pub(crate) fn is_rejected(&self, access_token: Fingerprint) -> bool {
        self.rejected.load().contains(&access_token)
    }

    /// Remembers the pair in `record`, which is still to be saved.
    pub(crate) fn keep_pair(&self, record: &Arc<AuthDotJson>) {
        let pair = OwnPair { record: Arc::clone(record), is_unsaved: true };
        self.pair.store(Some(Arc::new(pair)));
    }

    pub(crate) fn pair(&self) -> Option<Arc<OwnPair>> {
        self.pair.load_full()
    }

    /// The pair that is still to be saved.
    pub(crate) fn unsaved(&self) -> Option<Arc<OwnPair>> {
        self.pair().filter(|pair| pair.is_unsaved)
    }

    /// Notes that there is nothing to save any more; whether there was. The pair stays known, should
    /// another program put a token back that was spent for it.
    pub(crate) fn mark_saved(&self) -> bool {
        let saved = |pair: &Arc<OwnPair>| OwnPair { is_unsaved: false, ..OwnPair::clone(pair) };
        let before = self.pair.rcu(|pair| pair.as_ref().map(saved).map(Arc::new));
        before.is_some_and(|pair| pair.is_unsaved)
    }

    pub(crate) fn forget_pair(&self) {
        self.pair.store(None);
    }

    pub(crate) fn has_unsaved(&self) -> bool {
        self.pair.load().as_ref().is_some_and(|pair| pair.is_unsaved)
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
