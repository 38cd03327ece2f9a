//! A store in memory whose next calls can fail, take long or never end.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::delays::Delays;
use crate::auth_dot_json::AuthDotJson;
use crate::environment::BoxFuture;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Ledger;
use crate::storage::{
    AuthStorage, EphemeralStorage, Loaded, Readiness, RefreshLock, Stamp, Swap, Version,
};

/// A store in memory. Its fields say which calls fail, and count what was called.
#[derive(Debug, Default)]
pub(crate) struct FaultyStore {
    pub(crate) memory: EphemeralStorage,
    pub(crate) reads: AtomicUsize,
    pub(crate) commits: AtomicUsize,
    pub(crate) failing_commits: AtomicUsize,
    /// Commits that fail although they have written.
    pub(crate) failing_syncs: AtomicUsize,
    pub(crate) is_unreadable: AtomicBool,
    pub(crate) commit_takes: Delays,
    pub(crate) ready_takes: Delays,
    /// Proofs that fail since another program holds a lock of the save.
    pub(crate) busy_proofs: AtomicUsize,
    pub(crate) locks_tried: AtomicUsize,
    pub(crate) locks_taken: AtomicUsize,
    pub(crate) is_unstamped: AtomicBool,
    pub(crate) lock_is_lost: Arc<AtomicBool>,
    pub(crate) failing_notes: Arc<AtomicBool>,
    /// Whether the refresh lock is worth nothing while notes fail.
    pub(crate) lock_needs_notes: Arc<AtomicBool>,
    /// Commits that begin from now on never end: the first before they write, the second after.
    pub(crate) hanging_commits: [AtomicBool; 2],
    /// Whether a commit leaves its record beside the stored one before it hangs.
    pub(crate) leaves_records: AtomicBool,
    pub(crate) left: Mutex<Option<AuthDotJson>>,
    holder: Held,
    hears_notes: Arc<Listener>,
}

/// The lock inside of the one that was handed out last.
type Held = Arc<Mutex<Option<Arc<dyn RefreshLock>>>>;

/// Hears each ledger that is about to be written.
#[derive(Default)]
struct Listener(Mutex<Option<Hear>>);

type Hear = Box<dyn FnMut(&Ledger) + Send>;

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

impl FaultyStore {
    /// Has the holder of the refresh lock die, as far as other processes can tell.
    pub(crate) fn kill_holder(&self) {
        drop(self.holder.lock().expect("no panic").take());
    }

    pub(crate) fn on_note(&self, listener: impl FnMut(&Ledger) + Send + 'static) {
        *self.hears_notes.0.lock().expect("no panic") = Some(Box::new(listener));
    }

    async fn may_hang(&self, part: usize) {
        if self.hanging_commits[part].load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }
}

impl AuthStorage for FaultyStore {
    fn location(&self) -> String {
        self.memory.location()
    }

