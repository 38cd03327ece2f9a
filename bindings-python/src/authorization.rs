//! One request's authorization, for the HTTP integrations.

use codex_auth_sdk::RequestAuthorization as Core;
use pyo3::prelude::*;

use crate::bridge::{begin, wait};
use crate::calls;
use crate::snapshot::CodexAuth;

/// With what a request is sent, and whether it is sent again: by `AuthManager.authorize`, for HTTP
/// integrations. Get a new one for every request. Safe to share between threads.
///
/// Example:
///
///     auth = authorization.auth()
///     while auth is not None:
///         response = send(headers=auth.headers())
///         auth = authorization.retry_auth(auth, response.status)
#[pyclass(frozen, module = "codex_auth_sdk")]
pub(crate) struct RequestAuthorization(pub(crate) Core);

#[pymethods]
impl RequestAuthorization {
    /// The snapshot to send the request with, fresh as by `AuthManager.fresh_auth`.
    ///
    /// Raises `LoginRequired` while nobody is signed in, `OriginNotAllowed` where this credential may
    /// not go there, else what `AuthManager.fresh_auth` raises.
    fn auth(&self, py: Python<'_>) -> PyResult<CodexAuth> {
        wait(py, calls::auth(self.0.clone()))
    }

    /// `auth` for an event loop: at once, or with a `Pending`.
    fn begin_auth(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        begin(py, calls::auth(self.0.clone()))
    }

    /// The snapshot to send the request again with, after it was sent with `auth` and answered with
    /// `status`; `None` where that is the final response. Only 401 is ever recovered from, at most
    /// twice for one request. A request whose body cannot be sent again asks all the same, so that
    /// the next one works.
    ///
    /// Raises what `AuthManager.recover_from_unauthorized` raises.
    fn retry_auth(
        &self,
        py: Python<'_>,
        auth: &CodexAuth,
        status: u16,
    ) -> PyResult<Option<CodexAuth>> {
        wait(py, calls::retry_auth(self.0.clone(), auth.clone(), status))
    }

    /// `retry_auth` for an event loop: at once, or with a `Pending`.
    fn begin_retry_auth(
        &self,
        py: Python<'_>,
        auth: &CodexAuth,
        status: u16,
    ) -> PyResult<Py<PyAny>> {
        begin(py, calls::retry_auth(self.0.clone(), auth.clone(), status))
    }
}
