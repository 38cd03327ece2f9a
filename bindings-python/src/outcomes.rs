//! What a look at the store and a logout came to, and where the login is.

use pyo3::prelude::*;

/// How the stored login relates to the snapshot that a call was about.
///
/// Immutable; two outcomes of one kind and change are equal.
#[pyclass(frozen, eq, hash, module = "codex_auth_sdk")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct SyncOutcome {
    /// `skipped_missing_identity`: nothing shows whose login is stored, so it was not adopted.
    /// `logged_out`: nobody is signed in. `identity_mismatch`: the store holds another account's
    /// login, or an API key. `applied`: the same login.
    #[pyo3(get)]
    kind: &'static str,
    /// Whether the manager's snapshot was replaced by newer tokens of the same login.
    #[pyo3(get)]
    changed: bool,
}

#[pymethods]
impl SyncOutcome {
    fn __repr__(&self) -> String {
        format!("SyncOutcome(kind='{}', changed={})", self.kind, spelled(self.changed))
    }
}

impl From<codex_auth_sdk::SyncOutcome> for SyncOutcome {
    fn from(outcome: codex_auth_sdk::SyncOutcome) -> Self {
        Self { kind: outcome.kind(), changed: outcome.changed() }
    }
}

/// What a logout did. Immutable; outcomes compare by value.
#[pyclass(frozen, eq, hash, get_all, module = "codex_auth_sdk")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct LogoutOutcome {
    /// Whether a login was removed from the store.
    removed: bool,
    /// Whether the server confirmed a revocation.
    revoked: bool,
}

#[pymethods]
impl LogoutOutcome {
    fn __repr__(&self) -> String {
        let (removed, revoked) = (spelled(self.removed), spelled(self.revoked));
        format!("LogoutOutcome(removed={removed}, revoked={revoked})")
    }
}

impl From<codex_auth_sdk::LogoutOutcome> for LogoutOutcome {
    fn from(outcome: codex_auth_sdk::LogoutOutcome) -> Self {
        Self { removed: outcome.removed, revoked: outcome.revoked }
    }
}

/// Where a store that chooses, `auto`, has found the login. Immutable; compares by value.
#[pyclass(frozen, eq, hash, module = "codex_auth_sdk")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct StoreHolder {
    /// The kind of store that holds it, or would be written next.
    #[pyo3(get)]
    kind: &'static str,
    /// Why it is not the preferred one; `None` if it is.
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

impl From<codex_auth_sdk::StoreHolder> for StoreHolder {
    fn from(holder: codex_auth_sdk::StoreHolder) -> Self {
        Self { kind: holder.kind.name(), reason: holder.reason }
    }
}

fn spelled(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}
