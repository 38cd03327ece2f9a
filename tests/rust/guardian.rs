//! The guardian of the examples keeps a machine of real Codex CLIs signed in. `make test-codex`
//! fetches them.

#![allow(clippy::print_stdout, reason = "the table")]

use codex_auth_tests::codex_cli::installed;
use codex_auth_tests::guarded::Machine;
use codex_auth_tests::torture::head;

#[test]
fn a_guardian_spares_sixteen_clis_the_refresh_that_ends_their_login() {
    let programs = installed();
    let Some(newest) = programs.first() else { return };
    let rows = [Machine::guarded(newest, 16, 10), Machine::unguarded(newest, 16)];
    println!("{}\n{}\n{}", head(), rows[0], rows[1]);
    for row in rows {
        row.assert_nothing_lost();
    }
}
