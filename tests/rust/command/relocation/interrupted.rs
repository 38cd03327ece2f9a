//! Moves that a failure has interrupted: the login waits beside its new place, and nothing but its own
//! move takes it from there.

use serde_json::{Value, json};

use super::machine::Machine;
use crate::scene::Ended;

impl Machine {
    /// Has the database refuse to store the login `alice`, and starts to move the one in auth.json there.
    /// Returns how that was interrupted.
    fn interrupt(&self) -> Ended {
        self.trigger("INSERT", "NEW.login = 'alice'", "RAISE EXCEPTION 'full'");
        let ended = self.relocate("file", &self.row("alice"));
        ended.assert_failed(4, "waits in the login \"alice (being moved here)\" in postgres://");
        assert!(!self.scene.path("auth.json").exists());
        ended
    }
}

#[test]
fn g4_a_login_that_waits_for_its_new_place_is_overwritten_by_no_other_one() {
    let Some(machine) = Machine::with_database() else { return };
    let (row, other) = (machine.row("alice"), machine.row("bob"));
    machine.sign_in("b");
    machine.relocate("file", &other).assert_done();
    machine.sign_in("a");
    machine.interrupt();
    assert!(!machine.holds(&row) && !machine.holds(&machine.row("alice (being moved here)")));

    let ended = machine.relocate(&other, &row);
    ended.assert_failed(1, "that was interrupted; complete that one first");
    machine.sign_in("c");
    let ended = machine.relocate("file", &row);
    ended.assert_failed(1, "holds another login, whose move from ");
    assert!(machine.is_live() && machine.holds(&other));

    machine.run(&["--store", "file", "logout"]).assert_done();
    machine.relocate("file", &row).assert_failed(4, "waits in the login");
    machine.drop_trigger();
    machine.relocate("file", &row).assert_done();
    machine.assert_nothing_waits();
    machine.relocate(&row, "file").assert_done();
    assert_eq!(machine.scene.named()["tokens"]["refresh_token"], "refresh:a0");
    assert!(machine.is_live());
}

#[test]
fn a_login_that_waits_is_listed_and_told_of_beside_its_store() {
    let Some(machine) = Machine::with_database() else { return };
    let row = machine.row("alice");
    machine.sign_in("a");
    machine.interrupt();
    let url = machine.database().url();
    let listed = machine.run(&["logins", &url]);
    let line = "\"alice (being moved here)\": a login that waits for its move from ";
    assert!(listed.assert_done().starts_with(line), "{listed:?}");
    let listed = machine.run(&["logins", "--json", &url]).json();
    let file = machine.scene.path("auth.json").display().to_string();
    assert_eq!((&listed["login"], &listed["moved_from"]), (&Value::Null, &json!(file)));
    let said = "a login waits in the login \"alice (being moved here)\"";
    let told = machine.run(&["--store", &row, "status"]);
    assert!(told.stdout.contains(said) && told.stdout.contains(&file), "{told:?}");
    machine.drop_trigger();
    machine.relocate("file", &row).assert_done();
    let told = machine.run(&["--store", &row, "status"]);
    assert!(!told.stdout.contains("waits"), "{told:?}");
}

#[test]
fn g3_another_session_of_the_user_does_not_end_the_login_that_waits() {
    let Some(machine) = Machine::with_database() else { return };
    let row = machine.row("alice");
    machine.sign_in("a");
    machine.interrupt();
    machine.drop_trigger();
    machine.sign_in_again();
    let unproven = "hold tokens of one login, and nothing shows which are newer";
    machine.relocate("file", &row).assert_failed(1, unproven);
    machine.copy_to(&row);
    std::fs::remove_file(machine.scene.path("auth.json")).expect("there was one");
    machine.relocate("file", &row).assert_failed(1, unproven);
    assert_eq!(machine.rows(), ["alice", "alice (being moved here)"]);
    machine.run(&["--store", &row, "logout", "--no-revoke"]).assert_done();
    machine.relocate("file", &row).assert_done();
    machine.relocate(&row, "file").assert_done();
    assert_eq!(machine.scene.named()["tokens"]["refresh_token"], "refresh:a0");
}

