//! Sign-ins that wait for their user. Each ends with its object, also while somebody waits for it.

use codex_auth_sdk::{BrowserLogin as BrowserCore, DeviceLogin as DeviceCore};
use pyo3::prelude::*;

use crate::bridge::{begin_for_user, wait_for_user};
use crate::calls;
use crate::errors::to_py;
use crate::snapshot::CodexAuth;

/// A sign-in that waits for a browser: by `AuthManager.login_with_browser`.
///
/// It goes on in the background until it is done, `cancel()` is called, a `with` block of it is
/// left, or it is garbage. Safe to share between threads. It belongs to its process: the exit does
/// not wait for it, and a forked child has to begin its own.
///
/// Example:
///
///     with manager.login_with_browser() as login:
///         print(f"Open {login.authorization_url}")
///         auth = login.wait()
#[pyclass(frozen, module = "codex_auth_sdk")]
pub(crate) struct BrowserLogin(pub(crate) BrowserCore);

#[pymethods]
impl BrowserLogin {
    /// Where the browser is to go. It is for the user: keep it out of logs.
    #[getter]
    fn authorization_url(&self) -> &str {
        self.0.authorization_url()
    }

    /// Where the browser comes back to.
    #[getter]
    fn redirect_uri(&self) -> &str {
        self.0.redirect_uri()
    }

    /// Opens the user's browser at `authorization_url`; waits for one in the terminal.
    ///
    /// Raises `LoginNotSupported` where none can be opened.
    fn open_browser(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.0.open_browser()).map_err(|error| to_py(py, &error))
    }

    /// Waits until the login is stored, and returns its snapshot. May be called again, and by
    /// several threads at once. Ctrl-C ends the waiting and not the sign-in.
    ///
    /// Raises `LoginDenied`, `LoginTimeout`, `LoginCancelled`, `LoginWorkspaceNotAllowed`,
    /// `LoginFailed`, `LoginTransient`, `SaveFailed`: a `LoginError`. In all cases the store is what
    /// it was.
    fn wait(&self, py: Python<'_>) -> PyResult<CodexAuth> {
        wait_for_user(py, calls::signed_in(self.0.wait()))
    }

    /// `wait` for an event loop: at once, or with a `Pending`.
    fn begin_wait(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        begin_for_user(py, calls::signed_in(self.0.wait()))
    }

    /// Goes on with the address that the browser ended up at, as its user has pasted it, and waits.
    ///
    /// Raises `LoginStateMismatch` where it is of another sign-in, `LoginFailed` where it is no such
    /// address: both leave this one waiting. Else what `wait` raises.
    fn complete(&self, py: Python<'_>, redirected_url: &str) -> PyResult<CodexAuth> {
        wait_for_user(py, calls::signed_in(self.0.complete(redirected_url)))
    }

    /// `complete` for an event loop.
    fn begin_complete(&self, py: Python<'_>, redirected_url: &str) -> PyResult<Py<PyAny>> {
        begin_for_user(py, calls::signed_in(self.0.complete(redirected_url)))
    }

    /// Ends it, unless the login is being stored already; who waits gets a `LoginCancelled`. The port
    /// is free at once.
    fn cancel(&self) {
        self.0.cancel();
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, _exception: &Bound<'_, PyAny>) {
        self.cancel();
    }

    fn __repr__(&self) -> String {
        format!("<BrowserLogin redirect_uri='{}'>", self.redirect_uri())
    }
}

/// A sign-in that waits for a user to type a code in: by `AuthManager.login_with_device_code`. It
/// goes on and ends as a `BrowserLogin` does.
///
/// Example:
///
///     with manager.login_with_device_code() as login:
///         print(f"Open {login.verification_uri} and type in {login.user_code}")
///         auth = login.wait()
#[pyclass(frozen, module = "codex_auth_sdk")]
pub(crate) struct DeviceLogin(pub(crate) DeviceCore);

#[pymethods]
impl DeviceLogin {
    /// What the user types in. It is for the user: keep it out of logs.
    #[getter]
    fn user_code(&self) -> &str {
        self.0.user_code()
    }

    /// Where.
    #[getter]
    fn verification_uri(&self) -> &str {
        self.0.verification_uri()
    }

    /// The same with the code in it, for a QR code, say; `None` where the server has none.
    #[getter]
    fn verification_uri_complete(&self) -> Option<&str> {
        self.0.verification_uri_complete()
    }

    /// How many seconds the code is good, from when it was made.
    #[getter]
    fn expires_in(&self) -> f64 {
        self.0.expires_in().as_secs_f64()
    }

    /// Waits until the login is stored; see `BrowserLogin.wait`. `LoginTimeout` where the code has
    /// expired.
    fn wait(&self, py: Python<'_>) -> PyResult<CodexAuth> {
        wait_for_user(py, calls::signed_in(self.0.wait()))
    }

    /// `wait` for an event loop: at once, or with a `Pending`.
    fn begin_wait(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        begin_for_user(py, calls::signed_in(self.0.wait()))
    }

    /// Ends it, unless the login is being stored already; who waits gets a `LoginCancelled`.
    fn cancel(&self) {
        self.0.cancel();
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, _exception: &Bound<'_, PyAny>) {
        self.cancel();
    }

    fn __repr__(&self) -> String {
        format!("<DeviceLogin verification_uri='{}'>", self.verification_uri())
    }
}
