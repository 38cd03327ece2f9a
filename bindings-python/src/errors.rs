//! Converts errors of the core to the exceptions of `codex_auth_sdk._errors`.

use std::error::Error as _;
use std::io;

use codex_auth_sdk::Error;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::raised::Raised;

/// Returns the exception for `error`. The error's code decides its class.
pub(crate) fn to_py(py: Python<'_>, error: &Error) -> PyErr {
    static FROM_CORE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let built = FROM_CORE.import(py, "codex_auth_sdk._errors", "from_core").and_then(|from_core| {
        let retry_after = error.retry_after().map(|wait| wait.as_secs_f64());
        let (code, message) = (error.code(), error.to_string());
        from_core.call1((code, message, error.reason(), error.is_transient(), retry_after))
    });
    match built {
        Ok(exception) => {
            let exception = PyErr::from_value(exception);
            exception.set_cause(py, cause(py, error));
            exception
        }
        Err(failure) => failure,
    }
}

/// Returns a `TypeError` such as "`name` must be `wanted`, not int".
pub(crate) fn wrong_type(name: &str, wanted: &str, value: &Bound<'_, PyAny>) -> PyErr {
    match value.get_type().name() {
        Ok(given) => PyTypeError::new_err(format!("{name} must be {wanted}, not {given}")),
        Err(failure) => failure,
    }
}

fn cause(py: Python<'_>, error: &Error) -> Option<PyErr> {
    let source = error.source()?;
    if let Some(Raised(raised)) = source.downcast_ref() {
        return Some(raised.clone_ref(py));
    }
    match source.downcast_ref::<io::Error>() {
        Some(source) => Some(PyOSError::new_err(source.to_string())),
        None => Some(PyRuntimeError::new_err(source.to_string())),
    }
}
