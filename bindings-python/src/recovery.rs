//! The recovery of one request from 401 Unauthorized.

use codex_auth_sdk::{GiveUpReason, UnauthorizedRecoveryDecision};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// The state of one request's recovery from 401: it remembers which steps were tried.
///
/// Get a new one from `AuthManager.unauthorized_recovery` for each request, and pass it to
/// `recover_from_unauthorized` each time the request is answered with 401. It may be shared between
/// threads: two calls with one recovery run one after the other.
#[pyclass(frozen, module = "codex_auth_sdk")]
#[derive(Clone)]
pub(crate) struct UnauthorizedRecovery(pub(crate) codex_auth_sdk::UnauthorizedRecovery);

#[pymethods]
impl UnauthorizedRecovery {
    /// Why `recover_from_unauthorized` gave up. `None` as long as it did not.
    ///
    /// - `not_refreshable`: the manager cannot replace the credential: it is a key, or it came
    ///   without a refresh token and the program that renews it has not done so.
    /// - `refresh_disabled`: the manager has the option `refresh="never"`, and no other program has
    ///   stored new tokens.
    /// - `exhausted`: the request was already repeated with a refreshed token.
    /// - `logged_out`: no login is stored any more.
    /// - `identity_mismatch`: the stored login belongs to another user or workspace, or is another
    ///   key.
    /// - `missing_identity`: the stored login does not say to which user it belongs.
    /// - `fresh_token_rejected`: the API rejects tokens that have not expired, and several of them
    ///   were replaced lately, so another refresh is pointless for some time.
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

/// Converts a decision of the core to the Python enum `UnauthorizedRecoveryDecision`.
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
