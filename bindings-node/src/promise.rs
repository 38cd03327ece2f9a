//! Converts futures of the core to promises, which the core's own thread settles.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};

use codex_auth_sdk::bindings;
use napi::Env;
use napi::bindgen_prelude::{Error, Result, ToNapiValue, Unknown};

use crate::failure::outcome;

/// Polls `future` once. Returns its answer if it is ready, else a promise of it.
pub(crate) fn answer_or_promise<T: ToNapiValue + Send + 'static>(
    env: &Env,
    future: impl Future<Output = codex_auth_sdk::Result<T>> + Send + 'static,
) -> Result<Unknown<'_>> {
    let mut future = Box::pin(future);
    let mut context = Context::from_waker(Waker::noop());
    // An uncaught panic would end the process, not just the call.
    let now = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context)));
    if let Poll::Ready(result) = now.map_err(|_| Error::from_reason("the call panicked"))? {
        return outcome(result).into_unknown(env);
    }
    let worker = bindings::handle().map_err(|error| Error::from_reason(error.to_string()))?;
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
