//! The one thread of this crate. Redemptions and saves run on it to their end, even if their
//! callers are cancelled.
//!
//! The first task starts it. A forked child does not have the thread of its parent, and starts its
//! own. The end of the process (the return from `main`, [`std::process::exit`] or a panic in
//! `main`) waits for its tasks, but not for those that only read. On Windows [`std::process::exit`]
//! does not: the system ends all other threads before it tells a program of its end.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use shutdown_hooks::add_shutdown_hook;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::fork;
use super::own_file::close_inherited;
use super::per_process::PerProcess;

/// How long the end of a process waits, unless the program has called [`finish`].
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How many threads there are at most for calls that block, such as asking for the address of a
/// host.
const MOST_BLOCKED_THREADS: usize = 32;

/// The name of those threads. Linux shows 15 letters of a name.
const POOL: &str = "codex-auth-pool";

static WORKER: PerProcess<Worker> = PerProcess::new();

/// Whether this process may end without [`finish_at_exit`]. Its forked children may too.
static MAY_END_UNSEEN: AtomicBool = AtomicBool::new(false);

/// Whether each end of this process on its own account waits for its tasks. On Windows
/// [`std::process::exit`] runs no hooks, so there a program in Rust may end unseen.
static RUNS_HOOKS: AtomicBool = AtomicBool::new(!cfg!(windows));

/// Starts `task`, which runs to its end even if the caller is cancelled. The end of the process
/// waits for it.
///
/// # Errors
///
/// If the thread or its runtime cannot be started.
pub fn spawn(task: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    let worker = current()?;
    let active = Active::new(&worker);
    drop(worker.handle.spawn(async move {
        task.await;
        drop(active);
    }));
    Ok(())
}

/// Starts a `task` that changes nothing. The end of the process does not wait for it.
///
/// # Errors
///
/// If the thread or its runtime cannot be started.
pub fn spawn_read(task: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    drop(current()?.handle.spawn(task));
    Ok(())
}

/// Waits, for `timeout` at most, until the tasks of this process are done. Returns whether they
/// are.
///
/// A refresh in flight may have tokens that are not saved yet. The end of the process waits for its
/// tasks by itself, for 10 seconds at most, unless the program has called this function.
pub fn finish(timeout: Duration) -> bool {
    WORKER.get().is_none_or(|worker| {
        worker.is_told.store(true, Ordering::SeqCst);
        worker.wait(timeout)
    })
}

/// Says that this process may end without waiting for its tasks, as a worker process does that its
/// parent kills. From now on a refresh that is due makes its caller wait, so that its new tokens are
/// saved before the caller goes on.
pub fn expect_unseen_exit() {
    MAY_END_UNSEEN.store(true, Ordering::Relaxed);
}

/// Says that each end of this process on its own account calls [`finish`], as that of an
/// interpreter does by the hooks which its binding has registered.
pub fn expect_finish() {
    RUNS_HOOKS.store(true, Ordering::Relaxed);
}

/// Returns whether the end of this process waits for its tasks.
pub(crate) fn waits_at_exit() -> bool {
    RUNS_HOOKS.load(Ordering::Relaxed) && !MAY_END_UNSEEN.load(Ordering::Relaxed)
}

extern "C" fn finish_at_exit() {
    if let Some(worker) = WORKER.get().filter(|worker| !worker.is_told.load(Ordering::SeqCst)) {
        worker.wait(LONGEST_WAIT);
    }
}

/// Returns the runtime of this crate's own thread, and starts the thread if need be. It is for the
/// bindings, which have no runtime of their own.
///
/// # Errors
///
/// If the thread or its runtime cannot be started.
pub fn handle() -> io::Result<Handle> {
    current().map(|worker| worker.handle.clone())
}

fn current() -> io::Result<Arc<Worker>> {
    WORKER.get_or_try_make(|| {
        close_inherited();
        wait_at_exit();
        fork::set_up(Worker::start)
    })
}

