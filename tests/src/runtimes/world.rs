//! A login whose access token has expired, an issuer that knows it, and managers on its store.

use std::path::PathBuf;
use std::sync::Arc;

use codex_auth_sdk::environment::{BoxFuture, Environment};
use codex_auth_sdk::storage::{
    AuthDotJson, AuthStorage, FileStorage, Ledger, Loaded, Readiness, RefreshLock, Stamp, Swap,
    Version,
};
use codex_auth_sdk::{AuthManager, AuthManagerBuilder, CodexAuth, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::drive::block_on;
use crate::issuer::{Issuer, Realm};
use crate::torture::Trial;

/// How a manager reads the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// On the caller's thread, at once.
    Ready,
    /// On another thread: every read is a place to wait, and to be dropped.
    Slow,
}

/// One login of its own.
#[derive(Debug)]
pub struct World {
    /// Its issuer.
    pub realm: Realm,
    home: TempDir,
}

impl World {
    /// The realm `name` of `issuer`, configured by `config`, and a home that holds its login.
    ///
    /// # Panics
    ///
    /// Where there is no folder to be had.
    #[must_use]
    pub fn new(issuer: &Issuer, name: &str, config: &Value) -> Self {
        let logins = json!({"a": {"access_age_s": 7200}});
        let realm = json!({"name": name, "config": config, "logins": logins});
        let made = issuer.realm("").call("realms", &realm);
        let world =
            Self { realm: issuer.realm(name), home: tempfile::tempdir().expect("a folder") };
        let text = made["logins"]["a"]["text"].as_str().expect("a record");
        std::fs::write(world.auth_json(), text).expect("written");
        world
    }

    /// The options of a manager.
    #[must_use]
    pub fn builder(&self, store: Store) -> AuthManagerBuilder {
        let builder = AuthManager::builder()
            .codex_home(self.home.path())
            .token_url(format!("{}/oauth/token", self.realm.url()));
        match store {
            Store::Ready => builder,
            Store::Slow => {
                let file = FileStorage::new(self.home.path(), Environment::default());
                builder.storage(Arc::new(SlowStorage(file)) as Arc<dyn AuthStorage>)
            }
        }
    }

    /// A manager, and the snapshot that it starts with.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[must_use]
    pub fn manager(&self, store: Store) -> (AuthManager, CodexAuth) {
        let manager = block_on(self.builder(store).build()).expect("a manager");
        let auth = manager.auth().expect("signed in");
        (manager, auth)
    }

    fn auth_json(&self) -> PathBuf {
        self.home.path().join("auth.json")
    }

    /// What the store holds; none if there is no file.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        std::fs::read_to_string(self.auth_json()).ok()
    }

    /// The name of the stored refresh token.
    #[must_use]
    pub fn stored(&self) -> Value {
        let named = self.realm.call("inspect", &json!({"text": self.text()}));
        named["record"]["tokens"]["refresh_token"].clone()
    }

    /// Notes in `trial` what the issuer's records say was lost of a login that must be good.
    pub fn judge(&self, trial: &mut Trial, what: &str) {
        let stats = self.realm.stats();
        let live = self.realm.call("live", &json!({"text": self.text()}));
        let fine = stats["replays"] == 0
            && stats["refused"] == 0
            && stats["max_redemptions"].as_u64().is_some_and(|most| most <= 1)
            && live["refresh"] == true;
        trial.check(fine, || format!("{what}: live {live}, {stats}"));
    }
}

/// Whether the protected API takes this snapshot.
///
/// # Panics
///
/// If it does not answer.
#[must_use]
pub fn is_welcome(realm: &Realm, auth: &CodexAuth) -> bool {
    let headers = auth.headers().expect("headers");
    let lines: String =
        headers.iter().map(|(name, value)| format!("{name}: {}\r\n", value.expose())).collect();
    let reply = realm.exchange("GET", "/api/me", "text/plain", &lines, "");
    reply.expect("an answer").status == 200
}

/// A file store that never answers at once.
#[derive(Debug)]
struct SlowStorage(FileStorage);

impl AuthStorage for SlowStorage {
    fn location(&self) -> String {
        self.0.location()
    }

    fn load(&self) -> BoxFuture<'_, Result<Loaded>> {
        Box::pin(async {
            tokio::task::yield_now().await;
            self.0.load().await
        })
    }

    fn stamp(&self) -> Option<Stamp> {
        self.0.stamp()
    }

    fn commit<'a>(
        &'a self,
        expected: &'a Version,
        record: &'a AuthDotJson,
    ) -> BoxFuture<'a, Result<Swap>> {
        self.0.commit(expected, record)
    }

    fn delete<'a>(&'a self, expected: &'a Version) -> BoxFuture<'a, Result<Swap>> {
        self.0.delete(expected)
    }

    fn ready(&self, size: usize) -> BoxFuture<'_, Result<Readiness>> {
        self.0.ready(size)
    }

    fn try_lock(&self) -> BoxFuture<'_, Result<Option<Box<dyn RefreshLock>>>> {
        self.0.try_lock()
    }

    fn ledger(&self) -> Ledger {
        self.0.ledger()
    }
}
