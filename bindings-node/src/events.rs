//! Delivers the events of a manager to JavaScript.

use std::sync::Arc;

use codex_auth_sdk::bindings::{EventParts, Subscription, deliver_events};
use codex_auth_sdk::environment::BoxFuture;
use codex_auth_sdk::{AuthManager, Event};
use napi::Status;
use napi::threadsafe_function::ThreadsafeFunction;
use napi_derive::napi;

use crate::failure::Failure;
use crate::stats::number;
use crate::store_holder::NativeStoreHolder;

/// A listener. It is called on the thread that subscribed, and does not keep that thread alive.
pub(crate) type Deliver = ThreadsafeFunction<NativeEvent, (), NativeEvent, Status, false, true>;

/// Something that happened to a manager's login.
#[napi(object, object_from_js = false)]
#[expect(missing_docs, reason = "the TypeScript facade documents them")]
pub struct NativeEvent {
    pub kind: &'static str,
    pub error: Option<Failure>,
    pub store_holder: Option<NativeStoreHolder>,
    pub missed: Option<f64>,
}

/// The native half of `AuthEvents`. Events are delivered until it is stopped or the manager is
/// garbage.
#[napi]
#[derive(Debug)]
pub struct NativeSubscription(Subscription);

#[napi]
impl NativeSubscription {
    /// Ends the subscription.
    #[napi]
    pub fn stop(&self) {
        self.0.stop();
    }
}

/// Calls `deliver` with each event, one after the other. The other events wait in the core, which
/// bounds how many do.
pub(crate) fn subscribe(manager: &AuthManager, deliver: Deliver) -> NativeSubscription {
    let deliver = Arc::new(deliver);
    NativeSubscription(deliver_events(manager, move |event| -> BoxFuture<'static, ()> {
        let deliver = Arc::clone(&deliver);
        // The call fails if the thread of the subscriber has ended.
        Box::pin(async move { deliver.call_async(event.into()).await.unwrap_or_default() })
    }))
}

impl From<Event> for NativeEvent {
    fn from(event: Event) -> Self {
        let EventParts { kind, error, store_holder, missed } = event.into();
        Self {
            kind,
            error: error.map(Failure::from),
            store_holder: store_holder.map(NativeStoreHolder::from),
            missed: missed.map(number),
        }
    }
}
