//! Which interpreter of the process this is.

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;

/// Refuses sub-interpreters. Types are made once for a process, and answers are handed over to the
/// main interpreter: elsewhere they would be used with another one's objects, and the exit hangs.
pub(crate) fn require_main(_py: Python<'_>) -> PyResult<()> {
    // SAFETY: this thread is attached, so it has a current interpreter, which outlives the calls.
    let id = unsafe { ffi::PyInterpreterState_GetID(ffi::PyInterpreterState_Get()) };
    if id == 0 {
        return Ok(());
    }
    Err(PyImportError::new_err(
        "codex_auth_sdk works in the main interpreter of a process only, not in sub-interpreters",
    ))
}
