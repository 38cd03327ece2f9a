//! Sign-ins that one replica begins and another one finishes.

use std::sync::Arc;
use std::time::Duration;

use codex_auth_sdk::storage::{AuthStorage, EphemeralStorage, KeptLogins, Turn};
use codex_auth_sdk::{AuthManager, BrowserLogin, LoginOptions, Secret};
use codex_auth_tests::issuer::{Issuer, Realm};
use codex_auth_tests::options::with;
use codex_auth_tests::postgres::Postgres;
use reqwest::redirect::Policy;
use serde_json::json;
use tokio::join;

use crate::scene::{key, store};

/// A database, and the issuer of its logins.
struct Replicas {
    database: Postgres,
    issuer: Issuer,
}

impl Replicas {
    fn new() -> Option<Self> {
        // Fails where another test of this process was faster.
        drop(rustls::crypto::ring::default_provider().install_default());
        Some(Self { database: Postgres::start()?, issuer: Issuer::start().expect("an issuer") })
    }

    fn realm(&self) -> Realm {
        self.issuer.realm("")
    }

    /// A manager of `login`, of a replica of its own.
    async fn manager(&self, login: &str) -> AuthManager {
        self.manager_at(&self.database.url(), login).await
    }

    async fn manager_at(&self, url: &str, login: &str) -> AuthManager {
        AuthManager::builder()
            .store(url.parse().expect("a store"))
            .login(login)
            .store_key(Secret::new(key(1)))
            .issuer(self.realm().url())
            .build()
            .await
            .expect("a manager")
    }

    /// Begins a manual sign-in for `login` at a replica, which ends. Returns the id of the sign-in, and
    /// the address at which the browser arrives.
    async fn begin(&self, login: &str) -> (String, String) {
        let manager = self.manager(login).await;
        let begun = manager.login_with_browser(manual()).await.expect("begun");
        let arrived = visit(&begun).await;
        (begun.id().expect("kept").to_owned(), arrived)
    }

    fn sign_ins(&self) -> Vec<Vec<String>> {
        self.database.ask("SELECT id FROM codex_auth_sdk_sign_ins")
    }

    fn assert_signed_in(&self, times: u64) {
        assert_eq!(self.realm().stats()["sign_ins"], json!(times));
    }
}

fn manual() -> LoginOptions {
    with(LoginOptions::default(), |it| it.manual = true)
}

/// Goes where the sign-in sends the browser, and returns where that is redirected to.
async fn visit(login: &BrowserLogin) -> String {
    let browser = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build();
    let page = browser.expect("a client").get(login.authorization_url()).send();
    let page = page.await.expect("a redirect");
    page.headers()["location"].to_str().expect("text").to_owned()
}

/// The code of the error with which a sign-in by browser cannot be resumed.
async fn refused(manager: &AuthManager, id: &str) -> &'static str {
    manager.resume_login_with_browser(id).await.expect_err("refused").code()
}

#[tokio::test]
async fn a_sign_in_with_a_browser_is_finished_by_another_replica_and_once() {
    let Some(replicas) = Replicas::new() else { return };
    let (id, arrived) = replicas.begin("a").await;
    let [one, other] = [replicas.manager("a").await, replicas.manager("a").await];
    let finished = one.resume_login_with_browser(&id).await.expect("resumed");
    assert_eq!(finished.id(), Some(&*id));
    assert_eq!(finished.redirect_uri(), "http://127.0.0.1:1455/auth/callback");
    let elsewhere = other.resume_login_with_browser(&id).await.expect("resumed");
    assert_eq!(finished.authorization_url(), elsewhere.authorization_url());
    let wrong = arrived.replace("state=", "state=x");
    let error = elsewhere.complete(&wrong).await.expect_err("another sign-in's");
    assert_eq!(error.code(), "login_state_mismatch");
    let outcomes = join!(finished.complete(&arrived), elsewhere.complete(&arrived));
    let (auth, error) = match outcomes {
        (Ok(auth), Err(error)) | (Err(error), Ok(auth)) => (auth, error),
        outcomes => panic!("{outcomes:?}"),
    };
    assert_eq!(auth.account_id(), Some("acct-device"));
    assert_eq!(error.code(), "login_cancelled");
    assert_eq!(refused(&other, &id).await, "login_cancelled");
    replicas.assert_signed_in(1);
    assert!(replicas.sign_ins().is_empty());
    assert!(replicas.manager("a").await.auth().is_some());
}

