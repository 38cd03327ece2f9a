//! Sign-ins that wait for their user. A sign-in ends in this process when its Python object is
//! garbage, also while another thread waits for it.

use codex_auth_sdk::{BrowserLogin as BrowserCore, DeviceLogin as DeviceCore, Result};
use pyo3::prelude::*;

use crate::bridge::{begin_for_user, wait_for_user};
use crate::errors::to_py;
use crate::snapshot::CodexAuth;

/// A sign-in with a browser that waits for its user, by `AuthManager.login_with_browser`.
///
/// It goes on in the background until the login is stored, `cancel` is called, its `with` block is
/// left, or the object is garbage. It may be shared between threads. The exit of the interpreter
/// does not wait for it, and a forked child must start its own.
///
/// Example:
///     with manager.login_with_browser() as login:
///         print(f"Open {login.authorization_url}")
///         auth = login.wait()
#[pyclass(frozen, module = "codex_auth_sdk")]
pub(crate) struct BrowserLogin(pub(crate) BrowserCore);

#[pymethods]
impl BrowserLogin {
    /// The address at which the user signs in. Keep it out of logs.
    #[getter]
    fn authorization_url(&self) -> &str {
        self.0.authorization_url()
    }

    /// The address to which the authorization server redirects the browser after the sign-in.
    #[getter]
    fn redirect_uri(&self) -> &str {
        self.0.redirect_uri()
    }

    /// The id by which `resume_login_with_browser` finishes the sign-in in any process.
    ///
    /// It is `None` unless the sign-in is manual and the store keeps sign-ins, as PostgreSQL does.
    /// Hand it to the user of the sign-in only, in a cookie, say.
    #[getter]
    fn id(&self) -> Option<&str> {
        self.0.id()
    }

    /// Opens the user's browser at a page in a file that leads it on to `authorization_url`.
    ///
    /// Other users of the machine see the command that opens the browser, and cannot read the
    /// file. A browser on another machine cannot either: show its user the address.
    ///
    /// A browser that runs in the terminal blocks this call until it ends.
    ///
    /// Raises `LoginNotSupported` if no browser can be opened.
    fn open_browser(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.0.open_browser()).map_err(|error| to_py(py, &error))
    }

    /// Blocks until the login is stored, and returns its snapshot.
    ///
    /// It may be called again, and by several threads at once. Ctrl-C ends the waiting, not the
    /// sign-in.
    ///
    /// Raises a `LoginError`: `LoginDenied`, `LoginTimeout`, `LoginCancelled`,
    /// `LoginWorkspaceNotAllowed`, `LoginFailed`, `LoginTransient` or `SaveFailed`;
    /// `StoreUnavailable` if a store that keeps sign-ins cannot be asked. The store then holds what
    /// it held before.
    fn wait(&self, py: Python<'_>) -> PyResult<CodexAuth> {
        wait_for_user(py, signed_in(self.0.wait()))
    }

    /// Does what `wait` does without blocking: returns the snapshot, or a `Pending`.
    fn begin_wait(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        begin_for_user(py, signed_in(self.0.wait()))
    }

    /// Completes the sign-in with the address at which the browser arrived, and waits for it.
    ///
    /// `redirected_url` is that address, as the user has pasted it. Returns the snapshot of the
    /// login.
    ///
    /// Raises `LoginStateMismatch` if the address belongs to another sign-in, or `LoginFailed` if
    /// it is no such address; the sign-in then goes on waiting. Else raises the errors of `wait`.
    fn complete(&self, py: Python<'_>, redirected_url: &str) -> PyResult<CodexAuth> {
        wait_for_user(py, signed_in(self.0.complete(redirected_url)))
    }

    /// Does what `complete` does without blocking: returns the snapshot, or a `Pending`.
    fn begin_complete(&self, py: Python<'_>, redirected_url: &str) -> PyResult<Py<PyAny>> {
        begin_for_user(py, signed_in(self.0.complete(redirected_url)))
    }

    /// Cancels the sign-in in all processes, unless its login is being stored already.
    ///
    /// The port is free at once. Callers that wait for it get a `LoginCancelled`.
    fn cancel(&self) {
        self.0.cancel();
    }

    /// Ends the sign-in in this process, as garbage collection does.
    ///
    /// If it has an `id`, it can be resumed until its time is over. Callers that wait for it here
    /// get a `LoginCancelled`.
    fn leave(&self) {
        self.0.leave();
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

/// A sign-in with a device code that waits for its user.
///
/// `AuthManager.login_with_device_code` returns it. It goes on in the background until the login is
/// stored, `cancel` is called, its `with` block is left, or the object is garbage. It may be shared
/// between threads. The exit of the interpreter does not wait for it, and a forked child must start
/// its own.
///
/// Example:
///     with manager.login_with_device_code() as login:
///         print(f"Open {login.verification_uri} and type in {login.user_code}")
///         auth = login.wait()
#[pyclass(frozen, module = "codex_auth_sdk")]
pub(crate) struct DeviceLogin(pub(crate) DeviceCore);

#[pymethods]
impl DeviceLogin {
    /// The code that the user types in. Keep it out of logs.
    #[getter]
    fn user_code(&self) -> &str {
        self.0.user_code()
    }

    /// The address at which the user types the code in.
    #[getter]
    fn verification_uri(&self) -> &str {
        self.0.verification_uri()
    }

    /// The address with the code in it, for a QR code; `None` if the server sends none.
    #[getter]
    fn verification_uri_complete(&self) -> Option<&str> {
        self.0.verification_uri_complete()
    }

    /// The id by which `resume_login_with_device_code` goes on with the sign-in in any process.
    ///
    /// It is `None` unless the store keeps sign-ins, as PostgreSQL does. Hand it to the user of the
    /// sign-in only.
    #[getter]
    fn id(&self) -> Option<&str> {
        self.0.id()
    }

    /// The lifetime of the code in seconds, from its creation or from its resumption here.
    #[getter]
    fn expires_in(&self) -> f64 {
        self.0.expires_in().as_secs_f64()
    }

    /// Blocks until the login is stored, and returns its snapshot.
    ///
    /// It may be called again, and by several threads at once. Ctrl-C ends the waiting, not the
    /// sign-in.
    ///
    /// Raises a `LoginError`: `LoginTimeout` if the code has expired, else the errors of
    /// `BrowserLogin.wait`. The store then holds what it held before.
    fn wait(&self, py: Python<'_>) -> PyResult<CodexAuth> {
        wait_for_user(py, signed_in(self.0.wait()))
    }

    /// Does what `wait` does without blocking: returns the snapshot, or a `Pending`.
    fn begin_wait(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        begin_for_user(py, signed_in(self.0.wait()))
    }

    /// Cancels the sign-in in all processes, unless its login is being stored already.
    ///
    /// Callers that wait for it get a `LoginCancelled`.
    fn cancel(&self) {
        self.0.cancel();
    }

    /// Ends the sign-in in this process, as garbage collection does.
    ///
    /// If it has an `id`, it can be resumed until its time is over. Callers that wait for it here
    /// get a `LoginCancelled`.
    fn leave(&self) {
        self.0.leave();
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

async fn signed_in(
    login: impl Future<Output = Result<codex_auth_sdk::CodexAuth>>,
) -> Result<CodexAuth> {
    login.await.map(CodexAuth)
}
