//! From futures of the core to answers for Python: the only place that waits, and the only one
//! where a thread that Python does not know talks to Python.
//!
//! An answer that is there at once costs no thread. Any other future runs on the core's own
//! thread, to its end, whatever becomes of the caller. The end of the process waits for it, unless
//! it waits for a user, who may never come.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use codex_auth_sdk::worker::{self, OwnThread};
use codex_auth_sdk::{BoxFuture, Error, ErrorKind, Result, Spawner};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::{IntoPyObject, IntoPyObjectExt};
use tokio::sync::oneshot;

use crate::errors::to_py;

/// How often a blocking call looks for Ctrl-C.
pub(crate) const SLICE: Duration = Duration::from_millis(50);

/// Who is waited for.
#[derive(Clone, Copy)]
enum For {
    /// The core, which is done soon. So the end of the process waits as well.
    Work,
    /// A user.
    User,
}

/// Waits for `future` with the interpreter free for others. Ctrl-C ends the waiting only.
pub(crate) fn wait<T: Send + 'static>(
    py: Python<'_>,
    future: impl Future<Output = Result<T>> + Send + 'static,
) -> PyResult<T> {
    wait_for(For::Work, py, future)
}

/// The same for a `future` that waits for a user: the end of the process does not wait for it.
pub(crate) fn wait_for_user<T: Send + 'static>(
    py: Python<'_>,
    future: impl Future<Output = Result<T>> + Send + 'static,
) -> PyResult<T> {
    wait_for(For::User, py, future)
}

fn wait_for<T: Send + 'static>(
    whom: For,
    py: Python<'_>,
    future: impl Future<Output = Result<T>> + Send + 'static,
) -> PyResult<T> {
    let mut future = Box::pin(future);
    let answer = match py.detach(|| poll_once(future.as_mut())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => on_worker(whom, py, future)?,
    };
    answer.map_err(|error| to_py(py, &error))
}

/// The answer of `future` if it is there at once, else a [`Pending`].
pub(crate) fn begin<T>(
    py: Python<'_>,
    future: impl Future<Output = Result<T>> + Send + 'static,
) -> PyResult<Py<PyAny>>
where
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    begin_for(For::Work, py, future)
}

/// The same for a `future` that waits for a user.
pub(crate) fn begin_for_user<T>(
    py: Python<'_>,
    future: impl Future<Output = Result<T>> + Send + 'static,
) -> PyResult<Py<PyAny>>
where
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    begin_for(For::User, py, future)
}

fn begin_for<T>(
    whom: For,
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
    let later: Later = Box::pin(async move {
        let answer = future.await;
        Box::new(|py: Python<'_>| convert(py, answer)) as Convert
    });
    Pending { later: Mutex::new(Some(later)), whom }.into_py_any(py)
}

impl For {
    fn spawn(self, task: BoxFuture<'static, ()>) -> io::Result<()> {
        match self {
            Self::Work => OwnThread.spawn(task),
            Self::User => OwnThread.spawn_read(task),
        }
    }
}

type Convert = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

type Later = BoxFuture<'static, Convert>;

/// An answer that is not there yet.
#[pyclass(frozen, module = "codex_auth_sdk._native")]
pub(crate) struct Pending {
    later: Mutex<Option<Later>>,
    whom: For,
}

#[pymethods]
impl Pending {
    /// Calls `deliver(value, error)`, once, from a thread of its own. At the exit of the
    /// interpreter it waits, and calls it from the caller's thread.
    fn start(&self, py: Python<'_>, deliver: Py<PyAny>) -> PyResult<()> {
        let later = self.later.lock().unwrap_or_else(PoisonError::into_inner).take();
        let later = later.ok_or_else(|| PyRuntimeError::new_err("this has been started before"))?;
        if is_ending() {
            hand_over(py, &deliver, on_worker(self.whom, py, later)?);
            return Ok(());
        }
        let delivery = Delivery(Some(deliver));
        let task = async move {
            let answer = later.await;
            visit(move |py| delivery.hand_over(py, answer)).await;
        };
        let started = py.detach(|| self.whom.spawn(Box::pin(task)));
        started.map_err(|error| to_py(py, &no_thread(&error)))
    }
}

/// A thread that attaches to an ending interpreter crashes or hangs. Once nothing is in flight any
/// more, none does.
pub(crate) fn set_ending(is_ending: bool) {
    ENDING.store(is_ending, Ordering::SeqCst);
}

pub(crate) fn is_ending() -> bool {
    ENDING.load(Ordering::SeqCst)
}

static ENDING: AtomicBool = AtomicBool::new(false);

/// Answers exactly once: that the call was interrupted, if nothing else becomes of it.
struct Delivery(Option<Py<PyAny>>);

impl Delivery {
    fn hand_over(mut self, py: Python<'_>, answer: Convert) {
        // What is dropped while attached takes no lock, which a forked child might find taken.
        if let Some(deliver) = self.0.take() {
            hand_over(py, &deliver, answer);
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(deliver) = self.0.take().filter(|_| !is_ending()) {
            Python::try_attach(move |py| {
                let deliver = deliver;
                hand_over(py, &deliver, Box::new(|py| Err(to_py(py, &interrupted()))));
            });
        }
    }
}

fn hand_over(py: Python<'_>, deliver: &Py<PyAny>, answer: Convert) {
    let arguments = match answer(py) {
        Ok(value) => (Some(value), None),
        Err(error) => (None, Some(error.into_value(py))),
    };
    if let Err(error) = deliver.call1(py, arguments) {
        error.write_unraisable(py, None);
    }
}

/// Makes `call` with the interpreter, from a thread that does not have it. CPython makes the state of
/// such a thread under a lock, which a child that is forked meanwhile would find taken.
pub(crate) fn attach<T>(call: impl FnOnce(Python<'_>) -> T) -> Option<T> {
    let hold = worker::hold_forks();
    Python::try_attach(move |py| {
        drop(hold);
        call(py)
    })
}

/// Makes `call` in a thread of its own, since the core's must never wait for the interpreter; not at
/// all once that is ending. The end of the process waits for what has begun.
pub(crate) fn visit(
    call: impl FnOnce(Python<'_>) + Send + 'static,
) -> impl Future<Output = ()> + Send {
    let (done, ended) = oneshot::channel::<()>();
    let attach = move || {
        if !is_ending() {
            attach(call);
        }
    };
    let task = async move {
        drop(tokio::task::spawn_blocking(attach).await);
        drop(done);
    };
    // Without a thread there is no call.
    drop(OwnThread.spawn(Box::pin(task)));
    async { ended.await.unwrap_or_default() }
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

/// Runs `future` on the core's thread and waits for it, with an eye on Ctrl-C.
fn on_worker<T: Send + 'static>(
    whom: For,
    py: Python<'_>,
    future: BoxFuture<'static, T>,
) -> PyResult<T> {
    let (sender, receiver) = mpsc::channel();
    let task = async move {
        // Nobody listens any more after Ctrl-C.
        drop(sender.send(future.await));
    };
    // A thread that forks may hold it up, and need the interpreter to go on.
    let started = py.detach(|| whom.spawn(Box::pin(task)));
    started.map_err(|error| to_py(py, &no_thread(&error)))?;
    let receiver = Mutex::new(receiver);
    let slice = || {
        let receiver = receiver.lock().unwrap_or_else(PoisonError::into_inner);
        receiver.recv_timeout(SLICE)
    };
    loop {
        match py.detach(slice) {
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
