//! Forks: what a thread sets up once for the whole process must not be half done in a forked child,
//! which would wait for it for ever; and what a child inherited, it gives up.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::own_file::close_inherited;

/// Threads that are setting something up, or [`CLOSED`].
static GATE: AtomicUsize = AtomicUsize::new(0);

const CLOSED: usize = usize::MAX;

/// While this is there, a fork that [`before_fork`] announces waits.
#[derive(Debug)]
#[must_use = "dropping this ends it"]
pub struct ForkHold(());

impl ForkHold {
    fn new() -> Self {
        change(|threads| (threads != CLOSED).then(|| threads + 1));
        Self(())
    }
}

impl Drop for ForkHold {
    fn drop(&mut self) {
        GATE.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Does `work` while forks wait.
pub(super) fn set_up<T>(work: impl FnOnce() -> T) -> T {
    let _hold = ForkHold::new();
    work()
}

/// Holds forks up that [`before_fork`] announces, while a thread sets up what a child would miss.
/// Waits for a fork that is under way: not to be called with a lock that the fork needs to go on.
pub fn hold_forks() -> ForkHold {
    ForkHold::new()
}

/// To be called right before a fork, in a program that forks while other threads may start a
/// refresh: a child would wait for ever for what they were setting up. Waits until nothing is being
/// set up; nothing begins to be until [`after_fork_in_parent`].
pub fn before_fork() {
    change(|threads| (threads == 0).then_some(CLOSED));
}

/// Ends what [`before_fork`] began, in the parent.
pub fn after_fork_in_parent() {
    GATE.store(0, Ordering::SeqCst);
}

/// Ends what [`before_fork`] began, in the child, and closes what the child has inherited: its
/// parent's locks must end with the parent. The first task of a child does so by itself; call this
/// sooner where a child may never have a task.
pub fn after_fork() {
    GATE.store(0, Ordering::SeqCst);
    close_inherited();
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
            before_fork();
            forked.send(()).expect("a listener");
        });
        assert!(has_forked.try_recv().is_err(), "it waits");
        finish.send(()).expect("it listens");
        has_forked.recv().expect("nothing is being set up");
        let second = thread::spawn(|| set_up(|| ()));
        assert!(!second.is_finished());
        after_fork_in_parent();
        for thread in [first, fork, second] {
            thread.join().expect("no panic");
        }
    }
}
