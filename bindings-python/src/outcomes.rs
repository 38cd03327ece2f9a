//! The results of `sync_from_storage` and `logout`, and which store holds a login.

use pyo3::prelude::*;

/// The result of `sync_from_storage`: how the stored login relates to the caller's snapshot.
///
/// It is immutable and compares by value.
#[pyclass(frozen, eq, hash, module = "codex_auth_sdk")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct SyncOutcome {
    /// How the stored login relates to the snapshot.
    ///
    /// - `applied`: it is the snapshot's own login.
    /// - `logged_out`: no login is stored.
    /// - `identity_mismatch`: it belongs to another user or workspace, or is an API key.
    /// - `skipped_missing_identity`: it does not say to which user it belongs, so the request must
    ///   not be repeated with it.
    #[pyo3(get)]
    kind: &'static str,
    /// Whether the manager has replaced its snapshot by newer tokens of the snapshot's login.
    #[pyo3(get)]
    changed: bool,
}

#[pymethods]
impl SyncOutcome {
    fn __repr__(&self) -> String {
        format!("SyncOutcome(kind='{}', changed={})", self.kind, python_bool(self.changed))
    }
}

impl From<codex_auth_sdk::SyncOutcome> for SyncOutcome {
    fn from(outcome: codex_auth_sdk::SyncOutcome) -> Self {
        Self { kind: outcome.kind(), changed: outcome.changed() }
    }
}

/// The result of `logout`. It is immutable and compares by value.
#[pyclass(frozen, eq, hash, get_all, module = "codex_auth_sdk")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct LogoutOutcome {
    /// Whether the store held a login, which was removed.
    removed: bool,
    /// Whether the authorization server has confirmed that it revoked the tokens.
    revoked: bool,
}

#[pymethods]
impl LogoutOutcome {
    fn __repr__(&self) -> String {
        let (removed, revoked) = (python_bool(self.removed), python_bool(self.revoked));
        format!("LogoutOutcome(removed={removed}, revoked={revoked})")
    }
}

impl From<codex_auth_sdk::LogoutOutcome> for LogoutOutcome {
    fn from(outcome: codex_auth_sdk::LogoutOutcome) -> Self {
        Self { removed: outcome.removed, revoked: outcome.revoked }
    }
}

/// Which kind of store holds the login, where the store `auto` chooses between two.
///
/// It is immutable and compares by value.
#[pyclass(frozen, eq, hash, module = "codex_auth_sdk")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct StoreHolder {
    /// The kind of store that holds the login: `file`, `keyring` or `encrypted`.
    ///
    /// Without a login, it is the kind that the next login is written to.
    #[pyo3(get)]
    kind: &'static str,
    /// Why this is not the preferred kind of store. `None` if it is the preferred one.
    #[pyo3(get)]
    reason: Option<String>,
}

#[pymethods]
impl StoreHolder {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let reason = self.reason.as_ref().into_pyobject(py)?.repr()?;
        Ok(format!("StoreHolder(kind='{}', reason={reason})", self.kind))
    }
}

impl From<codex_auth_sdk::storage::StoreHolder> for StoreHolder {
    fn from(holder: codex_auth_sdk::storage::StoreHolder) -> Self {
        Self { kind: holder.kind.name(), reason: holder.reason }
    }
}

fn python_bool(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}
