//! Plumbing for the bindings to other languages, which live in this repository.
//!
//! Programs must not use it: it changes whenever the bindings need it to.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use crate::environment::BoxFuture;
#[cfg(feature = "log-hook")]
pub use crate::log_hook::{LogRecord, LogRecords};
use crate::manager::AuthManager;
pub use crate::option_value::{milliseconds, seconds};
pub use crate::process::{
    ForkHold, Lane, PerProcess, after_fork, after_fork_in_parent, before_fork, expect_finish,
    expect_unseen_exit, finish, handle, hold_forks, spawn, spawn_read,
};
use crate::state::Event;
pub use crate::state::{EventParts, Subscription};
#[cfg(feature = "conformance")]
use crate::storage::{AuthStorage, conformance};
pub use crate::variable::Variables;

/// Returns a number in memory that changes whenever the results of `manager`'s `auth` and
/// `fresh_span` may have changed.
///
/// To read the number costs less than to call the core from another language, so a binding keeps
/// the results until the number changes.
pub fn version(manager: &AuthManager) -> Arc<AtomicU32> {
    manager.version()
}

/// Calls `deliver` with each event of `manager`, one after the other, on this crate's own thread.
///
/// `deliver` must not block that thread; the future that it returns is awaited before the next
/// event is delivered. The delivery ends with the returned subscription, with the manager and its
/// clones, and in a forked child. The end of the process does not wait for it.
pub fn deliver_events(
    manager: &AuthManager,
    deliver: impl FnMut(Event) -> BoxFuture<'static, ()> + Send + 'static,
) -> Subscription {
    manager.deliver_events(deliver)
}

/// Runs [`conformance::run`] on this crate's own thread. Returns the message of the check that
/// failed, if one did.
#[cfg(feature = "conformance")]
pub async fn broken_by(open: impl Fn() -> Arc<dyn AuthStorage> + Send + 'static) -> Option<String> {
    let worker = match handle() {
        Ok(worker) => worker,
        Err(error) => return Some(error.to_string()),
    };
    let panic = worker.spawn(conformance::run(open)).await.err()?.try_into_panic().ok()?;
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref().map(|text: &&str| (*text).to_owned()))
}
