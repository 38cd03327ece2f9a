//! `move`: a login from one store to another.

mod doubt;
mod interrupted;
mod kills;
mod machine;

use serde_json::{Value, json};

use self::machine::Machine;

#[test]
fn a_move_says_what_it_did_and_another_one_finds_nothing() {
    let Some(machine) = Machine::with_database() else { return };
    let row = machine.row("alice");
    machine.sign_in("a");
    let file = machine.scene.path("auth.json").display().to_string();
    let said = machine.relocate("file", &row);
    let text = said.assert_done();
    for part in [&*format!("Moved from {file} to the login \"alice\" in postgres://"), "acct-a"] {
        assert!(text.contains(part), "{text}");
    }
    let again = machine.relocate("file", &row);
    again.assert_failed(
        3,
        &format!("no login is stored in {file}; the login \"alice\" in postgres://"),
    );
    let back = machine.run(&["move", "--json", "--from", &row, "--to", "file"]);
    back.assert_done();
    let back = back.json();
    assert_eq!((&back["version"], &back["to"]), (&json!(1), &json!(file)));
    assert_eq!((&back["account_id"], &back["mode"]), (&json!("acct-a"), &json!("chatgpt")));
    assert!(back["from"].as_str().is_some_and(|from| from.contains("alice")), "{back}");
    let none = machine.run(&["move", "--json", "--from", &row, "--to", "file"]);
    none.assert_failed(3, "no login is stored in the login \"alice\"");
    assert_eq!(none.json()["error"]["code"], "login_required");
    assert!(machine.is_live());
    assert_eq!(machine.scene.realm().stats()["requests"], 0, "no token was presented");
}

#[test]
fn any_credential_is_moved_as_it_is() {
    let Some(machine) = Machine::with_database() else { return };
    let row = machine.row("alice");
    for text in [
        r#"{"auth_mode": "apikey", "OPENAI_API_KEY": "sk-1", "new": [1.50]}"#,
        r#"{"OPENAI_API_KEY": null, "personal_access_token": "at-1"}"#,
    ] {
        machine.scene.store(text);
        let stored = machine.scene.stored();
        machine.relocate("file", &row).assert_done();
        assert!(!machine.scene.path("auth.json").exists());
        machine.relocate(&row, "file").assert_done();
        assert_eq!(machine.scene.stored(), stored);
        machine.run(&["--store", "file", "logout", "--no-revoke"]).assert_done();
    }
    machine.assert_nothing_waits();
}

#[test]
fn g3_a_place_that_holds_another_login_is_left_alone() {
    let Some(machine) = Machine::with_database() else { return };
    let row = machine.row("alice");
    machine.sign_in("b");
    machine.relocate("file", &row).assert_done();
    machine.sign_in("a");
    let ended = machine.relocate("file", &row);
    ended.assert_failed(
        1,
        "holds another login, which a move does not replace; log out there first",
    );
    let [at_bob, at_alice] = ["bob", "alice"].map(|login| machine.row(login));
    machine.relocate("file", &at_bob).assert_done();
    machine.sign_in_again();
    let ended = machine.relocate("file", &at_bob);
    ended.assert_failed(1, "hold tokens of one login, and nothing shows which are newer");
    assert!(machine.is_live());
    assert_eq!(["file", &at_alice, &at_bob].map(|store| machine.holds(store)), [true; 3]);
    machine.assert_nothing_waits();
}

#[test]
fn g3_a_login_beside_the_keyring_is_not_lost_to_a_move() {
    let Some(machine) = Machine::with_keyring() else { return };
    machine.sign_in("a");
    machine.relocate("file", "keyring").assert_done();
    machine.sign_in("b");
    let ended = machine.relocate("keyring", "encrypted");
    ended.assert_failed(1, "holds a login too, which any change of the keyring's item");
    let ended = machine.relocate("keyring", "file");
    ended.assert_failed(1, "holds another login");
    assert!(machine.is_live() && machine.holds("keyring"));
}

