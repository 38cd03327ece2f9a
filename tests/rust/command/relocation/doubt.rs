//! Old places that another program has emptied or changed: what waits is then not stored, and where
//! nothing shows who it was, the user is asked.

use codex_auth_tests::privilege::is_tracing_denied;

use super::machine::Machine;

const IN_DOUBT: &str = "nothing shows that it was this move that has emptied";

impl Machine {
    /// Kills a move of the login in auth.json to the row `alice` once a copy waits there, and before the
    /// file is removed.
    fn kill_while_both_are_there(&self) {
        let row = self.row("alice");
        let mut number = 1;
        while !self.rows().contains(&"alice (being moved here)".to_owned()) {
            assert!(self.is_killed("file", &row, ("unlink", number)), "{number}");
            number += 1;
        }
        assert!(self.is_live());
    }
}

#[test]
fn g1_a_login_that_is_signed_out_while_it_waits_is_not_stored() {
    let Some(machine) = Machine::with_database() else { return };
    let [alice, bob] = ["alice", "bob"].map(|login| machine.row(login));
    machine.sign_in("a");
    machine.relocate("file", &alice).assert_done();
    let logout = "DELETE FROM codex_auth_sdk_logins WHERE login = 'alice'";
    machine.trigger("INSERT", "NEW.login LIKE 'bob (%'", logout);
    machine.relocate(&alice, &bob).assert_failed(3, "no login is stored in the login \"alice\"");
    assert!(machine.rows().is_empty(), "{:?}", machine.rows());
}

#[test]
fn g1_a_login_that_another_move_has_taken_away_is_not_stored_a_second_time() {
    if is_tracing_denied() {
        return;
    }
    let Some(machine) = Machine::with_database() else { return };
    let [alice, bob] = ["alice", "bob"].map(|login| machine.row(login));
    machine.sign_in("a");
    machine.kill_while_both_are_there();
    machine.relocate("file", &bob).assert_done();
    let ended = machine.relocate("file", &alice);
    ended.assert_failed(1, IN_DOUBT);
    for part in ["auth.json", "alice (being moved here)", "logout --no-revoke", "--complete"] {
        assert!(ended.stderr.contains(part), "{ended:?}");
    }
    assert!(!machine.holds(&alice) && machine.holds(&bob));
    let waiting = machine.row("alice (being moved here)");
    machine.run(&["--store", &waiting, "logout", "--no-revoke"]).assert_done();
    machine.relocate("file", &alice).assert_failed(3, "no login is stored in ");
    machine.relocate(&bob, "file").assert_done();
    assert!(machine.is_live());
}

#[test]
fn g4_a_login_whose_old_place_was_emptied_without_a_mark_waits_for_the_user() {
    let Some(machine) = Machine::with_database() else { return };
    let row = machine.row("alice");
    machine.sign_in("a");
    machine.trigger("UPDATE", "NEW.login LIKE 'alice (%'", "RAISE EXCEPTION 'full'");
    machine.relocate("file", &row).assert_failed(4, "waits in the login");
    machine.drop_trigger();
    for _ in 0..2 {
        machine.relocate("file", &row).assert_failed(1, IN_DOUBT);
        assert_eq!(machine.rows(), ["alice (being moved here)"]);
    }
    machine.run(&["move", "--from", "file", "--to", &row, "--complete"]).assert_done();
    machine.assert_nothing_waits();
    machine.relocate(&row, "file").assert_done();
    assert!(machine.is_live());
}

