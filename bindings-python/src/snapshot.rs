//! Snapshots of a login, which requests are sent with.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::to_py;

/// A snapshot of a login: its tokens and account as they were at one moment.
///
/// A manager hands snapshots out. A program sends a request with one, and passes that same snapshot
/// to `recover_from_unauthorized` if the request is answered with 401. A snapshot is immutable and
/// may be shared between threads. A snapshot equals only itself, and copies as itself. The `repr`
/// shows no token, and a snapshot cannot be pickled, so that no token gets into a file or another
/// process by accident.
///
/// Example:
///     auth = manager.auth()
///     if auth is not None:
///         response = client.get(f"{auth.base_url}/models", headers=auth.headers())
#[pyclass(frozen, eq, hash, module = "codex_auth_sdk")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct CodexAuth(pub(crate) codex_auth_sdk::CodexAuth);

#[pymethods]
impl CodexAuth {
    /// The kind of credential.
    ///
    /// - `chatgpt`: a ChatGPT login, the only kind that managers refresh.
    /// - `api_key`: an OpenAI API key.
    /// - `personal_access_token`: a token that its user has created for programs.
    /// - `agent_identity`: the signing key of an agent; it is not a bearer token.
    /// - `external_tokens`: ChatGPT tokens that another program refreshes.
    /// - `bedrock`: a credential of Amazon Bedrock.
    /// - `unknown`: a kind that this version does not know.
    #[getter]
    fn mode(&self) -> &'static str {
        self.0.mode().as_str()
    }

    /// The bearer token (RFC 6750): the access token, or the API key in the mode `api_key`.
    ///
    /// `None` for a credential that is not a bearer token.
    #[getter]
    fn access_token(&self) -> Option<&str> {
        self.0.access_token().map(codex_auth_sdk::Secret::expose)
    }

    /// The id of the ChatGPT workspace that requests are made for. `None` if it is not known.
    #[getter]
    fn account_id(&self) -> Option<&str> {
        self.0.account_id()
    }

    /// The id of the user. `None` if the tokens do not name one.
    #[getter]
    fn user_id(&self) -> Option<&str> {
        self.0.user_id()
    }

    /// The user's e-mail address, for display. `None` if the tokens do not name one.
    #[getter]
    fn email(&self) -> Option<&str> {
        self.0.email()
    }

    /// The ChatGPT plan, as the server spells it, such as `plus`. `None` if it is not known.
    #[getter]
    fn plan_type(&self) -> Option<&str> {
        self.0.plan_type()
    }

    /// When the access token expires, as an aware `datetime` in UTC by the server's clock.
    ///
    /// `None` if the token does not say.
    #[getter]
    fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.0.expires_at()
    }

    /// When a program last refreshed the tokens, as an aware `datetime` in UTC.
    ///
    /// `None` if the stored record does not say.
    #[getter]
    fn last_refresh(&self) -> Option<DateTime<Utc>> {
        self.0.last_refresh()
    }

    /// Whether the workspace is subject to FedRAMP.
    #[getter]
    fn is_fedramp(&self) -> bool {
        self.0.is_fedramp()
    }

    /// The base URL of the API for this credential; `None` if it is not a bearer token.
    #[getter]
    fn base_url(&self) -> Option<&'static str> {
        self.0.base_url()
    }

    /// Returns the headers that authorize a request, in a new dict. They contain the token.
    ///
    /// They are `Authorization` and, for ChatGPT logins, `ChatGPT-Account-ID`, `originator` and,
    /// where `is_fedramp` is true, `X-OpenAI-Fedramp`.
    ///
    /// Raises `UnsupportedMode` if the credential is not a bearer token, or if it or the account id
    /// contains characters that a header cannot have.
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

    // A snapshot never changes, so a copy of it is the snapshot itself.
    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __deepcopy__(slf: Py<Self>, _memo: &Bound<'_, PyDict>) -> Py<Self> {
        slf
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "a CodexAuth holds a token and cannot be pickled; open a manager in each process",
        ))
    }
}
