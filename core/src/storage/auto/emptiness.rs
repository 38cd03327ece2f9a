//! Whether the keyring holds no login. A login in the file may be used without asking the keyring
//! only if that is so: else a newer login may be in the keyring.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;

use crate::environment::BoxFuture;
use crate::error::Result;
use crate::ledger::Ledger;
use crate::storage::RefreshLock;
use crate::storage::home::Home;

/// What is known of the keyring: what this process has seen there last, else what the last holder of
/// the refresh lock has noted in the ledger.
#[derive(Debug)]
pub(super) struct Emptiness {
    home: Home,
    seen: Arc<Seen>,
    /// Whether it was looked whether the ledger tells that a keyring was reached.
    is_noted: AtomicBool,
    /// The refresh lock, while it is held through this store.
    lock: ArcSwapOption<Weak<dyn RefreshLock>>,
}

/// Whether this process has seen the keyring without a login; none if it has not seen the keyring.
#[derive(Debug, Default)]
struct Seen(ArcSwapOption<bool>);

impl Seen {
    fn get(&self) -> Option<bool> {
        self.0.load().as_deref().copied()
    }
}

impl Emptiness {
    pub(super) fn in_home(home: Home) -> Self {
        Self {
            home,
            seen: Arc::default(),
            is_noted: AtomicBool::new(false),
            lock: ArcSwapOption::empty(),
        }
    }

    /// Notes that this process has seen whether the keyring `is_empty`.
    pub(super) fn learn(&self, is_empty: bool) {
        self.seen.0.store(Some(Arc::new(is_empty)));
    }

    /// Returns whether the keyring is known to hold no login.
    pub(super) fn is_known(&self) -> bool {
        self.last_seen() == Some(true)
    }

    /// Returns whether a program of this home is known to have reached a keyring.
    pub(super) fn was_reached(&self) -> bool {
        self.last_seen().is_some()
    }

    fn last_seen(&self) -> Option<bool> {
        self.seen.get().or_else(|| self.home.ledger().is_keyring_empty())
    }

    /// Returns whether the ledger is still to be told that a keyring was reached. Only the first call
    /// looks.
    pub(super) fn is_to_be_noted(&self) -> bool {
        let is_first = !self.is_noted.swap(true, Ordering::Relaxed);
        is_first && self.home.ledger().is_keyring_empty().is_none()
    }

    /// Notes, for other processes too, that the keyring gets a login: it may get it even if it does
    /// not answer.
    pub(super) async fn end(&self) {
        self.learn(false);
        let Some(lock) = self.lock.load().as_deref().and_then(Weak::upgrade) else { return };
        let mut ledger = lock.ledger();
        ledger.set_keyring_empty(false);
        if let Err(error) = lock.set_ledger(&ledger).await {
            tracing::warn!(%error, "other programs are not told that the keyring gets a login");
        }
    }

    /// Returns `lock` as one that notes in the ledger, with whatever its holder notes there, what
    /// this process has seen.
    pub(super) fn noted_by(&self, lock: Box<dyn RefreshLock>) -> Box<dyn RefreshLock> {
        let lock: Arc<dyn RefreshLock> = lock.into();
        self.lock.store(Some(Arc::new(Arc::downgrade(&lock))));
        Box::new(NotingLock { lock, seen: Arc::clone(&self.seen) })
    }
}

/// The refresh lock of the home, whose holder notes in the ledger what it has seen of the keyring.
#[derive(Debug)]
struct NotingLock {
    lock: Arc<dyn RefreshLock>,
    seen: Arc<Seen>,
}

impl RefreshLock for NotingLock {
    fn check(&self) -> Result<()> {
        self.lock.check()
    }

    fn ledger(&self) -> Ledger {
        self.lock.ledger()
    }

    fn set_ledger<'a>(&'a self, ledger: &'a Ledger) -> BoxFuture<'a, Result<()>> {
        Box::pin(async {
            let mut ledger = ledger.clone();
            if let Some(is_empty) = self.seen.get() {
                ledger.set_keyring_empty(is_empty);
            }
            self.lock.set_ledger(&ledger).await
        })
    }
}
