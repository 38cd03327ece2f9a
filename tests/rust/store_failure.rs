//! A store that fails: each failure once, in every language that has been built.

use std::process::ExitCode;

use codex_auth_tests::contender::Language;
use codex_auth_tests::store_failure::{FAILURES, Failure};
use libtest_mimic::{Arguments, Failed, Trial};

const LANGUAGES: &[Language] =
    if cfg!(feature = "bindings") { &Language::ALL } else { &[Language::Rust] };

fn main() -> ExitCode {
    let tests = FAILURES.iter().map(|failure| Trial::test(failure.name, || attempt(failure)));
    libtest_mimic::run(&Arguments::from_args(), tests.collect()).exit_code()
}

fn attempt(failure: &Failure) -> Result<(), Failed> {
    // None where it was skipped, which it has said.
    if let Some(trial) = failure.try_in(LANGUAGES, 1) {
        trial.assert_nothing_lost();
    }
    Ok(())
}
