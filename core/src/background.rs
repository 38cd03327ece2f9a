//! Work that goes on until its handle is stopped or dropped.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;

use crate::environment::{BoxFuture, Environment};
use crate::process::NotInherited;

/// The handle of the work, which ends when the handle is dropped.
#[derive(Debug)]
pub(crate) struct Background {
    /// A forked child has no such work, but perhaps the lock that its parent's thread held.
    signal: NotInherited<Arc<Signal>>,
}

/// What the work is told by its handle.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    wake: Notify,
    is_stopped: AtomicBool,
}

impl Background {
    /// Starts `work` where the end of the process does not wait for it. Without a thread there is
    /// no work, and the log says so.
    pub(crate) fn start<F>(environment: &Environment, work: impl FnOnce(Arc<Signal>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let signal = Arc::new(Signal::default());
        let work: BoxFuture<'static, ()> = Box::pin(work(Arc::clone(&signal)));
        if let Err(error) = environment.spawner.spawn_read(work) {
            tracing::error!(%error, "cannot start a thread; nothing happens in the background");
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
    /// Ends the current pause, or the next one where there is none.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::SeqCst)
    }

    /// Waits for the end.
    pub(crate) async fn stopped(&self) {
        while !self.is_stopped() {
            self.wake.notified().await;
        }
    }

    /// What `future` comes to; none once this says to stop.
    pub(crate) async fn unless_stopped<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let (mut future, mut stopped) = (pin!(future), pin!(self.stopped()));
        poll_fn(|context| match stopped.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => future.as_mut().poll(context).map(Some),
        })
        .await
    }

    /// Waits, unless woken; whether it was.
    pub(crate) async fn pause(&self, longest: Duration, environment: &Environment) -> bool {
        environment.within(longest, self.wake.notified()).await.is_some()
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
