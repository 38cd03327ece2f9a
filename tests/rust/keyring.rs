//! The keyring and auto stores on a keyring that works, is locked, gone or stuck, under a paused
//! clock.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use codex_auth_sdk::environment::Environment;
use codex_auth_sdk::storage::{
    AuthDotJson, AuthStorage, AutoStorage, KeyringItem, KeyringStorage, Loaded, Swap, conformance,
};
use codex_auth_sdk::{AuthManager, Event, Secret, StoreKind};
use codex_auth_tests::issuer::Issuer;
use codex_auth_tests::log::Log;
use codex_auth_tests::memory_keyring::Condition;
use codex_auth_tests::memory_keyring::MemoryKeyring;
use codex_auth_tests::paused::simulated;
use serde_json::json;
use tempfile::TempDir;
use tokio::time::Instant;

struct Machine {
    home: TempDir,
    keyring: MemoryKeyring,
}

impl Machine {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        Self { home, keyring: MemoryKeyring::default() }
    }

    fn keyring_store(&self) -> KeyringStorage {
        let keyring = Arc::new(self.keyring.clone());
        KeyringStorage::new(self.home.path(), keyring, simulated(DateTime::UNIX_EPOCH))
    }

    fn auto_store(&self) -> AutoStorage {
        let keyring = Arc::new(self.keyring.clone());
        AutoStorage::new(self.home.path(), keyring, simulated(DateTime::UNIX_EPOCH))
    }

    fn item(&self) -> KeyringItem {
        KeyringItem::login(&self.home.path().canonicalize().expect("a folder"))
    }

    fn in_keyring(&self) -> Option<String> {
        self.keyring.peek(&self.item()).map(|value| value.expose().to_owned())
    }

    fn put_in_keyring(&self, text: &str) {
        self.keyring.put(&self.item(), Secret::new(text));
    }

    fn put_in_file(&self, text: &str) {
        std::fs::write(self.home.path().join("auth.json"), text).expect("written");
    }

    fn file(&self) -> Option<String> {
        std::fs::read_to_string(self.home.path().join("auth.json")).ok()
    }
}

/// A login of `account` with the refresh token `token`, refreshed at minute `minute`.
fn login(account: &str, token: &str, minute: u32) -> String {
    format!(
        r#"{{"tokens":{{"id_token":"","access_token":"at","refresh_token":"{token}","account_id":"{account}"}},"last_refresh":"2026-11-23T18:{minute:02}:00Z"}}"#
    )
}

fn token(loaded: &Loaded) -> &str {
    let tokens = loaded.record.as_ref().and_then(|record| record.tokens.as_ref());
    tokens.expect("a login").refresh_token.expose()
}

fn parse(text: &str) -> AuthDotJson {
    AuthDotJson::parse(text.as_bytes()).expect("a record")
}

async fn commit(store: &dyn AuthStorage, text: &str) -> Swap {
    let version = store.load().await.expect("loads").version;
    store.commit(&version, &parse(text)).await.expect("commits")
}

