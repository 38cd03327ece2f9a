//! Crowds of processes whose token endpoint, or API, is of no help. With the feature `bindings` in
//! three languages, as in the test `contention`.

use codex_auth_tests::contender::Language;
use codex_auth_tests::endpoint_failure::{dead_login, outage, rejecting_api};

#[cfg(not(feature = "bindings"))]
const LANGUAGES: &[Language] = &[Language::Rust];
#[cfg(feature = "bindings")]
const LANGUAGES: &[Language] = &Language::ALL;

#[test]
fn g11_an_api_that_rejects_every_token_is_given_few() {
    rejecting_api(LANGUAGES, 6, 8).assert_nothing_lost();
}

#[test]
fn g11_one_of_32_processes_asks_for_a_dead_login() {
    dead_login(LANGUAGES, 32).assert_nothing_lost();
}

#[test]
fn g11_processes_that_wait_for_one_another_share_an_outage() {
    outage(LANGUAGES, 32).assert_nothing_lost();
}
