//! `auto` where it prefers the encrypted file.

use codex_auth_sdk::StoreKind;
use codex_auth_sdk::storage::{AuthStorage, Swap};
use codex_auth_tests::memory_keyring::Condition;

use crate::machine::{Machine, commit, load, login, parse, secrets, token};

#[tokio::test]
async fn auto_moves_the_login_from_the_file_to_the_encrypted_one_and_does_without() {
    let machine = Machine::new();
    machine.put_auth_json(&login("file"));
    let store = machine.auto_store();
    assert_eq!(token(&load(&store).await), "file");
    assert_eq!(store.holder().expect("a choice").kind, StoreKind::File);
    machine.keyring.set_condition(Condition::Gone);
    assert_eq!(commit(&store, "still the file").await, Swap::Done);
    assert!(machine.auth_json().is_some_and(|text| text.contains("still the file")));
    machine.keyring.set_condition(Condition::Works);
    assert_eq!(commit(&store, "moved").await, Swap::Done);
    assert_eq!(machine.auth_json(), None);
    assert_eq!(token(&load(&store).await), "moved");
    assert_eq!(store.holder().expect("a choice").kind, StoreKind::Encrypted);
    machine.keyring.set_condition(Condition::Gone);
    machine.put_auth_json(&login("stale"));
    let blind = machine.auto_store();
    let loaded = load(&blind).await;
    assert_eq!(token(&loaded), "stale");
    let new = parse(&login("new"));
    for error in [
        blind.ready(100).await.expect_err("a newer one may be there"),
        blind.commit(&loaded.version, &new).await.expect_err("the same"),
    ] {
        assert_eq!(error.code(), "keyring_unavailable", "{error}");
    }
    assert!(machine.auth_json().is_some_and(|text| text.contains("stale")));
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_may_hold_a_newer_login_whatever_was_noted() {
    let machine = Machine::new();
    machine.put_auth_json(&login("file"));
    let store = machine.auto_store();
    load(&store).await;
    let lock = store.try_lock().await.expect("a lock").expect("free");
    lock.set_ledger(&lock.ledger()).await.expect("noted that there is nothing else");
    drop(lock);
    machine.keyring.set_condition(Condition::Gone);
    drop(machine.auto_store().ready(100).await.expect("there is no encrypted file"));
    machine.put_file("correct horse", &secrets(&login("newer")));
    for store in [store, machine.auto_store()] {
        let loaded = load(&store).await;
        assert_eq!(token(&loaded), "file", "better than none");
        let new = parse(&login("new"));
        for error in [
            store.ready(100).await.expect_err("a newer one may be there"),
            store.commit(&loaded.version, &new).await.expect_err("the same"),
            store.delete(&loaded.version).await.expect_err("the same"),
        ] {
            assert_eq!(error.code(), "keyring_unavailable", "{error}");
            assert!(error.to_string().contains("codex_auth.age"), "{error}");
        }
    }
}

#[tokio::test]
async fn g5_auto_keeps_the_login_in_the_file_where_no_passphrase_can_be_kept() {
    let machine = Machine::new();
    machine.put_auth_json(&login("file"));
    let store = machine.auto_store();
    machine.keyring.set_condition(Condition::TakesNothingNew);
    let version = load(&store).await.version;
    let ready = store.ready(100).await.expect("the file will do");
    assert_eq!(store.commit(&version, &parse(&login("new"))).await.expect("commits"), Swap::Done);
    drop(ready);
    assert!(machine.auth_json().is_some_and(|text| text.contains("new")));
    assert_eq!((machine.passphrase(), machine.bytes()), (None, None));
}

#[tokio::test]
async fn g3_a_save_in_the_encrypted_file_leaves_another_accounts_file_alone() {
    let machine = Machine::with_login(&login("ours"));
    let theirs = login("theirs").replace(r#""account_id":"a""#, r#""account_id":"b""#);
    machine.put_auth_json(&theirs);
    assert_eq!(commit(&machine.auto_store(), "new").await, Swap::Done);
    assert_eq!(machine.auth_json().as_deref(), Some(&*theirs));
    assert_eq!(token(&load(&machine.auto_store()).await), "new");
    machine.put_auth_json(&login("older"));
    assert_eq!(commit(&machine.auto_store(), "newest").await, Swap::Done);
    assert_eq!(machine.auth_json(), None);
}
