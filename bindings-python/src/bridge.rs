//! Turns futures of the core into answers for Python.
//!
//! This is the only file that waits for a future, and the only one in which a thread that Python
//! did not start calls Python. A future that is ready at its first poll needs no thread. Any other
//! future runs on the core's own thread to its end, even if the caller stops waiting. The end of
//! the process waits for it too, unless it waits for a user, who may never come.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use std::{io, iter, mem};

use codex_auth_sdk::bindings::{Lane, PerProcess};
use codex_auth_sdk::environment::BoxFuture;
use codex_auth_sdk::{Error, ErrorKind, Result, bindings};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::{IntoPyObject, IntoPyObjectExt};
use tokio::sync::{Semaphore, oneshot};

use crate::errors::to_py;

/// How often a blocking call lets Python handle signals, such as Ctrl-C.
pub(crate) const SIGNAL_CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// What a future waits for.
#[derive(Clone, Copy)]
enum WaitsFor {
    /// Disk and network, which have timeouts. So the end of the process waits for the future.
    Work,
    /// A user, who may never come. So the end of the process does not wait for the future.
    User,
}

/// Blocks until `future` is done, while other Python threads run. Ctrl-C ends the waiting, not the
/// future.
pub(crate) fn wait<T: Send + 'static>(
    py: Python<'_>,
    future: impl Future<Output = Result<T>> + Send + 'static,
) -> PyResult<T> {
    wait_for(WaitsFor::Work, py, future)
}

/// Blocks like [`wait`], for a `future` that waits for a user.
pub(crate) fn wait_for_user<T: Send + 'static>(
    py: Python<'_>,
    future: impl Future<Output = Result<T>> + Send + 'static,
) -> PyResult<T> {
    wait_for(WaitsFor::User, py, future)
}

fn wait_for<T: Send + 'static>(
    waits_for: WaitsFor,
    py: Python<'_>,
    future: impl Future<Output = Result<T>> + Send + 'static,
) -> PyResult<T> {
    let mut future = Box::pin(future);
    let answer = match py.detach(|| poll_once(future.as_mut())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => on_worker(waits_for, py, future)?,
    };
    answer.map_err(|error| to_py(py, &error))
}

/// Polls `future` once. Returns its answer if it is ready, else a [`Pending`] that goes on with it.
pub(crate) fn begin<T>(
    py: Python<'_>,
    future: impl Future<Output = Result<T>> + Send + 'static,
) -> PyResult<Py<PyAny>>
where
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    begin_for(WaitsFor::Work, py, future)
}

/// Polls like [`begin`], for a `future` that waits for a user.
pub(crate) fn begin_for_user<T>(
    py: Python<'_>,
    future: impl Future<Output = Result<T>> + Send + 'static,
) -> PyResult<Py<PyAny>>
where
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    begin_for(WaitsFor::User, py, future)
}

fn begin_for<T>(
    waits_for: WaitsFor,
    py: Python<'_>,
    future: impl Future<Output = Result<T>> + Send + 'static,
) -> PyResult<Py<PyAny>>
where
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    let mut future = Box::pin(future);
    if let Poll::Ready(answer) = py.detach(|| poll_once(future.as_mut())) {
        return convert(py, answer);
    }
    let answer: PendingAnswer = Box::pin(async move {
        let answer = future.await;
        Box::new(|py: Python<'_>| convert(py, answer)) as Convert
    });
    Pending { future: Mutex::new(Some(answer)), waits_for }.into_py_any(py)
}

impl WaitsFor {
    fn spawn(self, task: BoxFuture<'static, ()>) -> io::Result<()> {
        match self {
            Self::Work => bindings::spawn(task),
            Self::User => bindings::spawn_read(task),
        }
    }
}

/// Makes a Python object, or an exception, of an answer of the core.
type Convert = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

type PendingAnswer = BoxFuture<'static, Convert>;

/// An answer of the core that is not ready yet.
#[pyclass(frozen, module = "codex_auth_sdk._native")]
pub(crate) struct Pending {
    future: Mutex<Option<PendingAnswer>>,
    waits_for: WaitsFor,
}

