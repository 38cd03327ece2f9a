//! The end of an environment, be it the process's or a worker thread's.

use std::time::Duration;

use codex_auth_sdk::worker;
use napi::Env;
use napi::bindgen_prelude::{Object, Result};
use napi_derive::napi;

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

/// Waits, bounded, until rotated tokens are saved. For `process.exit`, which runs no hooks.
#[napi]
pub fn finish() {
    worker::finish(LONGEST_WAIT);
}
