//! From futures to promises without a runtime of Node's own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};

use codex_auth_sdk::worker;
use napi::Env;
use napi::bindgen_prelude::{Error, Result, ToNapiValue, Unknown};

use crate::failure::outcome;

/// Answers at once if `future` can, else with a promise that the core's own thread settles.
pub(crate) fn answer<T: ToNapiValue + Send + 'static>(
    env: &Env,
    future: impl Future<Output = codex_auth_sdk::Result<T>> + Send + 'static,
) -> Result<Unknown<'_>> {
    let mut future = Box::pin(future);
    let mut nobody = Context::from_waker(Waker::noop());
    // A panic here would end the process, not the call.
    let now = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut nobody)));
    if let Poll::Ready(result) = now.map_err(|_| Error::from_reason("the call panicked"))? {
        return outcome(result).into_unknown(env);
    }
    let worker = worker::handle().map_err(|error| Error::from_reason(error.to_string()))?;
    let (deferred, promise) = env.create_deferred()?;
    let task = worker.spawn(future);
    worker.spawn(async move {
        match task.await {
            Ok(result) => deferred.resolve(move |_| Ok(outcome(result))),
            Err(error) => deferred.reject(Error::from_reason(error.to_string())),
        }
    });
    promise.into_unknown(env)
}
