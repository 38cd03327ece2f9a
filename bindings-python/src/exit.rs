//! The hooks for the end of a process and for forks. The package registers them when it is
//! imported.

use std::time::{Duration, Instant};

use codex_auth_sdk::bindings;
use pyo3::exceptions::PySystemExit;
use pyo3::prelude::*;

use crate::bridge::{SIGNAL_CHECK_INTERVAL, set_ending};
use crate::log;

/// Waits, before the process ends, until no refresh is in flight and all tokens are saved.
///
/// Waits for `timeout` seconds at most, and returns whether all is done. Ctrl-C ends the waiting.
/// The `SystemExit` of a signal handler does not, since the process is ending already.
#[pyfunction]
#[pyo3(signature = (timeout=10.0))]
pub(crate) fn finish(py: Python<'_>, timeout: f64) -> PyResult<bool> {
    set_ending(true);
    let is_finished = wait_until_finished(py, timeout);
    log::deliver_rest(py);
    is_finished
}

fn wait_until_finished(py: Python<'_>, timeout: f64) -> PyResult<bool> {
    let start = Instant::now();
    let timeout = Duration::try_from_secs_f64(timeout).unwrap_or(Duration::ZERO);
    while !py.detach(|| bindings::finish(SIGNAL_CHECK_INTERVAL)) {
        if start.elapsed() >= timeout {
            return Ok(false);
        }
        let interrupted = py.check_signals().err();
        if let Some(error) = interrupted.filter(|error| !error.is_instance_of::<PySystemExit>(py)) {
            return Err(error);
        }
    }
    Ok(true)
}

/// Makes callers wait for a refresh that is due: this process may end without exit hooks.
#[pyfunction]
pub(crate) fn expect_unseen_exit() {
    bindings::expect_unseen_exit();
}

/// Prepares a fork: waits until no thread is in a step that a child could not finish.
#[pyfunction]
pub(crate) fn before_fork(py: Python<'_>) {
    // Such a thread may need the interpreter's lock to finish its step.
    py.detach(bindings::before_fork);
}

/// Lets the other threads of the parent go on after a fork.
#[pyfunction]
pub(crate) fn after_fork_in_parent() {
    bindings::after_fork_in_parent();
}

/// Gives up, in a forked child, the locks and threads that belong to its parent.
#[pyfunction]
pub(crate) fn after_fork() {
    set_ending(false);
    bindings::after_fork();
}