#[tokio::test]
async fn a_sign_in_with_a_device_code_is_finished_by_another_replica() {
    let Some(replicas) = Replicas::new() else { return };
    replicas.realm().call_async("configure", json!({"device_pending_polls": 2})).await;
    let first = replicas.manager("a").await;
    let mut events = first.subscribe();
    let begun = first.login_with_device_code(LoginOptions::default()).await.expect("begun");
    let id = begun.id().expect("kept").to_owned();
    assert_eq!(events.next().await.expect("told").kind(), "login_pending");
    drop((begun, first));
    let [one, other] = [replicas.manager("a").await, replicas.manager("a").await];
    let finished = one.resume_login_with_device_code(&id).await.expect("resumed");
    assert_eq!(finished.user_code(), "TEST-CODE");
    assert!(finished.expires_in() <= Duration::from_secs(900));
    let elsewhere = other.resume_login_with_device_code(&id).await.expect("resumed");
    let outcomes = join!(finished.wait(), elsewhere.wait());
    let error = match outcomes {
        (Ok(_), Err(error)) | (Err(error), Ok(_)) => error,
        outcomes => panic!("{outcomes:?}"),
    };
    assert_eq!(error.code(), "login_cancelled");
    replicas.assert_signed_in(1);
    assert!(replicas.manager("a").await.auth().is_some());
}

#[tokio::test]
async fn replicas_that_wait_for_one_user_take_turns_to_ask() {
    let Some(replicas) = Replicas::new() else { return };
    let [one, other] = [store(&replicas.database, "a"), store(&replicas.database, "a")];
    let id = one.keep(&Secret::new("s"), Duration::from_secs(60)).await.expect("kept");
    let (hour, next) = (Duration::from_secs(3600), "next_turn = clock_timestamp()");
    for (replica, turn) in [(&one, Turn::Ours), (&other, Turn::Others), (&one, Turn::Others)] {
        assert_eq!(replica.take_turn(&id, hour).await.expect("asked"), turn);
    }
    replicas.database.run(&format!("UPDATE codex_auth_sdk_sign_ins SET {next}"));
    assert_eq!(other.take_turn(&id, hour).await.expect("asked"), Turn::Ours);
    assert!(one.end(&id).await.expect("ended"));
    assert!(!other.end(&id).await.expect("ended"));
    assert_eq!(other.take_turn(&id, hour).await.expect("asked"), Turn::Ended);
}

#[tokio::test]
async fn a_sign_in_whose_time_is_over_is_refused_and_removed() {
    let Some(replicas) = Replicas::new() else { return };
    let (id, arrived) = replicas.begin("a").await;
    let manager = replicas.manager("a").await;
    let begun = manager.resume_login_with_browser(&id).await.expect("resumed");
    replicas.database.run("UPDATE codex_auth_sdk_sign_ins SET ends_at = clock_timestamp()");
    assert_eq!(refused(&manager, &id).await, "login_cancelled");
    let error = begun.complete(&arrived).await.expect_err("too late");
    assert_eq!(error.code(), "login_cancelled");
    replicas.assert_signed_in(0);
    let (next, _) = replicas.begin("b").await;
    assert_eq!(replicas.sign_ins(), [[next]]);
}

#[tokio::test]
async fn a_sign_in_is_for_its_own_login() {
    let Some(replicas) = Replicas::new() else { return };
    let [(id, _), (other_id, _)] = [replicas.begin("a").await, replicas.begin("b").await];
    let [a, b] = [replicas.manager("a").await, replicas.manager("b").await];
    assert_eq!(refused(&b, &id).await, "login_cancelled");
    // The row of one as that of the other login, and the state of one in the row of the other.
    let moved =
        "UPDATE codex_auth_sdk_sign_ins SET login = CASE login WHEN 'a' THEN 'b' ELSE 'a' END";
    replicas.database.run(moved);
    assert_eq!(refused(&b, &id).await, "store_unavailable");
    replicas.database.run(moved);
    replicas.database.run(
        "UPDATE codex_auth_sdk_sign_ins AS one SET state = other.state
         FROM codex_auth_sdk_sign_ins AS other WHERE one.id <> other.id",
    );
    assert_eq!(refused(&a, &id).await, "store_unavailable");
    assert_eq!(refused(&b, &other_id).await, "store_unavailable");
    replicas.assert_signed_in(0);
}

#[tokio::test]
async fn two_sign_ins_of_one_login_are_not_taken_for_each_other() {
    let Some(replicas) = Replicas::new() else { return };
    let [(id, arrived), (other_id, _)] = [replicas.begin("a").await, replicas.begin("a").await];
    let manager = replicas.manager("a").await;
    let other = manager.resume_login_with_browser(&other_id).await.expect("resumed");
    let error = other.complete(&arrived).await.expect_err("another sign-in's");
    assert_eq!(error.code(), "login_state_mismatch");
    let error = manager.resume_login_with_device_code(&id).await.expect_err("by a browser");
    assert_eq!(error.code(), "login_failed");
    assert!(manager.resume_login_with_browser(&id).await.is_ok());
}

