//! What a look at the store and a logout came to.

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

fn spelled(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}
