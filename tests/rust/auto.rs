//! What `auto` does when the keyring fails in the middle, and when others write either place.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use codex_auth_sdk::environment::{BoxFuture, Environment};
use codex_auth_sdk::storage::{
    Attendance, AuthDotJson, AuthStorage, AutoStorage, Keyring, KeyringItem, KeyringStorage, Swap,
};
use codex_auth_sdk::{AuthManager, CodexAuth, Secret};
use codex_auth_tests::issuer::{Issuer, Realm};
use codex_auth_tests::log::Log;
use codex_auth_tests::memory_keyring::Condition;
use codex_auth_tests::memory_keyring::MemoryKeyring;
use codex_auth_tests::paused::simulated;
use serde_json::{Value, json};
use tempfile::TempDir;

struct Machine {
    home: TempDir,
    keyring: MemoryKeyring,
}

impl Machine {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        Self { home, keyring: MemoryKeyring::default() }
    }

    fn store(&self) -> AutoStorage {
        self.store_on(Arc::new(self.keyring.clone()))
    }

    fn store_on(&self, keyring: Arc<dyn Keyring>) -> AutoStorage {
        AutoStorage::new(self.home.path(), keyring, simulated(DateTime::UNIX_EPOCH))
    }

    async fn manager(&self, realm: &Realm) -> AuthManager {
        let keyring = Arc::new(self.keyring.clone());
        let store = AutoStorage::new(self.home.path(), keyring, Environment::default());
        let builder = AuthManager::builder().storage(Arc::new(store));
        builder.token_url(format!("{}/oauth/token", realm.url())).build().await.expect("a manager")
    }

    fn item(&self) -> KeyringItem {
        KeyringItem::login(&self.home.path().canonicalize().expect("a folder"))
    }

    fn put_in_keyring(&self, text: &str) {
        self.keyring.put(&self.item(), Secret::new(text));
    }

    fn path(&self) -> PathBuf {
        self.home.path().join("auth.json")
    }

    fn put_in_file(&self, text: &str) {
        std::fs::write(self.path(), text).expect("written");
    }

    /// The access tokens in the keyring and in the file.
    fn tokens(&self) -> [Option<String>; 2] {
        let keyring = self.keyring.peek(&self.item());
        let file = std::fs::read_to_string(self.path()).ok();
        [keyring.map(|value| value.expose().to_owned()), file].map(|text| {
            let record: Value = serde_json::from_str(&text?).expect("a record");
            Some(record["tokens"]["access_token"].as_str().expect("a token").to_owned())
        })
    }
}

/// A login of `account` with the tokens `token`, refreshed at minute `minute`.
fn login(account: &str, token: &str, minute: u32) -> String {
    json!({
        "tokens": {
            "id_token": "", "access_token": token, "refresh_token": token, "account_id": account,
        },
        "last_refresh": format!("2026-11-23T18:{minute:02}:00Z"),
    })
    .to_string()
}

fn parse(text: &str) -> AuthDotJson {
    AuthDotJson::parse(text.as_bytes()).expect("a record")
}

async fn sign_in(realm: &Realm) -> String {
    let signed_in = realm.call_async("login", json!({"name": "a"})).await;
    signed_in["text"].as_str().expect("a record").to_owned()
}

async fn commit(store: &dyn AuthStorage, text: &str) -> Swap {
    let version = store.load().await.expect("loads").version;
    store.commit(&version, &parse(text)).await.expect("commits")
}

fn access_token(auth: &CodexAuth) -> &str {
    auth.access_token().expect("a token").expose()
}

fn both(keyring: Option<&str>, file: Option<&str>) -> [Option<String>; 2] {
    [keyring, file].map(|token| token.map(str::to_owned))
}

#[tokio::test(start_paused = true)]
async fn g5_a_keyring_that_takes_no_new_item_is_not_ready_for_one() {
    let machine = Machine::new();
    let keyring = Arc::new(machine.keyring.clone());
    let store = KeyringStorage::new(machine.home.path(), keyring, simulated(DateTime::UNIX_EPOCH));
    machine.keyring.set_condition(Condition::TakesNothingNew);
    assert!(store.load().await.expect("there is none").record.is_none());
    assert_eq!(store.ready(100).await.expect_err("locked").code(), "keyring_locked");
    machine.put_in_keyring(&login("a", "old", 0));
    drop(store.ready(100).await.expect("what is there can be replaced"));
}

#[tokio::test]
async fn g4_auto_keeps_the_login_in_the_file_where_the_keyring_takes_no_new_item() {
    let machine = Machine::new();
    let issuer = Issuer::start().expect("an issuer");
    let realm = issuer.realm("");
    machine.put_in_file(&sign_in(&realm).await);
    machine.keyring.set_condition(Condition::TakesNothingNew);
    let manager = machine.manager(&realm).await;
    let auth = manager.auth().expect("signed in");
    let new = manager.refresh_token(&auth).await.expect("refreshed").expect("signed in");
    assert!(!manager.pending_save());
    assert_ne!(access_token(&new), access_token(&auth));
    assert_eq!(machine.tokens(), both(None, Some(access_token(&new))));
    assert!(manager.close(Duration::from_secs(60)).await);
}

