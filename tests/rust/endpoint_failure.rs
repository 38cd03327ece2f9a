//! A token endpoint that fails, briefly; `make torture SCENARIOS=endpoint` tries it at length.

use codex_auth_tests::endpoint_failure::{alone, random};
use codex_auth_tests::log::Log;

#[test]
fn g11_every_failure_ends_in_the_right_answer() {
    let log = Log::of_everything();
    alone(&log).assert_nothing_lost();
    random(40, 1, &log).assert_nothing_lost();
}
