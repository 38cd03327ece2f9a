//! A login that lives in this process only.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use super::{AuthStorage, Loaded, Readiness, RefreshLock, Stamp, Swap, Version};
use crate::auth_dot_json::AuthDotJson;
use crate::environment::BoxFuture;
use crate::error::Result;
use crate::sidecar::Sidecar;

/// A store in memory. Clones share one login.
///
/// ```
/// use codex_auth_sdk::{AuthDotJson, AuthStorage, EphemeralStorage};
///
/// let record = AuthDotJson::parse(br#"{"OPENAI_API_KEY": "sk-1"}"#)?;
/// let storage = EphemeralStorage::new(Some(record));
/// assert!(storage.load_now().is_some());
/// # Ok::<(), codex_auth_sdk::InvalidRecord>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct EphemeralStorage(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    record: Option<Arc<AuthDotJson>>,
    generation: u64,
    /// The process that holds the refresh lock: a forked child inherits this, but not the lock.
    locked_by: Option<u32>,
    sidecar: Sidecar,
}

impl EphemeralStorage {
    /// A store that holds `record`.
    pub fn new(record: Option<AuthDotJson>) -> Self {
        let storage = Self::default();
        storage.replace(record);
        storage
    }

    /// The store that all managers of this process share for one `CODEX_HOME`.
    pub fn shared(codex_home: &Path) -> Self {
        static SHARED: LazyLock<Mutex<HashMap<PathBuf, EphemeralStorage>>> =
            LazyLock::new(Mutex::default);
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.entry(codex_home.to_owned()).or_default().clone()
    }

    /// What is stored now.
    pub fn record(&self) -> Option<Arc<AuthDotJson>> {
        self.state().record.clone()
    }

    /// Puts `record` in the place of whatever is stored, as a new login does.
    pub fn replace(&self, record: Option<AuthDotJson>) {
        self.state().replace(record);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn swap(&self, expected: &Version, record: Option<AuthDotJson>) -> Swap {
        let mut state = self.state();
        if state.version() != *expected {
            return Swap::Conflict;
        }
        state.replace(record);
        Swap::Done
    }
}

impl State {
    fn version(&self) -> Version {
        match self.record {
            Some(_) => Version::named(&self.generation.to_string()),
            None => Version::absent(),
        }
    }

    fn replace(&mut self, record: Option<AuthDotJson>) {
        self.record = record.map(Arc::new);
        self.generation += 1;
    }
}

impl AuthStorage for EphemeralStorage {
    fn location(&self) -> String {
        "memory".to_owned()
    }

    fn load(&self) -> BoxFuture<'_, Result<Loaded>> {
        let state = self.state();
        let loaded = Loaded { record: state.record.clone(), version: state.version() };
        Box::pin(async { Ok(loaded) })
    }

    fn load_now(&self) -> Option<Result<Loaded>> {
        let state = self.state();
        Some(Ok(Loaded { record: state.record.clone(), version: state.version() }))
    }

    fn stamp(&self) -> Option<Stamp> {
        Some(Stamp::of(self.state().generation))
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
        let process = Some(std::process::id());
        let holder = std::mem::replace(&mut self.state().locked_by, process);
        let lock = (holder != process)
            .then(|| Box::new(EphemeralLock(self.clone())) as Box<dyn RefreshLock>);
        Box::pin(async { Ok(lock) })
    }

    fn sidecar(&self) -> Sidecar {
        self.state().sidecar.clone()
    }
}

#[derive(Debug)]
struct EphemeralLock(EphemeralStorage);

impl RefreshLock for EphemeralLock {
    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn sidecar(&self) -> Sidecar {
        self.0.sidecar()
    }

    fn set_sidecar(&self, sidecar: &Sidecar) -> Result<()> {
        self.0.state().sidecar = sidecar.clone();
        Ok(())
    }
}

impl Drop for EphemeralLock {
    fn drop(&mut self) {
        self.0.state().locked_by = None;
    }
}