#[tokio::test(start_paused = true)]
async fn g4_a_new_item_that_fails_after_the_proof_leaves_the_login_in_the_file() {
    for condition in [Condition::TakesNothingNew, Condition::SilentlyWritten] {
        let machine = Machine::new();
        machine.put_in_file(&login("a", "f", 0));
        let store = machine.store();
        let version = store.load().await.expect("loads").version;
        let ready = store.ready(100).await.expect("it works");
        machine.keyring.set_condition(condition);
        let new = parse(&login("a", "new", 1));
        assert_eq!(store.commit(&version, &new).await.expect("commits"), Swap::Done);
        drop(ready);
        assert_eq!(machine.tokens()[1].as_deref(), Some("new"), "{condition:?}");
    }
}

#[tokio::test]
async fn g4_a_keyring_that_is_away_when_the_reply_comes_gets_the_pair_later() {
    let machine = Machine::new();
    let issuer = Issuer::start().expect("an issuer");
    let realm = issuer.realm("");
    let text = sign_in(&realm).await;
    let mut older: Value = serde_json::from_str(&text).expect("a record");
    older["tokens"]["access_token"] = json!("older");
    older["tokens"]["refresh_token"] = json!("older");
    older["last_refresh"] = json!("2020-01-01T00:00:00Z");
    machine.put_in_keyring(&text);
    machine.put_in_file(&older.to_string());
    let manager = machine.manager(&realm).await;
    let auth = manager.auth().expect("signed in");
    realm.call_async("hold", json!({"at": "reply"})).await;
    let refreshing = tokio::spawn({
        let (manager, auth) = (manager.clone(), auth.clone());
        async move { manager.refresh_token(&auth).await }
    });
    realm.call_async("wait", json!({"until": {"held": 1}})).await;
    machine.keyring.set_condition(Condition::Gone);
    realm.call_async("release", json!({})).await;
    let new = refreshing.await.expect("no panic").expect("refreshed").expect("signed in");
    assert!(![access_token(&auth), "older"].contains(&access_token(&new)));
    assert!(manager.pending_save());
    manager.reload().await.expect("reads the file");
    assert_eq!(access_token(&manager.auth().expect("signed in")), access_token(&new));
    assert_eq!(machine.tokens()[1].as_deref(), Some("older"));
    machine.keyring.set_condition(Condition::Works);
    assert!(manager.close(Duration::from_secs(60)).await);
    assert!(!manager.pending_save());
    assert_eq!(machine.tokens(), both(Some(access_token(&new)), None));
    assert_eq!(realm.call_async("stats", json!({})).await["requests"], 1);
}

#[tokio::test(start_paused = true)]
async fn g3_a_save_leaves_another_accounts_file_alone() {
    let machine = Machine::new();
    machine.put_in_keyring(&login("a", "k", 0));
    machine.put_in_file(&login("b", "f", 5));
    let store = machine.store();
    assert_eq!(commit(&store, &login("a", "new", 6)).await, Swap::Done);
    assert_eq!(machine.tokens(), both(Some("new"), Some("f")));
    let version = store.load().await.expect("loads").version;
    assert_eq!(store.delete(&version).await.expect("deletes"), Swap::Done);
    assert_eq!(machine.tokens(), both(None, None), "a logout leaves nobody signed in");
}

#[tokio::test(start_paused = true)]
async fn a_save_replaces_the_file_that_it_was_based_on_whoever_it_was() {
    let machine = Machine::new();
    machine.put_in_file(&login("b", "f", 0));
    assert_eq!(commit(&machine.store(), &login("a", "new", 1)).await, Swap::Done);
    assert_eq!(machine.tokens(), both(Some("new"), None));
}

/// A keyring into which somebody moves the login right after each read.
#[derive(Debug)]
struct MovedInto {
    keyring: MemoryKeyring,
    path: PathBuf,
}

