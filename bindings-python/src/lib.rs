//! The compiled half of the Python package `codex_auth_sdk`.
//!
//! It extracts arguments, calls the core and converts answers; it decides nothing. The stub
//! `python/codex_auth_sdk/_native.pyi` tells type checkers what Python sees of it.

mod async_manager;
mod authorization;
mod background;
mod bridge;
mod calls;
mod command;
mod custom_store;
mod duration;
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
mod raised;
mod recovery;
mod snapshot;
mod stats;
mod storage;

use pyo3::prelude::*;

/// The compiled half of `codex_auth_sdk`. Programs import `codex_auth_sdk` instead.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // This comes before the first type is made: a type belongs to one interpreter.
    interpreter::require_main(module.py())?;
    // The package registers `finish` for the end of the interpreter.
    codex_auth_sdk::bindings::expect_finish();
    module.add("MANAGED_API_KEY", codex_auth_sdk::MANAGED_API_KEY)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<async_manager::AsyncManager>()?;
    module.add_class::<authorization::RequestAuthorization>()?;
    module.add_class::<background::FollowStore>()?;
    module.add_class::<background::KeepFresh>()?;
    module.add_class::<bridge::Pending>()?;
    module.add_class::<custom_store::StoreCalls>()?;
    module.add_class::<custom_store::StoreReply>()?;
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
    module.add_function(wrap_pyfunction!(command::run_command, module)?)?;
    module.add_function(wrap_pyfunction!(custom_store::broken_by, module)?)?;
    module.add_function(wrap_pyfunction!(exit::after_fork, module)?)?;
    module.add_function(wrap_pyfunction!(exit::after_fork_in_parent, module)?)?;
    module.add_function(wrap_pyfunction!(exit::before_fork, module)?)?;
    module.add_function(wrap_pyfunction!(exit::expect_unseen_exit, module)?)?;
    module.add_function(wrap_pyfunction!(exit::finish, module)?)?;
    module.add_function(wrap_pyfunction!(log::deliver_log, module)?)
}