#[test]
fn g3_a_login_in_the_keyring_is_not_lost_to_a_move_out_of_the_encrypted_file() {
    let Some(machine) = Machine::with_keyring() else { return };
    machine.sign_in("a");
    machine.relocate("file", "encrypted").assert_done();
    machine.sign_in("b");
    machine.relocate("file", "keyring").assert_done();
    let ended = machine.relocate("encrypted", "file");
    ended.assert_failed(1, "holds a login too, which any change of ");
    assert!(machine.holds("keyring") && machine.holds("encrypted"));
}

#[test]
fn a_login_is_moved_into_the_encrypted_file_and_out_of_it() {
    let Some(machine) = Machine::with_keyring() else { return };
    machine.sign_in("a");
    machine.relocate("file", "encrypted").assert_done();
    machine.relocate("encrypted", "file").assert_done();
    assert!(machine.is_live() && !machine.holds("encrypted"));
}

#[test]
fn the_newer_tokens_of_one_login_are_those_that_are_left() {
    let Some(machine) = Machine::with_database() else { return };
    let row = machine.row("alice");
    let old = machine.sign_in("a");
    machine.refresh("file");
    let new = std::fs::read_to_string(machine.scene.path("auth.json")).expect("a record");
    for (in_row, in_file) in [(&old, &new), (&new, &old)] {
        // Copied by hand.
        machine.scene.store(in_row);
        machine.copy_to(&row);
        for [from, to] in [["file", &row], [&*row, "file"]] {
            machine.scene.store(in_file);
            machine.relocate(from, to).assert_done();
            if to != "file" {
                machine.relocate(to, "file").assert_done();
            }
            assert!(machine.is_live());
            assert!(!machine.holds(&row));
            machine.scene.store(in_row);
            machine.copy_to(&row);
        }
        machine.run(&["--store", &row, "logout", "--no-revoke"]).assert_done();
    }
    assert_eq!(machine.scene.realm().stats()["replays"], 0);
}

#[test]
fn the_newer_tokens_are_left_where_a_removal_takes_the_older_ones_along() {
    let Some(machine) = Machine::with_keyring() else { return };
    let old = machine.sign_in("a");
    machine.refresh("file");
    let new = std::fs::read_to_string(machine.scene.path("auth.json")).expect("a record");
    for (in_keyring, in_file) in [(&old, &new), (&new, &old)] {
        for [from, to] in [["file", "keyring"], ["keyring", "file"]] {
            machine.scene.store(in_keyring);
            machine.put_into_keyring();
            machine.scene.store(in_file);
            machine.relocate(from, to).assert_done();
            if to == "keyring" {
                machine.relocate("keyring", "file").assert_done();
            }
            assert!(machine.is_live() && !machine.holds("keyring"));
        }
    }
    assert_eq!(machine.scene.realm().stats()["replays"], 0);
}

#[test]
fn what_is_known_of_the_tokens_moves_along() {
    let Some(machine) = Machine::with_database() else { return };
    let row = machine.row("alice");
    let old = machine.sign_in("a");
    machine.refresh("file");
    machine.relocate("file", &row).assert_done();
    // A backup is put back, without the table's row that knows better.
    let ledger = machine.database.as_ref().expect("a database");
    let ledger = ledger.ask("SELECT encode(ledger, 'hex') FROM codex_auth_sdk_logins");
    machine.scene.store(&old);
    std::fs::remove_file(machine.scene.path(".codex-auth-sdk.json")).expect("there was one");
    machine.copy_to(&row);
    machine.database.as_ref().expect("a database").run(&format!(
        "UPDATE codex_auth_sdk_logins SET ledger = decode('{}', 'hex')",
        ledger[0][0]
    ));
    std::fs::remove_file(machine.scene.path("auth.json")).expect("there was one");
    let ended = machine.relocate(&row, "file");
    ended.assert_failed(3, "was already used by another program");
    assert_eq!(machine.scene.realm().stats()["requests"], 1);
}

