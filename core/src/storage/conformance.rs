//! What every [`AuthStorage`] must do, as one suite to run on each.

use std::sync::Arc;

use super::{AuthStorage, Loaded, Swap, Version};
use crate::auth_dot_json::AuthDotJson;
use crate::ledger::Ledger;
use crate::secret::Fingerprint;

/// Runs the suite. Every call of `open` opens another handle on one store, which is empty at
/// first, and is empty again at the end.
///
/// # Panics
///
/// Where the store breaks the contract.
pub async fn run(open: impl Fn() -> Arc<dyn AuthStorage>) {
    let (store, other) = (open(), open());
    starts_empty(&*store).await;
    swaps_only_what_was_seen(&*store, &*other).await;
    keeps_what_it_does_not_know(&*store, &*other).await;
    one_of_two_writers_wins(&*store, &*other).await;
    proves_readiness_without_writing(&*store, &*other).await;
    excludes_other_holders(&*store, &*other).await;
    deletes_only_what_was_seen(&*store, &*other).await;
}

async fn starts_empty(store: &dyn AuthStorage) {
    let loaded = load(store).await;
    assert!(loaded.record.is_none(), "a new store must be empty");
    assert_eq!(loaded.version, Version::absent());
    let deleted = store.delete(&loaded.version).await.expect("deleting nothing is no error");
    assert_eq!(deleted, Swap::Done);
}

async fn swaps_only_what_was_seen(store: &dyn AuthStorage, other: &dyn AuthStorage) {
    let stamp = store.stamp();
    let absent = load(store).await.version;
    assert_eq!(commit(store, &absent, "first").await, Swap::Done);
    assert_eq!(key(&load(other).await), "first", "a commit must be seen by other handles");
    assert!(stamp.is_none() || stamp != other.stamp(), "a commit must change the stamp");
    assert_eq!(commit(other, &absent, "stale").await, Swap::Conflict);
    let first = load(store).await.version;
    assert_ne!(first, absent);
    assert_eq!(commit(other, &first, "second").await, Swap::Done);
    assert_eq!(commit(store, &first, "stale").await, Swap::Conflict);
    assert_eq!(key(&load(store).await), "second", "a conflict must write nothing");
    if let Some(now) = store.load_now() {
        let now = now.expect("what loads with waiting loads without");
        assert_eq!(now.version, load(store).await.version);
    }
}

async fn keeps_what_it_does_not_know(store: &dyn AuthStorage, other: &dyn AuthStorage) {
    let record = parse(
        r#"{"auth_mode": "futureMode", "OPENAI_API_KEY": "sk", "tokens": {"id_token": "not a jwt",
        "access_token": "a", "refresh_token": "r", "account_id": null, "inner": {"b": 1.50}},
        "last_refresh": "2026-11-23T18:17:09.251614588Z", "outer": [123456789012345678901234567890]}"#,
    );
    let version = load(store).await.version;
    assert_eq!(store.commit(&version, &record).await.expect("committed"), Swap::Done);
    assert_eq!(load(other).await.record.as_deref(), Some(&record));
}

async fn one_of_two_writers_wins(store: &dyn AuthStorage, other: &dyn AuthStorage) {
    let version = load(store).await.version;
    let outcomes = [commit(store, &version, "left").await, commit(other, &version, "right").await];
    assert_eq!(outcomes, [Swap::Done, Swap::Conflict]);
    assert_eq!(key(&load(other).await), "left");
}

async fn proves_readiness_without_writing(store: &dyn AuthStorage, other: &dyn AuthStorage) {
    let before = load(other).await;
    drop(store.ready(16 * 1024).await.expect("a healthy store is ready"));
    let _ready = store.ready(16 * 1024).await.expect("and stays so");
    assert_eq!(load(other).await.version, before.version, "readiness must change nothing");
    assert_eq!(commit(store, &before.version, "ready").await, Swap::Done);
    assert_eq!(key(&load(other).await), "ready");
}

async fn excludes_other_holders(store: &dyn AuthStorage, other: &dyn AuthStorage) {
    let lock = store.try_lock().await.expect("a lock").expect("it is free");
    lock.check().expect("it is held");
    assert!(other.try_lock().await.expect("no error").is_none(), "there is one holder at a time");
    let mut ledger = Ledger::default();
    let [old, new] = ["old", "new"].map(|token| Fingerprint::of(token.as_bytes()));
    ledger.rotate(old, new);
    lock.set_ledger(&ledger).await.expect("a note for the next holder");
    // A store may add what it knows itself.
    let ledger = lock.ledger();
    assert_eq!(ledger.unsaved_successor(old), Some(new), "the note is there");
    drop(load(other).await);
    assert_eq!(other.ledger(), ledger, "and is read without the lock");
    drop(lock);
    let lock = other.try_lock().await.expect("a lock").expect("it is free again");
    assert_eq!(lock.ledger(), ledger, "and by the next holder");
}

async fn deletes_only_what_was_seen(store: &dyn AuthStorage, other: &dyn AuthStorage) {
    let seen = load(store).await.version;
    assert_eq!(commit(other, &seen, "newer").await, Swap::Done);
    assert_eq!(store.delete(&seen).await.expect("no error"), Swap::Conflict);
    let newer = load(store).await;
    assert_eq!(key(&newer), "newer", "a newer login must survive an older one's logout");
    assert_eq!(store.delete(&newer.version).await.expect("deleted"), Swap::Done);
    assert!(load(other).await.record.is_none());
    assert_eq!(commit(other, &newer.version, "back").await, Swap::Conflict, "no resurrection");
}

async fn load(store: &dyn AuthStorage) -> Loaded {
    store.load().await.expect("a healthy store loads")
}

async fn commit(store: &dyn AuthStorage, expected: &Version, key: &str) -> Swap {
    let record = parse(&format!(r#"{{"OPENAI_API_KEY": "{key}"}}"#));
    store.commit(expected, &record).await.expect("a healthy store commits")
}

fn parse(json: &str) -> AuthDotJson {
    AuthDotJson::parse(json.as_bytes()).expect("a record")
}

fn key(loaded: &Loaded) -> &str {
    let record = loaded.record.as_ref().expect("a record");
    record.openai_api_key.as_ref().expect("a key").expose()
}