fn names(home: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(home).expect("listed").flatten();
    let mut names: Vec<_> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

#[tokio::test(start_paused = true)]
async fn both_conform() {
    let machine = Machine::new();
    conformance::run(|| Arc::new(machine.keyring_store())).await;
    conformance::run(|| Arc::new(machine.auto_store())).await;
    let left = [".codex-auth-sdk.json", ".codex-auth-sdk.lock", "auth.json.lock", "auth.lock"];
    assert_eq!(names(machine.home.path()), left, "locks, the ledger, and nothing else");
}

#[tokio::test(start_paused = true)]
async fn a_keyring_holds_the_record_on_one_line_and_takes_the_place_of_the_file() {
    let machine = Machine::new();
    machine.put_in_file(&login("a", "old", 0));
    assert!(machine.keyring_store().load().await.expect("loads").record.is_none());
    assert_eq!(commit(&machine.keyring_store(), &login("a", "new", 1)).await, Swap::Done);
    let stored = machine.in_keyring().expect("an item");
    assert!(!stored.contains('\n') && stored.contains("\"new\""), "{stored}");
    assert_eq!(machine.file(), None);
}

#[tokio::test(start_paused = true)]
async fn a_locked_keyring_is_unlocked_for_a_read_and_never_under_the_locks() {
    let machine = Machine::new();
    machine.put_in_keyring(&login("a", "old", 0));
    let store = machine.keyring_store();
    machine.keyring.set_condition(Condition::Locked);
    let loaded = store.load().await.expect("unlocked");
    assert_eq!((token(&loaded), machine.keyring.unlocks()), ("old", 1));
    machine.keyring.set_condition(Condition::Locked);
    for error in [
        store.commit(&loaded.version, &parse(&login("a", "new", 1))).await.expect_err("locked"),
        store.delete(&loaded.version).await.expect_err("locked"),
        store.ready(100).await.expect_err("locked"),
    ] {
        assert_eq!((error.code(), error.is_transient()), ("keyring_locked", true), "{error}");
    }
    assert_eq!(machine.keyring.unlocks(), 1);
    machine.keyring.set_condition(Condition::Sealed);
    assert_eq!(store.load().await.expect_err("dismissed").code(), "keyring_locked");
}

async fn load_locked(store: &KeyringStorage) {
    assert_eq!(store.load().await.expect_err("locked").code(), "keyring_locked");
}

#[tokio::test(start_paused = true)]
async fn a_user_who_keeps_the_keyring_locked_is_asked_once_a_minute() {
    let machine = Machine::new();
    machine.put_in_keyring(&login("a", "old", 0));
    machine.keyring.set_condition(Condition::Sealed);
    let stores = [machine.keyring_store(), machine.keyring_store()];
    for store in stores.iter().cycle().take(6) {
        load_locked(store).await;
    }
    assert_eq!(machine.keyring.unlocks(), 1);
    tokio::time::sleep(Duration::from_secs(60)).await;
    load_locked(&stores[1]).await;
    assert_eq!(machine.keyring.unlocks(), 2, "a minute has passed");
    machine.keyring.set_condition(Condition::Works);
    stores[0].load().await.expect("loads");
    machine.keyring.set_condition(Condition::Sealed);
    load_locked(&stores[1]).await;
    assert_eq!(machine.keyring.unlocks(), 3, "it was unlocked in between");
}

#[tokio::test(start_paused = true)]
async fn a_question_that_nobody_answers_is_the_only_one_and_waited_for_once() {
    let machine = Machine::new();
    machine.put_in_keyring(&login("a", "old", 0));
    machine.keyring.set_condition(Condition::Unattended);
    let store = machine.keyring_store();
    load_locked(&store).await;
    let start = Instant::now();
    for _ in 0..6 {
        load_locked(&store).await;
    }
    assert_eq!(start.elapsed(), Duration::ZERO, "the answer is known");
    tokio::time::sleep(Duration::from_secs(120)).await;
    load_locked(&store).await;
    assert_eq!(machine.keyring.unlocks(), 1, "it is still on the screen");
}

#[tokio::test(start_paused = true)]
async fn readers_of_a_locked_keyring_share_one_prompt() {
    let machine = Machine::new();
    machine.put_in_keyring(&login("a", "old", 0));
    machine.keyring.set_condition(Condition::Unattended);
    let [one, other] = [machine.keyring_store(), machine.keyring_store()];
    let (one, other) = tokio::join!(one.load(), other.load());
    for loaded in [one, other] {
        assert_eq!(loaded.expect_err("locked").code(), "keyring_locked");
    }
    assert_eq!(machine.keyring.unlocks(), 1);
}

#[tokio::test(start_paused = true)]
async fn g8_a_stuck_keyring_is_given_up_and_the_clis_locks_with_it() {
    let machine = Machine::new();
    machine.put_in_keyring(&login("a", "old", 0));
    let store = Arc::new(machine.keyring_store());
    let version = store.load().await.expect("loads").version;
    machine.keyring.set_condition(Condition::Stuck);
    let saving = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.commit(&version, &parse(&login("a", "new", 1))).await }
    });
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let error = saving.await.expect("no panic").expect_err("stuck");
    assert_eq!(error.code(), "keyring_unavailable");
    let lock = std::fs::File::open(machine.home.path().join("auth.lock")).expect("there");
    lock.try_lock().expect("free for the CLI");
    let start = Instant::now();
    assert_eq!(store.load().await.expect_err("stuck").code(), "keyring_unavailable");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

/// A commit that has begun and was given up after its second.
async fn begin_late(machine: &Machine, store: &KeyringStorage, new: &str) {
    let version = store.load().await.expect("loads").version;
    machine.keyring.set_condition(Condition::Late);
    let error = store.commit(&version, &parse(new)).await.expect_err("too slow");
    assert_eq!(error.code(), "keyring_unavailable");
}

