//! Tries at length what the tests try briefly, and prints what was tried, how often, and what was
//! lost. Usage: `torture [SCENARIO...]`; without names all of them. Ends with 1 if anything was.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    codex_auth_tests::scenarios::run(&wanted)
}

/// Programs are killed, stopped and traced by what only Linux has.
#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    ExitCode::FAILURE
}
