//! The real Codex CLI on our store. `make test-codex` fetches it.

use codex_auth_tests::codex_cli::installed;
use codex_auth_tests::contender::Language;
use codex_auth_tests::foreign::sessions::sessions;
use codex_auth_tests::foreign::traced;
use codex_auth_tests::foreign::waking::Waking;
use codex_auth_tests::privilege::is_tracing_denied;

const LANGUAGES: &[Language] = &Language::ALL;

#[test]
fn g2_nobody_of_ours_fails_when_clis_wake_too() {
    for program in installed() {
        for (each, grant_ms, refusal_ms) in [(2, 300, 300), (4, 800, 50)] {
            let waking = Waking { each, languages: LANGUAGES, rounds: 2, grant_ms, refusal_ms };
            waking.with_clis(&program).assert_nothing_lost();
        }
    }
}

#[test]
fn g3_the_logins_and_logouts_of_a_cli_are_not_undone() {
    for program in installed() {
        sessions(&program, LANGUAGES).assert_nothing_lost();
    }
}

#[test]
fn a_cli_that_saves_while_ours_does_loses_nothing() {
    for program in installed() {
        if !is_tracing_denied() {
            traced::saves_of_a_cli_during_ours(&program, 1).assert_nothing_lost();
        }
    }
}