/// Lets the late write land, and waits until the store takes another.
async fn land(machine: &Machine, store: &KeyringStorage) {
    machine.keyring.set_condition(Condition::Works);
    while store.ready(100).await.is_err() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn g3_no_write_begins_before_a_late_one_has_ended() {
    let machine = Machine::new();
    machine.put_in_keyring(&login("a", "old", 0));
    let store = machine.keyring_store();
    begin_late(&machine, &store, &login("a", "late", 1)).await;
    let loaded = store.load().await.expect("reads go on");
    assert_eq!(token(&loaded), "old");
    for error in [
        store.commit(&loaded.version, &parse(&login("a", "new", 2))).await.expect_err("refused"),
        store.delete(&loaded.version).await.expect_err("refused"),
        store.ready(100).await.expect_err("refused"),
    ] {
        assert_eq!((error.code(), error.is_transient()), ("keyring_unavailable", true), "{error}");
    }
    let lock = std::fs::File::open(machine.home.path().join("auth.lock")).expect("there");
    lock.try_lock().expect("free for the CLI");
    drop(lock);
    land(&machine, &store).await;
    assert_eq!(token(&store.load().await.expect("loads")), "late");
    let new = parse(&login("a", "new", 2));
    let stale = store.commit(&loaded.version, &new).await.expect("no error");
    assert_eq!(stale, Swap::Conflict, "what landed late was compared");
    assert_eq!(commit(&store, &login("a", "new", 2)).await, Swap::Done);
}

#[tokio::test(start_paused = true)]
async fn g3_a_write_that_lands_late_gives_way_to_a_newer_login() {
    for newer in [Some(login("b", "newer", 2)), None] {
        let machine = Machine::new();
        machine.put_in_keyring(&login("a", "old", 0));
        let store = machine.keyring_store();
        begin_late(&machine, &store, &login("a", "late", 1)).await;
        match &newer {
            Some(newer) => machine.put_in_keyring(newer),
            None => machine.keyring.remove(&machine.item()),
        }
        store.load().await.expect("another program's is seen");
        land(&machine, &store).await;
        assert_eq!(machine.in_keyring(), newer);
    }
}

#[tokio::test(start_paused = true)]
async fn g3_a_removal_that_lands_late_gives_way_to_a_newer_login() {
    let machine = Machine::new();
    machine.put_in_keyring(&login("a", "old", 0));
    let store = machine.keyring_store();
    let version = store.load().await.expect("loads").version;
    machine.keyring.set_condition(Condition::Late);
    store.delete(&version).await.expect_err("too slow");
    let newer = login("b", "newer", 2);
    machine.put_in_keyring(&newer);
    store.load().await.expect("another program's is seen");
    land(&machine, &store).await;
    assert_eq!(machine.in_keyring(), Some(newer));
}

#[tokio::test(start_paused = true)]
async fn g3_what_came_after_a_late_write_stays() {
    let machine = Machine::new();
    machine.put_in_keyring(&login("a", "old", 0));
    let store = machine.keyring_store();
    begin_late(&machine, &store, &login("a", "late", 1)).await;
    machine.put_in_keyring(&login("b", "newer", 2));
    store.load().await.expect("seen");
    // In the moment between the landing and the look at it.
    let lock = std::fs::File::open(machine.home.path().join("auth.lock")).expect("there");
    lock.lock().expect("held by the CLI");
    machine.keyring.set_condition(Condition::Works);
    while machine.in_keyring().is_none_or(|stored| !stored.contains("late")) {
        tokio::task::yield_now().await;
    }
    let newest = login("c", "newest", 3);
    machine.put_in_keyring(&newest);
    drop(lock);
    land(&machine, &store).await;
    assert_eq!(machine.in_keyring(), Some(newest));
}

#[tokio::test(start_paused = true)]
async fn auto_prefers_the_newer_record_of_one_login_and_the_keyrings_of_two() {
    let machine = Machine::new();
    for (keyring, file, expected) in [
        (login("a", "k", 0), login("a", "f", 5), "f"),
        (login("a", "k", 5), login("a", "f", 0), "k"),
        (login("a", "k", 0), login("b", "f", 5), "k"),
    ] {
        machine.put_in_keyring(&keyring);
        machine.put_in_file(&file);
        assert_eq!(token(&machine.auto_store().load().await.expect("loads")), expected);
        let both = (machine.in_keyring(), machine.file());
        assert_eq!(both, (Some(keyring), Some(file)), "loading changes neither");
    }
}

#[tokio::test(start_paused = true)]
async fn a_save_in_auto_leaves_one_record_and_a_logout_none() {
    let machine = Machine::new();
    machine.put_in_file(&login("a", "f", 0));
    let store = machine.auto_store();
    store.load().await.expect("loads");
    let holder = store.holder().expect("a choice");
    assert_eq!(holder.kind, StoreKind::File);
    assert_eq!(commit(&store, &login("a", "new", 1)).await, Swap::Done);
    assert!(machine.in_keyring().is_some_and(|stored| stored.contains("new")));
    assert_eq!(machine.file(), None);
    assert_eq!(token(&store.load().await.expect("loads")), "new");
    assert_eq!(store.holder().expect("a choice").kind, StoreKind::Keyring);
    machine.put_in_file(&login("a", "f", 0));
    let version = store.load().await.expect("loads").version;
    assert_eq!(store.delete(&version).await.expect("deleted"), Swap::Done);
    assert_eq!((machine.in_keyring(), machine.file()), (None, None));
}

#[tokio::test(start_paused = true)]
async fn subscribers_hear_once_that_another_store_holds_the_login() {
    let machine = Machine::new();
    machine.put_in_keyring(&login("a", "k", 5));
    machine.put_in_file(&login("a", "f", 0));
    let manager = AuthManager::builder()
        .storage(Arc::new(machine.auto_store()))
        .environment(simulated(DateTime::UNIX_EPOCH))
        .build()
        .await
        .expect("a manager");
    assert_eq!(manager.store_holder().expect("a choice").kind, StoreKind::Keyring);
    let mut events = manager.subscribe();
    let mut changes = Vec::new();
    for condition in [Condition::Works, Condition::Gone, Condition::Gone, Condition::Works] {
        machine.keyring.set_condition(condition);
        manager.reload().await.expect("read");
        while let Ok(Some(event)) = tokio::time::timeout(Duration::ZERO, events.next()).await {
            if let Event::StoreChanged(holder) = event {
                assert_eq!(Some(&holder), manager.store_holder().as_ref());
                changes.push((holder.kind, holder.reason.is_some()));
            }
        }
    }
    assert_eq!(changes, [(StoreKind::File, true), (StoreKind::Keyring, false)]);
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_keyring_is_no_logout_and_no_reason_to_redeem() {
    let machine = Machine::new();
    machine.keyring.set_condition(Condition::Gone);
    let store = machine.auto_store();
    let error = store.load().await.expect_err("nobody knows");
    assert_eq!(error.code(), "store_unavailable");
    machine.put_in_file(&login("a", "f", 0));
    let loaded = store.load().await.expect("adopts the file's");
    assert_eq!(token(&loaded), "f");
    let holder = store.holder().expect("a choice");
    assert!(holder.reason.is_some_and(|reason| reason.contains("no keyring")));
    for error in [
        store.ready(100).await.expect_err("unknown"),
        store.commit(&loaded.version, &parse(&login("a", "new", 1))).await.expect_err("unknown"),
        store.delete(&loaded.version).await.expect_err("unknown"),
    ] {
        assert_eq!(error.code(), "keyring_unavailable", "{error}");
    }
    assert!(machine.file().is_some_and(|file| file.contains("\"f\"")), "nothing was written");
}

#[tokio::test(start_paused = true)]
async fn a_keyring_known_to_be_empty_is_done_without() {
    let machine = Machine::new();
    machine.put_in_file(&login("a", "f", 0));
    let store = machine.auto_store();
    store.load().await.expect("loads");
    let lock = store.try_lock().await.expect("a lock").expect("free");
    lock.set_ledger(&lock.ledger()).await.expect("noted");
    drop(lock);
    machine.keyring.set_condition(Condition::Gone);
    for store in [store, machine.auto_store()] {
        let version = store.load().await.expect("loads").version;
        drop(store.ready(100).await.expect("this process or the lock's record knows"));
        let new = parse(&login("a", "new", 1));
        assert_eq!(store.commit(&version, &new).await.expect("saved"), Swap::Done);
        assert!(machine.file().is_some_and(|file| file.contains("\"new\"")));
    }
    machine.keyring.set_condition(Condition::Works);
    let store = machine.auto_store();
    assert_eq!(commit(&store, &login("a", "newest", 2)).await, Swap::Done);
    machine.keyring.set_condition(Condition::Gone);
    machine.put_in_file(&login("a", "stale", 0));
    store.load().await.expect("adopts");
    assert_eq!(
        store.ready(100).await.expect_err("not empty any more").code(),
        "keyring_unavailable"
    );
}

#[tokio::test(start_paused = true)]
async fn a_broken_file_does_not_hide_the_keyrings_login() {
    let machine = Machine::new();
    machine.put_in_keyring(&login("a", "k", 0));
    machine.put_in_file("{ broken");
    let store = machine.auto_store();
    assert_eq!(token(&store.load().await.expect("loads")), "k");
    assert_eq!(commit(&store, &login("a", "new", 1)).await, Swap::Done);
    assert_eq!(machine.file().as_deref(), Some("{ broken"), "it is not ours to throw away");
    let version = store.load().await.expect("loads").version;
    machine.put_in_file("{ broken again");
    let other = parse(&login("a", "other", 2));
    assert_eq!(store.commit(&version, &other).await.expect("no error"), Swap::Conflict);
}

/// As many bytes as no login fits into, as with the credential manager of Windows.
const SHORT: usize = 500;

#[tokio::test]
async fn g5_a_login_that_is_too_long_for_the_keyring_is_told_before_anything_is_spent() {
    let machine = Machine::new();
    let issuer = Issuer::start().expect("an issuer");
    let realm = issuer.realm("");
    let signed_in = realm.call_async("login", json!({"name": "a"})).await;
    let text = signed_in["text"].as_str().expect("a record");
    machine.put_in_keyring(text);
    machine.keyring.set_longest_value(SHORT);
    let keyring = || Arc::new(machine.keyring.clone());
    let home = machine.home.path();
    let stores: [Arc<dyn AuthStorage>; 2] = [
        Arc::new(KeyringStorage::new(home, keyring(), Environment::default())),
        Arc::new(AutoStorage::new(home, keyring(), Environment::default())),
    ];
    for store in stores {
        let builder = AuthManager::builder().storage(Arc::clone(&store));
        let builder = builder.token_url(format!("{}/oauth/token", realm.url()));
        let manager = builder.build().await.expect("a manager");
        let auth = manager.auth().expect("signed in");
        let error = manager.refresh_token(&auth).await.expect_err("too long");
        assert_eq!((error.code(), error.is_transient()), ("keyring_too_long", false), "{error}");
        assert!(error.to_string().starts_with("the login takes"), "{error}");
        let loaded = store.load().await.expect("loads");
        let error = store.commit(&loaded.version, &parse(text)).await.expect_err("too long");
        assert_eq!(error.code(), "keyring_too_long");
    }
    assert_eq!(realm.call_async("stats", json!({})).await["requests"], 0);
    assert_eq!((machine.in_keyring().as_deref(), machine.file()), (Some(text), None));
}

#[tokio::test(start_paused = true)]
async fn auto_keeps_a_login_that_is_too_long_for_the_keyring_in_the_file() {
    let machine = Machine::new();
    machine.keyring.set_longest_value(SHORT);
    let long = login("a", &"long".repeat(SHORT), 1);
    let store = machine.auto_store();
    machine.put_in_file(&login("a", "f", 0));
    let version = store.load().await.expect("loads").version;
    drop(store.ready(long.len()).await.expect("the file will do"));
    assert_eq!(store.commit(&version, &parse(&long)).await.expect("commits"), Swap::Done);
    assert!(machine.file().is_some_and(|file| file.contains("longlong")));
    assert_eq!(machine.in_keyring(), None);
    assert_eq!(store.holder().expect("a choice").kind, StoreKind::File);
    assert_eq!(commit(&store, &login("a", "new", 2)).await, Swap::Done);
    assert_eq!(machine.file(), None, "one that is short enough moves");
}

#[tokio::test(start_paused = true)]
async fn g11_a_keyring_that_does_not_answer_is_waited_for_once_then_left_alone_and_looked_at_again()
{
    let log = Log::of_everything();
    let machine = Machine::new();
    machine.put_in_keyring(&login("a", "k", 1));
    machine.put_in_file(&login("a", "f", 0));
    machine.keyring.set_condition(Condition::Stuck);
    let (first, second) = (machine.auto_store(), machine.keyring_store());
    let auto = async || {
        let start = Instant::now();
        let loaded = first.load().await.expect("reads one of them");
        (token(&loaded).to_owned(), start.elapsed().as_secs())
    };
    assert_eq!(auto().await, ("f".to_owned(), 15), "the first one waits");
    assert_eq!(auto().await, ("f".to_owned(), 0));
    let start = Instant::now();
    let error = second.load().await.expect_err("another store of the process");
    assert_eq!((error.code(), start.elapsed().as_secs()), ("keyring_unavailable", 0), "{error}");
    assert!(error.to_string().contains("use the store `file`"), "{error}");

    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(auto().await, ("f".to_owned(), 1), "a look");
    assert_eq!(auto().await, ("f".to_owned(), 0));
    machine.keyring.set_condition(Condition::Works);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(auto().await, ("k".to_owned(), 0), "it is back");
    machine.keyring.set_condition(Condition::Stuck);
    assert_eq!(auto().await, ("f".to_owned(), 15), "and is waited for again");
    assert!(log.text().contains("the keyring is left alone for now"), "{}", log.text());
}
