//! Custom stores that work, fail, hang and lock, under a paused clock.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chrono::DateTime;
use codex_auth_sdk::simulation::simulated;
use codex_auth_sdk::{
    AuthDotJson, AuthManager, AuthStorage, CustomStorage, CustomStore, Secret, StoreAnswer, Stored,
    Swap, conformance,
};
use tokio::time::Instant;

/// A row of a database that several processes see.
#[derive(Debug, Default)]
struct Row {
    saves: u64,
    record: Option<Secret>,
    locked_by: Option<&'static str>,
    lock_calls: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Works,
    Fails,
    Stuck,
    /// What is asked for happens, and no answer comes.
    Mute,
}

/// One process's way to the row.
#[derive(Debug, Clone)]
struct Client {
    process: &'static str,
    row: Arc<Mutex<Row>>,
    condition: Arc<Mutex<Condition>>,
}

impl Client {
    fn new(process: &'static str, row: &Arc<Mutex<Row>>) -> Self {
        let condition = Arc::new(Mutex::new(Condition::Works));
        Self { process, row: Arc::clone(row), condition }
    }

    fn storage(&self) -> CustomStorage {
        CustomStorage::new(Arc::new(self.clone()), simulated(DateTime::UNIX_EPOCH))
    }

    fn row(&self) -> MutexGuard<'_, Row> {
        self.row.lock().expect("no panic")
    }

    fn set(&self, condition: Condition) {
        *self.condition.lock().expect("no panic") = condition;
    }

    fn answer<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Row) -> T,
    ) -> StoreAnswer<'static, T> {
        let condition = *self.condition.lock().expect("no panic");
        let answer =
            matches!(condition, Condition::Works | Condition::Mute).then(|| act(&mut self.row()));
        Box::pin(async move {
            match condition {
                Condition::Works => Ok(answer.expect("acted")),
                Condition::Fails => Err("the password sesame is wrong".into()),
                Condition::Stuck | Condition::Mute => std::future::pending().await,
            }
        })
    }

    fn swap(&self, record: Option<Secret>, expected: Option<&str>) -> StoreAnswer<'static, bool> {
        let expected = expected.map(str::to_owned);
        self.answer(move |row| {
            let version = row.record.is_some().then(|| row.saves.to_string());
            let is_expected = version == expected;
            if is_expected {
                row.saves += 1;
                row.record = record;
            }
            is_expected
        })
    }
}

impl CustomStore for Client {
    fn location(&self) -> String {
        "the row".to_owned()
    }

    fn load(&self) -> StoreAnswer<'_, Option<Stored>> {
        self.answer(|row| {
            let version = row.saves.to_string();
            row.record.clone().map(|record| Stored { record, version })
        })
    }

    fn save<'a>(&'a self, record: &'a Secret, expected: Option<&'a str>) -> StoreAnswer<'a, bool> {
        self.swap(Some(record.clone()), expected)
    }

    fn delete<'a>(&'a self, expected: Option<&'a str>) -> StoreAnswer<'a, bool> {
        self.swap(None, expected)
    }

    fn try_lock(&self) -> StoreAnswer<'_, bool> {
        let process = self.process;
        self.answer(move |row| {
            row.lock_calls += 1;
            // As with a database session, a process that has the lock may take it again.
            let holder = *row.locked_by.get_or_insert(process);
            holder == process
        })
    }

    fn unlock(&self) -> StoreAnswer<'static, ()> {
        let process = self.process;
        self.answer(move |row| {
            if row.locked_by == Some(process) {
                row.locked_by = None;
            }
        })
    }
}

fn record(key: &str) -> AuthDotJson {
    AuthDotJson::parse(format!(r#"{{"OPENAI_API_KEY": "{key}"}}"#).as_bytes()).expect("a record")
}

#[tokio::test(start_paused = true)]
async fn a_custom_store_conforms() {
    let client = Client::new("one", &Arc::default());
    let storage = client.storage();
    conformance::run(|| Arc::new(storage.clone())).await;
    assert_eq!(client.row().locked_by, None);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_unavailable_with_its_cause_and_without_its_text() {
    let client = Client::new("one", &Arc::default());
    let storage = client.storage();
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
    let storage = client.storage();
    client.set(Condition::Stuck);
    let start = Instant::now();
    let error = storage.load().await.expect_err("stuck");
    assert_eq!((error.code(), error.is_transient()), ("store_unavailable", true));
    assert!(error.to_string().contains("has not answered"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn g6_what_is_no_login_is_corrupt_and_stays() {
    let client = Client::new("one", &Arc::default());
    client.row().record = Some(Secret::new("<html>"));
    let error = client.storage().load().await.expect_err("no login");
    assert_eq!(error.code(), "store_corrupt");
    assert_eq!(client.row().record.as_ref().map(Secret::expose), Some("<html>"));
}

#[tokio::test(start_paused = true)]
async fn g1_its_lock_excludes_other_processes_and_ours_all_of_this_one() {
    let row = Arc::default();
    let [one, other] = [Client::new("one", &row), Client::new("other", &row)];
    let [storage, elsewhere] = [one.storage(), other.storage()];
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
    let storage = client.storage();
    client.set(Condition::Mute);
    let waiting = tokio::spawn({
        let storage = storage.clone();
        async move { storage.try_lock().await.map(|lock| lock.is_some()) }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(client.row().locked_by, Some("one"));
    client.set(Condition::Works);
    assert_eq!(waiting.await.expect("no panic").expect_err("mute").code(), "store_unavailable");
    assert_eq!(client.row().locked_by, None);
    assert!(storage.try_lock().await.expect("no error").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_save_whose_answer_is_lost_is_found_done() {
    let client = Client::new("one", &Arc::default());
    let storage = client.storage();
    let version = storage.load().await.expect("loads").version;
    client.set(Condition::Mute);
    storage.commit(&version, &record("sk-1")).await.expect_err("mute");
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
            .storage(Arc::new(client.storage()))
            .environment(simulated(DateTime::UNIX_EPOCH))
    };
    let error = builder().build_now().expect_err("it would wait");
    assert_eq!(error.code(), "store_unavailable");
    assert!(error.to_string().contains("the row"), "{error}");
    let manager = builder().build().await.expect("a manager");
    assert!(manager.auth().is_some());
    assert!(manager.store_holder().is_none());
}
