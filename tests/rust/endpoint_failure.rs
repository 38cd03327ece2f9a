//! A token endpoint that fails, briefly; `make torture SCENARIOS=endpoint` tries it at length.

use codex_auth_tests::contender::Language;
use codex_auth_tests::endpoint_failure::{alone, dead_login, random, rejecting_api};
use codex_auth_tests::log::Log;

#[cfg(not(feature = "bindings"))]
const LANGUAGES: &[Language] = &[Language::Rust];
#[cfg(feature = "bindings")]
const LANGUAGES: &[Language] = &Language::ALL;

#[test]
fn g11_every_failure_ends_in_the_right_answer() {
    let log = Log::of_everything();
    alone(&log).assert_nothing_lost();
    random(40, 1, &log).assert_nothing_lost();
}

#[test]
fn g11_an_api_that_rejects_every_token_is_given_few() {
    rejecting_api(LANGUAGES, 6, 8).assert_nothing_lost();
}

#[test]
fn g11_one_of_32_processes_asks_for_a_dead_login() {
    dead_login(LANGUAGES, 32).assert_nothing_lost();
}
