//! A database with logins, and the issuer of their tokens.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use codex_auth_sdk::Secret;
use codex_auth_sdk::environment::Environment;
use codex_auth_sdk::storage::{AuthDotJson, AuthStorage, PostgresOptions, PostgresStorage, Swap};
use codex_auth_tests::postgres::Postgres;

/// A key; another one for each number.
pub(crate) fn key(number: u8) -> String {
    STANDARD.encode([number; 32])
}

/// The store of `login` in the database, with these keys.
pub(crate) fn store_by(database: &Postgres, login: &str, keys: &str) -> PostgresStorage {
    store_at(&database.url(), login, keys)
}

/// The store of `login` in the database at `url`, with these keys.
pub(crate) fn store_at(url: &str, login: &str, keys: &str) -> PostgresStorage {
    let mut options = PostgresOptions::default();
    options.login = Some(login.to_owned());
    options.store_key = Some(Secret::new(keys));
    PostgresStorage::new(&Secret::new(url), options, Environment::default()).expect("options")
}

pub(crate) fn store(database: &Postgres, login: &str) -> PostgresStorage {
    store_by(database, login, &key(1))
}

pub(crate) fn shared(storage: PostgresStorage) -> Arc<dyn AuthStorage> {
    Arc::new(storage)
}

/// A record with the API key `text`.
pub(crate) fn record(text: &str) -> AuthDotJson {
    let json = serde_json::json!({"OPENAI_API_KEY": text}).to_string();
    AuthDotJson::parse(json.as_bytes()).expect("a record")
}

/// Stores a record with the API key `text`.
pub(crate) async fn put(store: &dyn AuthStorage, text: &str) {
    let version = store.load().await.expect("loads").version;
    assert_eq!(store.commit(&version, &record(text)).await.expect("commits"), Swap::Done);
}

/// The API key of the record; none if nothing is stored.
pub(crate) async fn get(store: &dyn AuthStorage) -> Option<String> {
    let record = store.load().await.expect("loads").record?;
    record.openai_api_key.as_ref().map(|key| key.expose().to_owned())
}
