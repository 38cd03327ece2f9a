//! Background tasks that run until their handle is stopped or dropped.

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;

use crate::environment::{BoxFuture, Environment};
use crate::process::NotInherited;

/// The handle of a background task. Dropping it ends the task.
#[derive(Debug)]
pub(crate) struct Background {
    /// A forked child does not have the task, and may have inherited a lock that a thread of its
    /// parent held.
    signal: NotInherited<Arc<Signal>>,
}

/// The signal by which a handle stops or wakes its task.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    wake: Notify,
    is_stopped: AtomicBool,
}

impl Background {
    /// Starts `work`. The end of the process does not wait for it. If no thread can be started, the
    /// work does not run, and the log says so.
    pub(crate) fn start<F>(environment: &Environment, work: impl FnOnce(Arc<Signal>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let signal = Arc::new(Signal::default());
        let work: BoxFuture<'static, ()> = Box::pin(work(Arc::clone(&signal)));
        if let Err(error) = environment.spawner.spawn_read(work) {
            tracing::error!(%error, "cannot start a thread, so this background task does not run");
        }
        Self { signal: NotInherited::new(signal) }
    }

    pub(crate) fn stop(&self) {
        if let Some(signal) = self.signal.get() {
            signal.is_stopped.store(true, Ordering::SeqCst);
            signal.wake();
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Signal {
    /// Ends the current pause, or the next one if there is none.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::SeqCst)
    }

    /// Waits until the handle stops the task.
    pub(crate) async fn stopped(&self) {
        while !self.is_stopped() {
            self.wake.notified().await;
        }
    }

    /// Returns the output of `future`, or none once the handle stops the task.
    pub(crate) async fn unless_stopped<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let (mut future, mut stopped) = (pin!(future), pin!(self.stopped()));
        poll_fn(|context| match stopped.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => future.as_mut().poll(context).map(Some),
        })
        .await
    }

    /// Waits for `longest`, or until it is woken. Returns whether it was woken.
    pub(crate) async fn pause(&self, longest: Duration, environment: &Environment) -> bool {
        self.pause_unless(pending(), longest, environment).await
    }

    /// Waits for `longest`, or until it is woken or `other` has ended. Returns whether one of them
    /// was the case.
    pub(crate) async fn pause_unless(
        &self,
        other: impl Future<Output = ()>,
        longest: Duration,
        environment: &Environment,
    ) -> bool {
        let (mut woken, mut other) = (pin!(self.wake.notified()), pin!(other));
        let either = poll_fn(|context| match woken.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => other.as_mut().poll(context),
        });
        environment.within(longest, either).await.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forked_child_leaves_its_parents_work_alone() {
        let signal = Arc::new(Signal::default());
        drop(Background { signal: NotInherited::inherited(Arc::clone(&signal)) });
        assert!(!signal.is_stopped());
    }
}
