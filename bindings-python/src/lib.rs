//! The native half of the Python package `codex_auth_sdk`: extracts arguments, calls the core,
//! converts answers. What Python sees of it is described in `python/codex_auth_sdk/_native.pyi`.

mod async_manager;
mod bridge;
mod calls;
mod errors;
mod exit;
mod manager;
mod options;
mod outcomes;
mod recovery;
mod snapshot;
mod storage;

/// What `codex_auth_sdk` is made of; import that instead.
#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    use crate::async_manager::AsyncManager;
    #[pymodule_export]
    use crate::bridge::Pending;
    #[pymodule_export]
    use crate::exit::{after_fork, finish};
    #[pymodule_export]
    use crate::manager::AuthManager;
    #[pymodule_export]
    use crate::outcomes::{LogoutOutcome, SyncOutcome};
    #[pymodule_export]
    use crate::recovery::UnauthorizedRecovery;
    #[pymodule_export]
    use crate::snapshot::CodexAuth;
    #[pymodule_export]
    use crate::storage::EphemeralStorage;
}
