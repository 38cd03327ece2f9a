//! Custom stores that work, fail, hang and lock, under a paused clock.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::DateTime;
use codex_auth_sdk::environment::{BoxFuture, Environment, Spawner};
use codex_auth_sdk::storage::{AuthDotJson, AuthStorage, Swap, conformance};
use codex_auth_sdk::{AuthManager, Secret};
use codex_auth_tests::issuer::Issuer;
use codex_auth_tests::paused::simulated;
use codex_auth_tests::row::{Client, Condition};
use serde_json::json;
use tokio::time::Instant;

fn environment() -> Environment {
    simulated(DateTime::UNIX_EPOCH)
}

/// What `future` comes to, before a watchdog does.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("an end")
}

fn record(key: &str) -> AuthDotJson {
    AuthDotJson::parse(format!(r#"{{"OPENAI_API_KEY": "{key}"}}"#).as_bytes()).expect("a record")
}

#[tokio::test(start_paused = true)]
async fn a_custom_store_conforms() {
    let client = Client::new("one", &Arc::default());
    let storage = client.storage(environment());
    conformance::run(|| Arc::new(storage.clone())).await;
    assert_eq!(client.row().locked_by, None);
}

/// Counts the tasks that the end of the process waits for.
struct Counting {
    spawner: Arc<dyn Spawner>,
    awaited: AtomicUsize,
}

impl Spawner for Counting {
    fn spawn(&self, task: BoxFuture<'static, ()>) -> io::Result<()> {
        self.awaited.fetch_add(1, Ordering::SeqCst);
        self.spawner.spawn(task)
    }

    fn spawn_read(&self, task: BoxFuture<'static, ()>) -> io::Result<()> {
        self.spawner.spawn_read(task)
    }
}

#[tokio::test(start_paused = true)]
async fn g8_no_read_of_an_interpreters_store_outlives_the_process() {
    let mut environment = environment();
    let spawner = Arc::new(Counting { spawner: environment.spawner.clone(), awaited: 0.into() });
    environment.spawner = spawner.clone();
    let storage = Client::new("one", &Arc::default()).storage(environment.clone());
    let builder = AuthManager::builder().storage(Arc::new(storage)).environment(environment);
    drop(soon(builder.build()).await.expect("a manager"));
    assert_eq!(spawner.awaited.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_unavailable_with_its_cause_and_without_its_text() {
    let client = Client::new("one", &Arc::default());
    let storage = client.storage(environment());
    let version = storage.load().await.expect("loads").version;
    client.set(Condition::Fails);
    for error in [
        storage.load().await.expect_err("fails"),
        storage.commit(&version, &record("sk")).await.expect_err("fails"),
        storage.delete(&version).await.expect_err("fails"),
        storage.try_lock().await.expect_err("fails"),
        storage.ready(100).await.expect_err("fails"),
    ] {
        let source = std::error::Error::source(&error).expect("a cause").to_string();
        assert_eq!((error.code(), source.contains("sesame")), ("store_unavailable", true));
        let text = error.to_string();
        assert!(text.contains("the row") && !text.contains("sesame"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn g8_a_store_that_never_answers_is_given_up() {
    let client = Client::new("one", &Arc::default());
    let storage = client.storage(environment());
    client.set(Condition::Stuck);
    let start = Instant::now();
    let error = soon(storage.load()).await.expect_err("stuck");
    assert_eq!((error.code(), error.is_transient()), ("store_unavailable", true));
    assert!(error.to_string().contains("has not answered"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn g6_what_is_no_login_is_corrupt_and_stays() {
    let client = Client::new("one", &Arc::default());
    client.row().record = Some(Secret::new("<html>"));
    let error = client.storage(environment()).load().await.expect_err("no login");
    assert_eq!(error.code(), "store_corrupt");
    assert_eq!(client.row().record.as_ref().map(Secret::expose), Some("<html>"));
}

#[tokio::test(start_paused = true)]
async fn g1_its_lock_excludes_other_processes_and_ours_all_of_this_one() {
    let row = Arc::default();
    let [one, other] = [Client::new("one", &row), Client::new("other", &row)];
    let [storage, elsewhere] = [one.storage(environment()), other.storage(environment())];
    let held = storage.try_lock().await.expect("no error").expect("free");
    assert!(elsewhere.try_lock().await.expect("no error").is_none());
    let calls = one.row().lock_calls;
    assert!(storage.clone().try_lock().await.expect("no error").is_none(), "the row would say yes");
    assert_eq!(one.row().lock_calls, calls, "nobody is asked for what this process has");
    drop(held);
    let held = elsewhere.try_lock().await.expect("no error").expect("free again");
    assert!(storage.try_lock().await.expect("no error").is_none());
    assert_eq!(one.row().locked_by, Some("other"), "a lock that is not ours is not given back");
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn g8_a_lock_whose_answer_is_lost_is_given_back() {
    let client = Client::new("one", &Arc::default());
    let storage = client.storage(environment());
    client.set(Condition::Mute);
    let waiting = tokio::spawn({
        let storage = storage.clone();
        async move { storage.try_lock().await.map(|lock| lock.is_some()) }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(client.row().locked_by, Some("one"));
    client.set(Condition::Works);
    assert_eq!(
        soon(waiting).await.expect("no panic").expect_err("mute").code(),
        "store_unavailable"
    );
    assert_eq!(client.row().locked_by, None);
    assert!(storage.try_lock().await.expect("no error").is_some());
}

#[tokio::test(start_paused = true)]
async fn g1_a_lock_that_is_a_lease_is_renewed_and_says_when_it_is_lost() {
    let lease = Duration::from_secs(20);
    let client = Client::new("one", &Arc::default()).with_lease(lease);
    let storage = client.storage(environment());
    let pass = |seconds| tokio::time::sleep(Duration::from_secs(seconds));
    let held = storage.try_lock().await.expect("no error").expect("free");
    assert_eq!(held.held_for(), Some(lease));
    pass(301).await;
    assert!(held.check().is_ok() && held.held_for() > Some(lease / 2), "{:?}", held.held_for());
    client.set(Condition::Fails);
    pass(10).await;
    assert!(held.check().is_ok(), "one failure is none");
    client.set(Condition::Works);
    pass(10).await;
    assert!(held.held_for() > Some(lease / 2), "{:?}", held.held_for());
    client.set(Condition::Stuck);
    pass(21).await;
    assert_eq!(held.held_for(), Some(Duration::ZERO));
    assert_eq!(held.check().expect_err("it may be another's").code(), "store_unavailable");
    client.set(Condition::Works);
    pass(10).await;
    held.check().expect("it was still ours");
    client.row().locked_by = Some("other");
    pass(6).await;
    assert_eq!(held.check().expect_err("it is another's").code(), "store_unavailable");
    drop(held);
    let renewals = client.row().renewals;
    pass(60).await;
    assert_eq!(client.row().renewals, renewals, "what is given back is not renewed");
}

#[tokio::test]
async fn g1_nothing_is_redeemed_that_could_outlast_the_lock() {
    let issuer = Issuer::start().expect("an issuer");
    let realm = issuer.realm("");
    let login = realm.call("login", &json!({"name": "a", "access_age_s": 7200}));
    for (lease, requests) in [(20, 0), (40, 1)] {
        let client = Client::new("one", &Arc::default()).with_lease(Duration::from_secs(lease));
        client.put(login["text"].as_str());
        let manager = AuthManager::builder()
            .storage(Arc::new(client.storage(Environment::default())))
            .token_url(format!("{}/oauth/token", realm.url()))
            .request_timeout(Duration::from_secs(30))
            .build();
        let manager = manager.await.expect("a manager");
        assert_eq!(manager.fresh_auth().await.is_ok(), requests == 1, "{lease} s");
        assert_eq!(realm.stats()["requests"], requests, "{lease} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_save_whose_answer_is_lost_is_found_done() {
    let client = Client::new("one", &Arc::default());
    let storage = client.storage(environment());
    let version = storage.load().await.expect("loads").version;
    client.set(Condition::Mute);
    soon(storage.commit(&version, &record("sk-1"))).await.expect_err("mute");
    client.set(Condition::Works);
    assert_eq!(storage.commit(&version, &record("sk-2")).await.expect("no error"), Swap::Conflict);
    assert_eq!(storage.load().await.expect("loads").record.as_deref(), Some(&record("sk-1")));
}

#[tokio::test(start_paused = true)]
async fn only_an_open_that_waits_reads_a_custom_store() {
    let client = Client::new("one", &Arc::default());
    client.row().record = Some(Secret::new(r#"{"OPENAI_API_KEY": "sk-1"}"#));
    let builder = || {
        AuthManager::builder()
            .storage(Arc::new(client.storage(environment())))
            .environment(environment())
    };
    let error = builder().build_now().expect_err("it would wait");
    assert_eq!(error.code(), "store_unavailable");
    assert!(error.to_string().contains("the row"), "{error}");
    let manager = builder().build().await.expect("a manager");
    assert!(manager.auth().is_some());
    assert!(manager.store_holder().is_none());
}
