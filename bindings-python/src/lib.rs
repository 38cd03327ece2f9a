//! The native half of the Python package `codex_auth_sdk`: extracts arguments, calls the core,
//! converts answers. What Python sees of it is described in `python/codex_auth_sdk/_native.pyi`.

mod async_manager;
mod authorization;
mod background;
mod bridge;
mod calls;
mod custom;
mod errors;
mod events;
mod exit;
mod interpreter;
mod log;
mod login;
mod login_options;
mod manager;
mod options;
mod outcomes;
mod recovery;
mod snapshot;
mod stats;
mod storage;

use pyo3::prelude::*;

/// What `codex_auth_sdk` is made of; import that instead.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // Before any type is made.
    interpreter::require_main(module.py())?;
    module.add("MANAGED_API_KEY", codex_auth_sdk::MANAGED_API_KEY)?;
    module.add_class::<async_manager::AsyncManager>()?;
    module.add_class::<authorization::RequestAuthorization>()?;
    module.add_class::<background::FollowStore>()?;
    module.add_class::<background::KeepFresh>()?;
    module.add_class::<bridge::Pending>()?;
    module.add_class::<custom::StoreCalls>()?;
    module.add_class::<custom::StoreReply>()?;
    module.add_class::<events::Event>()?;
    module.add_class::<events::Subscription>()?;
    module.add_class::<login::BrowserLogin>()?;
    module.add_class::<login::DeviceLogin>()?;
    module.add_class::<manager::AuthManager>()?;
    module.add_class::<outcomes::LogoutOutcome>()?;
    module.add_class::<outcomes::StoreHolder>()?;
    module.add_class::<outcomes::SyncOutcome>()?;
    module.add_class::<recovery::UnauthorizedRecovery>()?;
    module.add_class::<snapshot::CodexAuth>()?;
    module.add_class::<stats::Stats>()?;
    module.add_class::<storage::EphemeralStorage>()?;
    module.add_function(wrap_pyfunction!(custom::broken_by, module)?)?;
    module.add_function(wrap_pyfunction!(exit::after_fork, module)?)?;
    module.add_function(wrap_pyfunction!(exit::after_fork_in_parent, module)?)?;
    module.add_function(wrap_pyfunction!(exit::before_fork, module)?)?;
    module.add_function(wrap_pyfunction!(exit::finish, module)?)?;
    module.add_function(wrap_pyfunction!(log::deliver_log, module)?)
}
