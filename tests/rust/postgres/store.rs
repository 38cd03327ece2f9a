//! What the store itself must do.

use codex_auth_sdk::storage::{AuthStorage, Swap, conformance};
use codex_auth_tests::postgres::{Postgres, Stop};

use crate::scene::{get, key, put, record, shared, store, store_at, store_by};

/// Names of logins: any text, which is never SQL.
const NAMES: [&str; 6] =
    ["alice", "Alice", "a'; DROP TABLE codex_auth_sdk_logins;--", "\"$1\\", "田中 🦀", "%_"];

#[tokio::test]
async fn a_row_conforms() {
    let Some(database) = Postgres::start() else { return };
    for login in NAMES {
        conformance::run(|| shared(store(&database, login))).await;
    }
    let rows = database.ask("SELECT count(*) FROM codex_auth_sdk_logins");
    assert_eq!(rows, [["0"]], "what is signed out leaves nothing");
}

#[tokio::test]
async fn each_login_is_a_row_of_its_own() {
    let Some(database) = Postgres::start() else { return };
    for login in NAMES {
        put(&store(&database, login), login).await;
    }
    let held = store(&database, NAMES[0]).try_lock().await.expect("a lock").expect("free");
    for login in &NAMES[1..] {
        let store = store(&database, login);
        assert_eq!(get(&store).await.as_deref(), Some(*login));
        assert!(
            store.try_lock().await.expect("a lock").is_some(),
            "another login's lock is no matter"
        );
    }
    drop(held);
    let gone = store(&database, NAMES[1]);
    let version = gone.load().await.expect("loads").version;
    assert_eq!(gone.delete(&version).await.expect("deletes"), Swap::Done);
    for login in NAMES {
        let expected = Some(login.to_owned()).filter(|login| login != NAMES[1]);
        assert_eq!(get(&store(&database, login)).await, expected);
    }
    let sessions =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'codex-auth-sdk'";
    assert_eq!(database.ask(sessions), [["1"]], "one connection for all of them");
}

#[tokio::test]
async fn a_role_that_may_see_its_own_rows_only_has_all_it_needs() {
    let Some(database) = Postgres::start() else { return };
    put(&store(&database, "tenant"), "mine").await;
    put(&store(&database, "other"), "not mine").await;
    database.run(
        "CREATE ROLE tenant LOGIN;
         GRANT SELECT ON codex_auth_sdk_schema TO tenant;
         GRANT SELECT, INSERT, UPDATE, DELETE ON codex_auth_sdk_logins TO tenant;
         ALTER TABLE codex_auth_sdk_logins ENABLE ROW LEVEL SECURITY;
         CREATE POLICY own ON codex_auth_sdk_logins USING (login = current_user)",
    );
    let open = |login: &str| store_at(&database.url_of("tenant"), login, &key(1));
    assert_eq!(get(&open("tenant")).await.as_deref(), Some("mine"));
    assert_eq!(get(&open("other")).await, None);
    let new = open("new");
    let version = new.load().await.expect("loads").version;
    let error = new.commit(&version, &record("k")).await.expect_err("refused");
    assert_eq!(error.code(), "store_read_only");
    let own = open("tenant");
    let version = own.load().await.expect("loads").version;
    assert_eq!(own.delete(&version).await.expect("deletes"), Swap::Done);
    conformance::run(|| shared(open("tenant"))).await;
    assert_eq!(get(&store(&database, "other")).await.as_deref(), Some("not mine"));
}

#[tokio::test]
async fn what_no_key_opens_is_unavailable_and_never_no_login() {
    let Some(database) = Postgres::start() else { return };
    for login in ["a", "b"] {
        put(&store(&database, login), login).await;
    }
    let rotated = format!("{},{}", key(2), key(1));
    assert_eq!(get(&store_by(&database, "a", &rotated)).await.as_deref(), Some("a"));
    put(&store_by(&database, "a", &rotated), "new key").await;
    for (keys, why) in [(key(1), "add the key"), ("plaintext".to_owned(), "add the key")] {
        refuses(&store_by(&database, "a", &keys), why).await;
    }
    let plain = format!("plaintext,{}", key(2));
    put(&store_by(&database, "a", &plain), "in the open").await;
    refuses(&store_by(&database, "a", &key(2)), "plain text").await;
    let stored = "SELECT convert_from(record, 'UTF8') FROM codex_auth_sdk_logins WHERE login = 'a'";
    assert!(database.ask(stored)[0][0].contains("in the open"));

    put(&store_by(&database, "a", &format!("{},plaintext", key(1))), "a").await;
    let swap = "UPDATE codex_auth_sdk_logins SET record = (
                    SELECT record FROM codex_auth_sdk_logins other WHERE other.login = 'b'
                ) WHERE login = 'a'";
    for damage in [
        swap,
        "UPDATE codex_auth_sdk_logins SET record = substr(record, 1, length(record) - 1)",
        "UPDATE codex_auth_sdk_logins SET record = ''",
    ] {
        database.run(damage);
        refuses(&store(&database, "a"), "changed the row, or moved it").await;
    }
}

