//! What a database announces (`NOTIFY`): which rows were changed, while a caller waits for that.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;

/// The channel on which changes are announced.
pub(super) const CHANNEL: &str = "codex_auth_sdk";

/// How long a database that was found to be silent is not tried again: PgBouncer accepts a `LISTEN`,
/// and hands on nothing.
const SILENCE: Duration = Duration::from_secs(300);

/// The announcements of one database, to one process.
#[derive(Debug, Default)]
pub(super) struct Announcements {
    rows: Mutex<HashMap<String, Weak<Changes>>>,
    is_heard: AtomicBool,
    /// Before when it is not tried to hear them, in milliseconds since the boot.
    not_before: AtomicU64,
    /// Hears of itself whether announcements come through.
    probe: Mutex<Option<(String, Arc<Notify>)>>,
}

/// The changes of one row, as far as they were announced.
#[derive(Debug)]
pub(super) struct Changes {
    /// Never 0, so that there is a number for what was read before any was announced.
    count: AtomicU64,
    announced: Notify,
}

impl Announcements {
    /// Returns the changes of the row that is announced as `id`.
    pub(super) fn of_row(&self, id: &str) -> Arc<Changes> {
        let mut rows = locked(&self.rows);
        if let Some(changes) = rows.get(id).and_then(Weak::upgrade) {
            return changes;
        }
        rows.retain(|_, changes| changes.strong_count() > 0);
        let changes = Arc::default();
        rows.insert(id.to_owned(), Arc::downgrade(&changes));
        changes
    }

    /// Returns whether each change is heard of.
    pub(super) fn are_heard(&self) -> bool {
        self.is_heard.load(Ordering::SeqCst)
    }

    /// Returns whether it is the caller that must try to hear announcements at `now`.
    pub(super) fn may_try(&self, now: Duration) -> bool {
        let now = now.as_millis().try_into().unwrap_or(u64::MAX);
        let next = now.saturating_add(SILENCE.as_millis().try_into().unwrap_or(u64::MAX));
        let tried =
            self.not_before.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |not_before| {
                (not_before <= now && !self.are_heard()).then_some(next)
            });
        tried.is_ok()
    }

    /// Waits for `name` to be announced, once this was called.
    pub(super) fn expect(&self, name: &str) -> Arc<Notify> {
        let heard = Arc::new(Notify::new());
        *locked(&self.probe) = Some((name.to_owned(), Arc::clone(&heard)));
        heard
    }

    /// Notes that announcements come through from now on. What was announced before is unknown.
    pub(super) fn begin(&self) {
        self.is_heard.store(true, Ordering::SeqCst);
        self.wake_all();
    }

    /// Notes that the connection has ended, and with it what was heard.
    pub(super) fn end(&self) {
        if self.is_heard.swap(false, Ordering::SeqCst) {
            self.not_before.store(0, Ordering::SeqCst);
        }
        self.wake_all();
    }

    /// Tells of an announcement.
    pub(super) fn announced(&self, name: &str) {
        if let Some((_, heard)) = locked(&self.probe).take_if(|(probe, _)| probe == name) {
            return heard.notify_one();
        }
        let changes = locked(&self.rows).get(name).and_then(Weak::upgrade);
        if let Some(changes) = changes {
            changes.add();
        }
    }

    fn wake_all(&self) {
        locked(&self.rows).values().filter_map(Weak::upgrade).for_each(|changes| changes.add());
    }
}

impl Default for Changes {
    fn default() -> Self {
        Self { count: AtomicU64::new(1), announced: Notify::new() }
    }
}

impl Changes {
    /// Returns how many there were.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// Waits until there were more than `count`.
    pub(super) async fn after(&self, count: u64) {
        // What is made before the look is woken by a change after it.
        let announced = self.announced.notified();
        if self.count() <= count {
            announced.await;
        }
    }

    fn add(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.announced.notify_waiters();
    }
}

fn locked<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_change_wakes_those_that_wait_for_its_row() {
        let announcements = Announcements::default();
        let [row, other] = ["row", "other"].map(|id| announcements.of_row(id));
        let before = row.count();
        let mut waiting = Box::pin(row.after(before));
        for name in ["other", "unknown"] {
            announcements.announced(name);
            assert!(timeout(Duration::ZERO, &mut waiting).await.is_err(), "{name}");
        }
        announcements.announced("row");
        waiting.await;
        row.after(before).await;
        assert_eq!(row.count(), other.count());
        let mut waiting = Box::pin(row.after(row.count()));
        assert!(timeout(Duration::ZERO, &mut waiting).await.is_err());
        announcements.end();
        waiting.await;
    }

    #[test]
    fn a_database_that_is_silent_is_not_tried_again_for_a_while() {
        let (announcements, start) = (Announcements::default(), Duration::from_secs(1000));
        assert!(announcements.may_try(start) && !announcements.may_try(start));
        assert!(!announcements.may_try(start + SILENCE / 2));
        assert!(announcements.may_try(start + SILENCE));
        announcements.begin();
        assert!(!announcements.may_try(start + 3 * SILENCE), "it is heard");
        announcements.end();
        assert!(announcements.may_try(start + SILENCE), "it was heard before");
    }

    #[test]
    fn rows_that_no_caller_waits_for_are_forgotten() {
        let announcements = Announcements::default();
        let kept = announcements.of_row("kept");
        for number in 0..100 {
            drop(announcements.of_row(&number.to_string()));
        }
        assert!(locked(&announcements.rows).len() <= 2);
        assert!(Arc::ptr_eq(&kept, &announcements.of_row("kept")));
    }
}