#[pymethods]
impl Pending {
    /// Calls `deliver(value, error)` once, when the answer is ready, from another thread.
    ///
    /// While the interpreter ends, it blocks and calls `deliver` from the caller's thread instead.
    ///
    /// Raises `RuntimeError` if it was called before.
    fn start(&self, py: Python<'_>, deliver: Py<PyAny>) -> PyResult<()> {
        let future = self.future.lock().unwrap_or_else(PoisonError::into_inner).take();
        let future =
            future.ok_or_else(|| PyRuntimeError::new_err("this has been started before"))?;
        if is_ending() {
            deliver_answer(py, &deliver, on_worker(self.waits_for, py, future)?);
            return Ok(());
        }
        let delivery = Delivery(Some(deliver));
        let task = async move {
            let answer = future.await;
            call_python(move |py| delivery.deliver(py, answer)).await;
        };
        let started = py.detach(|| self.waits_for.spawn(Box::pin(task)));
        started.map_err(|error| to_py(py, &no_thread(&error)))
    }
}

/// Says whether the interpreter is ending.
///
/// While it is, no thread of the core attaches to it: such a thread would crash or hang.
pub(crate) fn set_ending(is_ending: bool) {
    ENDING.store(is_ending, Ordering::SeqCst);
}

pub(crate) fn is_ending() -> bool {
    ENDING.load(Ordering::SeqCst)
}

static ENDING: AtomicBool = AtomicBool::new(false);

/// Calls `deliver` exactly once. If it is dropped before that, `deliver` gets an error that says
/// that the call was interrupted.
struct Delivery(Option<Py<PyAny>>);

