//! Converts lengths of time from Python values.

use std::time::Duration;

use codex_auth_sdk::bindings::seconds;
use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;

use crate::errors::{to_py, wrong_type};

/// Converts a number of seconds or a `timedelta`; `None` gives none.
pub(crate) fn duration(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Option<Duration>> {
    if value.is_none() {
        return Ok(None);
    }
    let given = value
        .call_method0("total_seconds")
        .and_then(|seconds| seconds.extract::<f64>())
        .or_else(|_| number(value))
        .map_err(|_| wrong_type(name, "a number of seconds or a timedelta", value))?;
    seconds(name, given).map(Some).map_err(|error| to_py(value.py(), &error))
}

/// Converts a number; an int that is larger than any float is infinite.
fn number(value: &Bound<'_, PyAny>) -> PyResult<f64> {
    value.extract().or_else(|error: PyErr| {
        error.is_instance_of::<PyOverflowError>(value.py()).then_some(f64::INFINITY).ok_or(error)
    })
}
