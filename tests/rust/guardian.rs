//! The agent keeps a machine of real Codex CLIs signed in, on one home and on sinks. `make test-codex`
//! fetches them. `make torture` has more of them, for longer.

#![allow(clippy::print_stdout, reason = "the table")]

use codex_auth_tests::codex_cli::installed;
use codex_auth_tests::guarded::Machine;
use codex_auth_tests::privilege::are_containers_denied;
use codex_auth_tests::torture::{Trial, head};

fn assert_nothing_lost(rows: &[Trial]) {
    println!("{}", head());
    rows.iter().for_each(|row| println!("{row}"));
    rows.iter().for_each(Trial::assert_nothing_lost);
}

#[test]
fn an_agent_spares_sixteen_clis_the_refresh_that_ends_their_login() {
    let programs = installed();
    let Some(newest) = programs.first() else { return };
    assert_nothing_lost(&[Machine::guarded(newest, 16, 4), Machine::unguarded(newest, 16)]);
}

#[test]
fn g13_clis_on_sinks_have_no_refresh_token_and_need_none() {
    let programs = installed();
    if programs.is_empty() || are_containers_denied() {
        return;
    }
    for (at, program) in programs.iter().enumerate() {
        let (clis, rotations) = if at == 0 { (8, 6) } else { (4, 3) };
        assert_nothing_lost(&[Machine::on_sinks(program, clis, rotations, 1)]);
    }
}