/// Registers [`finish_at_exit`] for the end of the process. A forked child inherits that.
fn wait_at_exit() {
    static IS_REGISTERED: AtomicBool = AtomicBool::new(false);
    if !IS_REGISTERED.swap(true, Ordering::SeqCst) && !add_shutdown_hook(finish_at_exit) {
        tracing::warn!(
            "the end of this process does not wait for refreshes; close the managers first"
        );
    }
}

struct Worker {
    handle: Handle,
    active: Mutex<usize>,
    done: Condvar,
    /// Whether the program has called [`finish`].
    is_told: AtomicBool,
    _end: oneshot::Sender<()>,
}

/// Counts as one active task until it is dropped.
struct Active(Arc<Worker>);

impl Active {
    fn new(worker: &Arc<Worker>) -> Self {
        *worker.active.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Self(Arc::clone(worker))
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        *self.0.active.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.done.notify_all();
    }
}

impl Worker {
    fn start() -> io::Result<Self> {
        let (report, started) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        thread::Builder::new().name("codex-auth-sdk".to_owned()).spawn(move || {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(MOST_BLOCKED_THREADS)
                .thread_name(POOL)
                .build();
            let handle = runtime.as_ref().map(|runtime| runtime.handle().clone());
            let alive = report.send(handle.map_err(|error| io::Error::other(error.to_string())));
            if let (Ok(runtime), Ok(())) = (runtime, alive) {
                // This ends only if another thread has started a worker first, and this one is
                // dropped.
                runtime.block_on(async { ended.await.unwrap_or_default() });
            }
        })?;
        let handle = started
            .recv()
            .map_err(|_| io::Error::other("the thread ended before it started"))??;
        let (active, done, is_told) = (Mutex::new(0), Condvar::new(), AtomicBool::new(false));
        Ok(Self { handle, active, done, is_told, _end: end })
    }

    /// Waits, for `timeout` at most, until no task is active. Returns whether that is so.
    fn wait(&self, timeout: Duration) -> bool {
        let active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.done.wait_timeout_while(active, timeout, |active| *active > 0);
        *waited.unwrap_or_else(PoisonError::into_inner).0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_a_task_without_a_runtime_of_the_caller() {
        let (sender, receiver) = mpsc::channel();
        let task = Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            sender.send(thread::current().name().map(str::to_owned)).expect("a receiver");
        });
        spawn(task).expect("a thread");
        assert_eq!(receiver.recv().expect("an answer").as_deref(), Some("codex-auth-sdk"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn two_thousand_calls_that_block_at_once_block_a_few_threads() {
        let worker = handle().expect("a thread");
        let (release, released) = mpsc::channel::<()>();
        let released = Arc::new(Mutex::new(released));
        let (made, calls) = mpsc::channel();
        for _ in 0..2000 {
            let (made, released) = (made.clone(), Arc::clone(&released));
            worker.spawn_blocking(move || {
                made.send(()).expect("a receiver");
                released.lock().expect("no panic").recv().expect_err("never sent");
            });
        }
        for _ in 0..MOST_BLOCKED_THREADS {
            calls.recv().expect("a call");
        }
        let name = |task: std::path::PathBuf| std::fs::read_to_string(task.join("comm"));
        let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
        let names = tasks.flatten().filter_map(|task| name(task.path()).ok());
        let blocked = names.filter(|name| name.trim_end() == POOL).count();
        assert_eq!((blocked, calls.try_iter().count()), (MOST_BLOCKED_THREADS, 0));
        drop(release);
        assert_eq!(
            calls.iter().take(2000 - MOST_BLOCKED_THREADS).count(),
            2000 - MOST_BLOCKED_THREADS
        );
    }

    #[test]
    fn finish_waits_for_what_is_in_flight_and_no_longer_than_it_may() {
        let (release, released) = oneshot::channel::<()>();
        let task = Box::pin(async move { released.await.unwrap_or_default() });
        spawn(task).expect("a thread");
        assert!(!finish(Duration::from_millis(20)), "the task is held");
        release.send(()).expect("the task listens");
        assert!(finish(Duration::from_secs(60)));
    }
}
