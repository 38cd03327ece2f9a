//! The command `codex-auth-sdk`.

use codex_auth_sdk::cli;
use napi_derive::napi;

/// Runs the command `codex-auth-sdk` with `argv`, whose first item is its name. Returns its exit code.
///
/// Signals that end a process by default do so here, once what is in flight is saved; then this does
/// not return.
#[napi]
pub fn run_command(argv: Vec<String>) -> u32 {
    cli::run(argv.into_iter().map(Into::into)).into()
}