impl Keyring for MovedInto {
    fn get<'a>(
        &'a self,
        item: &'a KeyringItem,
    ) -> BoxFuture<'a, codex_auth_sdk::Result<Option<Secret>>> {
        Box::pin(async {
            let found = self.keyring.get(item).await;
            if let Ok(text) = std::fs::read_to_string(&self.path) {
                self.keyring.put(item, Secret::new(text));
                std::fs::remove_file(&self.path).expect("removed");
            }
            found
        })
    }

    fn set<'a>(
        &'a self,
        item: &'a KeyringItem,
        value: &'a Secret,
    ) -> BoxFuture<'a, codex_auth_sdk::Result<()>> {
        self.keyring.set(item, value)
    }

    fn delete<'a>(&'a self, item: &'a KeyringItem) -> BoxFuture<'a, codex_auth_sdk::Result<()>> {
        self.keyring.delete(item)
    }

    fn unlock<'a>(&'a self, item: &'a KeyringItem) -> BoxFuture<'a, codex_auth_sdk::Result<()>> {
        self.keyring.unlock(item)
    }

    fn attendance(&self) -> &Attendance {
        self.keyring.attendance()
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_that_moves_to_the_keyring_during_a_load_is_no_logout() {
    let machine = Machine::new();
    machine.put_in_file(&login("a", "f", 0));
    let keyring = MovedInto { keyring: machine.keyring.clone(), path: machine.path() };
    let store = machine.store_on(Arc::new(keyring));
    for _ in 0..2 {
        assert!(store.load().await.expect("loads").record.is_some());
        assert_eq!(machine.tokens(), both(Some("f"), None));
    }
}

#[tokio::test(start_paused = true)]
async fn g6_a_file_that_is_broken_is_no_logout_though_the_keyring_is_empty() {
    let machine = Machine::new();
    machine.put_in_file("{\"tokens\": {\"access_tok");
    let error = machine.store().load().await.expect_err("what the file was is not known");
    assert_eq!(error.code(), "store_corrupt", "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_keyring_that_may_still_get_a_login_is_not_known_to_be_empty() {
    let machine = Machine::new();
    machine.put_in_file(&login("a", "f", 0));
    let store = machine.store();
    let version = store.load().await.expect("loads").version;
    let lock = store.try_lock().await.expect("a lock").expect("free");
    lock.set_ledger(&lock.ledger()).await.expect("noted that the keyring is empty");
    machine.keyring.set_condition(Condition::SilentlyWritten);
    let new = parse(&login("a", "new", 1));
    assert_eq!(store.commit(&version, &new).await.expect("commits"), Swap::Done);
    drop(lock);
    machine.keyring.set_condition(Condition::Gone);
    for store in [store, machine.store()] {
        store.load().await.expect("reads the file");
        let error = store.ready(100).await.expect_err("the keyring may hold a newer one");
        assert_eq!(error.code(), "keyring_unavailable");
    }
}

#[tokio::test]
async fn a_login_is_refreshed_in_the_file_where_there_was_never_a_keyring_and_it_is_said_once() {
    let log = Log::of_everything();
    let machine = Machine::new();
    let issuer = Issuer::start().expect("an issuer");
    let realm = issuer.realm("");
    machine.keyring.set_condition(Condition::Missing);
    machine.put_in_file(&sign_in(&realm).await);
    let manager = machine.manager(&realm).await;
    let auth = manager.auth().expect("signed in");
    let new = manager.refresh_token(&auth).await.expect("refreshed").expect("signed in");
    assert_eq!(machine.tokens(), both(None, Some(access_token(&new))));
    // It stays so for the programs that come after.
    let manager = machine.manager(&realm).await;
    let newer = manager.refresh_token(&new).await.expect("refreshed").expect("signed in");
    assert_eq!(machine.tokens(), both(None, Some(access_token(&newer))));
    let text = log.text();
    let place = machine.path().display().to_string();
    let is_told = |line: &&str| line.contains("no keyring was ever reached");
    let told = text.lines().filter(is_told).filter(|line| line.contains(&place));
    assert_eq!(told.count(), 2, "once each: {text}");
}

#[tokio::test(start_paused = true)]
async fn a_machine_without_a_keyring_signs_in_and_out_in_the_file() {
    let machine = Machine::new();
    machine.keyring.set_condition(Condition::Missing);
    let store = machine.store();
    assert!(store.load().await.expect("there is no login").record.is_none());
    assert_eq!(commit(&store, &login("a", "new", 0)).await, Swap::Done);
    assert_eq!(machine.tokens(), both(None, Some("new")));
    let version = store.load().await.expect("loads").version;
    assert_eq!(store.delete(&version).await.expect("deletes"), Swap::Done);
    assert_eq!(machine.tokens(), both(None, None));
}

#[tokio::test(start_paused = true)]
async fn g2_a_keyring_that_was_reached_once_is_not_thought_to_be_missing() {
    for has_login in [false, true] {
        let machine = Machine::new();
        machine.put_in_file(&login("a", "f", 0));
        if has_login {
            machine.put_in_keyring(&login("a", "k", 5));
        }
        machine.store().load().await.expect("a desktop session reads it");
        machine.keyring.set_condition(Condition::Missing);
        // A program outside of the session.
        let store = machine.store();
        store.load().await.expect("reads the file");
        match store.ready(100).await {
            Ok(_) => assert!(!has_login, "the keyring was seen empty"),
            Err(error) => {
                assert!(has_login && error.code() == "keyring_unavailable", "{error}");
                let text = error.to_string();
                assert!(text.contains("may hold a newer login") && text.contains("auth.json"));
            }
        }
    }
}
