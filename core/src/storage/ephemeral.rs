//! A login that lives in this process only. Immutable values behind atomic pointers, so that a
//! forked child never finds a lock that a thread of its parent's had taken.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};

use super::{AuthStorage, Loaded, Readiness, RefreshLock, Stamp, Swap, Version};
use crate::auth_dot_json::AuthDotJson;
use crate::environment::BoxFuture;
use crate::error::Result;
use crate::ledger::Ledger;
use crate::process::ProcessId;

/// A store in memory. Clones share one login.
///
/// ```
/// use codex_auth_sdk::storage::{AuthDotJson, AuthStorage, EphemeralStorage};
///
/// let record = AuthDotJson::parse(br#"{"OPENAI_API_KEY": "sk-1"}"#)?;
/// let storage = EphemeralStorage::new(Some(record));
/// assert!(storage.load_now().is_some());
/// # Ok::<(), codex_auth_sdk::storage::InvalidRecord>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct EphemeralStorage(Arc<ArcSwap<State>>);

#[derive(Debug, Clone, Default)]
struct State {
    record: Option<Arc<AuthDotJson>>,
    generation: u64,
    /// The process that holds the refresh lock: a forked child inherits this, but not the lock.
    locked_by: Option<ProcessId>,
    ledger: Ledger,
}

impl EphemeralStorage {
    /// A store that holds `record`.
    pub fn new(record: Option<AuthDotJson>) -> Self {
        let storage = Self::default();
        storage.replace(record);
        storage
    }

    /// The store that all managers of this process share for one `CODEX_HOME`, by whatever path they
    /// name it.
    pub fn shared(codex_home: &Path) -> Self {
        let codex_home = codex_home.canonicalize().unwrap_or_else(|_| codex_home.to_owned());
        static SHARED: ArcSwapOption<HashMap<PathBuf, EphemeralStorage>> =
            ArcSwapOption::const_empty();
        SHARED.rcu(|shared| {
            let mut shared = shared.as_deref().cloned().unwrap_or_default();
            shared.entry(codex_home.clone()).or_default();
            Some(Arc::new(shared))
        });
        let shared = SHARED.load();
        shared.as_ref().and_then(|shared| shared.get(&codex_home).cloned()).unwrap_or_default()
    }

    /// What is stored now.
    pub fn record(&self) -> Option<Arc<AuthDotJson>> {
        self.0.load().record.clone()
    }

    /// Puts `record` in the place of whatever is stored, as a new login does.
    pub fn replace(&self, record: Option<AuthDotJson>) {
        let record = record.map(Arc::new);
        drop(self.change(|state| state.replace(record.clone())));
    }

    fn swap(&self, expected: &Version, record: Option<AuthDotJson>) -> Swap {
        let record = record.map(Arc::new);
        let before = self.change(|state| {
            if state.version() == *expected {
                state.replace(record.clone());
            }
        });
        if before.version() == *expected { Swap::Done } else { Swap::Conflict }
    }

    /// Changes the state in one step, and returns what it was before.
    fn change(&self, change: impl Fn(&mut State)) -> Arc<State> {
        self.0.rcu(|state| {
            let mut state = State::clone(state);
            change(&mut state);
            state
        })
    }
}

impl State {
    fn version(&self) -> Version {
        match self.record {
            Some(_) => Version::named(&self.generation.to_string()),
            None => Version::absent(),
        }
    }

    fn replace(&mut self, record: Option<Arc<AuthDotJson>>) {
        self.record = record;
        self.generation += 1;
    }

    fn loaded(&self) -> Loaded {
        Loaded { record: self.record.clone(), version: self.version() }
    }
}

impl AuthStorage for EphemeralStorage {
    fn location(&self) -> String {
        "memory".to_owned()
    }

    fn load(&self) -> BoxFuture<'_, Result<Loaded>> {
        Box::pin(async { Ok(self.0.load().loaded()) })
    }

    fn load_now(&self) -> Option<Result<Loaded>> {
        Some(Ok(self.0.load().loaded()))
    }

    fn stamp(&self) -> Option<Stamp> {
        Some(Stamp::of(self.0.load().generation))
    }

    fn commit<'a>(
        &'a self,
        expected: &'a Version,
        record: &'a AuthDotJson,
    ) -> BoxFuture<'a, Result<Swap>> {
        Box::pin(async { Ok(self.swap(expected, Some(record.clone()))) })
    }

    fn delete<'a>(&'a self, expected: &'a Version) -> BoxFuture<'a, Result<Swap>> {
        Box::pin(async { Ok(self.swap(expected, None)) })
    }

    fn ready(&self, _size: usize) -> BoxFuture<'_, Result<Readiness>> {
        Box::pin(async { Ok(Readiness::default()) })
    }

    fn try_lock(&self) -> BoxFuture<'_, Result<Option<Box<dyn RefreshLock>>>> {
        let before = self.change(|state| state.locked_by = Some(ProcessId::current()));
        let lock = (!before.locked_by.is_some_and(ProcessId::is_current))
            .then(|| Box::new(EphemeralLock(self.clone())) as Box<dyn RefreshLock>);
        Box::pin(async { Ok(lock) })
    }

    fn ledger(&self) -> Ledger {
        self.0.load().ledger.clone()
    }
}

#[derive(Debug)]
struct EphemeralLock(EphemeralStorage);

impl RefreshLock for EphemeralLock {
    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn ledger(&self) -> Ledger {
        self.0.ledger()
    }

    fn set_ledger<'a>(&'a self, ledger: &'a Ledger) -> BoxFuture<'a, Result<()>> {
        Box::pin(async {
            drop(self.0.change(|state| state.ledger = ledger.clone()));
            Ok(())
        })
    }
}

impl Drop for EphemeralLock {
    fn drop(&mut self) {
        drop(self.0.change(|state| state.locked_by = None));
    }
}
