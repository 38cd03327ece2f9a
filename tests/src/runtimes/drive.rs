//! Futures without a runtime: polled by hand, and dropped whenever one likes.

use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// How often a condition is looked at while nobody wakes the future.
const LOOK: Duration = Duration::from_millis(2);

#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    /// Whether somebody rang, within a moment.
    fn wait(&self) -> bool {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(rung, LOOK, |rung| !*rung);
        std::mem::take(&mut *waited.unwrap_or_else(PoisonError::into_inner).0)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }
}

/// Runs `future` to its end on this thread.
pub fn block_on<F: Future>(future: F) -> F::Output {
    poll_while(future, |_| true).expect("nothing stops it")
}

/// Polls `future` at first and whenever it is woken, as long as `goes_on` says so of the number of
/// polls so far. Its output; none if it was dropped before there was one.
pub fn poll_while<F: Future>(
    future: F,
    mut goes_on: impl FnMut(usize) -> bool,
) -> Option<F::Output> {
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let mut future = pin!(future);
    let (mut polls, mut is_due) = (0, true);
    while goes_on(polls) {
        if is_due {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Some(output);
            }
            polls += 1;
        }
        is_due = bell.wait();
    }
    None
}