#[test]
fn what_would_not_work_elsewhere_is_not_moved() {
    let refused = |machine: &Machine, code: i32, said: &str| {
        let stored = machine.scene.stored();
        machine.relocate("file", "encrypted").assert_failed(code, said);
        assert_eq!(machine.scene.stored(), stored);
    };
    let machine = Machine::new();
    let login = machine.sign_in("a");
    let mut record: Value = serde_json::from_str(&login).expect("JSON");
    record["tokens"]["refresh_token"] = json!("");
    machine.scene.store(&record.to_string());
    refused(&machine, 1, "has no refresh token: another program renews it there");
    machine.scene.store("{}");
    refused(&machine, 3, "no login is stored in ");

    machine.scene.store(&login);
    let realm = machine.scene.realm();
    realm.run("hold", &json!({"at": "reply"}));
    let token = machine.command(&["--store", "file", "token", "--min-valid", "59m"]);
    let killed = machine.scene.start(token);
    drop(realm.wait(&json!({"held": 1})));
    drop(killed);
    refused(&machine, 4, "may be spent: an earlier request with it was never answered");

    let machine = Machine::new();
    machine.sign_in("a");
    machine.scene.realm().run("invalidate_refresh", &json!({"token": "a0"}));
    machine.refresh("file");
    refused(&machine, 3, "was revoked");
}

/// Moves the login while a program refreshes it, which has begun before and ends after that.
fn moves_once_the_refresh_is_saved(machine: &Machine, from: &str, to: &str) {
    machine.sign_in("a");
    if from != "file" {
        machine.relocate("file", from).assert_done();
    }
    let realm = machine.scene.realm();
    realm.run("hold", &json!({"at": "reply"}));
    let token = ["--store", from, "token", "--min-valid", "59m"];
    let mut refresh = machine.scene.start(machine.command(&token));
    drop(realm.wait(&json!({"held": 1})));
    let relocation = ["-v", "move", "--from", from, "--to", to];
    let mut relocation = machine.scene.start(machine.command(&relocation));
    loop {
        let said = relocation.complaint();
        assert!(!said.is_empty(), "it has ended");
        if said.contains("another program holds the refresh lock") {
            break;
        }
    }
    realm.run("release", &json!({}));
    assert_eq!((refresh.end().code(), relocation.end().code()), (Some(0), Some(0)));
    assert_eq!([from, to].map(|store| machine.holds(store)), [false, true]);
    if to != "file" {
        machine.relocate(to, "file").assert_done();
    }
    assert_eq!(machine.scene.named()["tokens"]["refresh_token"], "refresh:a1");
    assert!(machine.is_live());
    assert_eq!(realm.stats()["max_redemptions"], 1);
}

#[test]
fn g4_a_move_out_of_a_file_waits_for_the_refresh_that_is_under_way() {
    let Some(machine) = Machine::with_database() else { return };
    moves_once_the_refresh_is_saved(&machine, "file", &machine.row("alice"));
}

#[test]
fn g4_a_move_out_of_a_database_waits_for_the_refresh_that_is_under_way() {
    let Some(machine) = Machine::with_database() else { return };
    moves_once_the_refresh_is_saved(&machine, &machine.row("alice"), "file");
}

#[test]
fn g4_a_move_into_the_keyring_waits_for_the_refresh_that_is_under_way() {
    let Some(machine) = Machine::with_keyring() else { return };
    moves_once_the_refresh_is_saved(&machine, "file", "keyring");
}

#[test]
fn places_that_make_no_sense_are_refused() {
    let machine = Machine::new();
    machine.sign_in("a");
    for (arguments, said) in [
        (&["move", "--from", "file", "--to", "file"][..], "which is where the login is moved from"),
        (&["move", "--from", "file", "--to", "agent"], "cannot be moved from or to such a store"),
        (&["move", "--from", "auto", "--to", "file"], "cannot be moved from or to such a store"),
        (&["move", "--from", "file", "--to", "postgres://h/d"], "add login=NAME"),
        (&["--store", "file", "move", "--from", "file", "--to", "keyring"], "--from and --to"),
        (&["move", "--from", "file"], "--to <STORE>"),
    ] {
        machine.run(arguments).assert_failed(2, said);
    }
    assert!(machine.is_live());
}
