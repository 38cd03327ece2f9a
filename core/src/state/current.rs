//! The snapshot in memory: read without a lock, replaced by compare-and-swap.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::{ArcSwap, Guard};
use chrono::{DateTime, Utc};

use crate::snapshot::CodexAuth;

/// What is published, and when it wants refreshing.
#[derive(Debug, Default)]
pub(crate) struct Current {
    pub(crate) auth: Option<CodexAuth>,
    pub(crate) due_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Default)]
pub(crate) struct CurrentCell {
    current: ArcSwap<Current>,
    /// Another number after every publication.
    version: Arc<AtomicU32>,
}

impl CurrentCell {
    pub(crate) fn auth(&self) -> Option<CodexAuth> {
        self.current.load().auth.clone()
    }

    pub(crate) fn peek(&self) -> Guard<Arc<Current>> {
        self.current.load()
    }

    /// The state on which [`replace`](Self::replace) is based.
    pub(crate) fn seen(&self) -> Arc<Current> {
        self.current.load_full()
    }

    pub(crate) fn version(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.version)
    }

    /// Publishes `next` unless something was published since `seen` was taken: a read of the store
    /// that began before that may be older.
    pub(crate) fn replace(&self, seen: &Arc<Current>, next: Current) -> bool {
        let previous = self.current.compare_and_swap(seen, Arc::new(next));
        let is_replaced = Arc::ptr_eq(&previous, seen);
        if is_replaced {
            self.version.fetch_add(1, Ordering::Release);
        }
        is_replaced
    }
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
