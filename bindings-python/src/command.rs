//! The command `codex-auth-sdk`.

use std::ffi::OsString;

use codex_auth_sdk::cli;
use pyo3::prelude::*;

/// Runs the command `codex-auth-sdk` with `argv`, whose first item is its name, like `sys.argv`.
///
/// Returns its exit code. Ctrl-C and signals that end a process by default do so here, once what is
/// in flight is saved; then this does not return.
#[pyfunction]
pub(crate) fn run_command(py: Python<'_>, argv: Vec<OsString>) -> u8 {
    py.detach(|| cli::run(argv))
}
