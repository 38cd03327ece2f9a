//! Calls on the files of a login. Where the file system is this machine's own they are made at once;
//! where another machine or program must answer, they are made on a thread of their own, and waited
//! for no longer than that is worth.

use std::collections::HashMap;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::time::Duration;

use arc_swap::ArcSwapOption;

use super::mounts;
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::process::{Lane, PerProcess};

/// How long a call may take that is waited for without stopping a thread.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a call may take that stops its caller's thread.
const PATIENCE_OF_A_THREAD: Duration = Duration::from_secs(3);

/// How long it is believed that nothing else was mounted on the way.
const BELIEVED_FOR: Duration = Duration::from_secs(5);

/// The way in which calls in one folder are made: one after the other, where they are waited for, so
/// that what was begun under a lock is done before that is given back. Clones are one way.
#[derive(Debug, Clone)]
pub(super) struct FileCalls(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    /// What is asked for in it: each may be a link to somewhere else.
    paths: [PathBuf; 2],
    environment: Environment,
    lane: Arc<Lane>,
    known: ArcSwapOption<Known>,
}

/// What was found out, and when.
#[derive(Debug, Clone, Copy)]
struct Known {
    may_hang: bool,
    at: Duration,
}

impl FileCalls {
    /// Calls on `paths`, which are in `folder`, and on what is beside them.
    pub(super) fn on(folder: &Path, paths: [PathBuf; 2], environment: Environment) -> Self {
        let (lane, known) = (lane_of(folder), ArcSwapOption::empty());
        Self(Arc::new(Shared { folder: folder.to_owned(), paths, environment, lane, known }))
    }

    /// Whether a call may have to wait for another machine or program.
    pub(super) fn may_hang(&self) -> bool {
        let now = self.0.environment.clock.elapsed();
        let known = self.0.known.load();
        if let Some(known) =
            known.as_deref().filter(|known| now.saturating_sub(known.at) < BELIEVED_FOR)
        {
            return known.may_hang;
        }
        let may_hang = mounts::may_hang(&self.0.paths);
        self.0.known.store(Some(Arc::new(Known { may_hang, at: now })));
        may_hang
    }

    /// What `call` comes to.
    ///
    /// # Errors
    ///
    /// Those of `call`; `store_unavailable` where it has not answered in time. It may then still have
    /// its effect.
    pub(super) async fn make<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if !self.may_hang() {
            return call();
        }
        match self.0.environment.within(PATIENCE, self.0.lane.run(call)).await {
            Some(Ok(answer)) => answer,
            Some(Err(error)) => Err(self.unavailable(&error.to_string())),
            None => Err(self.unanswered(PATIENCE)),
        }
    }

    /// What `call` comes to, for a caller that cannot wait but by stopping its thread.
    ///
    /// # Errors
    ///
    /// As [`make`](Self::make).
    pub(super) fn make_now<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if !self.may_hang() {
            return call();
        }
        let (sender, answer) = mpsc::channel();
        // No caller listens to an answer that comes too late.
        let started = self.0.lane.start(move || drop(sender.send(call())));
        started.map_err(|error| self.unavailable(&error.to_string()))?;
        let answer = answer.recv_timeout(PATIENCE_OF_A_THREAD);
        answer.unwrap_or_else(|_| Err(self.unanswered(PATIENCE_OF_A_THREAD)))
    }

    /// Keeps `value`, which makes calls as it is dropped, so that they hold its owner up no more than
    /// others do.
    pub(super) fn keep<T: Send + 'static>(&self, value: T) -> Kept<T> {
        Kept { value: Some(value), calls: self.clone() }
    }

    /// Calls that are made as on a network's file system.
    #[cfg(test)]
    pub(super) fn far(folder: &Path, environment: Environment) -> Self {
        let calls = Self::on(folder, [(); 2].map(|()| folder.to_owned()), environment);
        calls.0.known.store(Some(Arc::new(Known { may_hang: true, at: Duration::MAX })));
        calls
    }

    /// Holds the calls up that come after it, until the sender is dropped.
    #[cfg(test)]
    pub(super) async fn hang(&self) -> mpsc::Sender<()> {
        let (end, hold) = mpsc::channel::<()>();
        let (sender, begun) = tokio::sync::oneshot::channel();
        let call = move || {
            sender.send(()).unwrap_or_default();
            hold.recv().unwrap_or_default();
        };
        self.0.lane.start(call).expect("a thread");
        begun.await.expect("it begins");
        end
    }

    fn unanswered(&self, patience: Duration) -> Error {
        self.unavailable(&format!("its file system has not answered for {patience:?}"))
    }

    fn unavailable(&self, why: &str) -> Error {
        let path = self.0.folder.display();
        let message = format!("{path} cannot be reached: {why}; check the mount, and try again");
        Error::new(ErrorKind::StoreUnavailable, message)
    }
}

