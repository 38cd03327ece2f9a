//! The snapshot in memory: read without a lock, replaced by compare-and-swap.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use arc_swap::{ArcSwap, Guard};
use chrono::{DateTime, TimeDelta, Utc};

use crate::snapshot::CodexAuth;

/// The longest time for which a judgement of a snapshot holds: the wall clock may be set at any time.
pub(crate) const LONGEST_SPAN: TimeDelta = TimeDelta::seconds(30);

/// The published snapshot, and for how long it is known to be fresh.
#[derive(Debug, Default)]
pub(crate) struct Current {
    pub(crate) auth: Option<CodexAuth>,
    /// The stored login that this manager must not hand out, if its tokens name one user: it knows the
    /// newest tokens of that one too.
    hidden: Option<CodexAuth>,
    is_foreign: bool,
    /// The end of a span of the wall clock in which no refresh is due, in milliseconds since 1970.
    fresh_until: AtomicI64,
}

impl Current {
    pub(crate) fn new(auth: Option<CodexAuth>) -> Self {
        Self { auth, ..Self::default() }
    }

    /// Returns the snapshot of a store without a login that may be handed out.
    pub(super) fn without_auth(hidden: Option<CodexAuth>, is_foreign: bool) -> Self {
        Self { hidden, is_foreign, ..Self::default() }
    }

    /// Returns the login that was stored when it was last read, whether it is handed out or not.
    pub(super) fn login(&self) -> Option<&CodexAuth> {
        self.auth.as_ref().or(self.hidden.as_ref())
    }

    /// Returns whether the stored login is one that this manager must not hand out.
    pub(crate) fn is_foreign(&self) -> bool {
        self.is_foreign
    }

    /// Returns whether an earlier judgement says that no refresh is due at `now`.
    pub(crate) fn is_fresh(&self, now: DateTime<Utc>) -> bool {
        let left = self.fresh_until.load(Ordering::Relaxed) - now.timestamp_millis();
        0 < left && left <= LONGEST_SPAN.num_milliseconds()
    }

    /// Returns the span of the wall clock in which [`is_fresh`](Self::is_fresh) holds.
    pub(crate) fn span(&self) -> Range<DateTime<Utc>> {
        let end = self.fresh_until.load(Ordering::Relaxed);
        let end = DateTime::from_timestamp_millis(end).unwrap_or_default();
        end - LONGEST_SPAN..end
    }

    /// Notes that no refresh is due until `end`.
    pub(crate) fn keep_until(&self, end: DateTime<Utc>) {
        self.fresh_until.store(end.timestamp_millis(), Ordering::Relaxed);
    }
}

/// The cell of the published snapshot.
#[derive(Debug, Default)]
pub(crate) struct CurrentCell {
    current: ArcSwap<Current>,
    /// Changes with every publication.
    version: Arc<AtomicU32>,
}

impl CurrentCell {
    pub(crate) fn auth(&self) -> Option<CodexAuth> {
        self.current.load().auth.clone()
    }

    pub(crate) fn peek(&self) -> Guard<Arc<Current>> {
        self.current.load()
    }

    /// Returns the published state, which a later [`replace`](Self::replace) compares.
    pub(crate) fn seen(&self) -> Arc<Current> {
        self.current.load_full()
    }

    pub(crate) fn version(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.version)
    }

    /// Has the snapshot judged again: more is known of time than when it was found to be fresh.
    pub(crate) fn judge_again(&self) {
        self.current.load().keep_until(DateTime::UNIX_EPOCH);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Publishes `next`, unless another snapshot was published since `seen`: a read of the store
    /// that began before that publication may be older. Returns whether it was published.
    pub(crate) fn replace(&self, seen: &Arc<Current>, next: Current) -> bool {
        let previous = self.current.compare_and_swap(seen, Arc::new(next));
        let is_replaced = Arc::ptr_eq(&previous, seen);
        if is_replaced {
            self.version.fetch_add(1, Ordering::Release);
        }
        is_replaced
    }
}

/// Returns whether two logins have one record, or there are none.
pub(super) fn is_same_record(known: Option<&CodexAuth>, new: Option<&CodexAuth>) -> bool {
    match (known, new) {
        (Some(known), Some(new)) => Arc::ptr_eq(known.record(), new.record()),
        (known, new) => known.is_none() && new.is_none(),
    }
}

pub(super) fn has_same_tokens(known: &CodexAuth, new: &CodexAuth) -> bool {
    known.access_token() == new.access_token()
        && known.refresh_fingerprint() == new.refresh_fingerprint()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before_the_last_publication_never_replaces_it() {
        let cell = CurrentCell::default();
        let seen = cell.seen();
        assert!(cell.replace(&seen, Current::default()));
        let newer = cell.seen();
        let version = cell.version().load(Ordering::Acquire);
        assert!(!cell.replace(&seen, Current::default()));
        assert!(Arc::ptr_eq(&cell.seen(), &newer));
        assert_eq!(cell.version().load(Ordering::Acquire), version);
        assert!(cell.replace(&newer, Current::default()));
        assert_ne!(cell.version().load(Ordering::Acquire), version);
    }
}
