//! What a manager tells its subscribers, on its way to Python.

use std::sync::Arc;

use codex_auth_sdk::{AuthManager, BoxFuture, Error};
use pyo3::prelude::*;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::bridge::visit;
use crate::errors::to_py;
use crate::outcomes::StoreHolder;

/// Something that happened to a manager's login. It says what was so when it was sent; what is so
/// now, `auth()` of the manager says. No secrets.
#[pyclass(frozen, module = "codex_auth_sdk")]
pub(crate) struct Event {
    /// What happened: `adopted` (tokens that somebody else got are used now), `refreshed` (this
    /// manager redeemed the refresh token), `logged_out`, `identity_changed` (another login),
    /// `refresh_failed`, `save_failed` (new tokens are used that could not be saved yet),
    /// `save_recovered` (now they are), `store_changed` (another kind of store holds the login),
    /// `logged_in` (this manager has stored a new login), `login_pending` (a sign-in by device code
    /// has asked the server in vain), `login_failed` (a sign-in has failed or was cancelled), or
    /// `missed` (this subscriber has read too late: here so many events are missing).
    #[pyo3(get)]
    kind: &'static str,
    error: Option<Error>,
    /// Where the login is now, of `store_changed`; else `None`.
    #[pyo3(get)]
    store_holder: Option<StoreHolder>,
    /// How many events are missing, of `missed`; else 0.
    #[pyo3(get)]
    missed: u64,
}

#[pymethods]
impl Event {
    /// Why, of `refresh_failed`, `save_failed` and `login_failed`: the `CodexAuthError`; else `None`.
    #[getter]
    fn error(&self, py: Python<'_>) -> Option<PyErr> {
        self.error.as_ref().map(|error| to_py(py, error))
    }

    fn __repr__(&self) -> String {
        match &self.error {
            Some(error) => format!("<Event kind='{}' error={:?}>", self.kind, error.to_string()),
            None => format!("<Event kind='{}'>", self.kind),
        }
    }
}

impl From<codex_auth_sdk::Event> for Event {
    fn from(event: codex_auth_sdk::Event) -> Self {
        use codex_auth_sdk::Event as Core;
        let mut converted = Self { kind: event.kind(), error: None, store_holder: None, missed: 0 };
        match event {
            Core::RefreshFailed(error) | Core::SaveFailed(error) | Core::LoginFailed(error) => {
                converted.error = Some(error);
            }
            Core::StoreChanged(holder) => converted.store_holder = Some(holder.into()),
            Core::Missed(missed) => converted.missed = missed,
            _ => {}
        }
        converted
    }
}

/// Has events delivered until `stop`, or until it and its manager are gone.
#[pyclass(frozen, module = "codex_auth_sdk")]
pub(crate) struct Subscription {
    delivery: codex_auth_sdk::Subscription,
    demand: Arc<Semaphore>,
}

#[pymethods]
impl Subscription {
    /// Ends it. An event that is being delivered is delivered to its end.
    fn stop(&self) {
        self.delivery.stop();
        self.demand.close();
    }

    /// Asks for one more event, where nothing else does.
    fn ask(&self) {
        self.demand.add_permits(1);
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Calls `deliver` with each event, as soon as it has returned from the last one.
pub(crate) fn subscribe(manager: &AuthManager, deliver: Py<PyAny>) -> Subscription {
    let demand = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
    deliver_on(manager, deliver, demand)
}

/// Calls `deliver` with one event for each time that `ask` is called, so that others wait in the
/// core, which bounds them.
pub(crate) fn subscribe_on_demand(manager: &AuthManager, deliver: Py<PyAny>) -> Subscription {
    deliver_on(manager, deliver, Arc::new(Semaphore::new(0)))
}

fn deliver_on(manager: &AuthManager, deliver: Py<PyAny>, demand: Arc<Semaphore>) -> Subscription {
    let (deliver, asked) = (Arc::new(Callback(Some(deliver))), Arc::clone(&demand));
    let delivery = manager.deliver_events(move |event| -> BoxFuture<'static, ()> {
        let (deliver, asked) = (Arc::clone(&deliver), Arc::clone(&asked));
        Box::pin(async move {
            let Ok(permit) = asked.acquire().await else { return };
            permit.forget();
            visit(move |py| deliver.call(py, event)).await;
        })
    });
    Subscription { delivery, demand }
}

/// What is called with events. It is let go of as it is called: the core's thread must never wait for
/// the interpreter.
struct Callback(Option<Py<PyAny>>);

impl Callback {
    fn call(&self, py: Python<'_>, event: codex_auth_sdk::Event) {
        let Some(callback) = &self.0 else { return };
        if let Err(error) = callback.call1(py, (Event::from(event),)) {
            error.write_unraisable(py, Some(callback.bind(py)));
        }
    }
}

impl Drop for Callback {
    fn drop(&mut self) {
        let callback = self.0.take();
        match Handle::try_current() {
            Ok(_) => drop(visit(move |_| drop(callback))),
            Err(_) => drop(callback),
        }
    }
}
