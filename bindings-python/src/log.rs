//! Delivers the records that the core traces to Python's `logging`.

use std::sync::OnceLock;

use codex_auth_sdk::bindings::{self, LogRecord, LogRecords};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::task::spawn_blocking;

use crate::bridge::{attach, is_ending};

/// Set by the first call of `deliver_log`.
static DELIVERY: OnceLock<LogDelivery> = OnceLock::new();

struct LogDelivery {
    records: LogRecords,
    deliver: Py<PyAny>,
}

/// Calls `deliver(level, target, message, fields, duration)` with each record from now on.
///
/// The calls come from a thread that is not the caller's. The records that are left when the
/// process ends are delivered in the thread that calls `finish`. A second call of this function
/// changes nothing.
#[pyfunction]
pub(crate) fn deliver_log(deliver: Py<PyAny>) {
    DELIVERY.get_or_init(|| LogDelivery { records: LogRecords::start(deliver_soon), deliver });
}

/// Delivers the records that are left when the process ends.
pub(crate) fn deliver_rest(py: Python<'_>) {
    if let Some(delivery) = DELIVERY.get() {
        while delivery.deliver_next(py) {}
    }
}

/// Starts a delivery in a thread that may wait for the interpreter's lock; the core's thread must
/// not.
///
/// The end of the process waits for it, so that the thread does not attach to an interpreter that
/// is ending.
fn deliver_soon() {
    let task = async { drop(spawn_blocking(deliver_waiting).await) };
    // If no thread can be started, the records wait for the next one, or for the end of the
    // process.
    drop(bindings::spawn(task));
}

fn deliver_waiting() {
    let delivery = DELIVERY.wait();
    if !is_ending() {
        attach(|py| while !is_ending() && delivery.deliver_next(py) {});
    }
}

impl LogDelivery {
    /// Delivers one record. Returns whether there was one.
    fn deliver_next(&self, py: Python<'_>) -> bool {
        let Some(record) = self.records.take() else { return false };
        if let Err(error) = self.call(py, record) {
            error.write_unraisable(py, Some(self.deliver.bind(py)));
        }
        true
    }

    fn call(&self, py: Python<'_>, record: LogRecord) -> PyResult<()> {
        let fields = PyDict::new(py);
        for (name, value) in record.fields {
            fields.set_item(name, value)?;
        }
        let duration = record.duration.map(|duration| duration.as_secs_f64());
        self.deliver.call1(py, (record.level, record.target, record.message, fields, duration))?;
        Ok(())
    }
}
