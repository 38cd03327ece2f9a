//! The authorization of one HTTP request.

use codex_auth_sdk::RequestAuthorization as Core;
use pyo3::prelude::*;

use crate::bridge::{begin, wait};
use crate::calls;
use crate::snapshot::CodexAuth;

/// The authorization of one HTTP request, for HTTP integrations.
///
/// It says which snapshot the request is sent with, and whether the request is repeated. An HTTP
/// integration gets one from `AuthManager.authorize` for each request. It may be shared between
/// threads.
///
/// Example:
///     auth = authorization.auth()
///     while auth is not None:
///         response = send(headers=auth.headers())
///         auth = authorization.retry_auth(auth, response.status)
#[pyclass(frozen, module = "codex_auth_sdk")]
pub(crate) struct RequestAuthorization(pub(crate) Core);

#[pymethods]
impl RequestAuthorization {
    /// Returns the snapshot to send the request with, refreshed like that of `fresh_auth`.
    ///
    /// Raises `LoginRequired` if no login is stored, `OriginNotAllowed` if the credential must not
    /// be sent to the request's origin, and the errors of `AuthManager.fresh_auth`.
    fn auth(&self, py: Python<'_>) -> PyResult<CodexAuth> {
        wait(py, calls::auth(self.0.clone()))
    }

    /// Does what `auth` does without blocking: returns the snapshot, or a `Pending`.
    fn begin_auth(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        begin(py, calls::auth(self.0.clone()))
    }

    /// Returns the snapshot to repeat the request with, or `None` if its response is final.
    ///
    /// The request was sent with `auth` and answered with the HTTP status `status`. Only a 401
    /// leads to a repetition, and one request is repeated at most twice. An integration calls this
    /// also for a request whose body cannot be sent again: the recovery makes the next request
    /// work.
    ///
    /// Raises the errors of `AuthManager.recover_from_unauthorized`.
    fn retry_auth(
        &self,
        py: Python<'_>,
        auth: &CodexAuth,
        status: u16,
    ) -> PyResult<Option<CodexAuth>> {
        wait(py, calls::retry_auth(self.0.clone(), auth.clone(), status))
    }

    /// Does what `retry_auth` does without blocking: returns its result, or a `Pending`.
    fn begin_retry_auth(
        &self,
        py: Python<'_>,
        auth: &CodexAuth,
        status: u16,
    ) -> PyResult<Py<PyAny>> {
        begin(py, calls::retry_auth(self.0.clone(), auth.clone(), status))
    }
}