/// Asserts that the login of `store` is neither read, nor replaced or removed in ignorance.
async fn refuses(store: &dyn AuthStorage, why: &str) {
    for loaded in [store.load().await, store.load_to_replace().await] {
        let error = loaded.expect_err("refused");
        assert_eq!(error.code(), "store_unavailable");
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[tokio::test]
async fn a_row_that_holds_no_login_is_corrupt_and_may_be_replaced() {
    let Some(database) = Postgres::start() else { return };
    let store = store_by(&database, "a", "plaintext");
    put(&store, "k").await;
    database.run("UPDATE codex_auth_sdk_logins SET record = '[]'");
    assert_eq!(store.load().await.expect_err("no login").code(), "store_corrupt");
    let version = store.load_to_replace().await.expect("nothing is lost").version;
    assert_eq!(store.commit(&version, &record("new")).await.expect("commits"), Swap::Done);
    assert_eq!(get(&store).await.as_deref(), Some("new"));
}

#[tokio::test]
async fn g5_a_database_that_cannot_be_written_is_not_ready() {
    let Some(database) = Postgres::start() else { return };
    put(&store(&database, "a"), "k").await;
    database.run(
        "CREATE ROLE reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;
                  CREATE ROLE standby LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO standby;
                  ALTER ROLE standby SET default_transaction_read_only = on",
    );
    for role in ["reader", "standby"] {
        let store = store_at(&database.url_of(role), "a", &key(1));
        assert_eq!(get(&store).await.as_deref(), Some("k"), "it can be read");
        let version = store.load().await.expect("loads").version;
        for error in [
            store.ready(100).await.expect_err("not ready"),
            store.try_lock().await.expect_err("no lock"),
            store.commit(&version, &record("new")).await.expect_err("not saved"),
        ] {
            assert_eq!(error.code(), "store_read_only", "{role}: {error}");
            assert!(
                error.to_string().contains("the login \"a\"")
                    || error.to_string().contains("postgres://")
            );
        }
    }
    assert_eq!(get(&store(&database, "a")).await.as_deref(), Some("k"));
}

#[tokio::test]
async fn g5_a_disk_without_room_for_one_more_record_is_not_ready() {
    let Some(database) = Postgres::start_on_small_disk() else { return };
    let store = store(&database, "a");
    // As large as that of a real login, which is stored in parts.
    put(&store, &"k".repeat(5000)).await;
    store.ready(6000).await.expect("there is room");
    database.fill_disk();
    let error = store.ready(6000).await.expect_err("there is none");
    assert_eq!(error.code(), "store_unavailable", "{error}");
    database.clear_disk();
    store.ready(6000).await.expect("there is room again");
}

#[tokio::test]
async fn a_connection_that_has_ended_is_made_again() {
    let Some(mut database) = Postgres::start() else { return };
    let store = store(&database, "a");
    put(&store, "k").await;
    let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE application_name = 'codex-auth-sdk'";
    for _ in 0..3 {
        database.run(terminate);
        assert_eq!(get(&store).await.as_deref(), Some("k"));
        database.run(terminate);
        drop(store.try_lock().await.expect("a lock").expect("free"));
    }
    for how in [Stop::Fast, Stop::Immediate] {
        database.stop(how);
        let error = store.load().await.expect_err("it is away");
        assert_eq!(error.code(), "store_unavailable", "{error}");
        assert!(error.to_string().contains("cannot be reached"), "{error}");
        database.start_again();
        assert_eq!(get(&store).await.as_deref(), Some("k"));
    }
}
