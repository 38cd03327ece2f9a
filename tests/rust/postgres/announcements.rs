//! Changes that the database announces.

use std::time::Duration;

use codex_auth_sdk::storage::{AuthStorage, PostgresStorage};
use codex_auth_tests::postgres::Postgres;
use tokio::time::timeout;

use crate::scene::{get, key, put, store, store_at};

/// Waits until `store` hears what is announced.
async fn listen(store: &PostgresStorage) {
    store.load().await.expect("loads");
    while store.stamp().is_none() {
        drop(timeout(Duration::from_millis(20), store.changed()).await);
    }
    // What was announced until now is read.
    store.load().await.expect("loads");
}

/// The store of the login `a` in another process: it has a connection of its own.
fn elsewhere(database: &Postgres) -> PostgresStorage {
    store_at(&format!("{}&application_name=elsewhere", database.url()), "a", &key(1))
}

#[tokio::test]
async fn a_change_is_announced_to_those_that_wait_for_it() {
    let Some(database) = Postgres::start() else { return };
    let (own, other) = (store(&database, "a"), elsewhere(&database));
    put(&own, "old").await;
    for _ in 0..2 {
        listen(&own).await;
        let stamp = own.stamp();
        assert_eq!(own.stamp(), stamp, "nothing has changed");
        put(&other, "new").await;
        own.changed().await;
        assert_ne!(own.stamp(), stamp);
        assert_eq!(get(&own).await.as_deref(), Some("new"));
        let lock = other.try_lock().await.expect("a lock").expect("free");
        drop(lock);
        own.changed().await;
        own.load().await.expect("loads");
        // A connection that has ended hears nothing, so the row must be read to know; it is made again.
        database.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE application_name = 'codex-auth-sdk'",
        );
        while own.stamp().is_some() {
            drop(timeout(Duration::from_millis(20), own.changed()).await);
        }
    }
}

#[tokio::test]
async fn a_claim_that_is_known_is_not_asked_for_again() {
    let Some(database) = Postgres::start() else { return };
    let (own, other) = (store(&database, "a"), elsewhere(&database));
    put(&own, "k").await;
    listen(&own).await;
    let lock = other.try_lock().await.expect("a lock").expect("free");
    assert!(own.try_lock().await.expect("no error").is_none());
    database.log_statements();
    for _ in 0..50 {
        assert!(own.try_lock().await.expect("no error").is_none());
    }
    let log = database.log_text();
    assert!(!log.contains("UPDATE codex_auth_sdk_logins"), "{log}");
    drop(lock);
    own.changed().await;
    assert!(own.try_lock().await.expect("a lock").is_some());
}