#[test]
fn the_older_tokens_in_the_new_place_are_replaced_by_another_run_too() {
    let Some(machine) = Machine::with_database() else { return };
    let row = machine.row("alice");
    machine.sign_in("a");
    machine.copy_to(&row);
    machine.refresh("file");
    machine.trigger(
        "UPDATE",
        "NEW.login = 'alice' AND NEW.version <> OLD.version",
        "RAISE EXCEPTION 'full'",
    );
    machine.relocate("file", &row).assert_failed(4, "waits in the login");
    machine.drop_trigger();
    // What the ledger of the old place knew is lost.
    std::fs::remove_file(machine.scene.path(".codex-auth-sdk.json")).expect("there was one");
    machine.relocate("file", &row).assert_done();
    machine.assert_nothing_waits();
    machine.relocate(&row, "file").assert_done();
    assert!(machine.is_live());
}

#[test]
fn g3_a_login_that_waits_is_moved_by_its_own_move_only() {
    let Some(machine) = Machine::with_database() else { return };
    let (row, other) = (machine.row("alice"), machine.row("bob"));
    machine.sign_in("a");
    machine.interrupt();
    let waiting = machine.row("alice (being moved here)");
    let said = "a login waits in the login \"alice (being moved here)\" in postgres://";
    machine.relocate(&waiting, &other).assert_failed(1, said);
    machine.relocate(&waiting, &row).assert_failed(1, said);
    machine.sign_in("b");
    machine.relocate("file", &waiting).assert_failed(1, said);
    assert!(machine.is_live());
    assert_eq!(machine.rows(), ["alice (being moved here)"]);
}

#[test]
fn g3_another_machine_with_the_same_names_neither_completes_a_move_nor_begins_it_anew() {
    let Some(machine) = Machine::with_database() else { return };
    let row = machine.row("alice");
    let login: Value = serde_json::from_str(&machine.sign_in("a")).expect("JSON");
    machine.interrupt();
    machine.drop_trigger();
    // The home of another machine has another id, or none.
    let ids = machine.scene.path(".codex-auth-sdk-move");
    machine.sign_in("b");
    for ours in ["moved away", "another"] {
        let id = std::fs::read_dir(&ids).expect("a folder").flatten().map(|entry| entry.path());
        let mut id = id.filter(|path| path.extension().is_some_and(|it| it == "id"));
        let id = id.next().expect("an id");
        std::fs::rename(&id, machine.scene.path("ours")).expect("renamed");
        if ours == "another" {
            std::fs::write(&id, "another").expect("written");
        }
        let said = "that was begun on another machine or with another CODEX_HOME";
        machine.relocate("file", &row).assert_failed(1, said);
        let stored = std::fs::read(machine.scene.path("auth.json")).expect("a record");
        std::fs::remove_file(machine.scene.path("auth.json")).expect("there was one");
        machine.relocate("file", &row).assert_failed(1, said);
        machine.scene.store(std::str::from_utf8(&stored).expect("text"));
        std::fs::rename(machine.scene.path("ours"), &id).expect("renamed");
    }
    machine.run(&["--store", "file", "logout", "--no-revoke"]).assert_done();
    machine.relocate("file", &row).assert_done();
    machine.relocate(&row, "file").assert_done();
    assert_eq!(machine.scene.stored()["tokens"], login["tokens"]);
}

#[test]
fn a_copy_that_cannot_be_removed_after_the_move_is_a_warning_and_no_later_run_stores_it() {
    let Some(machine) = Machine::with_database() else { return };
    let (row, other) = (machine.row("alice"), machine.row("bob"));
    machine.sign_in("a");
    machine.trigger("DELETE", "OLD.login LIKE 'alice (%'", "RAISE EXCEPTION 'full'");
    let ended = machine.relocate("file", &row);
    ended.assert_failed(0, "a copy of the login is left");
    machine.drop_trigger();
    machine.relocate(&row, &other).assert_failed(1, "was interrupted, and the login waits in");
    machine.run(&["--store", &row, "logout", "--no-revoke"]).assert_done();
    let ended = machine.relocate("file", &row);
    ended.assert_failed(1, "that was interrupted as it stored the login");
    assert_eq!(machine.rows(), ["alice (being moved here)"]);
    let waiting = machine.row("alice (being moved here)");
    machine.run(&["--store", &waiting, "logout", "--no-revoke"]).assert_done();
    machine.assert_nothing_waits();
}