impl Delivery {
    fn deliver(mut self, py: Python<'_>, answer: Convert) {
        // `deliver` is dropped while this thread is attached: then the drop takes no lock that a
        // child forked at this moment would find taken.
        if let Some(deliver) = self.0.take() {
            deliver_answer(py, &deliver, answer);
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(deliver) = self.0.take().filter(|_| !is_ending()) {
            Python::try_attach(move |py| {
                let deliver = deliver;
                deliver_answer(py, &deliver, Box::new(|py| Err(to_py(py, &interrupted()))));
            });
        }
    }
}

fn deliver_answer(py: Python<'_>, deliver: &Py<PyAny>, answer: Convert) {
    let arguments = match answer(py) {
        Ok(value) => (Some(value), None),
        Err(error) => (None, Some(error.into_value(py))),
    };
    if let Err(error) = deliver.call1(py, arguments) {
        error.write_unraisable(py, None);
    }
}

/// Attaches this thread to the interpreter and makes `call`. Returns none if the interpreter is
/// gone.
///
/// CPython creates the state of a new thread under a lock. A child that another thread forks at
/// this moment would find that lock taken, so forks wait until the thread is attached.
pub(crate) fn attach<T>(call: impl FnOnce(Python<'_>) -> T) -> Option<T> {
    let hold = bindings::hold_forks();
    Python::try_attach(move |py| {
        drop(hold);
        call(py)
    })
}

/// Makes `call`, which must not block, in the one thread that may wait for the interpreter's lock;
/// the core's thread must not.
///
/// The end of the process waits for a call that has begun. Once the interpreter is ending, `call`
/// is dropped instead.
pub(crate) fn call_python(
    call: impl FnOnce(Python<'_>) + Send + 'static,
) -> impl Future<Output = ()> + Send {
    static THREAD: Lane = Lane::new();
    change_waiting(|waiting| waiting.push_back(Box::new(call)));
    until_ended(async {
        if THREAD.run(make_waiting_calls).await.is_err() {
            // No thread can be started.
            drop(change_waiting(mem::take));
        }
    })
}

/// Makes `call`, which may block for as long as it likes, in a thread of its own. A few such calls
/// are made at once.
///
/// The end of the process waits for a call that has begun. Once the interpreter is ending, `call`
/// is dropped instead.
pub(crate) fn call_python_patiently(
    call: impl FnOnce(Python<'_>) + Send + 'static,
) -> impl Future<Output = ()> + Send {
    static PLACES: PerProcess<Semaphore> = PerProcess::new();
    let call = move || if is_ending() { None } else { attach(call) };
    until_ended(async {
        let Ok(places) = PLACES.get_or_try_make(|| Ok::<_, Infallible>(Semaphore::new(MOST_CALLS)));
        // The places are never closed.
        let place = places.acquire_owned().await;
        drop(tokio::task::spawn_blocking(call).await);
        drop(place);
    })
}

/// How many calls that may block are made at once: fewer than the core has threads for, so that its
/// own calls never wait for them.
const MOST_CALLS: usize = 16;

/// Runs `task` on the core's thread to its end, also if the returned future is dropped.
fn until_ended(task: impl Future<Output = ()> + Send + 'static) -> impl Future<Output = ()> + Send {
    let (done, ended) = oneshot::channel::<()>();
    let task = async move {
        task.await;
        drop(done);
    };
    // If no thread can be started, there is nothing to wait for.
    drop(bindings::spawn(task));
    async { ended.await.unwrap_or_default() }
}

/// A call that a thread makes which is attached to the interpreter.
pub(crate) type PythonCall = Box<dyn FnOnce(Python<'_>) + Send>;

/// Changes the queue of the calls that this process has not made yet. To drop a call may be to wait
/// for the interpreter's lock, so `change` drops none.
fn change_waiting<T>(change: impl FnOnce(&mut VecDeque<PythonCall>) -> T) -> T {
    static WAITING: PerProcess<Mutex<VecDeque<PythonCall>>> = PerProcess::new();
    change(&mut WAITING.get_or_default().lock().unwrap_or_else(PoisonError::into_inner))
}

/// Makes all calls that wait: thousands of answers may come at once, and whenever this thread
/// attaches, it may have to wait for its turn.
fn make_waiting_calls() {
    if let Some(first) = next_call() {
        attach(|py| {
            for call in iter::once(first).chain(iter::from_fn(next_call)) {
                call(py);
            }
        });
    }
}

/// Takes the next call from the queue; none once the interpreter is ending.
fn next_call() -> Option<PythonCall> {
    if is_ending() {
        drop(change_waiting(mem::take));
    }
    change_waiting(VecDeque::pop_front)
}

fn convert<T>(py: Python<'_>, answer: Result<T>) -> PyResult<Py<PyAny>>
where
    T: for<'py> IntoPyObject<'py>,
{
    answer.map_err(|error| to_py(py, &error))?.into_py_any(py)
}

fn poll_once<T>(future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Runs `future` on the core's thread and blocks until it is done, or until a signal handler
/// raises.
fn on_worker<T: Send + 'static>(
    waits_for: WaitsFor,
    py: Python<'_>,
    future: BoxFuture<'static, T>,
) -> PyResult<T> {
    let (sender, receiver) = mpsc::channel();
    let task = async move {
        // The receiver is gone if Ctrl-C has ended the waiting.
        drop(sender.send(future.await));
    };
    // A thread that is about to fork may block this one, and may need the interpreter's lock to go
    // on.
    let started = py.detach(|| waits_for.spawn(Box::pin(task)));
    started.map_err(|error| to_py(py, &no_thread(&error)))?;
    let receiver = Mutex::new(receiver);
    let receive = || {
        let receiver = receiver.lock().unwrap_or_else(PoisonError::into_inner);
        receiver.recv_timeout(SIGNAL_CHECK_INTERVAL)
    };
    loop {
        match py.detach(receive) {
            Ok(answer) => return Ok(answer),
            Err(RecvTimeoutError::Timeout) => py.check_signals()?,
            Err(RecvTimeoutError::Disconnected) => return Err(to_py(py, &interrupted())),
        }
    }
}

fn no_thread(error: &io::Error) -> Error {
    Error::new(ErrorKind::RefreshTransient, format!("cannot start a thread: {error}"))
}

fn interrupted() -> Error {
    Error::new(ErrorKind::RefreshTransient, "the call was interrupted; try again")
}
