//! Stores of logins in a database.

use std::sync::Arc;

use codex_auth_sdk::storage::{AuthDotJson, AuthStorage, PostgresStorage, Swap};
pub(crate) use codex_auth_tests::fleet::{key, store_at};
use codex_auth_tests::postgres::Postgres;

/// The store of `login` in the database, with these keys.
pub(crate) fn store_by(database: &Postgres, login: &str, keys: &str) -> PostgresStorage {
    store_at(&database.url(), login, keys)
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
