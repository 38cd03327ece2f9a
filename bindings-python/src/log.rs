//! What the core traces, on its way to `logging`.

use std::sync::OnceLock;

use codex_auth_sdk::worker::OwnThread;
use codex_auth_sdk::{LogRecord, LogRecords, Spawner};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::task::spawn_blocking;

use crate::bridge::{attach, is_ending};

/// There from the first time on that somebody asks for it.
static BRIDGE: OnceLock<Bridge> = OnceLock::new();

struct Bridge {
    records: LogRecords,
    deliver: Py<PyAny>,
}

/// Calls `deliver(level, target, message, fields, duration)` with all that is traced from now on, in
/// a thread that is not the caller's, and in that of `finish` for what is left by then. A second call
/// changes nothing.
#[pyfunction]
pub(crate) fn deliver_log(deliver: Py<PyAny>) {
    BRIDGE.get_or_init(|| Bridge { records: LogRecords::start(wake), deliver });
}

/// Delivers what is left when the process ends.
pub(crate) fn deliver_rest(py: Python<'_>) {
    if let Some(bridge) = BRIDGE.get() {
        while bridge.deliver_next(py) {}
    }
}

/// The core's thread must never wait for the interpreter. The end of the process waits for this, so
/// that it does not meet an ending one.
fn wake() {
    let task = async { drop(spawn_blocking(deliver_waiting).await) };
    // Without a thread there is nobody to tell.
    drop(OwnThread.spawn(Box::pin(task)));
}

fn deliver_waiting() {
    let bridge = BRIDGE.wait();
    if !is_ending() {
        attach(|py| while !is_ending() && bridge.deliver_next(py) {});
    }
}

impl Bridge {
    /// Whether there was a record.
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
