//! The tables, who may make them, and programs of other versions.

use codex_auth_sdk::Secret;
use codex_auth_sdk::environment::Environment;
use codex_auth_sdk::storage::{AuthStorage, PostgresStorage};
use codex_auth_tests::postgres::Postgres;

use crate::scene::{get, key, put, store, store_at};

async fn migrate(url: &str) -> codex_auth_sdk::Result<i32> {
    PostgresStorage::migrate(&Secret::new(url), Environment::default()).await
}

#[tokio::test]
async fn a_role_that_may_not_make_the_tables_says_how_they_are_made() {
    let Some(database) = Postgres::start() else { return };
    database.run("CREATE ROLE app LOGIN");
    let app = store_at(&database.url_of("app"), "a", &key(1));
    let error = app.load().await.expect_err("there are none");
    assert_eq!(error.code(), "store_unavailable");
    assert!(error.to_string().contains("codex-auth-sdk migrate"), "{error}");
    assert!(migrate(&database.url_of("app")).await.is_err());
    for _ in 0..2 {
        assert_eq!(migrate(&database.url()).await.expect("the owner may"), 2);
    }
    database.run(
        "GRANT SELECT ON codex_auth_sdk_schema TO app;
         GRANT SELECT, INSERT, UPDATE, DELETE ON codex_auth_sdk_logins TO app",
    );
    put(&app, "k").await;
    assert_eq!(get(&store(&database, "a")).await.as_deref(), Some("k"));
}

#[tokio::test]
async fn tables_of_an_older_version_are_updated_where_the_role_may() {
    let Some(database) = Postgres::start() else { return };
    put(&store(&database, "a"), "k").await;
    database
        .run("DROP TABLE codex_auth_sdk_sign_ins; UPDATE codex_auth_sdk_schema SET version = 1");
    database.run(
        "CREATE ROLE app LOGIN; GRANT SELECT ON codex_auth_sdk_schema TO app;
         GRANT SELECT, INSERT, UPDATE, DELETE ON codex_auth_sdk_logins TO app",
    );
    let app = store_at(&database.url_of("app"), "a", &key(1));
    let error = app.load().await.expect_err("it may not");
    assert!(error.to_string().contains("codex-auth-sdk migrate"), "{error}");
    assert_eq!(migrate(&database.url()).await.expect("the owner may"), 2);
    assert_eq!(get(&app).await.as_deref(), Some("k"));
    assert_eq!(database.ask("SELECT count(*) FROM codex_auth_sdk_sign_ins"), [["0"]]);
}

#[tokio::test]
async fn tables_of_a_newer_version_are_left_alone() {
    let Some(database) = Postgres::start() else { return };
    put(&store(&database, "a"), "k").await;
    database.run("UPDATE codex_auth_sdk_schema SET version = 99");
    let other = store_at(&format!("{}&connect_timeout=9", database.url()), "a", &key(1));
    for error in [
        other.load().await.expect_err("too new"),
        migrate(&database.url()).await.expect_err("too new"),
    ] {
        assert!(error.to_string().contains("version 99"), "{error}");
    }
}

#[tokio::test]
async fn many_programs_may_make_the_tables_at_once() {
    let Some(database) = Postgres::start() else { return };
    let url = database.url();
    let making: Vec<_> = (0..8)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { migrate(&url).await })
        })
        .collect();
    for made in making {
        assert_eq!(made.await.expect("no panic").expect("made"), 2);
    }
}
