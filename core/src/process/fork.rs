//! Makes forks safe.
//!
//! A fork waits until no thread is setting something up for the whole process: a child that
//! inherited a half-done set-up would wait for its end for ever. A fork waits for no lock on a file:
//! a forked child closes the locked files that it has inherited, and a lock that was taken during a
//! fork is taken again (`storage/lock_file.rs`).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::own_file::close_inherited;

/// The number of threads that are setting something up, or [`CLOSED`] during a fork.
static GATE: AtomicUsize = AtomicUsize::new(0);

const CLOSED: usize = usize::MAX;

/// The number of forks of this process that are over.
static FORKS: AtomicUsize = AtomicUsize::new(0);

/// A hold on forks: until it is dropped, [`before_fork`] waits.
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

/// Runs `work` while [`before_fork`] waits.
pub(super) fn set_up<T>(work: impl FnOnce() -> T) -> T {
    let _hold = ForkHold::new();
    work()
}

/// Holds forks back until the returned value is dropped: [`before_fork`] waits for it.
///
/// A thread holds forks back while it sets up something that a child could not finish. This waits
/// for a fork that is in progress, so do not call it with a lock that the fork needs.
pub fn hold_forks() -> ForkHold {
    ForkHold::new()
}

/// Prepares a fork: waits until no thread is setting something up. No set-up starts until
/// [`after_fork_in_parent`].
///
/// Call this right before a fork, in a program that forks while other threads may start a refresh.
/// Without it, the child would wait for ever for a set-up that another thread had begun.
pub fn before_fork() {
    change(|threads| (threads == 0).then_some(CLOSED));
}

/// Lets the other threads of the parent go on, after [`before_fork`] and the fork.
pub fn after_fork_in_parent() {
    FORKS.fetch_add(1, Ordering::SeqCst);
    GATE.store(0, Ordering::SeqCst);
}

/// Returns a number that changes with every fork. It waits for a fork that is in progress.
pub(crate) fn forks() -> usize {
    while GATE.load(Ordering::SeqCst) == CLOSED {
        thread::yield_now();
    }
    FORKS.load(Ordering::SeqCst)
}

/// Ends [`before_fork`] in the child, and closes the files that the child has inherited: the locks
/// of the parent must end with the parent.
///
/// The first task in a child closes the files too. Call this for a child that may never have a
/// task.
pub fn after_fork() {
    GATE.store(0, Ordering::SeqCst);
    close_inherited();
}

/// Changes [`GATE`] once `next` allows it. It waits without a lock, which a child could inherit in
/// the locked state. A wait takes microseconds.
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
