//! Delivers the events of a manager to Python.

use std::sync::Arc;

use codex_auth_sdk::bindings::{EventParts, deliver_events};
use codex_auth_sdk::environment::BoxFuture;
use codex_auth_sdk::{AuthManager, Error};
use pyo3::prelude::*;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::bridge::{PythonCall, call_python, call_python_patiently};
use crate::errors::to_py;
use crate::outcomes::StoreHolder;

/// Something that happened to the login of a manager. It holds no secrets.
///
/// An event describes the moment at which it was sent. `AuthManager.auth` has the present state.
#[pyclass(frozen, module = "codex_auth_sdk")]
pub(crate) struct Event {
    /// The kind of event.
    ///
    /// - `adopted`: the manager now uses tokens that another process or program has refreshed.
    /// - `refreshed`: the manager has redeemed the refresh token and uses the new tokens.
    /// - `logged_out`: the store holds no login any more.
    /// - `identity_changed`: the store holds another login than before, or its first login.
    /// - `workspace_changed`: the login is for another workspace than before.
    /// - `refresh_failed`: a refresh has failed; `error` says why.
    /// - `save_failed`: the manager uses new tokens that it could not save; `error` says why. It
    ///   tries again, and sends no second event for that.
    /// - `save_recovered`: the tokens of the last `save_failed` are saved.
    /// - `store_changed`: another kind of store holds the login than before; see `store_holder`.
    /// - `credential_left_out`: a request is sent without the credential, since its origin may not
    ///   get that; `error` names the origin. Sent once for each origin, for 16 at most.
    /// - `logged_in`: this manager has stored a new login.
    /// - `login_pending`: a sign-in with a device code has asked the server, and its user has not
    ///   typed the code in yet.
    /// - `login_failed`: a sign-in has failed or was cancelled; `error` says why.
    /// - `missed`: the subscriber was too slow, and `missed` events were dropped at this point.
    #[pyo3(get)]
    kind: &'static str,
    error: Option<Error>,
    /// The store that holds the login now, for `store_changed`. `None` for other kinds.
    #[pyo3(get)]
    store_holder: Option<StoreHolder>,
    /// How many events were dropped, for `missed`. 0 for other kinds.
    #[pyo3(get)]
    missed: u64,
}

#[pymethods]
impl Event {
    /// The error that `kind` is about, for a kind that has one; else `None`.
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
        let EventParts { kind, error, store_holder, missed } = event.into();
        let store_holder = store_holder.map(StoreHolder::from);
        Self { kind, error, store_holder, missed: missed.unwrap_or_default() }
    }
}

/// A subscription to the events of a manager, by `AuthManager.subscribe`.
///
/// Events are delivered until `stop` is called, or until this object or the manager is garbage.
#[pyclass(frozen, module = "codex_auth_sdk")]
pub(crate) struct Subscription {
    delivery: codex_auth_sdk::bindings::Subscription,
    requested: Arc<Semaphore>,
}

#[pymethods]
impl Subscription {
    /// Ends the subscription. A callback that is running at this moment runs to its end.
    fn stop(&self) {
        self.delivery.stop();
        self.requested.close();
    }

    /// Requests one more event. It is for internal use.
    fn ask(&self) {
        self.requested.add_permits(1);
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Calls `deliver`, which may block, with each event, one after the other.
pub(crate) fn subscribe(manager: &AuthManager, deliver: Py<PyAny>) -> Subscription {
    let requested = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
    subscribe_with(manager, deliver, requested, |call| Box::pin(call_python_patiently(call)))
}

/// Calls `deliver`, which does not block, with one event for each call of `ask`. The other events
/// wait in the core, which bounds how many do.
pub(crate) fn subscribe_on_request(manager: &AuthManager, deliver: Py<PyAny>) -> Subscription {
    let requested = Arc::new(Semaphore::new(0));
    subscribe_with(manager, deliver, requested, |call| Box::pin(call_python(call)))
}

fn subscribe_with(
    manager: &AuthManager,
    deliver: Py<PyAny>,
    requested: Arc<Semaphore>,
    make: fn(PythonCall) -> BoxFuture<'static, ()>,
) -> Subscription {
    let (deliver, asked) = (Arc::new(Callback(Some(deliver))), Arc::clone(&requested));
    let delivery = deliver_events(manager, move |event| -> BoxFuture<'static, ()> {
        let (deliver, asked) = (Arc::clone(&deliver), Arc::clone(&asked));
        Box::pin(async move {
            let Ok(permit) = asked.acquire().await else { return };
            permit.forget();
            make(Box::new(move |py| deliver.call(py, event))).await;
        })
    });
    Subscription { delivery, requested }
}

/// A Python function that takes events.
///
/// A runtime thread drops it by way of [`call_python`]: the core's thread must never wait for the
/// interpreter's lock.
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
            Ok(_) => drop(call_python(move |_| drop(callback))),
            Err(_) => drop(callback),
        }
    }
}
