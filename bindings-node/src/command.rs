//! The command `codex-auth-sdk`.

use std::collections::HashMap;

use codex_auth_sdk::bindings::Variables;
use codex_auth_sdk::cli;
use napi_derive::napi;

/// Runs the command `codex-auth-sdk` with `argv`, whose first item is its name, and the `variables` of
/// the runtime's environment. Returns its exit code.
///
/// Signals that end a process by default do so here, once what is in flight is saved; then this does
/// not return.
#[napi]
pub fn run_command(argv: Vec<String>, variables: HashMap<String, String>) -> u32 {
    Variables::new(variables).scope(|| cli::run(argv.into_iter().map(Into::into))).into()
}
