//! Programs on our store that know nothing of us, scripted after releases of the Codex CLI.
#![cfg(target_os = "linux")]

use codex_auth_tests::contender::Language;
use codex_auth_tests::foreign::changes::{BY_RELEASE, OF_ANY_RELEASE};
use codex_auth_tests::foreign::races::RACES;
use codex_auth_tests::foreign::torn_reads::torn_reads;
use codex_auth_tests::foreign::waking::Waking;
use codex_auth_tests::foreign::{RELEASES, Release, Scene, Script, traced};
use codex_auth_tests::privilege::is_tracing_denied;

/// Whom these tests run for.
const LANGUAGES: &[Language] =
    if cfg!(feature = "bindings") { &Language::ALL } else { &[Language::Rust] };

#[test]
fn g2_nobody_of_ours_fails_when_foreign_programs_wake_too() {
    for (grant_ms, refusal_ms) in [(100, 100), (800, 50)] {
        let waking = Waking { each: 5, languages: LANGUAGES, rounds: 2, grant_ms, refusal_ms };
        waking.with_scripts(&RELEASES).assert_nothing_lost();
    }
}

#[test]
fn g2_a_race_against_a_foreign_program_costs_nobody_the_login() {
    play(&RACES, &RELEASES);
}

#[test]
fn g3_a_change_of_the_login_is_never_undone() {
    play(&OF_ANY_RELEASE, &RELEASES[..1]);
}

#[test]
fn g3_no_account_is_mixed_by_us_whatever_a_release_writes() {
    play(&BY_RELEASE, &RELEASES);
}

#[test]
fn g3_a_change_right_before_our_write_is_not_undone() {
    if !is_tracing_denied() {
        traced::changes_before_our_write(1).assert_nothing_lost();
    }
}

#[test]
fn g6_a_writer_in_place_logs_nobody_out() {
    torn_reads(LANGUAGES, 50).assert_nothing_lost();
}

#[test]
fn a_save_takes_the_locks_of_the_cli_in_its_order() {
    if !is_tracing_denied() {
        traced::commit_locks(2).assert_nothing_lost();
    }
}

fn play(scripts: &[Script], releases: &[Release]) {
    for script in scripts {
        Scene::play(*script, releases, LANGUAGES, 1).assert_nothing_lost();
    }
}
