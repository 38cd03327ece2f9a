//! Refuses sub-interpreters (PEP 684, PEP 734).

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;

/// Raises an `ImportError` in a sub-interpreter.
///
/// The types of this module are made once for a process, and threads of the core attach to the main
/// interpreter. A sub-interpreter would get objects of the main one, and its end would hang.
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
