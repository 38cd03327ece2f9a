//! How many statements a call costs the database. Each is a round trip.

use std::sync::Arc;

use codex_auth_sdk::{AuthManager, SyncOutcome};
use codex_auth_tests::fleet::{Fleet, key, store_at};
use serde_json::json;

/// A manager whose statements are logged, on a connection that has been made.
async fn manager(fleet: &Fleet) -> AuthManager {
    let manager = AuthManager::builder()
        .storage(Arc::new(store_at(&fleet.database.url(), "a", &key(1))))
        .token_url(format!("{}/oauth/token", fleet.realm.url()))
        .build()
        .await;
    fleet.database.log_statements();
    manager.expect("a manager")
}

/// The statements of the programs that were logged since `before`, which is the log of then.
fn statements(fleet: &Fleet, before: &str) -> Vec<String> {
    let log = fleet.database.log_text();
    let new = log[before.len()..].split("LOG:  ").skip(1);
    let statements = new.filter(|entry| entry.starts_with("execute"));
    statements.map(|entry| entry.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[tokio::test]
async fn g10_a_sync_that_finds_nothing_new_is_one_round_trip() {
    let Some(fleet) = Fleet::new(&json!({})) else { return };
    let manager = manager(&fleet).await;
    let auth = manager.auth().expect("signed in");
    let before = fleet.database.log_text();
    let synced = manager.sync_from_storage(&auth).await.expect("read");
    assert_eq!(synced, SyncOutcome::Applied { changed: false });
    let made = statements(&fleet, &before);
    assert_eq!(made.len(), 1, "{made:#?}");
}

#[tokio::test]
async fn g10_a_refresh_makes_no_round_trip_without_a_reason() {
    let Some(fleet) = Fleet::new(&json!({})) else { return };
    let manager = manager(&fleet).await;
    let before = fleet.database.log_text();
    manager.fresh_auth().await.expect("fresh");
    // The claim has been given back.
    fleet.database.wait_until("SELECT holder IS NULL FROM codex_auth_sdk_logins");
    let made = statements(&fleet, &before);
    let kinds: Vec<_> = made.iter().map(|statement| kind(statement)).collect();
    let expected = [
        "look", "claim", "look", "proof", "look", "note", // the request
        "note", "look", "commit", "note", "release",
    ];
    assert_eq!(kinds, expected, "{made:#?}");
    assert_eq!(fleet.realm.stats()["requests"], 1);
}

/// What a statement is for.
fn kind(statement: &str) -> &'static str {
    let marks = [
        ("SET holder = CASE", "claim"),
        ("record = record", "proof"),
        ("SET ledger = $3", "note"),
        ("SET version = $2", "commit"),
        ("SET holder = NULL", "release"),
        ("SELECT version, key_id, record", "look"),
    ];
    let found = marks.iter().find(|(mark, _)| statement.contains(mark));
    found.map_or("another", |(_, kind)| kind)
}
