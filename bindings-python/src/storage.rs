//! A store in memory.

use codex_auth_sdk::storage::AuthDotJson;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::{to_py, wrong_type};

/// A store in memory, for tests and for programs that keep the login somewhere else.
///
/// `record` is the content of an `auth.json`, as JSON text, UTF-8 bytes or a dict. With `None`, the
/// default, the store holds no login. All managers that get this object as their `store` share its
/// login. It may be shared between threads. A forked child has a copy of its own.
///
/// Raises `InvalidOption` if `record` is not a Codex login.
///
/// Example:
///     store = EphemeralStorage({"OPENAI_API_KEY": "sk-example"})
///     manager = AuthManager(store=store)
#[pyclass(frozen, module = "codex_auth_sdk")]
pub(crate) struct EphemeralStorage(pub(crate) codex_auth_sdk::storage::EphemeralStorage);

#[pymethods]
impl EphemeralStorage {
    #[new]
    #[pyo3(signature = (record=None))]
    fn new(record: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let record = record.map(parse).transpose()?;
        Ok(Self(codex_auth_sdk::storage::EphemeralStorage::new(record)))
    }

    /// Returns the stored login as the JSON text of an `auth.json`, or `None`.
    ///
    /// It contains tokens: keep it out of logs.
    fn record(&self) -> Option<String> {
        self.0.record().map(|record| record.to_json_pretty().expose().to_owned())
    }

    /// Replaces the stored login by `record`. `None` removes it.
    ///
    /// Raises `InvalidOption` if `record` is not a Codex login; the stored login then stays.
    fn replace(&self, record: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.0.replace(record.map(parse).transpose()?);
        Ok(())
    }

    fn __repr__(&self) -> &'static str {
        match self.0.record() {
            Some(_) => "<EphemeralStorage with a login>",
            None => "<EphemeralStorage without a login>",
        }
    }
}

fn parse(record: &Bound<'_, PyAny>) -> PyResult<AuthDotJson> {
    let py = record.py();
    let json = match record.cast::<PyDict>() {
        Ok(record) => py.import("json")?.call_method1("dumps", (record,))?,
        Err(_) => record.clone(),
    };
    let parsed = if let Ok(text) = json.extract::<&str>() {
        AuthDotJson::parse(text.as_bytes())
    } else if let Ok(bytes) = json.extract::<&[u8]>() {
        AuthDotJson::parse(bytes)
    } else {
        return Err(wrong_type("record", "a str, bytes, a dict or None", record));
    };
    parsed.map_err(|error| to_py(py, &error.into()))
}