#[test]
fn g1_the_newest_tokens_wait_on_where_the_old_place_has_older_ones_that_vanish() {
    let Some(machine) = Machine::with_database() else { return };
    let [alice, bob] = ["alice", "bob"].map(|login| machine.row(login));
    let old = machine.sign_in("a");
    machine.relocate("file", &alice).assert_done();
    machine.refresh(&alice);
    let ledger = "SELECT encode(ledger, 'hex') FROM codex_auth_sdk_logins WHERE login = 'alice'";
    let ledger = machine.database().ask(ledger)[0][0].clone();
    machine.trigger("INSERT", "NEW.login = 'bob'", "RAISE EXCEPTION 'full'");
    machine.relocate(&alice, &bob).assert_failed(4, "waits in the login");
    machine.drop_trigger();
    // An old copy is put back, and removed while the move is under way.
    machine.scene.store(&old);
    machine.copy_to(&alice);
    std::fs::remove_file(machine.scene.path("auth.json")).expect("there was one");
    machine.database().run(&format!(
        "UPDATE codex_auth_sdk_logins SET ledger = decode('{ledger}', 'hex') WHERE login = 'alice'"
    ));
    let logout = "DELETE FROM codex_auth_sdk_logins WHERE login = 'alice'";
    machine.trigger("UPDATE", "NEW.login LIKE 'bob (%'", logout);
    machine.relocate(&alice, &bob).assert_failed(1, IN_DOUBT);
    assert_eq!(machine.rows(), ["bob (being moved here)"]);
    machine.run(&["move", "--from", &alice, "--to", &bob, "--complete"]).assert_done();
    machine.relocate(&bob, "file").assert_done();
    assert_eq!(machine.scene.named()["tokens"]["refresh_token"], "refresh:a1");
    assert!(machine.is_live());
}

#[test]
fn g1_a_row_whose_claim_was_lost_is_not_emptied() {
    let Some(machine) = Machine::with_database() else { return };
    let [alice, bob] = ["alice", "bob"].map(|login| machine.row(login));
    machine.sign_in("a");
    machine.relocate("file", &alice).assert_done();
    for lost in ["holder = NULL", "claim_end = clock_timestamp()"] {
        let lose = format!("UPDATE codex_auth_sdk_logins SET {lost} WHERE login = 'alice'");
        machine.trigger("INSERT", "NEW.login LIKE 'bob (%'", &lose);
        machine.relocate(&alice, &bob).assert_failed(4, "other programs keep changing");
        assert_eq!(machine.rows(), ["alice"]);
        machine.drop_trigger();
    }
    machine.relocate(&alice, &bob).assert_done();
}

#[test]
fn g3_a_login_that_was_stored_in_auth_json_meanwhile_is_not_lost_to_the_keyring() {
    if is_tracing_denied() {
        return;
    }
    let Some(machine) = Machine::with_keyring_and_database() else { return };
    let row = machine.row("alice");
    machine.sign_in("a");
    machine.relocate("file", &row).assert_done();
    let mut number = 1;
    while !machine.rows().is_empty() {
        assert!(machine.is_killed(&row, "keyring", ("sendmsg", number)), "{number}");
        number += 1;
    }
    assert!(!machine.holds("keyring"));
    machine.sign_in("b");
    let complete = ["move", "--from", &row, "--to", "keyring", "--complete"];
    machine.run(&complete).assert_failed(1, "auth.json holds a login too");
    assert!(machine.is_live());
    machine.run(&["--store", "file", "logout", "--no-revoke"]).assert_done();
    machine.run(&complete).assert_done();
    machine.relocate("keyring", "file").assert_done();
    assert_eq!(machine.scene.named()["tokens"]["refresh_token"], "refresh:a0");
}

#[test]
fn g1_a_login_that_was_stored_and_has_left_the_new_place_since_is_not_stored_again() {
    let Some(machine) = Machine::with_database() else { return };
    let row = machine.row("alice");
    machine.sign_in("a");
    // It is killed as it removes what waited.
    let held = machine.database().hold("SELECT pg_advisory_xact_lock(1)");
    let lost = "PERFORM pg_advisory_xact_lock(1); RAISE EXCEPTION 'lost'";
    machine.trigger("DELETE", "OLD.login LIKE 'alice (%'", lost);
    let command = machine.command(&["move", "--from", "file", "--to", &row]);
    let killed = machine.scene.start(command);
    machine.database().wait_until("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted");
    drop(killed);
    held.commit();
    machine.drop_trigger();
    assert_eq!(machine.rows(), ["alice", "alice (being moved here)"]);
    machine.relocate(&row, "file").assert_failed(1, "and the login waits in");
    machine.run(&["--store", &row, "logout", "--no-revoke"]).assert_done();
    machine.relocate("file", &row).assert_failed(1, "that was interrupted as it stored the login");
    assert_eq!(machine.rows(), ["alice (being moved here)"]);
}
