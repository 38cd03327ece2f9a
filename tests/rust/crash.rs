//! Programs that end or halt in the middle of a refresh: the others go on, and the login is good.
//!
//! With the feature `bindings` also programs in Python and Node, see `contention.rs`.
#![cfg(target_os = "linux")]

use codex_auth_tests::contender::Language;
use codex_auth_tests::crash;
use codex_auth_tests::privilege::is_tracing_denied;
use codex_auth_tests::tier::sized;
use codex_auth_tests::torture::Trial;

const LANGUAGES: &[Language] =
    if cfg!(feature = "bindings") { &Language::ALL } else { &[Language::Rust] };

#[expect(clippy::print_stdout, reason = "the whole table, where a row of it is wrong")]
fn assert_nothing_lost(rows: &[Trial]) {
    rows.iter().for_each(|row| println!("{row}"));
    rows.iter().for_each(Trial::assert_nothing_lost);
}

#[test]
fn g8_a_kill_at_any_step_of_a_refresh_costs_no_more_than_its_reply() {
    if is_tracing_denied() {
        return;
    }
    // Every step on every kind of server, by one signal or by both.
    assert_nothing_lost(&crash::kills::at_steps(sized(51, 102), LANGUAGES));
}

#[test]
fn g8_kills_at_random_instants_stop_nobody_else() {
    assert_nothing_lost(&crash::kills::at_random(sized(12, 24), LANGUAGES));
}

#[test]
fn g4_a_program_that_sleeps_through_its_timeouts_loses_nothing() {
    assert_nothing_lost(&crash::stops::at_steps(1, LANGUAGES));
}

#[test]
fn g8_stops_at_random_instants_cost_the_others_a_timeout_at_most() {
    assert_nothing_lost(&crash::stops::at_random(9, LANGUAGES));
}

#[test]
fn g1_a_machine_full_of_processes_redeems_once_for_each_token_that_expires() {
    assert_nothing_lost(&[crash::rotate(sized(24, 48), sized(2, 4), LANGUAGES)]);
}
