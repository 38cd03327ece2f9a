//! A token endpoint that fails, briefly; `make torture SCENARIOS=endpoint` tries it at length.

use codex_auth_tests::endpoint_failure::{in_a_row, once, random};
use codex_auth_tests::log::Log;
use codex_auth_tests::tier::sized;

#[test]
fn g11_every_failure_ends_in_the_right_answer() {
    once(&Log::of_everything()).assert_nothing_lost();
}

#[test]
fn g11_failures_in_a_row_end_in_the_right_answer() {
    in_a_row(&Log::of_everything()).assert_nothing_lost();
}

#[test]
fn g11_random_failures_end_in_the_right_answer() {
    random(sized(20, 40), 1, &Log::of_everything()).assert_nothing_lost();
}
