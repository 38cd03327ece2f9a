//! What a manager remembers besides the snapshot: tokens that failed, and the last rotation.
//! Immutable values behind atomic pointers, so that a forked child inherits all of it.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::auth_dot_json::AuthDotJson;
use crate::secret::Fingerprint;
use crate::token_endpoint::RefusalReason;

const MOST_REMEMBERED: usize = 16;
const MOST_REDEEMED: usize = 32;

/// An unclassified 401 may be the server's trouble rather than the token's.
const UNAUTHORIZED_LIFE: Duration = Duration::from_secs(5 * 60);

#[derive(Debug, Default)]
pub(super) struct Memory {
    rejected: ArcSwap<Vec<Fingerprint>>,
    refused: ArcSwap<Vec<Refused>>,
    rotated: ArcSwapOption<Rotated>,
    pause: ArcSwapOption<Pause>,
}

/// The last pair that this manager redeemed a token for.
#[derive(Debug, Clone)]
pub(super) struct Rotated {
    /// The refresh tokens that were spent on the way to it.
    pub(super) redeemed: Vec<Fingerprint>,
    /// The record with the pair in it.
    pub(super) record: Arc<AuthDotJson>,
    /// Whether the store is still to get it.
    pub(super) unsaved: bool,
}

impl Rotated {
    /// Whether the pair takes the place of a stored one whose refresh token is `stored`: of one
    /// that was spent for it, or one that a server left as it was and that is still to be saved.
    pub(super) fn follows(&self, stored: Fingerprint) -> bool {
        self.redeemed.contains(&stored) || (self.unsaved && self.live() == Some(stored))
    }

    /// The refresh token of the pair.
    fn live(&self) -> Option<Fingerprint> {
        self.record.tokens.as_ref().map(|tokens| tokens.refresh_token.fingerprint())
    }
}

#[derive(Debug, Clone, Copy)]
struct Refused {
    token: Fingerprint,
    reason: RefusalReason,
    until: Option<Duration>,
}

/// No background refresh in the place of this access token before that time.
#[derive(Debug)]
struct Pause {
    access_token: Fingerprint,
    until: Duration,
}

impl Memory {
    pub(super) fn reject(&self, access_token: Fingerprint) {
        remember(&self.rejected, access_token, |known| *known == access_token);
    }

    pub(super) fn is_rejected(&self, access_token: Fingerprint) -> bool {
        self.rejected.load().contains(&access_token)
    }

    /// Believes from now on that `token` is refused.
    pub(super) fn refuse(&self, token: Fingerprint, reason: RefusalReason, elapsed: Duration) {
        let until = (reason == RefusalReason::Unauthorized).then(|| elapsed + UNAUTHORIZED_LIFE);
        remember(&self.refused, Refused { token, reason, until }, |known| known.token == token);
    }

    pub(super) fn refusal(&self, token: Fingerprint, elapsed: Duration) -> Option<RefusalReason> {
        let refused = self.refused.load();
        let known = refused.iter().find(|known| known.token == token)?;
        known.until.is_none_or(|until| elapsed < until).then_some(known.reason)
    }

    /// Notes that `redeemed` was spent for what `record` holds, which is still to be saved.
    pub(super) fn rotate(&self, redeemed: Fingerprint, record: &Arc<AuthDotJson>) {
        self.rotated.rcu(|rotated| {
            // The history of another login is none of this one's.
            let before = rotated.as_ref().filter(|before| before.live() == Some(redeemed));
            let mut spent = before.map_or_else(Vec::new, |before| before.redeemed.clone());
            spent.retain(|known| *known != redeemed);
            spent.push(redeemed);
            spent.drain(..spent.len().saturating_sub(MOST_REDEEMED));
            // A server that does not rotate spends nothing.
            let record = Arc::clone(record);
            let mut next = Rotated { redeemed: spent, record, unsaved: true };
            let live = next.live();
            next.redeemed.retain(|known| Some(*known) != live);
            Some(Arc::new(next))
        });
    }

    pub(super) fn rotated(&self) -> Option<Arc<Rotated>> {
        self.rotated.load_full()
    }

    /// Notes that there is nothing to save any more; whether there was. The pair stays known, should
    /// somebody put a token back that was spent for it.
    pub(super) fn mark_saved(&self) -> bool {
        let before = self.rotated.rcu(|rotated| {
            rotated
                .as_ref()
                .map(|rotated| Arc::new(Rotated { unsaved: false, ..Rotated::clone(rotated) }))
        });
        before.is_some_and(|rotated| rotated.unsaved)
    }

    pub(super) fn forget_rotation(&self) {
        self.rotated.store(None);
    }

    pub(super) fn has_unsaved(&self) -> bool {
        self.rotated.load().as_ref().is_some_and(|rotated| rotated.unsaved)
    }

    pub(super) fn pause_background(&self, access_token: Fingerprint, until: Duration) {
        self.pause.store(Some(Arc::new(Pause { access_token, until })));
    }

    /// How long there is to be no background refresh; none where there may be one.
    pub(super) fn pause_left(
        &self,
        access_token: Fingerprint,
        elapsed: Duration,
    ) -> Option<Duration> {
        let pause = self.pause.load();
        let until = pause.as_ref().filter(|pause| pause.access_token == access_token)?.until;
        until.checked_sub(elapsed).filter(|left| !left.is_zero())
    }
}

/// Appends `value` in the place of what it `replaces`, and drops the oldest.
fn remember<T: Clone>(list: &ArcSwap<Vec<T>>, value: T, replaces: impl Fn(&T) -> bool) {
    list.rcu(|list| {
        let mut list: Vec<T> = list.iter().filter(|known| !replaces(known)).cloned().collect();
        list.push(value.clone());
        list.drain(..list.len().saturating_sub(MOST_REMEMBERED));
        list
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spent_tokens_of_one_login_are_not_another_ones() {
        let token = |name: &str| Fingerprint::of(name.as_bytes());
        let record = |name: &str| {
            let json =
                format!(r#"{{"tokens": {{"access_token": "a", "refresh_token": "{name}"}}}}"#);
            Arc::new(AuthDotJson::parse(json.as_bytes()).expect("a record"))
        };
        let memory = Memory::default();
        memory.rotate(token("a0"), &record("a1"));
        memory.rotate(token("a1"), &record("a2"));
        let spent = |memory: &Memory| memory.rotated().expect("a rotation").redeemed.clone();
        assert_eq!(spent(&memory), [token("a0"), token("a1")]);
        memory.rotate(token("b0"), &record("b1"));
        assert_eq!(spent(&memory), [token("b0")]);
    }
}
