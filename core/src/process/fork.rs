//! What must not be half done in a forked child: a child waits for ever for what a thread of its
//! parent was setting up, once for the whole process.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Threads that are setting something up, or [`CLOSED`].
static GATE: AtomicUsize = AtomicUsize::new(0);

const CLOSED: usize = usize::MAX;

/// Nobody forks who says so while this is there.
#[derive(Debug)]
#[must_use = "dropping this ends it"]
pub struct ForkHold(());

impl ForkHold {
    pub(crate) fn new() -> Self {
        change(|threads| (threads != CLOSED).then(|| threads + 1));
        Self(())
    }
}

impl Drop for ForkHold {
    fn drop(&mut self) {
        GATE.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Does `work` while nobody forks who says so.
pub(crate) fn set_up<T>(work: impl FnOnce() -> T) -> T {
    let _hold = ForkHold::new();
    work()
}

/// Waits until nothing is being set up, and lets nothing begin.
pub(crate) fn close() {
    change(|threads| (threads == 0).then_some(CLOSED));
}

/// After the fork, in the parent and in the child.
pub(crate) fn open() {
    GATE.store(0, Ordering::SeqCst);
}

/// Waits without a lock, which a child might find taken; it is a matter of microseconds.
fn change(next: impl Fn(usize) -> Option<usize>) {
    while GATE.fetch_update(Ordering::SeqCst, Ordering::SeqCst, &next).is_err() {
        thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_fork_waits_for_what_is_being_set_up_and_nothing_begins_meanwhile() {
        let (begun, has_begun) = mpsc::channel();
        let (finish, may_finish) = mpsc::channel::<()>();
        let first = thread::spawn(move || {
            set_up(|| {
                begun.send(()).expect("a listener");
                may_finish.recv().expect("told");
            });
        });
        has_begun.recv().expect("begun");
        let (forked, has_forked) = mpsc::channel();
        let fork = thread::spawn(move || {
            close();
            forked.send(()).expect("a listener");
        });
        assert!(has_forked.try_recv().is_err(), "it waits");
        finish.send(()).expect("it listens");
        has_forked.recv().expect("nothing is being set up");
        let second = thread::spawn(|| set_up(|| ()));
        assert!(!second.is_finished());
        open();
        for thread in [first, fork, second] {
            thread.join().expect("no panic");
        }
    }
}
