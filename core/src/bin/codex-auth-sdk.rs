//! The command `codex-auth-sdk`.

use std::process::ExitCode;

fn main() -> ExitCode {
    codex_auth_sdk::cli::run(std::env::args_os()).into()
}
