//! The end of a Node-API environment: of the process, or of a worker thread.

use std::time::Duration;

use codex_auth_sdk::bindings;
use napi::Env;
use napi::bindgen_prelude::{Error, Object, Result, Unknown};
use napi_derive::napi;

use crate::promise::answer_or_promise;

/// How long the end of an environment waits until rotated tokens are saved.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Registers the cleanup hook of an environment that loads the addon.
#[napi(module_exports)]
pub fn init(_exports: Object<'_>, env: Env) -> Result<()> {
    env.add_env_cleanup_hook((), |()| {
        bindings::finish(LONGEST_WAIT);
    })?;
    bindings::expect_finish();
    Ok(())
}

/// Blocks until all rotated tokens are saved, for `longest_ms` at most. Returns whether they are.
///
/// `process.exit` needs this, since it runs no cleanup hooks.
#[napi]
pub fn finish(longest_ms: u32) -> bool {
    bindings::finish(Duration::from_millis(longest_ms.into()))
}

/// Makes callers wait for a refresh that is due: this process may end without exit hooks.
#[napi]
pub fn expect_unseen_exit() {
    bindings::expect_unseen_exit();
}

/// Waits until all rotated tokens are saved, for 10 s at most. Returns whether they are.
///
/// It does not block, so stores that need the event loop can save meanwhile.
#[napi(ts_return_type = "Promise<Outcome<boolean>>")]
pub fn finished(env: &Env) -> Result<Unknown<'_>> {
    let worker = bindings::handle().map_err(|error| Error::from_reason(error.to_string()))?;
    let finished = worker.spawn_blocking(|| bindings::finish(LONGEST_WAIT));
    answer_or_promise(env, async { Ok(finished.await.unwrap_or(false)) })
}