#[tokio::test]
async fn g9_the_table_of_sign_ins_has_no_secret() {
    let Some(replicas) = Replicas::new() else { return };
    let manager = replicas.manager("a").await;
    let begun = manager.login_with_browser(manual()).await.expect("begun");
    let device = manager.login_with_device_code(LoginOptions::default()).await.expect("begun");
    let all =
        "SELECT id || login || key_id || encode(state, 'escape') FROM codex_auth_sdk_sign_ins";
    let rows = replicas.database.ask(all);
    assert_eq!(rows.len(), 2);
    let address = reqwest::Url::parse(begun.authorization_url()).expect("a URL");
    let mut secrets: Vec<_> = address.query_pairs().map(|(_, value)| value.into_owned()).collect();
    secrets.extend(["verifier", "TEST-CODE", "device_auth_id"].map(str::to_owned));
    for secret in secrets.iter().filter(|secret| secret.len() > 6) {
        assert!(rows.iter().all(|row| !row[0].contains(secret)), "{secret} in {rows:?}");
    }
    let shown = format!("{begun:?} {device:?}");
    let ids = [begun.id(), device.id()].map(|id| id.expect("kept"));
    assert!(ids.iter().all(|id| !shown.contains(id)), "{shown}");
}

#[tokio::test]
async fn a_sign_in_that_is_cancelled_is_so_everywhere_and_one_that_is_left_is_not() {
    let Some(replicas) = Replicas::new() else { return };
    let [one, other] = [replicas.manager("a").await, replicas.manager("a").await];
    let begun = one.login_with_browser(manual()).await.expect("begun");
    let id = begun.id().expect("kept").to_owned();
    begun.leave();
    assert_eq!(begun.wait().await.expect_err("left").code(), "login_cancelled");
    let resumed = other.resume_login_with_browser(&id).await.expect("resumed");
    resumed.cancel();
    replicas.database.wait_until("SELECT count(*) = 0 FROM codex_auth_sdk_sign_ins");
    assert_eq!(refused(&one, &id).await, "login_cancelled");

    replicas.realm().call_async("configure", json!({"device_pending_polls": 1000})).await;
    let begun = one.login_with_device_code(LoginOptions::default()).await.expect("begun");
    let id = begun.id().expect("kept");
    let resumed = other.resume_login_with_device_code(id).await.expect("resumed");
    resumed.cancel();
    assert_eq!(begun.wait().await.expect_err("cancelled").code(), "login_cancelled");
}

#[tokio::test]
async fn a_sign_in_is_finished_with_the_options_that_it_was_begun_with() {
    let Some(replicas) = Replicas::new() else { return };
    let options = with(manual(), |it| it.allowed_workspaces = vec!["acct-x".to_owned()]);
    let manager = replicas.manager("a").await;
    let begun = manager.login_with_browser(options).await.expect("begun");
    let other = replicas.manager("a").await;
    let id = begun.id().expect("kept");
    let resumed = other.resume_login_with_browser(id).await.expect("resumed");
    let error = resumed.complete(&visit(&begun).await).await.expect_err("another workspace");
    assert_eq!(error.code(), "login_workspace_not_allowed");
    assert!(replicas.manager("a").await.auth().is_none());
}

#[tokio::test]
async fn g5_a_role_that_may_store_no_new_login_begins_no_sign_in() {
    let Some(replicas) = Replicas::new() else { return };
    replicas.manager("a").await;
    replicas.database.run(
        "CREATE ROLE app LOGIN; GRANT SELECT ON codex_auth_sdk_schema TO app;
         GRANT SELECT, UPDATE, DELETE ON codex_auth_sdk_logins TO app;
         GRANT SELECT, INSERT, UPDATE, DELETE ON codex_auth_sdk_sign_ins TO app",
    );
    let url = replicas.database.url_of("app");
    let manager = replicas.manager_at(&url, "a").await;
    for error in [
        manager.login_with_device_code(LoginOptions::default()).await.expect_err("refused"),
        manager.login_with_browser(manual()).await.expect_err("refused"),
    ] {
        assert_eq!(error.code(), "store_read_only", "{error}");
    }
    assert!(replicas.sign_ins().is_empty());
    replicas.database.run("GRANT INSERT ON codex_auth_sdk_logins TO app");
    let login = manager.login_with_device_code(LoginOptions::default()).await.expect("begun");
    login.wait().await.expect("signed in");
}

#[tokio::test]
async fn other_stores_keep_no_sign_ins() {
    let issuer = Issuer::start().expect("an issuer");
    drop(rustls::crypto::ring::default_provider().install_default());
    let storage: Arc<dyn AuthStorage> = Arc::new(EphemeralStorage::new(None));
    let manager = AuthManager::builder().storage(storage).issuer(issuer.realm("").url());
    let manager = manager.build().await.expect("a manager");
    let begun = manager.login_with_browser(manual()).await.expect("begun");
    assert_eq!(begun.id(), None);
    let error = manager.resume_login_with_browser("x").await.expect_err("there are none");
    assert_eq!(error.code(), "not_supported_by_store");
}
