//! The snapshot of a login that requests are sent with.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::to_py;

/// A login as it was at one moment.
///
/// Immutable, cheap, and safe to share between threads. Managers hand them out; hand the very
/// snapshot that a request was sent with to `recover_from_unauthorized` when it is answered with
/// 401. Its `repr` shows no token, and it cannot be pickled, so that no token ends in a file or in
/// another process by accident.
///
/// Example:
///
///     auth = manager.auth()
///     if auth is not None:
///         response = client.get(f"{auth.base_url}/models", headers=auth.headers())
#[pyclass(frozen, eq, hash, module = "codex_auth_sdk")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct CodexAuth(pub(crate) codex_auth_sdk::CodexAuth);

#[pymethods]
impl CodexAuth {
    /// What kind of credential this is: `chatgpt`, `api_key`, `personal_access_token`,
    /// `agent_identity`, `external_tokens`, `bedrock` or `unknown`.
    #[getter]
    fn mode(&self) -> &'static str {
        self.0.mode().as_str()
    }

    /// The bearer token: the access token, or the API key in mode `api_key`. `None` for a
    /// credential that is not a bearer token.
    #[getter]
    fn access_token(&self) -> Option<&str> {
        self.0.access_token().map(codex_auth_sdk::Secret::expose)
    }

    /// The id of the workspace, if it is known.
    #[getter]
    fn account_id(&self) -> Option<&str> {
        self.0.account_id()
    }

    /// The id of the user, if it is known.
    #[getter]
    fn user_id(&self) -> Option<&str> {
        self.0.user_id()
    }

    /// The user's e-mail address, for display.
    #[getter]
    fn email(&self) -> Option<&str> {
        self.0.email()
    }

    /// The plan, as the server spells it.
    #[getter]
    fn plan_type(&self) -> Option<&str> {
        self.0.plan_type()
    }

    /// When the access token expires, as an aware `datetime` in UTC by the server's clock; `None`
    /// where the token does not say.
    #[getter]
    fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.0.expires_at()
    }

    /// When the tokens were last refreshed, as an aware `datetime` in UTC; `None` where the record
    /// does not say.
    #[getter]
    fn last_refresh(&self) -> Option<DateTime<Utc>> {
        self.0.last_refresh()
    }

    /// Whether the workspace is a FedRAMP one.
    #[getter]
    fn is_fedramp(&self) -> bool {
        self.0.is_fedramp()
    }

    /// Where requests with this credential go; `None` for a credential that is not a bearer token.
    #[getter]
    fn base_url(&self) -> Option<&'static str> {
        self.0.base_url()
    }

    /// The headers of a request with this credential, in a new dict: `Authorization`, and for
    /// ChatGPT logins `ChatGPT-Account-ID`, `X-OpenAI-Fedramp` and `originator`. They hold the
    /// token: keep them out of logs.
    ///
    /// Raises `UnsupportedMode` where the credential is not a bearer token, or where it or the
    /// account id cannot stand in a header.
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let headers = PyDict::new(py);
        for (name, value) in self.0.headers().map_err(|error| to_py(py, &error))? {
            headers.set_item(name, value.expose())?;
        }
        Ok(headers)
    }

    pub(crate) fn __repr__(&self) -> String {
        let mut text = format!("<CodexAuth mode='{}'", self.mode());
        if let Some(account_id) = self.account_id() {
            write!(text, " account_id={account_id:?}").expect("a String takes all text");
        }
        if let Some(expires_at) = self.expires_at() {
            write!(text, " expires_at='{expires_at}'").expect("a String takes all text");
        }
        text + ">"
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "a CodexAuth holds a token and cannot be pickled; open a manager in each process",
        ))
    }
}
