//! One request's way out of a 401.

use codex_auth_sdk::{GiveUpReason, UnauthorizedRecoveryDecision};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// How far the recovery of one request has come.
///
/// Get a new one from `unauthorized_recovery()` of the manager for every request, and hand it to
/// `recover_from_unauthorized` each time that request is answered with 401. Safe to share between
/// threads: two calls with one recovery run one after the other.
#[pyclass(frozen, module = "codex_auth_sdk")]
#[derive(Clone)]
pub(crate) struct UnauthorizedRecovery(pub(crate) codex_auth_sdk::UnauthorizedRecovery);

#[pymethods]
impl UnauthorizedRecovery {
    /// Why the last call gave up: `not_refreshable`, `refresh_disabled`, `exhausted`,
    /// `logged_out`, `identity_mismatch`, `missing_identity` or `fresh_token_rejected`. `None`
    /// while there is still something to try.
    #[getter]
    fn give_up_reason(&self) -> Option<&'static str> {
        self.0.give_up_reason().map(GiveUpReason::as_str)
    }

    fn __repr__(&self) -> String {
        match self.give_up_reason() {
            Some(reason) => format!("<UnauthorizedRecovery give_up_reason='{reason}'>"),
            None => "<UnauthorizedRecovery>".to_owned(),
        }
    }
}

/// The core's decision on its way to the Python enum of that name.
pub(crate) struct Decision(pub(crate) UnauthorizedRecoveryDecision);

impl<'py> IntoPyObject<'py> for Decision {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        static DECISION: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let module = "codex_auth_sdk._decision";
        DECISION.import(py, module, "UnauthorizedRecoveryDecision")?.call1((self.0.as_str(),))
    }
}