    fn load(&self) -> BoxFuture<'_, Result<Loaded>> {
        match self.load_now() {
            Some(Err(error)) => Box::pin(async { Err(error) }),
            _ => self.memory.load(),
        }
    }

    fn load_now(&self) -> Option<Result<Loaded>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        if self.is_unreadable.load(Ordering::SeqCst) {
            return Some(Err(Error::new(ErrorKind::StoreUnavailable, "unreadable")));
        }
        self.memory.load_now()
    }

    fn stamp(&self) -> Option<Stamp> {
        self.memory.stamp().filter(|_| !self.is_unstamped.load(Ordering::SeqCst))
    }

    fn commit<'a>(
        &'a self,
        expected: &'a Version,
        record: &'a AuthDotJson,
    ) -> BoxFuture<'a, Result<Swap>> {
        self.commits.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            self.commit_takes.wait(0).await;
            if self.leaves_records.load(Ordering::SeqCst) {
                *self.left.lock().expect("no panic") = Some(record.clone());
            }
            self.may_hang(0).await;
            take(&self.failing_commits, ErrorKind::StoreUnavailable, "disk full")?;
            let swap = self.memory.commit(expected, record).await;
            take(&self.failing_syncs, ErrorKind::StoreUnavailable, "disk full")?;
            self.may_hang(1).await;
            self.commit_takes.wait(1).await;
            swap
        })
    }

    fn delete<'a>(&'a self, expected: &'a Version) -> BoxFuture<'a, Result<Swap>> {
        self.memory.delete(expected)
    }

    fn ready(&self, size: usize) -> BoxFuture<'_, Result<Readiness>> {
        Box::pin(async move {
            self.ready_takes.wait(0).await;
            take(&self.busy_proofs, ErrorKind::LockTimeout, "the lock is held")?;
            let ready = self.memory.ready(size).await;
            self.ready_takes.wait(1).await;
            ready
        })
    }

    fn leftovers(&self) -> BoxFuture<'_, Result<Vec<AuthDotJson>>> {
        let left = self.left.lock().expect("no panic").clone();
        Box::pin(async { Ok(left.into_iter().collect()) })
    }

    fn remove_leftovers(&self) -> BoxFuture<'_, Result<()>> {
        *self.left.lock().expect("no panic") = None;
        Box::pin(async { Ok(()) })
    }

    fn try_lock(&self) -> BoxFuture<'_, Result<Option<Box<dyn RefreshLock>>>> {
        self.locks_tried.fetch_add(1, Ordering::SeqCst);
        Box::pin(async {
            let lock = self.memory.try_lock().await?;
            Ok(lock.map(|lock| {
                self.locks_taken.fetch_add(1, Ordering::SeqCst);
                *self.holder.lock().expect("no panic") = Some(lock.into());
                Box::new(FaultyLock {
                    store: self.memory.clone(),
                    held: Arc::clone(&self.holder),
                    is_lost: Arc::clone(&self.lock_is_lost),
                    hears_notes: Arc::clone(&self.hears_notes),
                    fails: Arc::clone(&self.failing_notes),
                    needs_notes: Arc::clone(&self.lock_needs_notes),
                }) as Box<dyn RefreshLock>
            }))
        })
    }

    fn ledger(&self) -> Ledger {
        self.memory.ledger()
    }
}

/// Fails with `kind` if a failure is `left`, which is one less then.
fn take(left: &AtomicUsize, kind: ErrorKind, message: &str) -> Result<()> {
    let taken = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    match taken {
        Ok(_) => Err(Error::new(kind, message)),
        Err(_) => Ok(()),
    }
}

/// A lock that can be taken away.
#[derive(Debug)]
struct FaultyLock {
    store: EphemeralStorage,
    held: Held,
    is_lost: Arc<AtomicBool>,
    hears_notes: Arc<Listener>,
    fails: Arc<AtomicBool>,
    needs_notes: Arc<AtomicBool>,
}

impl RefreshLock for FaultyLock {
    fn check(&self) -> Result<()> {
        if self.is_lost.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::StoreUnavailable, "the lock is gone"));
        }
        Ok(())
    }

    fn held_for(&self) -> Option<Duration> {
        let is_worthless =
            [&self.fails, &self.needs_notes].iter().all(|flag| flag.load(Ordering::SeqCst));
        is_worthless.then_some(Duration::ZERO)
    }

    fn ledger(&self) -> Ledger {
        self.store.ledger()
    }

    fn set_ledger<'a>(&'a self, ledger: &'a Ledger) -> BoxFuture<'a, Result<()>> {
        Box::pin(async {
            if self.fails.load(Ordering::SeqCst) {
                return Err(Error::new(ErrorKind::StoreReadOnly, "read-only"));
            }
            if let Some(listener) = &mut *self.hears_notes.0.lock().expect("no panic") {
                listener(ledger);
            }
            let held = self.held.lock().expect("no panic").clone();
            match held {
                Some(lock) => lock.set_ledger(ledger).await,
                // The dead write nothing.
                None => Ok(()),
            }
        })
    }
}

impl Drop for FaultyLock {
    fn drop(&mut self) {
        drop(self.held.lock().expect("no panic").take());
    }
}
