//! PgBouncer in its transaction mode, in front of the database.

use std::time::Duration;

use codex_auth_sdk::storage::{AuthStorage, conformance};
use codex_auth_tests::postgres::{Bouncer, Postgres};
use tokio::time::timeout;

use crate::scene::{get, key, put, shared, store, store_at};

#[tokio::test]
async fn nothing_relies_on_a_session() {
    let Some(database) = Postgres::start() else { return };
    let Some(bouncer) = Bouncer::start(&database) else { return };
    let through = |process: u8| {
        let url = format!("{}&application_name=process{process}", bouncer.url());
        store_at(&url, "a", &key(1))
    };
    conformance::run(|| shared(through(1))).await;
    // Two processes, whose statements take turns in two sessions.
    let (one, other) = (through(1), through(2));
    for number in 0..20 {
        let number = number.to_string();
        put(&one, &number).await;
        assert_eq!(get(&other).await.as_deref(), Some(&*number));
        let lock = one.try_lock().await.expect("a lock").expect("free");
        assert!(other.try_lock().await.expect("no error").is_none());
        drop(lock);
        drop(one.try_lock().await.expect("a lock").expect("free"));
    }
}

#[tokio::test]
async fn what_is_announced_does_not_come_through_and_is_asked_for() {
    let Some(database) = Postgres::start() else { return };
    let Some(bouncer) = Bouncer::start(&database) else { return };
    database.log_statements();
    let through = store_at(bouncer.url(), "a", &key(1));
    put(&through, "old").await;
    through.load().await.expect("loads");
    // This begins to listen, and ends that.
    drop(timeout(Duration::ZERO, through.changed()).await);
    while !database.log_text().contains("UNLISTEN codex_auth_sdk") {
        tokio::task::yield_now().await;
        assert_eq!(through.stamp(), None, "what comes through is not what others announce");
    }
    assert_eq!(through.stamp(), None, "the row must be read to know");
    put(&store(&database, "a"), "new").await;
    assert_eq!(get(&through).await.as_deref(), Some("new"));
}
