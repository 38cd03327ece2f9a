//! What a manager tells its subscribers, on its way to JavaScript.

use std::sync::Arc;

use codex_auth_sdk::{AuthManager, BoxFuture, Event, Subscription};
use napi::Status;
use napi::threadsafe_function::ThreadsafeFunction;
use napi_derive::napi;

use crate::failure::Failure;
use crate::manager::NativeStoreHolder;
use crate::stats::number;

/// Called with each event on the thread that subscribed, which it does not keep alive.
pub(crate) type Deliver = ThreadsafeFunction<NativeEvent, (), NativeEvent, Status, false, true>;

/// Something that happened to a manager's login.
#[napi(object, object_from_js = false)]
#[expect(missing_docs, reason = "the facade documents them")]
pub struct NativeEvent {
    pub kind: &'static str,
    pub error: Option<Failure>,
    pub store_holder: Option<NativeStoreHolder>,
    pub missed: Option<f64>,
}

/// Behind the events of a manager. It lives until it is stopped or the manager is gone.
#[napi]
#[derive(Debug)]
pub struct NativeSubscription(Subscription);

#[napi]
impl NativeSubscription {
    /// Ends it.
    #[napi]
    pub fn stop(&self) {
        self.0.stop();
    }
}

/// Calls `deliver` with each event once it has returned from the last one: the others wait in the
/// core, which bounds them.
pub(crate) fn subscribe(manager: &AuthManager, deliver: Deliver) -> NativeSubscription {
    let deliver = Arc::new(deliver);
    NativeSubscription(manager.deliver_events(move |event| -> BoxFuture<'static, ()> {
        let deliver = Arc::clone(&deliver);
        // Fails where the thread has ended.
        Box::pin(async move { deliver.call_async(event.into()).await.unwrap_or_default() })
    }))
}

impl From<Event> for NativeEvent {
    fn from(event: Event) -> Self {
        let mut converted =
            Self { kind: event.kind(), error: None, store_holder: None, missed: None };
        match event {
            Event::RefreshFailed(error) | Event::SaveFailed(error) | Event::LoginFailed(error) => {
                converted.error = Some(error.into());
            }
            Event::StoreChanged(holder) => converted.store_holder = Some(holder.into()),
            Event::Missed(missed) => converted.missed = Some(number(missed)),
            _ => {}
        }
        converted
    }
}
