//! Files that do not open, for want of the passphrase or because of what they are.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use codex_auth_sdk::storage::{AuthStorage, Keyring, Version};
use serde_json::json;

use crate::machine::{Machine, load, login, parse, secrets, token};

/// Puts something in the place of a file.
type Plant = fn(&Path);

#[tokio::test]
async fn a_missing_passphrase_is_an_error_and_never_replaced() {
    let machine = Machine::with_login(&login("cli"));
    let known = machine.store();
    let version = load(&known).await.version;
    machine.keyring.delete(&machine.item()).await.expect("deleted");
    let before = machine.bytes();
    let fresh = machine.store();
    let new = parse(&login("new"));
    for error in [
        fresh.load().await.expect_err("missing"),
        fresh.ready(100).await.expect_err("missing"),
        fresh.commit(&version, &new).await.expect_err("missing"),
        known.ready(100).await.expect_err("missing"),
        known.commit(&version, &new).await.expect_err("missing"),
    ] {
        assert_eq!(error.code(), "keyring_unavailable");
        let text = error.to_string();
        assert!(text.contains("codex_auth.age") && text.contains("secrets|"), "{text}");
    }
    assert_eq!((machine.passphrase(), machine.bytes()), (None, before));
}

#[tokio::test]
async fn no_passphrase_is_made_beside_another_file_that_needs_the_old_one() {
    let machine = Machine::new();
    let other = machine.home.path().join("secrets/mcp_oauth.age");
    fs::create_dir(other.parent().expect("a folder")).expect("made");
    fs::write(&other, "age-encryption.org/v1").expect("written");
    let store = machine.store();
    let version = load(&store).await.version;
    for error in [
        store.ready(100).await.expect_err("missing"),
        store.commit(&version, &parse(&login("new"))).await.expect_err("missing"),
    ] {
        assert!(error.to_string().contains("mcp_oauth.age"), "{error}");
    }
    assert_eq!(machine.passphrase(), None);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_open_is_corrupt_stays_and_is_not_tried_again() {
    let machine = Machine::with_login(&login("cli"));
    machine.put_passphrase("another");
    let store = machine.store();
    let before = machine.bytes();
    for _ in 0..2 {
        let error = store.load().await.expect_err("closed");
        assert_eq!((error.code(), error.is_transient()), ("store_corrupt", false), "{error}");
    }
    assert_eq!(store.ready(100).await.expect_err("closed").code(), "store_corrupt");
    assert_eq!(store.derivations(), 1);
    assert_eq!(machine.bytes(), before);
    machine.put_passphrase("correct horse");
    assert_eq!(token(&load(&store).await), "cli", "a repaired keyring is asked again");
    for broken in [b"".as_slice(), b"age-encryption.org/v1\n", b"{}"] {
        fs::write(machine.path(), broken).expect("written");
        assert_eq!(store.load().await.expect_err("damaged").code(), "store_corrupt");
    }
    for odd in [json!({"version": 2, "secrets": {}}), secrets("no login")] {
        machine.put_file("correct horse", &odd);
        assert_eq!(store.load().await.expect_err("unknown").code(), "store_corrupt");
    }
}

#[tokio::test]
async fn g6_a_half_written_file_is_waited_for() {
    let machine = Machine::with_login(&login("whole"));
    let whole = machine.bytes().expect("a file");
    fs::write(machine.path(), &whole[..whole.len() / 2]).expect("cut");
    let (store, path) = (machine.store(), machine.path());
    let writer = async {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        fs::write(path, &whole).expect("written");
    };
    let (loaded, ()) = tokio::join!(load(&store), writer);
    assert_eq!(token(&loaded), "whole");
}

#[tokio::test(start_paused = true)]
async fn g6_a_file_that_is_away_for_a_moment_is_no_logout() {
    let machine = Machine::with_login(&login("cli"));
    let store = machine.store();
    load(&store).await;
    let (whole, path) = (machine.bytes().expect("a file"), machine.path());
    fs::remove_file(&path).expect("removed");
    assert!(store.load_now().is_none(), "reading takes waiting");
    let writer = async {
        tokio::time::sleep(std::time::Duration::from_millis(900)).await;
        fs::write(&path, &whole).expect("put back");
    };
    let (loaded, ()) = tokio::join!(load(&store), writer);
    assert_eq!(token(&loaded), "cli");
    fs::remove_file(&path).expect("removed");
    assert!(load(&store).await.record.is_none(), "it stays away");
    let start = tokio::time::Instant::now();
    assert!(load(&store).await.record.is_none());
    assert_eq!(start.elapsed().as_millis(), 0, "waited for once");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_asks_for_hours_of_work_is_refused_and_no_token_spent() {
    let machine = Machine::with_login(&login("cli"));
    let store = machine.store();
    let before = load(&store).await.version;
    let mut file = machine.bytes().expect("a file");
    let end = file.iter().skip(30).position(|byte| *byte == b'\n').expect("a header") + 30;
    file.splice(end - 1..end, *b"30");
    fs::write(machine.path(), &file).expect("written");
    for error in [
        store.load().await.expect_err("refused"),
        store.ready(100).await.expect_err("refused"),
        machine.store().ready(100).await.expect_err("refused"),
    ] {
        assert_eq!(error.code(), "store_corrupt");
        assert!(error.to_string().contains("too much work"), "{error}");
    }
    assert_ne!(before, Version::absent());
    assert_eq!(machine.bytes(), Some(file));
}

#[tokio::test(start_paused = true)]
async fn what_is_planted_in_its_place_is_named_and_left_alone() {
    let plants: [(Plant, &str, &str); 4] = [
        (pipe, "store_unavailable", "pipe"),
        (|path| fs::create_dir(path).expect("made"), "store_unavailable", "folder"),
        (endless, "store_corrupt", "too large"),
        (|path| symlink("/dev/zero", path).expect("linked"), "store_unavailable", "device"),
    ];
    for (plant, code, why) in plants {
        let machine = Machine::with_login(&login("cli"));
        fs::remove_file(machine.path()).expect("there");
        plant(&machine.path());
        let store = machine.store();
        for error in [
            store.load().await.expect_err("odd"),
            store.load_now().expect("an answer").expect_err("odd"),
            store.ready(100).await.expect_err("odd"),
            store.commit(&Version::absent(), &parse(&login("new"))).await.expect_err("odd"),
        ] {
            assert_eq!(error.code(), code, "{error}");
            assert!(error.to_string().contains(why), "{error}");
        }
        assert!(machine.path().symlink_metadata().is_ok());
        assert_eq!(machine.passphrase().as_deref(), Some("correct horse"));
    }
}

fn pipe(path: &Path) {
    let status = Command::new("mkfifo").arg(path).status();
    assert!(status.is_ok_and(|status| status.success()));
}

/// Terabytes of nothing.
fn endless(path: &Path) {
    fs::File::create(path).expect("made").set_len(1 << 42).expect("grown");
}

#[tokio::test]
async fn a_home_that_is_gone_is_no_logout_and_not_made_again() {
    let machine = Machine::with_login(&login("cli"));
    let store = machine.store();
    let version = load(&store).await.version;
    let home = machine.home.path();
    let away = home.with_extension("away");
    fs::rename(home, &away).expect("moved");
    for error in [
        store.load().await.expect_err("gone"),
        store.load_now().expect("an answer").expect_err("gone"),
        store.ready(100).await.expect_err("gone"),
    ] {
        assert_eq!(error.code(), "store_unavailable", "{error}");
    }
    drop(store.commit(&version, &parse(&login("new"))).await);
    assert!(!home.exists());
    fs::rename(&away, home).expect("back");
    assert_eq!(token(&load(&store).await), "cli");
}
