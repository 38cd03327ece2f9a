//! The snapshot in memory: read without a lock, replaced by compare-and-swap.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use chrono::{DateTime, Utc};

use crate::snapshot::CodexAuth;

/// What is published, and when it wants refreshing.
#[derive(Debug, Default)]
pub(super) struct Current {
    pub(super) auth: Option<CodexAuth>,
    pub(super) due_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Default)]
pub(super) struct CurrentCell(ArcSwap<Current>);

impl CurrentCell {
    pub(super) fn auth(&self) -> Option<CodexAuth> {
        self.0.load().auth.clone()
    }

    pub(super) fn peek(&self) -> Guard<Arc<Current>> {
        self.0.load()
    }

    /// The state on which [`replace`](Self::replace) is based.
    pub(super) fn seen(&self) -> Arc<Current> {
        self.0.load_full()
    }

    /// Publishes `next` unless something was published since `seen` was taken: a read of the store
    /// that began before that may be older.
    pub(super) fn replace(&self, seen: &Arc<Current>, next: Current) -> bool {
        let previous = self.0.compare_and_swap(seen, Arc::new(next));
        Arc::ptr_eq(&previous, seen)
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
        assert!(!cell.replace(&seen, Current::default()));
        assert!(Arc::ptr_eq(&cell.seen(), &newer));
    }
}
