//! The compiled half of `codex_auth_sdk.aio.AsyncAuthManager`.
//!
//! No method blocks: each returns its answer if that is ready, else a `Pending`, which the Python
//! half awaits.

use codex_auth_sdk::{AuthManager as Core, Result};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::authorization::RequestAuthorization;
use crate::background::{BackgroundTasks, FollowStore, KeepFresh};
use crate::bridge::{begin, begin_for_user};
use crate::errors::to_py;
use crate::events::{self, Subscription};
use crate::outcomes::StoreHolder;
use crate::recovery::UnauthorizedRecovery;
use crate::snapshot::CodexAuth;
use crate::stats::Stats;
use crate::{calls, login_options, options};

/// The compiled half of `AsyncAuthManager`. No method of it blocks.
#[pyclass(frozen, module = "codex_auth_sdk._native")]
pub(crate) struct AsyncManager(Core, BackgroundTasks);

#[pymethods]
impl AsyncManager {
    /// Reads a file or a store in memory once. Other stores need `open`.
    #[new]
    #[pyo3(signature = (**options))]
    fn new(py: Python<'_>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let builder = options::builder(options)?;
        py.detach(|| builder.build_now()).map(Self::from).map_err(|error| to_py(py, &error))
    }

    /// Reads any store: returns the manager, or a `Pending`.
    #[staticmethod]
    #[pyo3(signature = (**options))]
    fn open(py: Python<'_>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Py<PyAny>> {
        let build = calls::build(options::builder(options)?);
        begin(py, async { build.await.map(Self::from) as Result<Self> })
    }

    /// Does not read the store.
    #[staticmethod]
    #[pyo3(signature = (**options))]
    fn open_unread(py: Python<'_>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        options::build_unread(py, options).map(Self::from)
    }

    fn auth(&self) -> Option<CodexAuth> {
        self.0.auth().map(CodexAuth)
    }

    fn fresh_auth_if_ready(&self) -> Option<CodexAuth> {
        self.0.fresh_auth_if_ready().map(CodexAuth)
    }

    fn fresh_auth(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        begin(py, calls::fresh_auth(self.0.clone()))
    }

    fn reload(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        begin(py, calls::reload(self.0.clone()))
    }

    fn sync_from_storage(&self, py: Python<'_>, auth: &CodexAuth) -> PyResult<Py<PyAny>> {
        begin(py, calls::sync_from_storage(self.0.clone(), auth.clone()))
    }

    fn refresh_token(&self, py: Python<'_>, auth: &CodexAuth) -> PyResult<Py<PyAny>> {
        begin(py, calls::refresh_token(self.0.clone(), auth.clone()))
    }

    fn authorize(&self, url: &str, authorization: Option<&str>) -> Option<RequestAuthorization> {
        self.0.authorize(url, authorization.map(str::as_bytes)).map(RequestAuthorization)
    }

    fn unauthorized_recovery(&self) -> UnauthorizedRecovery {
        UnauthorizedRecovery(self.0.unauthorized_recovery())
    }

    fn recover_from_unauthorized(
        &self,
        py: Python<'_>,
        auth: &CodexAuth,
        recovery: &UnauthorizedRecovery,
    ) -> PyResult<Py<PyAny>> {
        let (auth, recovery) = (auth.clone(), recovery.clone());
        begin(py, calls::recover_from_unauthorized(self.0.clone(), auth, recovery))
    }

    fn keep_fresh(&self) -> KeepFresh {
        self.1.keep_fresh(&self.0)
    }

    fn follow_store(&self) -> FollowStore {
        self.1.follow_store(&self.0)
    }

    fn subscribe(&self, deliver: Py<PyAny>) -> Subscription {
        events::subscribe_on_request(&self.0, deliver)
    }

    fn stats(&self) -> Stats {
        self.0.stats().into()
    }

    fn describe(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        begin(py, calls::describe(self.0.clone()))
    }

    #[pyo3(signature = (**options))]
    fn login_with_browser(
        &self,
        py: Python<'_>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        begin_for_user(
            py,
            calls::login_with_browser(self.0.clone(), login_options::browser(options)?),
        )
    }

    #[pyo3(signature = (**options))]
    fn login_with_device_code(
        &self,
        py: Python<'_>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        begin_for_user(
            py,
            calls::login_with_device_code(self.0.clone(), login_options::device(options)?),
        )
    }

    fn resume_login_with_browser(&self, py: Python<'_>, sign_in_id: String) -> PyResult<Py<PyAny>> {
        begin_for_user(py, calls::resume_login_with_browser(self.0.clone(), sign_in_id))
    }

    fn resume_login_with_device_code(
        &self,
        py: Python<'_>,
        sign_in_id: String,
    ) -> PyResult<Py<PyAny>> {
        begin_for_user(py, calls::resume_login_with_device_code(self.0.clone(), sign_in_id))
    }

    fn login_with_api_key(
        &self,
        py: Python<'_>,
        api_key: &Bound<'_, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        let api_key = options::secret("api_key", api_key)?;
        begin(py, calls::login_with_api_key(self.0.clone(), api_key))
    }

    fn login_with_access_token(
        &self,
        py: Python<'_>,
        access_token: &Bound<'_, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        let access_token = options::secret("access_token", access_token)?;
        begin(py, calls::login_with_access_token(self.0.clone(), access_token))
    }

    fn logout(&self, py: Python<'_>, revoke: bool, any_account: bool) -> PyResult<Py<PyAny>> {
        begin(py, calls::logout(self.0.clone(), options::logout(revoke, any_account)))
    }

    fn close(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
        begin(py, calls::close(self.0.clone(), options::close_timeout(timeout)?))
    }

    #[getter]
    fn store_holder(&self) -> Option<StoreHolder> {
        self.0.store_holder().map(StoreHolder::from)
    }

    #[getter]
    fn pending_save(&self) -> bool {
        self.0.pending_save()
    }
}

impl From<Core> for AsyncManager {
    fn from(core: Core) -> Self {
        Self(core, BackgroundTasks::default())
    }
}
