//! What has to happen when a process ends or forks; the package registers both when it is imported.

use std::time::{Duration, Instant};

use codex_auth_sdk::worker;
use pyo3::exceptions::PySystemExit;
use pyo3::prelude::*;

use crate::bridge::{SLICE, set_ending};
use crate::log;

/// For a process that is about to end: waits until no refresh is in flight, at most `timeout`
/// seconds; whether that is so. Ctrl-C ends the waiting. `sys.exit` in a signal's handler does not,
/// since the process is ending already.
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
    while !py.detach(|| worker::finish(SLICE)) {
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

/// Waits until nothing is half set up that a forked child would miss.
#[pyfunction]
pub(crate) fn before_fork(py: Python<'_>) {
    // Who sets something up may need the interpreter for a moment.
    py.detach(worker::before_fork);
}

/// Goes on, in the parent.
#[pyfunction]
pub(crate) fn after_fork_in_parent() {
    worker::after_fork_in_parent();
}

/// Gives up, in a forked child, what belongs to its parent.
#[pyfunction]
pub(crate) fn after_fork() {
    set_ending(false);
    worker::after_fork();
}