/// The lane of `folder`. All managers of a process share it: a file system that hangs holds up one
/// thread for a folder, and the calls in no other folder.
fn lane_of(folder: &Path) -> Arc<Lane> {
    static LANES: PerProcess<Mutex<HashMap<PathBuf, Weak<Lane>>>> = PerProcess::new();
    let lanes = LANES.get_or_default();
    let mut lanes = lanes.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(lane) = lanes.get(folder).and_then(Weak::upgrade) {
        return lane;
    }
    lanes.retain(|_, lane| lane.strong_count() > 0);
    let lane = Arc::default();
    lanes.insert(folder.to_owned(), Arc::downgrade(&lane));
    lane
}

/// Why a kept value is there.
const THERE: &str = "it goes with its keeper";

/// A value that is dropped as calls are made.
#[derive(Debug)]
pub(super) struct Kept<T: Send + 'static> {
    /// There until this is dropped.
    value: Option<T>,
    calls: FileCalls,
}

impl<T: Send + 'static> Kept<T> {
    /// The value, for a call that ends with dropping it.
    pub(super) fn take(mut self) -> T {
        self.value.take().expect(THERE)
    }
}

impl<T: Send + 'static> Deref for Kept<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect(THERE)
    }
}

impl<T: Send + 'static> Drop for Kept<T> {
    fn drop(&mut self) {
        let Some(value) = self.value.take() else { return };
        if self.calls.may_hang() {
            // Without a thread it is dropped here.
            drop(self.calls.0.lane.start(move || drop(value)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use chrono::DateTime;

    use super::*;
    use crate::paused::simulated;

    #[tokio::test]
    async fn a_file_system_that_hangs_is_waited_for_no_longer_than_it_may_be() {
        let folder = Path::new("/net/home");
        let calls = FileCalls::far(folder, simulated(DateTime::UNIX_EPOCH));
        let own = thread::current().id();
        assert_ne!(calls.make(|| Ok(thread::current().id())).await.expect("an answer"), own);
        let end = calls.hang().await;
        // Only what waits in vain: a clock that jumps would overtake the calls that are answered.
        tokio::time::pause();
        let start = tokio::time::Instant::now();
        let never_made = || -> Result<()> { panic!("its caller has gone") };
        let error = calls.make(never_made).await.expect_err("no answer");
        assert_eq!(error.code(), "store_unavailable");
        assert!(error.to_string().contains("/net/home"), "{error}");
        assert_eq!(start.elapsed().as_secs(), PATIENCE.as_secs());
        tokio::time::resume();
        drop(end);
        assert_eq!(calls.make(|| Ok(7)).await.expect("it is back"), 7);
    }

    #[tokio::test]
    async fn a_caller_that_cannot_wait_is_stopped_for_a_moment_and_one_that_lets_go_is_not() {
        let folder = Path::new("/net/held");
        let calls = FileCalls::far(folder, Environment::default());
        let end = calls.hang().await;
        let (sender, dropped) = mpsc::channel();
        struct Held(mpsc::Sender<thread::ThreadId>);
        impl Drop for Held {
            fn drop(&mut self) {
                self.0.send(thread::current().id()).expect("a receiver");
            }
        }
        drop(calls.keep(Held(sender)));
        let error = calls.make_now(|| Ok(())).expect_err("no answer");
        assert_eq!(error.code(), "store_unavailable");
        assert!(dropped.try_recv().is_err(), "not before the calls that it may be needed for");
        drop(end);
        assert_ne!(dropped.recv().expect("dropped"), thread::current().id());
    }

    #[tokio::test]
    async fn a_folder_that_hangs_holds_up_one_thread_and_no_other_folder() {
        let calls = |folder| FileCalls::far(Path::new(folder), Environment::default());
        let [hung, again, other] = ["/net/hung", "/net/hung", "/net/other"].map(calls);
        let thread = || Ok(thread::current().id());
        let end = hung.hang().await;
        let mut waiting = Box::pin(again.make(thread));
        assert!(tokio::time::timeout(Duration::from_millis(20), &mut waiting).await.is_err());
        let others = other.make(thread).await.expect("an answer");
        drop(end);
        let same = waiting.await.expect("an answer");
        assert_ne!(others, same);
        assert_eq!(hung.make(thread).await.expect("an answer"), same);
    }

    #[tokio::test]
    async fn a_near_file_system_is_called_at_once_and_without_a_thread() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().to_owned();
        let paths = [path.clone(), path.clone()];
        let calls = FileCalls::on(&path, paths, Environment::default());
        let own = thread::current().id();
        assert_eq!(calls.make(|| Ok(thread::current().id())).await.expect("an answer"), own);
        assert_eq!(calls.make_now(|| Ok(thread::current().id())).expect("an answer"), own);
    }
}
