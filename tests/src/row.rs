//! A custom store of the tests: a row of a database that several processes share, and that can fail.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use codex_auth_sdk::Secret;
use codex_auth_sdk::environment::Environment;
use codex_auth_sdk::storage::{CustomStorage, CustomStore, StoreAnswer, Stored};

/// A row of a database that several processes see.
#[derive(Debug, Default)]
pub struct Row {
    saves: u64,
    /// What is stored.
    pub record: Option<Secret>,
    /// The process that has the lock.
    pub locked_by: Option<&'static str>,
    /// How often the lock was asked for.
    pub lock_calls: usize,
    /// How often it was renewed.
    pub renewals: usize,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It answers.
    Works,
    /// Every call fails, with a text that is not for everybody.
    Fails,
    /// Nothing happens, and no answer comes.
    Stuck,
    /// What is asked for happens, and no answer comes.
    Mute,
}

/// One process's way to the row.
#[derive(Debug, Clone)]
pub struct Client {
    process: &'static str,
    row: Arc<Mutex<Row>>,
    condition: Arc<Mutex<Condition>>,
    lease: Option<Duration>,
}

impl Client {
    /// The way of `process` to `row`.
    pub fn new(process: &'static str, row: &Arc<Mutex<Row>>) -> Self {
        let condition = Arc::new(Mutex::new(Condition::Works));
        Self { process, row: Arc::clone(row), condition, lease: None }
    }

    /// This, with a lock that is a lease of this length.
    #[must_use]
    pub fn with_lease(self, lease: Duration) -> Self {
        Self { lease: Some(lease), ..self }
    }

    /// A store for this process's managers.
    pub fn storage(&self, environment: Environment) -> CustomStorage {
        CustomStorage::new(Arc::new(self.clone()), environment)
    }

    /// The row itself.
    pub fn row(&self) -> MutexGuard<'_, Row> {
        self.row.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts `record` in the place of whatever is stored, as another program does.
    pub fn put(&self, record: Option<&str>) {
        let mut row = self.row();
        row.saves += 1;
        row.record = record.map(Secret::new);
    }

    /// Makes all calls from now on end so.
    pub fn set(&self, condition: Condition) {
        *self.condition.lock().unwrap_or_else(PoisonError::into_inner) = condition;
    }

    fn answer<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Row) -> T,
    ) -> StoreAnswer<'static, T> {
        let condition = *self.condition.lock().unwrap_or_else(PoisonError::into_inner);
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
            row.record.clone().map(|record| Stored::new(record, version))
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

    fn lease(&self) -> Option<Duration> {
        self.lease
    }

    fn renew(&self) -> StoreAnswer<'_, bool> {
        let process = self.process;
        self.answer(move |row| {
            row.renewals += 1;
            row.locked_by == Some(process)
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
