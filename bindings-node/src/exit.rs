//! The end of an environment, be it the process's or a worker thread's.

use std::time::Duration;

use codex_auth_sdk::worker;
use napi::Env;
use napi::bindgen_prelude::{Error, Object, Result, Unknown};
use napi_derive::napi;

use crate::promise::answer;

/// How long an end waits for a refresh in flight, whose tokens are not saved yet.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Runs in every environment that loads the addon.
#[napi(module_exports)]
pub fn init(_exports: Object<'_>, env: Env) -> Result<()> {
    env.add_env_cleanup_hook((), |()| {
        worker::finish(LONGEST_WAIT);
    })?;
    Ok(())
}

/// Waits, so long at most, until rotated tokens are saved; whether they are. For `process.exit`,
/// which runs no hooks.
#[napi]
pub fn finish(longest_ms: u32) -> bool {
    worker::finish(Duration::from_millis(longest_ms.into()))
}

/// The same without blocking, for stores that need the event loop.
#[napi(ts_return_type = "Promise<Outcome<boolean>>")]
pub fn finished(env: &Env) -> Result<Unknown<'_>> {
    let worker = worker::handle().map_err(|error| Error::from_reason(error.to_string()))?;
    let finished = worker.spawn_blocking(|| worker::finish(LONGEST_WAIT));
    answer(env, async { Ok(finished.await.unwrap_or(false)) })
}
